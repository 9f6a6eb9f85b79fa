"""Which checkpoint a gang starts from: the resolver's word is played, in the very form that it has.

KWOK runs no container, so each test ends the resolver pod with the report that the resolver itself would render.
"""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.checkpoint import report
from cardpool.checkpoint.records import Level, Reason, Result, Skipped
from tests.support import builders
from tests.support.history import Body, condition
from tests.support.scene import Scene
from tests.support.stage import stamp

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

CHECKPOINT = {"format": "orbax", "volumeMount": "/ckpt", "path": "llm"}
NONE = report.Report(Result.NONE_FOUND)


def chosen(step: int, attempt: int = 0, *skipped: Skipped) -> report.Report:
    """The report of a checkpoint that passed."""
    path = f"llm/{attempt}/{step}"
    return report.Report(Result.CHOSEN, step=step, attempt=attempt, path=path, verified=Level.LIGHT, skipped=skipped)


def resolver_of(scene: Scene) -> Body | None:
    """The job's resolver pod while it has not ended."""
    for pod in scene.recorder.now["Pod"].values():
        labels = pod["metadata"].get("labels") or {}
        here = pod["metadata"]["namespace"] == scene.name and labels.get("cardpool.dev/role") == "resolver"
        if here and pod.get("status", {}).get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp"):
            return pod
    return None


async def answer(scene: Scene, found: report.Report | str, code: int | None = None) -> Body:
    """Let the resolver end with that report (or that text and exit code); the pod as it was."""
    pod: Body = await scene.until(lambda: resolver_of(scene), "a resolver runs")
    text = found if isinstance(found, str) else report.render(found)
    exit_code = code if code is not None else report.EXIT_CODES[found.result]  # type: ignore[union-attr]
    now = stamp()
    ended = {
        "exitCode": exit_code,
        "reason": "Error" if exit_code else "Completed",
        "startedAt": now,
        "finishedAt": now,
        "message": text,
    }
    statuses = [{**one, "ready": False, "state": {"terminated": ended}} for one in pod["status"]["containerStatuses"]]
    status = {"phase": "Failed" if exit_code else "Succeeded", "containerStatuses": statuses}
    await scene.kube.patch("Pod", pod["metadata"]["name"], {"status": status}, scene.name, subresource="status")
    return pod


async def submit(scene: Scene, **checkpoint: Any) -> None:
    """A job of two pods that saves to a host folder."""
    template = builders.template(volumeMounts=[{"name": "ckpt", "mountPath": "/ckpt"}])
    template["spec"]["volumes"] = [{"name": "ckpt", "hostPath": {"path": "/ckpt"}}]
    group = builders.group(2, 8, template=template)
    await scene.submit(groups=[group], checkpoint={**CHECKPOINT, **checkpoint})


async def first_start(scene: Scene) -> None:
    """The job runs in attempt 0, whether or not a resolver was asked before it."""

    def either() -> Any:
        return resolver_of(scene) or scene.status().get("phase") == "Running"

    await scene.until(either, "a resolver, or running at once")
    if resolver_of(scene):
        await answer(scene, NONE)
    await scene.until_running()


async def fault(scene: Scene, rank: int = 0) -> Body:
    """A card of that rank dies; the pod as it was."""
    bad = scene.pods()[rank]
    await scene.break_card(bad)
    await scene.offer(bad["spec"]["nodeName"], 7)
    return bad


def env_of(pod: Body) -> dict[str, str]:
    """Plain environment of the pod's first container."""
    return {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}


async def test_the_newest_verified_checkpoint_is_handed_over(scene: Scene) -> None:
    """After a fault the resolver looks from rank 0's planned node; its choice reaches status and every pod."""
    await scene.usual(3)
    await submit(scene)
    await first_start(scene)
    assert env_of(scene.pods()[0]).get("CARDPOOL_RESUME_PATH", "") == ""
    await fault(scene)
    resolver = await answer(scene, chosen(4200))
    status = await scene.until_running(attempt=1)
    container = resolver["spec"]["containers"][0]

    assert tuple(status["checkpoint"][key] for key in ("step", "path", "verified")) == (4200, "llm/0/4200", "Light")
    for pod in scene.pods():
        assert env_of(pod)["CARDPOOL_RESUME_STEP"] == "4200"
        assert env_of(pod)["CARDPOOL_RESUME_PATH"] == "/ckpt/llm/0/4200"
    assert condition(scene.job(), "CheckpointVerified")["status"] == "True"
    assert resolver["spec"]["nodeName"] == scene.nodes_of()[0]
    assert container["name"] == "resolver"
    assert not [name for name in container.get("resources", {}).get("limits", {}) if "/" in name]
    assert {"limits", "requests"} & set(container["resources"])
    assert {"cardpool.dev/rank", "cardpool.dev/index", "cardpool.dev/attempt"}.isdisjoint(
        resolver["metadata"]["labels"]
    )
    assert "resolveSeconds" in status["timings"]
    await scene.verify({"llm": 1})


