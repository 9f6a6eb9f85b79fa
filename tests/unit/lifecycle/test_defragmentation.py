"""Moves within a budget: a waiting gang gets a domain together, nobody is charged, and it comes to rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cardpool.lifecycle import actions, cycle
from cardpool.names import Kind
from tests.support.simworld import SimCluster, job_spec, pool_spec

FREE = {"maxLostCardSeconds": 1_000_000, "afterSeconds": 0}
HEAD = job_spec(2, topology={"required": "supernode"})


def scattered(policy: dict[str, Any] | None = None, runs: int = 2) -> SimCluster:
    """Supernodes of two nodes, half of each taken by a gang of one node; four nodes unless more gangs run."""
    queue = {"defragmentation": policy} if policy is not None else {}
    cluster = SimCluster(nodes=2 * runs, spec=pool_spec(queue=queue))
    fill = [cluster.submit(f"fill-{at}", job_spec(1)) for at in range(2 * runs)]
    cluster.settle()
    seen: set[str] = set()
    for key in fill:
        node = cluster.pods_of(key)[0].node
        home = cluster.node[node].labels["sn"]
        if home in seen:
            cluster.end(f"{key}-w-0", 0)
        seen.add(home)
    cluster.settle()
    return cluster


def runners(cluster: SimCluster) -> list[str]:
    """Keys of the jobs that run."""
    return sorted(key for key, job in cluster.jobs.items() if job.status.phase == "Running")


def moved(cluster: SimCluster) -> list[str]:
    """Keys of the gangs that were told that they move, in that order."""
    return [key for key, reason, _ in cluster.events if reason == "Defragmented"]


def test_a_gang_moves_and_the_one_that_waits_starts() -> None:
    """One of two gangs goes where the other half is free; it restarts once, uncharged, and takes its new place with it."""
    cluster = scattered(FREE)
    before = {key: cluster.pods_of(key)[0].node for key in runners(cluster)}
    head = cluster.submit("head", HEAD)
    cluster.step()

    (mover,) = moved(cluster)
    status = cluster.jobs[mover].status
    assert status.placement is not None
    (target,) = status.placement.segments[0].nodes
    assert (status.attempt, status.placement.attempt, status.placement.state) == (1, 1, "Reserved")
    assert target not in before.values()
    assert cluster.condition(head, "PodsScheduled") == ("False", "WaitingForPreemption")

    cluster.settle()
    status = cluster.jobs[mover].status
    assert runners(cluster) == sorted([*before, head])
    assert cluster.pods_of(mover)[0].node == target
    assert {cluster.node[pod.node].labels["sn"] for pod in cluster.pods_of(head)} == {
        cluster.node[before[mover]].labels["sn"]
    }
    assert (status.restarts, status.fault_restarts, status.restart_times) == (0, 0, ())
    assert status.last_fault is not None
    assert (status.last_fault.reason, status.last_fault.attribution) == ("Defragmented", "Preemption")
    assert [item.job for item in cluster.pool.status.moves] == [mover]
    assert moved(cluster) == [mover]


STAYS: dict[str, dict[str, Any] | None] = {
    "no policy": None,
    "no budget": {**FREE, "maxMovesPerHour": 0},
    "too much work lost": {**FREE, "maxLostCardSeconds": 10},
    "no proved checkpoint": {"afterSeconds": 0},
}


@pytest.mark.parametrize("policy", STAYS.values(), ids=STAYS)
def test_nobody_moves(policy: dict[str, Any] | None) -> None:
    """The head waits as it did."""
    cluster = scattered(policy)
    cluster.now += 100.0
    head = cluster.submit("head", HEAD)
    cluster.settle()

    assert moved(cluster) == []
    assert cluster.condition(head, "PodsScheduled") == ("False", "TopologyUnfit")
    assert cluster.pool.status.moves == ()


def test_a_gang_that_only_began_to_wait_moves_nobody() -> None:
    """After the policy's time it does, and the cycle wakes for that by itself."""
    cluster = scattered({**FREE, "afterSeconds": 30})
    cluster.submit("head", HEAD)
    began = cluster.now
    cluster.settle()
    while not moved(cluster):
        assert cluster.now < began + 30.0
        wake = cluster.decide().wake
        assert wake is not None
        cluster.step(wake - cluster.now)
    assert cluster.now >= began + 30.0


def test_the_budget_of_an_hour() -> None:
    """Two heads, one move an hour: the second waits for it, over a restart of the operator too."""
    cluster = scattered({**FREE, "maxMovesPerHour": 1}, runs=4)
    for name in ("first", "second"):
        cluster.submit(name, HEAD)
    cluster.settle()
    assert len(moved(cluster)) == 1
    cluster.memory = cycle.Memory()
    cluster.settle(60.0)
    assert (len(moved(cluster)), cluster.jobs["default/second"].status.phase) == (1, "Queued")

    cluster.step(3700.0)
    cluster.settle()
    assert len(moved(cluster)) == 2
    assert cluster.jobs["default/second"].status.phase == "Running"
    assert len(set(moved(cluster))) == 2


