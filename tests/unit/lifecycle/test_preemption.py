"""Preemption on a whole cluster: one gang goes, as a whole and free of charge, and comes back."""

from __future__ import annotations

from typing import Any

from cardpool.domain.world import PriorityClassRecord
from cardpool.names import LABEL_JOB
from tests.support.simworld import SimCluster, job_spec, pool_spec


def cluster(**preemption: Any) -> SimCluster:
    """Four nodes of eight cards, two priority classes."""
    made = SimCluster(spec=pool_spec(queue={"preemption": {"withinTeam": "LowerPriority", **preemption}}))
    for name, value in (("high", 100), ("low", 1)):
        made.priorities[name] = PriorityClassRecord(name, value, "PreemptLowerPriority")
    return made


def job(pods: int, priority: str = "low", **fields: Any) -> Any:
    """A job of whole nodes."""
    return job_spec(pods, priorityClassName=priority, **fields)


def test_a_gang_goes_for_a_higher_priority_and_comes_back() -> None:
    """The whole gang, once, counted nowhere; it waits, and runs again when there is room."""
    world = cluster()
    low = world.submit("low", job(4))
    world.settle()
    world.now += 100
    high = world.submit("high", job(2, "high"))
    world.step(0.1)

    status = world.jobs[low].status
    assert world.condition(high, "PodsScheduled") == ("False", "WaitingForPreemption")
    assert (status.attempt, status.restarts, status.fault_restarts, status.restart_times) == (1, 0, 0, ())
    assert status.last_fault is not None
    assert (status.last_fault.reason, status.last_fault.attribution) == ("Preempted", "Preemption")
    assert not status.last_fault.charged
    assert any(key == low and reason == "Preempted" and high in text for key, reason, text in world.events)
    assert any(key == high and reason == "WaitingForPreemption" for key, reason, _ in world.events)

    world.settle()

    assert world.jobs[high].status.phase == "Running"
    assert world.pods_of(low) == []
    assert world.condition(low, "PodsScheduled") == ("False", "InsufficientCards")

    for pod in world.pods_of(high):
        world.end(f"default/{pod.name}", 0)
    world.settle()

    status = world.jobs[low].status
    assert (status.phase, status.attempt, status.restarts, status.fault_restarts) == ("Running", 1, 0, 0)


def test_the_room_of_a_victim_goes_to_nobody_else() -> None:
    """While the victim's pods are still going, a small job that would fit into what they leave has to wait."""
    world = cluster()
    low = world.submit("low", job(4))
    world.settle()
    going = {"on": False}
    world.goes = lambda pod: going["on"] or pod.labels.get(LABEL_JOB) != "low"
    high = world.submit("high", job(4, "high"))
    for _ in range(3):
        world.step(0.1)
    small = world.submit("small", job(1))
    del world.pod["default/low-w-3"]
    for _ in range(3):
        world.step(0.1)

    assert world.condition(small, "PodsScheduled") == ("False", "ReservedForOther")
    assert world.condition(high, "PodsScheduled") == ("False", "WaitingForPreemption")
    assert world.jobs[low].status.attempt == 1

    going["on"] = True
    world.settle()

    assert world.jobs[high].status.phase == "Running"
    assert world.jobs[low].status.attempt == 1


def test_only_as_many_gangs_as_needed_and_never_twice() -> None:
    """Two nodes are wanted: two of four one-node gangs go, whatever happens meanwhile."""
    world = cluster()
    keys = [world.submit(f"low-{number}", job(1)) for number in range(4)]
    world.settle()
    slow = {"on": True}
    world.goes = lambda _pod: not slow["on"]
    high = world.submit("high", job(2, "high"))
    for _ in range(5):
        world.step(1.0)
    world.memory = type(world.memory)()
    for _ in range(5):
        world.step(1.0)

    assert sorted(world.jobs[key].status.attempt for key in keys) == [0, 0, 1, 1]

    slow["on"] = False
    world.settle()

    assert world.jobs[high].status.phase == "Running"
    assert sorted(world.jobs[key].status.attempt for key in keys) == [0, 0, 1, 1]


def test_a_victim_resumes_from_its_checkpoint() -> None:
    """It looks for the newest checkpoint before it runs again, as after any restart."""
    checkpoint = {"format": "orbax", "volumeMount": "/ckpt", "path": "llm"}
    world = cluster()
    low = world.submit("low", job(4))
    world.settle()
    world.change(low, checkpoint=job(4, checkpoint=checkpoint).checkpoint)
    high = world.submit("high", job(1, "high"))
    world.settle()
    for pod in world.pods_of(high):
        world.end(f"default/{pod.name}", 0)
    world.settle()

    assert world.resolver_of(low) is not None


def test_minimum_run_time_protects_and_then_ends_by_itself() -> None:
    """The cycle asks to be woken when the protection is over."""
    world = cluster(minRuntimeSeconds=600)
    low = world.submit("low", job(4))
    world.settle()
    high = world.submit("high", job(4, "high"))
    world.settle()
    decision = world.decide()

    assert world.condition(high, "PodsScheduled") == ("False", "InsufficientCards")
    assert decision.wake is not None
    assert decision.wake <= world.now + 600

    world.step(601)

    assert world.jobs[low].status.attempt == 1


def test_a_borrower_goes_for_the_team_that_owns_the_quota() -> None:
    """Reclaimed from any priority, and the borrower does not take its room again before the owner."""
    teams = [
        {"name": name, "namespaces": [f"team-{name}"], "quota": [{"profile": "k100", "cards": 16}]} for name in "ab"
    ]
    made = SimCluster(spec=pool_spec(teams=teams, queue={"preemption": {"reclaimBorrowed": "Any"}}))
    made.priorities["high"] = PriorityClassRecord("high", 100, "PreemptLowerPriority")
    first = made.submit("first", job_spec(2, priorityClassName="high"), "team-b")
    second = made.submit("second", job_spec(2, priorityClassName="high"), "team-b")
    made.settle()
    assert {made.jobs[key].status.phase for key in (first, second)} == {"Running"}
    made.now += 50

    own = made.submit("own", job_spec(2), "team-a")
    made.settle()

    assert made.jobs[own].status.phase == "Running"
    assert sorted(made.jobs[key].status.attempt for key in (first, second)) == [0, 1]
    assert made.jobs[own].status.attempt == 0


def test_a_borrower_with_quota_for_another_profile_stays() -> None:
    """Waiting again it would be asked before the owner, since it accepts a profile for which its team has quota."""
    teams = [
        {"name": "a", "namespaces": ["team-a"], "quota": [{"profile": "k100", "cards": 32}]},
        {"name": "b", "namespaces": ["team-b"], "quota": [{"profile": "z100", "cards": 32}]},
    ]
    homes = {"k100": "s0", "z100": "s1"}
    profiles = [
        {"name": name, "vendor": "hygon", "selector": {"matchLabels": {"sn": home}}} for name, home in homes.items()
    ]
    for accepted, attempts in (["k100"], 1), (["k100", "z100"], 0):
        spec = pool_spec(teams=teams, profiles=profiles, queue={"preemption": {"reclaimBorrowed": "Any"}})
        made = SimCluster(spec=spec)
        made.priorities["high"] = PriorityClassRecord("high", 100, "PreemptLowerPriority")
        accept = [{"profile": name} for name in accepted]
        borrower = made.submit("out", job_spec(2, priorityClassName="high", accept=accept), "team-b")
        made.settle()
        made.now += 50
        made.submit("own", job_spec(2, accept=[{"profile": "k100"}]), "team-a")
        made.settle()
        assert made.jobs[borrower].status.attempt == attempts