async def test_a_truncated_newest_is_passed_over_and_said(scene: Scene) -> None:
    """The checkpoint before the damaged one is used; status names the damaged one and why."""
    await scene.usual(3)
    await submit(scene)
    await first_start(scene)
    await fault(scene)
    await answer(scene, chosen(4200, 0, Skipped("llm/0/4300", Reason.TRUNCATED, "short file")))
    status = await scene.until_running(attempt=1)

    assert status["checkpoint"]["skipped"] == [{"path": "llm/0/4300", "reason": "Truncated"}]
    assert condition(scene.job(), "CheckpointVerified")["reason"] == "CheckpointFellBack"
    assert {"4200"} == {env_of(pod)["CARDPOOL_RESUME_STEP"] for pod in scene.pods()}
    await scene.verify({"llm": 1}, bad_checkpoints=frozenset({"llm/0/4300"}))


async def test_no_checkpoint_yet_is_a_fresh_start(scene: Scene) -> None:
    """While none was ever verified, nothing found means starting afresh."""
    await scene.usual(3)
    await submit(scene)
    await first_start(scene)
    await fault(scene)
    await answer(scene, NONE)
    await scene.until_running(attempt=1)

    assert env_of(scene.pods()[0]).get("CARDPOOL_RESUME_PATH", "") == ""
    await scene.verify({"llm": 1})


async def test_a_checkpoint_that_vanished_stops_the_job(scene: Scene) -> None:
    """Nothing found where one was verified before is never a fresh start: the job says so and holds no cards."""
    await scene.usual(4)
    await submit(scene)
    await first_start(scene)
    await fault(scene)
    await answer(scene, chosen(4200))
    await scene.until_running(attempt=1)
    await fault(scene)
    await answer(scene, NONE)
    await scene.until_condition("Stalled", "True", "CheckpointVanished")
    await scene.until(lambda: not scene.pods(), "no cards held")

    assert not [seen for seen in scene.pod_events() if seen.labels["cardpool.dev/attempt"] == "2"]
    await scene.verify({"llm": 2})


ALL_BAD = report.Report(Result.ALL_INVALID, skipped=(Skipped("llm/0/9", Reason.CHECKSUM_MISMATCH, "sha256"),))


async def test_all_invalid_fails_by_default(scene: Scene) -> None:
    """When no candidate passes, onAllInvalid Fail stops the job and says CheckpointInvalid."""
    await scene.usual(3)
    await submit(scene)
    await first_start(scene)
    await fault(scene)
    await answer(scene, ALL_BAD)
    await scene.until_condition("Stalled", "True", "CheckpointInvalid")

    await scene.until(lambda: not scene.pods(), "no pod is left")
    await scene.verify({"llm": 1})


async def test_all_invalid_may_start_afresh_where_asked(scene: Scene) -> None:
    """With onAllInvalid Fresh the gang starts from nothing, and status still says what was passed over."""
    await scene.usual(3)
    await submit(scene, onAllInvalid="Fresh")
    await first_start(scene)
    await fault(scene)
    await answer(scene, ALL_BAD)
    status = await scene.until_running(attempt=1)

    assert env_of(scene.pods()[0]).get("CARDPOOL_RESUME_PATH", "") == ""
    assert [one["path"] for one in status["checkpoint"]["skipped"]] == ["llm/0/9"]
    await scene.verify({"llm": 1}, bad_checkpoints=frozenset({"llm/0/9"}))


FAILURES = {
    "an error that it reports": (report.of_error("Unreadable", "permission denied"), None, "permission denied"),
    "an end without a report": ("Traceback: no such module", 1, "no such module"),
}


@pytest.mark.parametrize(("found", "code", "words"), FAILURES.values(), ids=list(FAILURES))
async def test_a_resolver_that_fails_is_said_and_tried_again(
    scene: Scene, found: report.Report | str, code: int | None, words: str
) -> None:
    """A resolver that could not look is no answer: the job says why, tries again, and goes on with the next word."""
    await scene.usual(3)
    await submit(scene)
    await first_start(scene)
    await fault(scene)
    await answer(scene, found, code)
    await scene.until_condition("CheckpointVerified", "False")
    said = await scene.until(
        lambda: (
            words in condition(scene.job(), "CheckpointVerified").get("message", "")
            and condition(scene.job(), "CheckpointVerified")
        ),
        "says why",
    )
    assert said["reason"] in {"ResolverFailed", "CheckpointUnreadable"}
    assert [pod for pod in scene.pods() if pod["metadata"]["labels"]["cardpool.dev/attempt"] != "0"] == []
    await answer(scene, chosen(77))
    await scene.until_running(seconds=60)
    assert env_of(scene.pods()[0])["CARDPOOL_RESUME_STEP"] == "77"
    await scene.verify({"llm": 1})


async def test_no_resolver_without_a_checkpoint(scene: Scene) -> None:
    """A job without checkpoint restarts without any resolver pod."""
    await scene.usual(3)
    await scene.submit()
    await scene.until_running()
    await fault(scene)
    await scene.until_running(attempt=1)

    assert not [seen for seen in scene.recorder.events if seen.labels.get("cardpool.dev/role") and scene.concerns(seen)]
    await scene.verify({"llm": 1})


async def test_deletion_while_the_resolver_runs(scene: Scene) -> None:
    """A job deleted while its resolver looks leaves neither resolver nor gang."""
    await scene.usual(3)
    await submit(scene)
    await first_start(scene)
    await fault(scene)
    await scene.until(lambda: resolver_of(scene), "a resolver runs")
    await scene.kube.delete("TrainingJob", "llm", scene.name)
    await scene.until(lambda: not scene.owned() and not resolver_of(scene), "nothing left")
    await scene.verify({"llm": scene.last_counts()})
