"""Elastic gangs in any history: always a legal size, whole or not at all, and no restart for its own sake."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.api.jobstatus import TrainingJobStatus
from cardpool.checkpoint import records, report
from cardpool.domain.world import PriorityClassRecord
from tests.property.test_core import OPERATIONS, History
from tests.support.simworld import SimCluster, job_spec, pool_spec

GROW = 40.0
OFTEN = st.one_of(
    OPERATIONS,
    st.tuples(st.just("submit"), st.integers(1, 2), st.sampled_from([4, 8])),
    st.tuples(st.just("wait"), st.sampled_from([GROW, 2 * GROW]), st.just(0)),
    st.tuples(st.just("leave"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("finish"), st.integers(0, 3), st.just(0)),
)
POOL = pool_spec(
    queue={"preemption": {"withinTeam": "LowerPriority"}, "elastic": {"growAfterSeconds": int(GROW)}},
)
SLOW = [HealthCheck.too_slow]


class Elastics(History):
    """Jobs that may be smaller, with checkpoints of all sorts, in two priorities; resolvers answer at once."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = SimCluster(spec=POOL)
        self.cluster.priorities["high"] = PriorityClassRecord("high", 100, "PreemptLowerPriority")
        self.grown: dict[str, float] = {}
        self.sizes: dict[str, int] = {}
        self.cluster.foreign("first", "n-3", 8)
        self.apply(("submit", 2, 8))

    def _leave(self, place: int, _: int) -> None:
        """A pod of somebody else ends."""
        others = sorted(key for key, pod in self.cluster.pod.items() if not pod.owner)
        if others:
            del self.cluster.pod[others[place % len(others)]]

    def _finish(self, place: int, _: int) -> None:
        """Every pod of a job ends well."""
        job = self._job(place)
        for pod in self.cluster.pods_of(job) if job is not None else ():
            if pod.phase == "Running" and not pod.deleting:
                self.cluster.end(pod.key, 0)

    def _submit(self, replicas: int, cards: int) -> None:
        self.count += 1
        fields: dict[str, object] = {"restart": {"backoff": {"baseSeconds": 1, "capSeconds": 5}, "maxRestarts": 2}}
        if self.count % 3:
            shards = self.count % 3 == 1
            fields["checkpoint"] = {"format": "orbax", "volumeMount": "/ckpt", "reshardable": shards}
        if self.count % 4 == 3:
            fields["priorityClassName"] = "high"
        made = job_spec(2 * replicas, cards, **fields)
        groups = tuple(group.model_copy(update={"min_replicas": 1 + self.count % 2}) for group in made.groups)
        self.cluster.submit(f"j{self.count}", made.model_copy(update={"groups": groups}))

    def apply(self, operation: tuple[str, float | int, int | bool]) -> None:
        """One thing that happens, one cycle, and every resolver has found something."""
        super().apply(operation)
        self.answer()

    def answer(self) -> None:
        """Let every resolver end."""
        for key in self.cluster.jobs:
            pod = self.cluster.resolver_of(key)
            if pod is not None and pod.phase == "Running" and not pod.deleting:
                found = report.Report(records.Result.CHOSEN, step=1, path="1", verified=records.Level.LIGHT)
                self.cluster.end(pod.key, 0, report.render(found))

    def check(self) -> None:
        """Also: sizes between their bounds, pods of the placed size alone, and time between two growths."""
        super().check()
        for key, job in self.cluster.jobs.items():
            place, spec, status = job.status.placement, job.spec, job.status
            if place is None or spec is None or status.size is None:
                continue
            pods = sum(len(segment.nodes) for segment in place.segments)
            group = spec.groups[0]
            assert group.min_replicas is not None
            assert group.min_replicas <= pods <= group.replicas
            if place.attempt == status.attempt:
                assert pods == status.size.pods
                assert len(self.cluster.pods_of(key)) <= pods or any(pod.deleting for pod in self.cluster.pods_of(key))
            self._check_fixed(key, status)
        self._check_growths()

    def _check_fixed(self, key: str, status: TrainingJobStatus) -> None:
        """A size that must stay does."""
        before = self.sizes.get(key)
        if before is not None and status.size is not None:
            assert status.size.pods == before
        if status.size is not None and status.size.fixed:
            self.sizes[key] = status.size.pods

    def _check_growths(self) -> None:
        for key, reason, _ in self.cluster.events:
            if reason == "Growing":
                assert self.cluster.now - self.grown.get(key, 0.0) >= GROW
                self.grown[key] = self.cluster.now
        self.cluster.events.clear()


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(st.lists(OFTEN, min_size=5, max_size=40))
def test_promises_hold_for_elastic_gangs(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """Everything that holds for others, and the bounds of their sizes."""
    history = Elastics()
    for operation in operations:
        history.apply(operation)


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(st.lists(OFTEN, min_size=5, max_size=30))
def test_elastic_gangs_come_to_rest(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """Nobody grows and shrinks in turns: after any history the cluster settles, and stays so without memory."""
    history = Elastics()
    for operation in operations:
        history.apply(operation)
    for _ in range(20):
        history.cluster.settle(0.0)
        if not any(history.cluster.resolver_of(key) for key in history.cluster.jobs):
            break
        history.answer()
        history.cluster.step(1.0)
    for _ in range(10):
        history.cluster.now += GROW + 1
        history.cluster.settle(0.0)
        history.answer()
        history.cluster.settle(0.0)
    history.cluster.memory = type(history.cluster.memory)()

    again = history.cluster.decide()

    assert not again.steps
