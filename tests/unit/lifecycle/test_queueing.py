"""The queue on a whole cluster: a head that waits, domains for one job alone, and estimates that people can read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cardpool.domain.world import PriorityClassRecord
from cardpool.lifecycle import cycle
from tests.support.simworld import SimCluster, job_spec, pool_spec


def message(cluster: SimCluster, key: str) -> str:
    """Why a job waits."""
    return next(item.message for item in cluster.jobs[key].status.conditions if item.type == "PodsScheduled")


def phases(cluster: SimCluster, *keys: str) -> list[Any]:
    """The phases of some jobs."""
    return [cluster.jobs[key].status.phase for key in keys]


def test_the_head_has_a_reservation_and_its_start_is_told() -> None:
    """Later jobs start only where they are gone in time; the head starts when room is there."""
    cluster = SimCluster()
    runs = cluster.submit("runs", job_spec(3, expectedRuntimeSeconds=600))
    cluster.settle()
    cluster.now += 1
    head = cluster.submit("head", job_spec(4))
    cluster.settle()
    cluster.now += 1
    long = cluster.submit("long", job_spec(1))
    cluster.settle()
    assert cluster.condition(long, "PodsScheduled") == ("False", "ReservedForOther")

    short = cluster.submit("short", job_spec(1, expectedRuntimeSeconds=60))
    cluster.settle()

    assert phases(cluster, runs, head, long, short) == ["Running", "Queued", "Queued", "Running"]
    assert "first in line: 4 nodes are kept for it from 1970-01-12T13:56:40Z on" in message(cluster, head)

    for job in (short, runs):
        for pod in cluster.pods_of(job):
            cluster.end(f"default/{pod.name}", 0)
        cluster.settle()

    assert phases(cluster, head, long) == ["Running", "Queued"]


def test_nobody_passes_a_head_that_is_only_being_written() -> None:
    """Its status is in flight, so it cannot be judged; its place in the queue stays, and its room too."""
    cluster = SimCluster()
    cluster.submit("runs", job_spec(3, expectedRuntimeSeconds=600))
    cluster.settle()
    head = cluster.submit("head", job_spec(4))
    cluster.settle()
    long = cluster.submit("long", job_spec(1))

    busy = replace(cluster.world(), busy=frozenset({cluster.jobs[head].uid}))
    decision = cycle.decide(busy, cluster.registry, cycle.CycleSettings(), cluster.memory)

    assert [step.key for step in decision.steps if step.pods] == []
    told = next(step.status for step in decision.steps if step.key == long)
    assert told is not None
    assert "ReservedForOther" in {item["reason"] for item in told["conditions"]}

    cluster.change(head, suspend=True)
    gone = replace(cluster.world(), busy=frozenset({cluster.jobs[head].uid}))
    decision = cycle.decide(gone, cluster.registry, cycle.CycleSettings(), cluster.memory)

    assert [step.key for step in decision.steps if step.pods] == [long]


def test_a_preemptor_that_is_being_written_keeps_its_room() -> None:
    """The victim's pods are gone in that very moment: the room is the preemptor's, and nobody goes twice for it."""
    cluster = SimCluster(spec=pool_spec(queue={"preemption": {"withinTeam": "LowerPriority"}}))
    cluster.priorities["high"] = PriorityClassRecord("high", 100, "PreemptLowerPriority")
    low = cluster.submit("low", job_spec(4))
    cluster.settle()
    high = cluster.submit("high", job_spec(4, priorityClassName="high"))
    cluster.step(0.1)
    assert cluster.jobs[low].status.attempt == 1

    small = cluster.submit("small", job_spec(1))
    busy = replace(cluster.world(), busy=frozenset({cluster.jobs[high].uid}))
    decision = cycle.decide(busy, cluster.registry, cycle.CycleSettings(), cluster.memory)
    assert [step.key for step in decision.steps if step.pods] == []

    cluster.settle()
    assert phases(cluster, high, small) == ["Running", "Queued"]
    assert cluster.jobs[low].status.attempt == 1


def test_patience_ends_by_itself() -> None:
    """Nobody declared a run time: the cycle is woken when the head has waited long enough, then keeps room for it."""
    cluster = SimCluster()
    cluster.submit("runs", job_spec(3))
    cluster.settle()
    head = cluster.submit("head", job_spec(4))
    cluster.settle()
    decision = cluster.decide()
    assert decision.wake is not None
    assert decision.wake <= cluster.now + 300

    cluster.step(301)
    small = cluster.submit("small", job_spec(1))
    cluster.settle()

    assert cluster.condition(small, "PodsScheduled") == ("False", "ReservedForOther")
    assert "first in line" in message(cluster, head)


def test_strict_lets_nobody_pass() -> None:
    """The pool says so."""
    cluster = SimCluster(spec=pool_spec(queue={"strategy": "Strict"}))
    head = cluster.submit("head", job_spec(5))
    cluster.now += 1
    small = cluster.submit("small", job_spec(1))
    cluster.settle()
    assert cluster.condition(head, "PodsScheduled") == ("False", "InsufficientCards")
    assert cluster.condition(small, "PodsScheduled") == ("False", "ReservedForOther")


def test_a_supernode_for_one_job_alone() -> None:
    """Nobody shares it while the job runs, and the job itself comes into none that is shared."""
    cluster = SimCluster()
    alone = cluster.submit("alone", job_spec(1, topology={"exclusive": "supernode"}))
    cluster.settle()
    others = [cluster.submit(f"other-{number}", job_spec(1)) for number in range(3)]
    second = cluster.submit("second", job_spec(1, topology={"exclusive": "supernode"}))
    cluster.settle()

    assert phases(cluster, alone, *others, second) == ["Running", "Running", "Running", "Queued", "Queued"]
    homes = {cluster.node[pod.node].labels["sn"] for key in others for pod in cluster.pods_of(key)}
    assert homes.isdisjoint(cluster.node[pod.node].labels["sn"] for pod in cluster.pods_of(alone))
    assert "that another job has for itself" in message(cluster, others[2])

    for pod in cluster.pods_of(alone):
        cluster.end(f"default/{pod.name}", 0)
    cluster.settle()

    assert "Running" in phases(cluster, others[2], second)


def test_an_unknown_level_to_be_alone_in_is_refused() -> None:
    """Never silently unconstrained."""
    cluster = SimCluster()
    key = cluster.submit("alone", job_spec(1, topology={"exclusive": "row"}))
    cluster.settle()
    assert cluster.condition(key, "Accepted") == ("False", "UnknownLevel")