def test_a_gang_that_moved_rests() -> None:
    """It is the cheapest again, and another one moves within the hour."""
    cluster = scattered(FREE, runs=3)
    cluster.submit("head", HEAD)
    cluster.settle()
    (mover,) = moved(cluster)
    for pod in cluster.pods_of("default/head"):
        cluster.end(f"default/{pod.name}", 0)
    cluster.settle()
    cluster.submit("wide", job_spec(2, topology={"required": "supernode"}))
    cluster.settle()
    assert cluster.jobs["default/wide"].status.phase == "Running"
    assert moved(cluster).count(mover) == 1


def test_room_is_kept_together_while_nobody_waits() -> None:
    """The pool wants room for two whole nodes in a supernode: one move brings them together, and then it rests."""
    kept = {"pods": 2, "cardsPerPod": 8, "level": "supernode"}
    cluster = scattered({**FREE, "gang": kept})
    (mover,) = moved(cluster)
    cluster.settle()
    homes = {cluster.node[cluster.pods_of(key)[0].node].labels["sn"] for key in runners(cluster)}
    assert len(homes) == 1
    cluster.memory = cycle.Memory()
    assert cluster.decide().steps == ()
    assert moved(cluster) == [mover]


def test_a_crash_before_the_pools_status_is_written_counts_the_move() -> None:
    """The job's own history is the witness; once the pool's status has it the job may go."""
    cluster = scattered({**FREE, "maxMovesPerHour": 1}, runs=4)
    cluster.submit("head", HEAD)
    decision = cluster.decide()
    without = replace(decision, steps=tuple(step for step in decision.steps if step.kind is not Kind.POOL))
    cluster.write(without)
    cluster.memory = cycle.Memory()
    assert cluster.pool.status.moves == ()
    cluster.submit("other", HEAD)
    cluster.settle()

    (mover,) = moved(cluster)
    assert [item.job for item in cluster.pool.status.moves] == [mover]
    del cluster.jobs[mover]
    cluster.pod = {key: pod for key, pod in cluster.pod.items() if pod.owner != f"job-{mover.rpartition('/')[2]}"}
    cluster.settle()
    assert len(moved(cluster)) == 1


def test_nothing_more_is_planned_while_the_pods_are_going() -> None:
    """Old pods that take long to end, and a write that is not seen yet: no second gang moves, no room goes to others."""
    cluster = scattered(FREE, runs=3)
    cluster.goes = lambda _pod: False
    head = cluster.submit("head", HEAD)
    cluster.step()
    (mover,) = moved(cluster)
    small = cluster.submit("small", job_spec(1))
    for _ in range(3):
        cluster.step(1.0)
        busy = replace(cluster.world(), busy=frozenset({cluster.jobs[mover].uid}))
        cycle.decide(busy, cluster.registry, cycle.CycleSettings("operator:1"), cluster.memory)
    cluster.goes = lambda _pod: True
    cluster.settle()

    assert moved(cluster) == [mover]
    assert cluster.jobs[head].status.phase == "Running"
    assert small in cluster.jobs


def test_a_target_that_goes_bad_on_the_way_is_given_up() -> None:
    """The new node is lost before the old pods are gone: the gang is placed anew, once more at no charge."""
    cluster = scattered(FREE, runs=3)
    cluster.submit("head", HEAD)
    cluster.goes = lambda _pod: False
    cluster.step()
    (mover,) = moved(cluster)
    place = cluster.jobs[mover].status.placement
    assert place is not None
    (target,) = place.segments[0].nodes
    cluster.node[target] = replace(cluster.node[target], unschedulable=True)
    cluster.goes = lambda _pod: True
    cluster.settle(10.0)

    assert cluster.jobs[mover].status.restarts == 0
    assert cluster.jobs[mover].status.placement is not None
    assert all(pod.node != target for pod in cluster.pods_of(mover))


def test_a_move_is_one_write() -> None:
    """Restart and new place stand in the same status."""
    cluster = scattered(FREE)
    cluster.submit("head", HEAD)
    decision: actions.Decision = cluster.decide()
    (step,) = [step for step in decision.steps if step.deletions]
    status = step.status or {}
    assert (status["attempt"], status["placement"]["attempt"]) == (1, 1)
    assert status["lastFault"]["reason"] == "Defragmented"
    assert [entry["reason"] for entry in status["history"]] == ["Defragmented"]
    assert not step.pods
