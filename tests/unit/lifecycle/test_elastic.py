"""Elastic gangs on a whole cluster: a smaller start, another size after a fault, and sizes that must stay."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.api.trainingjob import TrainingJobSpec
from cardpool.checkpoint import records, report
from cardpool.domain.world import PriorityClassRecord
from tests.support.simworld import SimCluster, job_spec, pool_spec
from tests.unit.lifecycle.test_resume import CHECKPOINT, answer, chosen, env_of


def spec(pods: int = 4, least: int = 2, **fields: Any) -> TrainingJobSpec:
    """A job of one elastic group on whole nodes."""
    made = job_spec(pods, **fields)
    groups = tuple(group.model_copy(update={"min_replicas": least}) for group in made.groups)
    return made.model_copy(update={"groups": groups})


def size(world: SimCluster, key: str) -> tuple[int, int, bool]:
    """Pods, pods at full size, and whether the size must stay."""
    found = world.jobs[key].status.size
    assert found is not None
    return found.pods, found.wanted, found.fixed


def started(pods: int = 4, busy: tuple[str, ...] = ("n-3",), **fields: Any) -> tuple[SimCluster, str]:
    """An elastic job on four nodes of which some are taken by somebody else."""
    world = SimCluster()
    for node in busy:
        world.foreign(f"other-{node}", node, 8)
    key = world.submit("a", spec(pods, **fields))
    world.settle()
    return world, key


def test_it_starts_with_what_there_is() -> None:
    """Three of four: everything that a rank is told counts three, and the conditions say of how many."""
    world, key = started()
    status = world.jobs[key].status

    assert (status.phase, status.ready, size(world, key)) == ("Running", "3/3", (3, 4, False))
    assert [pod.name for pod in world.pods_of(key)] == ["a-w-0", "a-w-1", "a-w-2"]
    env = env_of(world, "default/a-w-2")
    assert (env["CARDPOOL_WORLD_SIZE"], env["CARDPOOL_RANK"], env["PET_NNODES"]) == ("3", "2", "3")
    running = next(item for item in status.conditions if item.type == "Running")
    assert running.message == "all 3 pods (of 4 that the job wants) run"


def test_it_succeeds_with_the_ranks_that_it_has() -> None:
    """All of three is all."""
    world, key = started()
    for pod in world.pods_of(key):
        world.end(pod.key, 0)
    world.settle()

    assert (world.jobs[key].status.phase, world.jobs[key].status.succeeded_ranks) == ("Succeeded", "0-2")


def test_jax_and_mpi_count_the_placed_ranks() -> None:
    """Whatever tells ranks of each other."""
    world, _ = started(rendezvous={"style": "jax"})
    assert env_of(world, "default/a-w-0")["JAX_NUM_PROCESSES"] == "3"

    made = SimCluster()
    made.foreign("other", "n-3", 8)
    made.submit("a", spec(rendezvous={"style": "mpi"}))
    found = [create.manifest for step in made.step().steps for create in step.prerequisites]
    hosts = next(manifest["data"]["hostfile"] for manifest in found if manifest["kind"] == "ConfigMap")
    assert hosts.count("\n") == 3


def test_without_the_least_it_waits() -> None:
    """One node is free, two must be."""
    world, key = started(busy=("n-1", "n-2", "n-3"))

    assert world.condition(key, "PodsScheduled") == ("False", "InsufficientCards")
    assert world.pods_of(key) == []
    assert world.jobs[key].status.size is None


def test_after_a_fault_it_goes_on_with_the_nodes_that_are_left() -> None:
    """No spare and no other room: it comes back smaller at once, ranks that stay keep their nodes."""
    world, key = started(busy=())
    before = {pod.name: pod.node for pod in world.pods_of(key)}
    fault(world, "default/a-w-1")

    status = world.jobs[key].status
    after = {pod.name: pod.node for pod in world.pods_of(key)}
    assert (status.phase, size(world, key), status.fault_restarts) == ("Running", (3, 4, False), 1)
    assert (after["a-w-0"], after["a-w-2"]) == (before["a-w-0"], before["a-w-2"])
    assert after["a-w-1"] == before["a-w-3"]


def fault(world: SimCluster, pod: str) -> None:
    """A card of the pod breaks, for longer than the debounce: its node takes nobody any more."""
    world.health(pod, "card-0", "Unhealthy")
    world.step(0.1)
    world.step(5.1)
    world.settle()


def test_a_checkpoint_that_cannot_be_resharded_keeps_the_size() -> None:
    """Attempt 0 ran with three ranks: the next one waits for three, neither two nor four will do."""
    world, key = started(checkpoint=CHECKPOINT)
    answer(world, key, report.Report(records.Result.NONE_FOUND))
    world.settle()
    assert size(world, key) == (3, 4, True)
    assert "keeps the number of pods" in next(
        item.message for item in world.jobs[key].status.conditions if item.type == "Accepted"
    )

    fault(world, "default/a-w-1")

    assert world.condition(key, "PodsScheduled") == ("False", "InsufficientCards")

    world.add_node("n-8", "s8")
    world.add_node("n-9", "s9")
    world.settle()
    answer(world, key, chosen(5, "llm/0/5"))
    world.settle()

    assert (world.jobs[key].status.phase, size(world, key)) == ("Running", (3, 4, True))


def test_a_reshardable_checkpoint_lets_the_size_move() -> None:
    """Smaller after a fault, larger when it starts again where there is room."""
    world, key = started(checkpoint=CHECKPOINT | {"reshardable": True})
    answer(world, key, report.Report(records.Result.NONE_FOUND))
    world.settle()
    fault(world, "default/a-w-1")
    answer(world, key, chosen(5, "llm/0/5"))
    world.settle()
    assert (world.jobs[key].status.phase, size(world, key)) == ("Running", (2, 4, False))

    world.add_node("n-8", "s8")
    world.add_node("n-9", "s9")
    world.change(key, suspend=True)
    world.settle()
    world.change(key, suspend=False)
    world.settle()
    answer(world, key, chosen(9, "llm/1/9"))
    world.settle()

    assert (world.jobs[key].status.phase, size(world, key)) == ("Running", (4, 4, False))


def test_a_size_that_must_stay_outlives_a_suspension() -> None:
    """Nothing of the placement is left, the size is."""
    world, key = started(checkpoint=CHECKPOINT)
    answer(world, key, report.Report(records.Result.NONE_FOUND))
    world.settle()
    world.change(key, suspend=True)
    world.settle()
    world.add_node("n-8", "s8")
    world.change(key, suspend=False)
    world.settle()
    answer(world, key, chosen(5, "llm/0/5"))
    world.settle()

    assert (world.jobs[key].status.ready, size(world, key)) == ("3/3", (3, 4, True))


def test_ranks_that_succeeded_keep_their_meaning() -> None:
    """Rank 0 has done its work: the gang comes back with as many ranks as it had, or waits."""
    world, key = started(busy=())
    world.end("default/a-w-0", 0)
    world.settle()
    fault(world, "default/a-w-1")

    assert world.condition(key, "PodsScheduled") == ("False", "InsufficientCards")
    assert world.jobs[key].status.succeeded_ranks == "0"


def test_quota_of_a_gang_between_two_attempts_is_what_it_had() -> None:
    """A gang of three nodes keeps quota for three nodes."""
    world, key = started()
    world.goes = lambda _pod: False
    world.health("default/a-w-0", "card-0", "Unhealthy")
    world.step(0.1)
    world.step(5.1)
    world.step(0.1)
    found = world.memory.record.holdings.known[world.jobs[key].uid]

    assert (found.claim, found.leaving) == (24, True)


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
