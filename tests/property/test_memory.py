"""A memory saves work and decides nothing: a core with one answers as a core that knows only the world.

The cluster in memory keeps the identity of what did not change, as the mirror does, so that everything is remembered
that can be.
"""

from __future__ import annotations

import copy
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.lifecycle import actions, cycle, queueing
from cardpool.names import Condition
from tests.property.test_core import OPERATIONS, History
from tests.property.test_elastic import OFTEN, Elastics
from tests.property.test_queue import Crowd
from tests.support.simworld import SimCluster, job_spec, pool_spec

SETTINGS = cycle.CycleSettings("operator:1")


class Doubted(SimCluster):
    """Every decision is made three times: without a memory, with it, and with it once more in the same world."""

    rested = 0

    def decide(self) -> actions.Decision:
        """The decision, if all three are equal."""
        world = self.world()
        learner = copy.deepcopy(self.memory.record.learner)  # runs of jobs that are settled are known to it alone
        blank = cycle.Memory(record=queueing.Record(learner=learner))
        fresh = cycle.decide(world, self.registry, SETTINGS, blank)
        warm = cycle.decide(world, self.registry, SETTINGS, self.memory)
        again = cycle.decide(replace(world, now=self.now), self.registry, SETTINGS, self.memory)
        assert fresh == warm
        assert fresh == again
        self.rested += len(self.memory.roll.rests)
        return again


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, min_size=5, max_size=30), st.sampled_from([0, 1]))
def test_a_memory_changes_no_decision(operations: list[tuple[str, float | int, int | bool]], spares: int) -> None:
    """In any history, spares kept or not, every cycle decides the same with a memory and without."""
    history = History()
    history.cluster = Doubted(spec=pool_spec(spares={"perSupernode": spares}))
    history.apply(("submit", 2, 8))
    for operation in operations:
        history.apply(operation)


def doubted(history: History) -> None:
    """The history goes on in a cluster of the same kind whose decisions are compared."""
    old, history.cluster = history.cluster, Doubted(spec=history.cluster.spec)
    history.cluster.priorities = old.priorities
    history.before.clear()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, min_size=5, max_size=30))
def test_a_memory_changes_no_preemption(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """The same with teams, quotas and priorities: gangs at rest are taken down as any."""
    history = Crowd()
    doubted(history)
    for operation in operations:
        history.apply(operation)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OFTEN, min_size=5, max_size=30))
def test_a_memory_changes_no_size(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """The same with elastic gangs: gangs at rest grow and shrink as any."""
    history = Elastics()
    doubted(history)
    history.grown.clear()
    history.sizes.clear()
    history.cluster.foreign("first", "n-3", 8)
    history.apply(("submit", 2, 8))
    for operation in operations:
        history.apply(operation)


def test_gangs_that_run_rest_until_something_of_theirs_moves() -> None:
    """The comparison means something: running gangs are at rest, and one whose card breaks is restarted at once."""
    cluster = Doubted()
    first, second = cluster.submit("a", job_spec(2, 8)), cluster.submit("b", job_spec(2, 8))
    cluster.settle()
    resting = set(cluster.memory.roll.rests)
    cluster.health(cluster.pods_of(first)[0].key, "card-0", "Unhealthy")
    for _ in range(3):
        cluster.step(6.0)

    assert resting == {first, second}
    assert cluster.condition(first, Condition.RESTARTING)[0] == "True"
    assert cluster.jobs[second].status.history == ()


def test_a_deadline_ends_the_rest_of_a_gang() -> None:
    """A gang that runs and rests ends at the moment that its spec names, though nothing in the world changed."""
    cluster = Doubted()
    key = cluster.submit("a", job_spec(2, 8, deadlines={"activeSeconds": 600}))
    cluster.settle()
    rested = len(cluster.memory.roll.rests)
    cluster.step(500.0)
    before = cluster.jobs[key].status.completion_time
    cluster.step(200.0)

    assert (rested, before) == (1, None)
    assert cluster.jobs[key].status.completion_time is not None
