"""Which objects are busy, who waits after a failure, and how long a refusal is remembered."""

from __future__ import annotations

import asyncio
from typing import Any

from cardpool import errors
from cardpool.lifecycle import actions
from cardpool.runtime import commit, fleet
from tests.unit.runtime import scripted
from tests.unit.runtime.scripted import JOB_PATH, PODS, UID, Bench, refused


class Desk:
    """A committer over a bench, with a clock that a test turns."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.now = 100.0
        self.wakes = 0
        self.committer = commit.Committer(
            mirror=self.bench.mirror,
            performer=self.bench.steps,
            nodes=fleet.Fleet(self.bench.api, self.bench.mirror, self.bench.metrics),  # type: ignore[arg-type]
            instruments=self.bench.metrics,
            wake=self._wake,
            clock=lambda: self.now,
        )

    def _wake(self) -> None:
        self.wakes += 1

    async def take(self, **fields: Any) -> int:
        """Commit a step of the job, wait for its end, and return how many writes were begun."""
        begun = self.committer.take(actions.Decision(steps=(self.bench.step(**fields),)))
        await self.committer.idle()
        return begun


async def test_an_object_is_busy_until_its_step_ends() -> None:
    """A second step of the same object is not begun while the first runs; its end wakes the loop."""
    desk = Desk()
    decision = actions.Decision(steps=(desk.bench.step(status={"attempt": 0}),))

    first, second, busy = desk.committer.take(decision), desk.committer.take(decision), desk.committer.busy()
    await desk.committer.idle()

    assert (1, 0, {UID}) == (first, second, set(busy))
    assert (frozenset(), 1) == (desk.committer.busy(), desk.wakes)


async def test_a_failure_holds_the_object_back_longer_each_time() -> None:
    """The delay doubles, ends by itself, and is over after a success."""
    desk = Desk()
    desk.bench.api.fail("put", "llm", refused(500), refused(500))

    await desk.take(status={"attempt": 0})
    first = desk.committer.next_due()
    assert {UID} == set(desk.committer.busy())
    desk.now += 0.25
    await desk.take(status={"attempt": 0})
    second = desk.committer.next_due()
    desk.now += 0.5
    await desk.take(status={"attempt": 0})

    assert (first, second, desk.committer.next_due()) == (0.25, 0.5, None)
    assert frozenset() == desk.committer.busy()


async def test_unimportant_statuses_are_rare() -> None:
    """A second one within two seconds is dropped, and the loop is asked to look again when the time has come."""
    desk = Desk()

    first = await desk.take(status={"attempt": 0, "lostSteps": 1}, urgent=False)
    desk.now += 0.5
    second = await desk.take(status={"attempt": 0, "lostSteps": 2}, urgent=False)
    due = desk.committer.next_due()
    urgent = await desk.take(status={"attempt": 0, "lostSteps": 3})
    desk.now += 2.0
    third = await desk.take(status={"attempt": 0, "lostSteps": 4}, urgent=False)

    assert (first, second, due, urgent, third) == (1, 0, 1.5, 1, 1)


async def test_a_refusal_is_remembered_until_the_core_answered_it() -> None:
    """It stays for other statuses, and goes with a new retryAfter."""
    desk = Desk()
    desk.bench.api.fail("post", "worker", refused(403, "Forbidden", "quota"))

    await desk.take(pods=(scripted.pod(),))
    after_refusal = desk.committer.refused[UID].code
    await desk.take(status={"attempt": 0, "ready": "0/2"})
    after_other = set(desk.committer.refused)
    await desk.take(status={"attempt": 0, "retryAfter": "2026-01-01T00:00:10.000Z"})

    assert (403, {UID}, {}) == (after_refusal, after_other, desk.committer.refused)


async def test_a_refusal_goes_with_its_job() -> None:
    """Once the job is gone nothing is remembered of it."""
    desk = Desk()
    desk.bench.api.fail("post", "worker", refused(403))
    await desk.take(pods=(scripted.pod(),))
    step = desk.bench.step()
    del desk.bench.api.objects[JOB_PATH]
    desk.bench.mirror.forget(step.kind, step.key, UID)

    desk.committer.take(actions.Decision())

    assert desk.committer.refused == {}


async def test_after_a_lost_lease_nothing_is_begun() -> None:
    """The flag is up, and a further decision is not performed."""
    desk = Desk()

    def fence(verb: str, path: str) -> None:
        raise errors.LeaseLostError("gone")

    desk.bench.api.before = fence
    await desk.take(pods=(scripted.pod(),))

    assert desk.committer.lease_lost.is_set()
    assert await desk.take(pods=(scripted.pod(),)) == 0


async def test_stopping_cancels_what_is_under_way() -> None:
    """After stop no task is left, and what was begun but not sent stays unsent."""
    desk = Desk()
    under_way = asyncio.Event()
    desk.bench.api.fail("post", "p-3", under_way.set)
    pods = tuple(scripted.pod(f"p-{index}") for index in range(50))
    desk.committer.take(actions.Decision(steps=(desk.bench.step(pods=pods),)))
    await under_way.wait()

    await desk.committer.stop()

    sent = [path for verb, path in desk.bench.api.log if verb == "post" and path.startswith(PODS)]
    assert 4 <= len(sent) < 10
    assert desk.committer.busy() == frozenset()


async def test_a_label_conflict_does_not_spin() -> None:
    """A node whose labels somebody else owns is left alone for a while, though the core asks each cycle."""
    desk = Desk()
    desk.bench.api.fail("apply", "nodes", refused(409, "Conflict", "owned by another"))
    decision = actions.Decision(labels=(actions.ApplyNodeLabels("n-0", "node-uid", {"a": "b"}),))

    desk.committer.take(decision)
    await desk.committer.idle()
    again = desk.committer.take(decision)

    assert again == 0
    assert {"node-uid"} == set(desk.committer.busy())
    assert len(desk.bench.api.log) == 1


async def test_applied_labels_carry_the_uid_and_nothing_else() -> None:
    """The apply can never make a node, and an empty map gives every label up."""
    desk = Desk()
    desk.bench.api.put_object("/api/v1/nodes/n-0", {"kind": "Node", "metadata": {"name": "n-0", "uid": "node-uid"}})

    desk.committer.take(actions.Decision(labels=(actions.ApplyNodeLabels("n-0", "node-uid", {}),)))
    await desk.committer.idle()

    assert (desk.bench.api.bodies) == [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n-0", "uid": "node-uid"}}
    ]


async def test_counts_follow_the_written_status() -> None:
    """A restart and its timings are counted when the status that says so went through."""
    desk = Desk()

    await desk.take(
        status={
            "attempt": 1,
            "phase": "Restarting",
            "lastFault": {"reason": "CardUnhealthy"},
            "timings": {"detectSeconds": "0.4"},
        }
    )

    text = desk.bench.metrics.expose().decode()
    assert 'cardpool_restarts_total{cause="CardUnhealthy"} 1.0' in text
    assert 'cardpool_restart_seconds_sum{part="detect"} 0.4' in text
    assert 'cardpool_transitions_total{phase="Restarting"} 1.0' in text
