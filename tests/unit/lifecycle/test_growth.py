"""Elastic gangs that run get another size: larger where nobody else wants the room, smaller for one that preempts."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.checkpoint import records, report
from cardpool.domain.world import PriorityClassRecord
from tests.support.elastics import size, spec, started
from tests.support.simworld import SimCluster, job_spec, pool_spec
from tests.unit.lifecycle.test_resume import CHECKPOINT, answer, chosen, env_of

SHARDS = CHECKPOINT | {"reshardable": True}


def running(**fields: Any) -> tuple[SimCluster, str]:
    """An elastic job that runs on three nodes of four, with a checkpoint that any number of ranks can load."""
    world, key = started(checkpoint=SHARDS, **fields)
    answer(world, key, report.Report(records.Result.NONE_FOUND))
    world.settle()
    assert world.jobs[key].status.ready == "3/3"
    return world, key


def test_it_grows_when_there_is_room() -> None:
    """One restart, counted nowhere, from the newest checkpoint, and ranks keep their nodes; then nothing more."""
    world, key = running()
    before = {pod.name: pod.node for pod in world.pods_of(key)}
    del world.pod["default/other-n-3"]
    world.step(590)
    world.settle()
    assert world.jobs[key].status.attempt == 0

    world.step(11)
    assert ("default/a", "Growing", "attempt 0 ends: grows from 3 to 4 pods") in world.events
    world.settle()
    answer(world, key, chosen(7, "llm/0/7"))
    world.settle()

    status = world.jobs[key].status
    after = {pod.name: pod.node for pod in world.pods_of(key)}
    assert (status.phase, status.ready, size(world, key)) == ("Running", "4/4", (4, 4, False))
    assert (status.attempt, status.restarts, status.fault_restarts, status.restart_times) == (1, 0, 0, ())
    assert status.last_fault is not None
    assert (status.last_fault.reason, status.last_fault.attribution) == ("Growing", "Growth")
    assert before.items() <= after.items()
    assert env_of(world, "default/a-w-0")["CARDPOOL_RESUME_STEP"] == "7"
    world.step(10_000)
    world.settle()
    assert world.jobs[key].status.attempt == 1


def test_the_core_wakes_when_a_gang_may_grow() -> None:
    """Room came early, nothing else happens: the cycle asks to be woken."""
    world, key = running()
    del world.pod["default/other-n-3"]
    world.settle()
    since = world.jobs[key].status.marks
    assert since is not None
    assert since.running is not None
    wake = world.decide().wake

    assert wake is not None
    assert wake <= since.running.timestamp() + 600


NOT: dict[str, dict[str, Any]] = {
    "no checkpoint": {"checkpoint": None},
    "a checkpoint of one size": {"checkpoint": CHECKPOINT},
    "no time left to bring the restart back": {"checkpoint": SHARDS, "expectedRuntimeSeconds": 2000},
}


@pytest.mark.parametrize("fields", NOT.values(), ids=NOT)
def test_it_does_not_grow_where_that_loses(fields: dict[str, Any]) -> None:
    """Work that nothing brings back."""
    fields = {name: value for name, value in fields.items() if value is not None}
    world, key = started(**fields)
    if "checkpoint" in fields:
        answer(world, key, report.Report(records.Result.NONE_FOUND))
        world.settle()
    del world.pod["default/other-n-3"]
    world.step(700)
    world.settle()

    assert world.jobs[key].status.ready == "3/3"
    assert world.jobs[key].status.attempt == 0


def test_it_does_not_grow_into_what_another_waits_for() -> None:
    """Two nodes would serve a job that waits, one comes free: it is not taken away by growing; later it is."""
    world, key = running()
    other = world.submit("b", job_spec(2))
    world.settle()
    del world.pod["default/other-n-3"]
    world.step(700)
    world.settle()

    assert world.jobs[key].status.attempt == 0

    world.change(other, suspend=True)
    world.step(1)

    assert world.jobs[key].status.attempt == 1


def test_a_job_that_can_never_start_stops_nobody_from_growing() -> None:
    """Ten nodes there will not be."""
    world, key = running()
    world.submit("b", job_spec(10))
    world.settle()
    del world.pod["default/other-n-3"]
    world.step(700)

    assert world.jobs[key].status.attempt == 1


def test_too_little_gain_is_no_reason() -> None:
    """The pool wants half more, there is a third more."""
    world = SimCluster(spec=pool_spec(queue={"elastic": {"minGainPercent": 50}}))
    world.foreign("other", "n-3", 8)
    key = world.submit("a", spec(checkpoint=SHARDS))
    world.settle()
    answer(world, key, report.Report(records.Result.NONE_FOUND))
    world.settle()
    del world.pod["default/other"]
    world.step(700)
    world.settle()

    assert world.jobs[key].status.attempt == 0


def test_one_gang_grows_after_the_other() -> None:
    """Two gangs of two that want three each, and two nodes come free: the second goes when the first has its place."""
    world = SimCluster(nodes=6)
    for number in range(2, 6):
        world.foreign(f"other-{number}", f"n-{number}", 8)
    keys = []
    for name, freed in (("a", (2, 3)), ("b", (4, 5))):
        keys.append(world.submit(name, spec(3, 2, checkpoint=SHARDS)))
        world.settle()
        answer(world, keys[-1], report.Report(records.Result.NONE_FOUND))
        world.settle()
        for number in freed:
            del world.pod[f"default/other-{number}"]
    world.step(700)
    assert sorted(world.jobs[key].status.attempt for key in keys) == [0, 1]

    world.settle()
    for key in keys:
        answer(world, key, chosen(3, "llm/0/3"))
    world.settle()

    assert [world.jobs[key].status.ready for key in keys] == ["3/3", "3/3"]
    assert [world.jobs[key].status.attempt for key in keys] == [1, 1]


def test_a_victim_comes_back_smaller_beside_its_preemptor() -> None:
    """One eviction; ranks that can stay do; charged to nobody; and full again when the other is gone."""
    world = SimCluster(spec=pool_spec(queue={"preemption": {"withinTeam": "LowerPriority"}}))
    world.priorities["high"] = PriorityClassRecord("high", 100, "PreemptLowerPriority")
    low = world.submit("low", spec(4, 1, checkpoint=SHARDS))
    world.settle()
    answer(world, low, report.Report(records.Result.NONE_FOUND))
    world.settle()
    before = {pod.name: pod.node for pod in world.pods_of(low)}
    high = world.submit("high", job_spec(1, priorityClassName="high"))
    world.step(0.1)
    assert any(key == low and "shrinks from 4 to 3 pods" in text for key, _, text in world.events)
    world.settle()
    answer(world, low, chosen(3, "low/0/3"))
    world.settle()

    status = world.jobs[low].status
    after = {pod.name: pod.node for pod in world.pods_of(low)}
    assert (status.phase, size(world, low)) == ("Running", (3, 4, False))
    assert (status.attempt, status.restarts, status.fault_restarts) == (1, 0, 0)
    assert sum(before[name] == node for name, node in after.items()) >= 2
    assert world.jobs[high].status.phase == "Running"

    world.end("default/high-w-0", 0)
    world.settle()
    world.step(700)
    world.settle()
    answer(world, low, chosen(9, "low/1/9"))
    world.settle()

    assert size(world, low) == (4, 4, False)
    assert world.jobs[low].status.attempt == 2
