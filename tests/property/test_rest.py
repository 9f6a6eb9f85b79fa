"""Who rests and what stands, whatever moves around: writes under way, rules that change, classes, labels, whom one asks.

Every decision is made twice: with the whole memory, and with one that holds only what no world can tell (what is being
written, whose turn it was, runs of jobs that are gone). Rests, answers, sums and layouts may not be seen in it.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.world import PriorityClassRecord, World
from cardpool.lifecycle import actions, cycle, queueing
from tests.property.test_core import OPERATIONS
from tests.property.test_queue import POOL, Crowd
from tests.support.simworld import SimCluster, job_spec

SETTINGS = cycle.CycleSettings("operator:1")
STRATEGIES = ("Strict", "BestEffort", "Backfill")
MORE = st.one_of(
    OPERATIONS,
    OPERATIONS,
    st.tuples(st.just("hold"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("first"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("value"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("strategy"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("quota"), st.integers(1, 4), st.just(0)),
    st.tuples(st.just("label"), st.integers(0, 3), st.integers(0, 1)),
    st.tuples(st.just("shelf"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("cordon"), st.integers(0, 1), st.booleans()),
)


def asked(memory: cycle.Memory) -> Any:
    """What the planner was asked, of which room, and what is counted."""
    questions = {pool: one.question for pool, one in memory.answers.items()}
    told = {
        pool: (list(one.gangs), list(one.running), one.inventory.names, one.inventory.free.tolist())
        for pool, one in questions.items()
    }
    return told, memory.roll.cards.totals, memory.roll.census.totals


class Watched(SimCluster):
    """A cluster in which some objects are being written, and whose decisions are made twice."""

    busy: frozenset[str] = frozenset()
    first: frozenset[str] = frozenset()
    again = 0

    def world(self) -> World:
        """The view of this moment."""
        return replace(super().world(), busy=self.busy, first=self.first)

    def decide(self) -> actions.Decision:
        """The decision, if both are equal."""
        world, memory = self.world(), self.memory
        kept = copy.deepcopy(memory.record, {id(self.registry): self.registry})
        bare = cycle.Memory(
            pending=dict(memory.pending),
            record=queueing.Record(learner=kept.learner, waiting=kept.waiting, moving=kept.moving),
        )
        bare.record.holdings.known |= {uid: one for uid, one in kept.holdings.known.items() if uid in self.busy}
        bare.record.holdings.moving |= {uid: one for uid, one in kept.holdings.moving.items() if uid in self.busy}
        fresh = cycle.decide(world, self.registry, SETTINGS, bare)
        warm = cycle.decide(world, self.registry, SETTINGS, memory)
        assert fresh == warm
        assert asked(bare) == asked(memory)
        self.again += sum(one.again for one in memory.answers.values())
        return warm


class Bustle(Crowd):
    """Teams, priorities and run times, and everything else that a judgement or an answer is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster: Any = Watched(spec=POOL)
        self.cluster.priorities["high"] = PriorityClassRecord("high", 100, "PreemptLowerPriority")

    def apply(self, operation: tuple[str, float | int, int | bool]) -> None:
        """One thing that happens; what was being written is written after the cycle that waited for it."""
        super().apply(operation)
        if operation[0] not in {"hold", "first"}:
            self.cluster.busy = self.cluster.first = frozenset()

    def _hold(self, place: int, _: int) -> None:
        """A job's last actions take their time."""
        job = self._job(place)
        if job is not None:
            self.cluster.busy = frozenset({self.cluster.jobs[job].uid})

    def _first(self, place: int, _: int) -> None:
        job = self._job(place)
        if job is not None:
            self.cluster.first = frozenset({job})

    def _value(self, number: int, _: int) -> None:
        self.cluster.priorities["high"] = PriorityClassRecord("high", number * 50, "PreemptLowerPriority")

    def _respec(self, **fields: Any) -> None:
        pool = self.cluster.pool
        self.cluster.pool = replace(pool, spec=pool.spec.model_copy(update=fields), generation=pool.generation + 1)

    def _strategy(self, number: int, _: int) -> None:
        queue = self.cluster.pool.spec.queue
        strategy = type(queue.strategy)(STRATEGIES[number])
        self._respec(queue=queue.model_copy(update={"strategy": strategy}))

    def _quota(self, number: int, _: int) -> None:
        first, *rest = self.cluster.pool.spec.teams
        quota = tuple(item.model_copy(update={"cards": 8 * number}) for item in first.quota)
        self._respec(teams=(first.model_copy(update={"quota": quota}), *rest))

    def _label(self, node: int, supernode: int) -> None:
        """A node is moved to another supernode."""
        record = self.cluster.node[f"n-{node}"]
        self.cluster.node[record.name] = replace(record, labels={**record.labels, "sn": f"s{supernode}"})

    def _shelf(self, node: int, number: int) -> None:
        """A label that nobody reads."""
        record = self.cluster.node[f"n-{node}"]
        self.cluster.node[record.name] = replace(record, labels={**record.labels, "example.com/shelf": str(number)})

    def _cordon(self, place: int, value: int) -> None:
        names = sorted(self.cluster.supernodes)
        record = self.cluster.supernodes[names[place % len(names)]] if names else None
        if record is not None and record.spec is not None:
            spec = record.spec.model_copy(update={"cordoned": bool(value)})
            self.cluster.supernodes[record.name] = replace(record, spec=spec, user_fields=True)

    def _check_promises(self) -> None:
        """A card that is promised may be held back in the same cycle by a change of this history: not looked at."""

    def check(self) -> None:
        """Quotas change under those that run: only what one job shows is looked at."""
        for key, job in self.cluster.jobs.items():
            self._check_job(key, job.status)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MORE, min_size=5, max_size=30))
def test_nothing_that_is_kept_is_seen_in_a_decision(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """In any history the whole memory decides as one that holds only what no world can tell."""
    history = Bustle()
    for size in (2, 3, 4, 3, 2):
        history.apply(("submit", size, 8))
    for operation in operations:
        history.apply(operation)


def test_an_answer_stands_until_something_moves() -> None:
    """The comparison means something: a queue that waits is answered from memory, and at once anew when cards are free."""
    cluster = Watched()
    held, waits = cluster.submit("a", job_spec(4, 8)), cluster.submit("b", job_spec(2, 8))
    cluster.settle()
    for _ in range(5):
        cluster.step(10.0)
    stood = cluster.again
    del cluster.jobs[held]
    cluster.pod.clear()
    cluster.step(1.0)

    assert stood >= 4
    assert cluster.jobs[waits].status.placement is not None
