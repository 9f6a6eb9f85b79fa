"""From the end of an attempt to the next on fake nodes: who is charged, what is waited for, when it is over."""

from __future__ import annotations

import pytest

from tests.support import decided
from tests.support.history import Body, status_of
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

HOLD = "example.com/hold"


async def hold(scene: Scene, pod: Body, *, held: bool) -> None:
    """Keep a pod that is being deleted, as a node that does not answer would, or let it go."""
    finalizers = [HOLD] if held else []
    await scene.kube.patch("Pod", pod["metadata"]["name"], {"metadata": {"finalizers": finalizers}}, scene.name)


async def breaks_and_lingers(scene: Scene) -> Body:
    """A gang of two on three nodes loses a card, while the pod on the other node (given back) is held in deletion."""
    await scene.usual(3)
    await scene.submit()
    await scene.until_running()
    lingers = scene.pods()[1]
    await hold(scene, lingers, held=True)
    bad = scene.pods()[0]
    await scene.break_card(bad)
    await scene.offer(bad["spec"]["nodeName"], 7)
    return lingers


async def test_an_application_failure_is_charged_after_the_attribution(scene: Scene) -> None:
    """An exit is Pending first and the gang is torn down at once; it is charged once no fault explained it."""
    await scene.usual(2, faults={"attributionSeconds": 3})
    await scene.submit()
    await scene.until_running()
    failed = scene.pods()[1]
    await scene.end_pod(failed, 1, "loss is nan")
    pending = await scene.until_job(lambda status: status.get("attempt") == 1, "next attempt decided")
    await scene.until(
        lambda: all(pod["metadata"]["labels"]["cardpool.dev/attempt"] != "0" for pod in scene.pods()), "torn down"
    )

    assert (pending["lastFault"]["attribution"], pending["restarts"]) == ("Pending", 0)
    status = await scene.until_running(attempt=1, seconds=30)
    assert (status["lastFault"]["attribution"], status["lastFault"]["charged"]) == ("Application", True)
    assert (status["restarts"], status["faultRestarts"]) == (1, 0)
    assert (status["lastFault"]["exitCode"], status["lastFault"]["rank"]) == (1, 1)
    first_new = min(seen.at for seen in scene.pod_events() if seen.labels["cardpool.dev/attempt"] == "1")
    ended = min(seen.at for seen in scene.pod_events() if status_of(seen.body).get("phase") == "Failed")
    assert first_new - ended >= 2.5
    await scene.verify({"llm": 1})


async def test_an_exit_that_a_card_explains_is_free(scene: Scene) -> None:
    """The process crashes before its card is reported; the report inside the attribution time makes it hardware."""
    await scene.usual(3, faults={"attributionSeconds": 6})
    await scene.submit()
    await scene.until_running()
    failed = scene.pods()[0]
    await scene.end_pod(failed, 134)
    await scene.until_job(lambda status: status.get("attempt") == 1, "next attempt decided")
    await scene.offer(failed["spec"]["nodeName"], 7)
    status = await scene.until_running(attempt=1, seconds=30)

    assert (status["lastFault"]["attribution"], status["lastFault"]["charged"]) == ("Hardware", False)
    assert (status["restarts"], status["faultRestarts"]) == (0, 1)
    assert status["lastFault"]["exitCode"] == 134
    assert failed["spec"]["nodeName"] not in scene.nodes_of()
    await scene.verify({"llm": 1})


async def test_a_pod_deleted_by_hand_restarts_the_gang(scene: Scene) -> None:
    """A pod that somebody deleted is PodLost: the whole gang restarts, free of charge, on the same nodes."""
    await scene.usual(2)
    await scene.submit()
    await scene.until_running()
    before = scene.nodes_of()
    await scene.kube.delete("Pod", "llm-worker-1", scene.name, grace=0)
    status = await scene.until_running(attempt=1)

    assert (status["lastFault"]["reason"], (status["restarts"], status["faultRestarts"])) == ("PodLost", (0, 1))
    assert before == scene.nodes_of()
    await scene.verify({"llm": 1})


async def test_no_rank_starts_before_the_old_pods_are_gone(scene: Scene) -> None:
    """While one old pod lingers nothing of the next attempt exists, and the job says what it waits for."""
    lingers = await breaks_and_lingers(scene)
    await scene.until(
        lambda: [lingers["metadata"]["uid"]] == [pod["metadata"]["uid"] for pod in scene.pods()], "one lingers"
    )
    await decided.on_everything(scene)

    assert [lingers["metadata"]["uid"]] == [pod["metadata"]["uid"] for pod in scene.pods()]
    assert scene.status()["phase"] == "Restarting"
    await hold(scene, lingers, held=False)
    await scene.until_running(attempt=1)
    await scene.verify({"llm": 1})


async def test_deletion_in_the_middle_of_a_restart(scene: Scene) -> None:
    """A job deleted while its old pods go leaves nothing and starts nothing."""
    lingers = await breaks_and_lingers(scene)
    await scene.until_phase("Restarting")
    await scene.kube.delete("TrainingJob", "llm", scene.name)
    await hold(scene, lingers, held=False)
    await scene.until(lambda: not scene.owned(), "nothing left")

    assert not [seen for seen in scene.pod_events() if seen.labels["cardpool.dev/attempt"] != "0"]
    await scene.verify({"llm": scene.last_counts()})


async def test_suspended_in_the_middle_of_a_restart(scene: Scene) -> None:
    """A job suspended while its old pods go stays down until it is resumed, then runs."""
    lingers = await breaks_and_lingers(scene)
    await scene.until_phase("Restarting")
    await scene.patch_job("llm", suspend=True)
    await hold(scene, lingers, held=False)
    await scene.until_condition("Suspended", "True")

    await scene.until(lambda: not scene.pods(), "no pod is left")
    await scene.patch_job("llm", suspend=False)
    await scene.until_running()
    await scene.verify({"llm": 1})


async def test_free_restarts_run_out_too(scene: Scene) -> None:
    """A job that may not restart for hardware fails when a card does."""
    await scene.usual(3)
    await scene.submit(restart={"maxFaultRestarts": 0})
    await scene.until_running()
    bad = scene.pods()[0]
    await scene.break_card(bad)
    await scene.offer(bad["spec"]["nodeName"], 7)
    await scene.until_condition("Stalled", "True", "FaultRestartsExhausted")
    await scene.until_condition("Finished", "True")

    assert scene.status()["phase"] == "Failed"
    await scene.verify()


async def test_charged_restarts_back_off(scene: Scene) -> None:
    """Each charged restart waits longer than the one before, up to the cap."""
    await scene.usual(2, faults={"attributionSeconds": 0})
    await scene.submit(pods=1, restart={"maxRestarts": 3, "backoff": {"baseSeconds": 1, "capSeconds": 2}})
    gaps = []
    for attempt in range(3):
        await scene.until_running(attempt=attempt)
        await scene.end_pod(scene.pods()[0], 1)
        await scene.until_running(attempt=attempt + 1, seconds=30)
        events = scene.pod_events()
        ended = max(seen.at for seen in events if status_of(seen.body).get("phase") == "Failed")
        made = min(seen.at for seen in events if seen.labels["cardpool.dev/attempt"] == str(attempt + 1))
        gaps.append(made - ended)

    assert gaps[0] >= 0.8
    assert gaps[1] >= 1.6
    assert gaps[2] >= 1.6
    assert scene.status()["restarts"] == 3
    await scene.verify({"llm": 3})
