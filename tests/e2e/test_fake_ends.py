"""The ends of a gang on fake nodes: success, failure and deadlines, what stays of it then, and for how long."""

from __future__ import annotations

import pytest

from tests.support.history import condition
from tests.support.operator_process import Operator
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

CLEANING = {"None": 2, "Running": 2, "All": 0}


@pytest.mark.parametrize(("policy", "left"), CLEANING.items(), ids=list(CLEANING))
async def test_success(scene: Scene, policy: str, left: int) -> None:
    """When all ranks succeeded the job is Succeeded and Finished, and pods stay as cleanPodPolicy says."""
    await scene.usual(2)
    await scene.submit(cleanPodPolicy=policy)
    await scene.until_running()
    await scene.succeed()
    await scene.until_condition("Finished", "True")

    assert scene.status()["phase"] == "Succeeded"
    assert condition(scene.job(), "Succeeded")["status"] == "True"
    assert left == len(scene.pods())
    await scene.verify()


async def test_rank_zero_decides_where_asked(scene: Scene) -> None:
    """With success Rank0 the end of rank 0 ends the job, and the ranks that still run are removed."""
    await scene.usual(2)
    await scene.submit(success="Rank0")
    await scene.until_running()
    await scene.end_pod(scene.pods()[0])
    await scene.until_condition("Finished", "True")

    assert scene.status()["phase"] == "Succeeded"
    assert [pod["metadata"]["name"] for pod in scene.pods()] == ["llm-worker-0"]
    await scene.verify()


async def test_one_rank_that_succeeded_stays_so_though_its_pod_goes(scene: Scene) -> None:
    """A rank that succeeded is remembered when its finished pod is collected; the job succeeds with the rest."""
    await scene.usual(2)
    await scene.submit()
    await scene.until_running()
    first, second = scene.pods()
    await scene.end_pod(first)
    await scene.until_job(lambda status: status.get("succeededRanks") == "0", "remembers rank 0")
    await scene.kube.delete("Pod", first["metadata"]["name"], scene.name, grace=0)
    await scene.end_pod(second)
    await scene.until_condition("Finished", "True")

    assert scene.status()["phase"] == "Succeeded"
    await scene.verify()


async def test_a_finished_job_goes_when_its_time_is_over(scene: Scene) -> None:
    """A TTL, or the pool's retention for a job without one, removes the finished job and everything of it."""
    await scene.usual(2, retention={"finishedJobsSeconds": 1})
    await scene.submit("own", pods=1, ttlSecondsAfterFinished=1)
    await scene.submit("pools", pods=1)
    for name in ("own", "pools"):
        await scene.until_running(name)
        await scene.succeed(name)
    for name in ("own", "pools"):
        await scene.until_gone("TrainingJob", name)
    await scene.until(lambda: not scene.owned(), "pods of both gone")
    await scene.verify()


@pytest.mark.parametrize("operator_is", ["up", "down"])
async def test_a_ttl_that_comes_after_the_end(scene: Scene, operator: Operator, operator_is: str) -> None:
    """A TTL set on a job that is settled already takes it away, also where no operator ran when it was set."""
    await scene.usual(2)
    for name in ("late", "kept"):
        await scene.submit(name, pods=1)
        await scene.until_running(name)
        await scene.succeed(name)
        await scene.until_job(lambda status: status.get("settled"), "settled", name)
    if operator_is == "down":
        await operator.stop()
    await scene.patch_job("late", ttlSecondsAfterFinished=1)
    if operator_is == "down":
        await operator.start()
    await scene.until_gone("TrainingJob", "late")

    assert scene.status("kept")["settled"]
    await scene.verify()


async def test_an_exit_code_that_forbids_retries_ends_the_job(scene: Scene) -> None:
    """The first rank that exits with a non-retryable code fails the job with code and message kept."""
    await scene.usual(2)
    await scene.submit(restart={"nonRetryableExitCodes": [17]})
    await scene.until_running()
    await scene.end_pod(scene.pods()[1], 17, "licence expired")
    await scene.until_condition("Finished", "True")
    status = scene.status()

    assert status["phase"] == "Failed"
    assert condition(scene.job(), "Stalled")["reason"] == "NonRetryableExit"
    assert (status["lastFault"]["exitCode"], status["lastFault"]["rank"]) == (17, 1)
    assert "licence expired" in str(status["lastFault"]) + str(status["history"])
    await scene.verify()


async def test_restarts_run_out(scene: Scene) -> None:
    """With no restart left an application's failure is the end."""
    await scene.usual(2)
    await scene.submit(restart={"maxRestarts": 0})
    await scene.until_running()
    await scene.end_pod(scene.pods()[0], 1)
    await scene.until_condition("Finished", "True")

    assert scene.status()["phase"] == "Failed"
    assert condition(scene.job(), "Stalled")["reason"] == "RestartsExhausted"
    assert scene.status()["restarts"] == 0
    await scene.verify()


@pytest.mark.parametrize("how", ["pending", "active"])
async def test_deadlines_end_the_job(scene: Scene, how: str) -> None:
    """A job that waits or runs for longer than it may fails with DeadlineExceeded, and its pods go."""
    await scene.usual(2)
    await scene.submit(pods=3 if how == "pending" else 2, deadlines={f"{how}Seconds": 2})
    await scene.until_condition("Stalled", "True", "DeadlineExceeded")

    assert scene.status()["phase"] == "Failed"
    await scene.until_condition("Finished", "True")
    await scene.until(lambda: not scene.pods(), "no pod is left")
    await scene.verify()
