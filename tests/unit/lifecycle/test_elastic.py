"""Elastic gangs on a whole cluster: a smaller start, another size after a fault, and sizes that must stay."""

from __future__ import annotations

from cardpool.checkpoint import records, report
from tests.support.elastics import size, spec, started
from tests.support.simworld import SimCluster
from tests.unit.lifecycle.test_resume import CHECKPOINT, answer, chosen, env_of


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
