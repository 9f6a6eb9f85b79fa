"""Whatever happens in whatever order, the core keeps its promises: random histories on a cluster in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.api.jobstatus import TrainingJobStatus
from cardpool.lifecycle import actions, ranks
from cardpool.names import LABEL_RANK, LABEL_ROLE
from tests.support.simworld import RESOURCE, SimCluster, job_spec

TERMINAL = {"Succeeded", "Failed"}
OPERATIONS = st.one_of(
    st.tuples(st.just("submit"), st.integers(1, 4), st.sampled_from([2, 4, 8])),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 6.0, 30.0, 70.0]), st.just(0)),
    st.tuples(st.just("unhealthy"), st.integers(0, 30), st.integers(0, 7)),
    st.tuples(st.just("healthy"), st.integers(0, 30), st.integers(0, 7)),
    st.tuples(st.just("offer"), st.integers(0, 3), st.integers(0, 8)),
    st.tuples(st.just("exit"), st.integers(0, 30), st.sampled_from([0, 1, 42, 137])),
    st.tuples(st.just("lose"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("crash"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("suspend"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("remove"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("foreign"), st.integers(0, 3), st.integers(1, 8)),
    st.tuples(st.just("node"), st.integers(0, 3), st.booleans()),
)


class History:
    """Applies operations and checks after every cycle."""

    def __init__(self) -> None:
        self.cluster = SimCluster()
        self.count = 0
        self.before: dict[str, TrainingJobStatus] = {}

    def apply(self, operation: tuple[str, float | int, int | bool]) -> None:
        """One thing that happens; then one cycle."""
        word, first, second = operation
        seconds = float(first) if word == "wait" else 0.1
        if word != "wait":
            getattr(self, f"_{word}")(int(first), second)
        self.cluster.step(seconds)
        self.check()

    def rests(self, operations: Iterable[tuple[str, float | int, int | bool]]) -> actions.Decision:
        """What a core without memory would do once all of this has happened and the cluster has settled."""
        for operation in operations:
            self.apply(operation)
        self.cluster.settle(0.0)
        self.cluster.memory = type(self.cluster.memory)()
        return self.cluster.decide()

    def _pod(self, place: int) -> str | None:
        names = sorted(self.cluster.pod)
        return names[place % len(names)] if names else None

    def _job(self, place: int) -> str | None:
        names = sorted(self.cluster.jobs)
        return names[place % len(names)] if names else None

    def _submit(self, replicas: int, cards: int) -> None:
        self.count += 1
        restart = {"backoff": {"baseSeconds": 1, "capSeconds": 5}, "maxRestarts": 2}
        self.cluster.submit(f"j{self.count}", job_spec(replicas, cards, restart=restart))

    def _health(self, place: int, card: int, word: str) -> None:
        pod = self._pod(place)
        if pod is not None and not self.cluster.pod[pod].finished:
            self.cluster.health(pod, f"card-{card}", word)

    def _unhealthy(self, place: int, card: int) -> None:
        self._health(place, card, "Unhealthy")

    def _healthy(self, place: int, card: int) -> None:
        self._health(place, card, "Healthy")

    def _offer(self, node: int, cards: int) -> None:
        self.cluster.allocatable(f"n-{node}", cards)

    def _exit(self, place: int, code: int) -> None:
        pod = self._pod(place)
        if pod is not None and self.cluster.pod[pod].phase == "Running" and self.cluster.pod[pod].owner:
            self.cluster.end(pod, code)

    def _lose(self, place: int, _: int) -> None:
        pod = self._pod(place)
        if pod is not None:
            del self.cluster.pod[pod]

    def _crash(self, place: int, _: int) -> None:
        """A new process: memory gone, and the last pods of an attempt that was being made were never made."""
        self.cluster.memory = type(self.cluster.memory)()
        pod = self._pod(place)
        if pod is not None and not self.cluster.pod[pod].node:
            del self.cluster.pod[pod]

    def _suspend(self, place: int, value: int) -> None:
        job = self._job(place)
        if job is not None:
            self.cluster.change(job, suspend=bool(value))

    def _remove(self, place: int, _: int) -> None:
        job = self._job(place)
        if job is not None:
            uid = self.cluster.jobs.pop(job).uid
            self.cluster.pod = {key: pod for key, pod in self.cluster.pod.items() if pod.owner != uid}
            self.before.pop(job, None)

    def _foreign(self, node: int, cards: int) -> None:
        name = f"n-{node}"
        used = sum(
            pod.requests.get(RESOURCE, 0) for pod in self.cluster.pod.values() if pod.node == name and not pod.finished
        )
        if used + cards <= self.cluster.node[name].allocatable[RESOURCE]:
            self.cluster.foreign(f"other-{self.count}-{node}", name, cards)

    def _node(self, node: int, ready: bool) -> None:
        name = f"n-{node}"
        record = self.cluster.node[name]
        self.cluster.node[name] = replace(record, ready=bool(ready), ready_since=self.cluster.now)

    def check(self) -> None:
        """The invariants that one moment shows."""
        live: set[tuple[str, str]] = set()
        for pod in self.cluster.pod.values():
            if pod.owner and LABEL_ROLE not in pod.labels:
                rank = (pod.owner, pod.labels[LABEL_RANK])
                assert rank not in live, f"two pods of {rank}"
                live.add(rank)
        for key, job in self.cluster.jobs.items():
            self._check_job(key, job.status)
        self._check_promises()

    def _check_job(self, key: str, status: TrainingJobStatus) -> None:
        old = self.before.get(key)
        if old is not None:
            assert status.attempt >= old.attempt
            assert status.execution_attempt >= old.execution_attempt
            assert status.restarts >= old.restarts
            assert status.fault_restarts >= old.fault_restarts
            assert ranks.parse(old.succeeded_ranks) <= ranks.parse(status.succeeded_ranks)
            if old.phase in TERMINAL:
                assert status.phase == old.phase
            assert status.restarts + status.fault_restarts <= status.attempt
        self.before[key] = status

    def _check_promises(self) -> None:
        """What placements promise beyond bound pods never exceeds what was healthy and free when it was promised."""
        promised: dict[str, int] = {}
        for job in self.cluster.jobs.values():
            place, spec = job.status.placement, job.spec
            fresh = place is not None and place.time is not None and place.time.timestamp() >= self.cluster.now - 0.05
            if place is None or spec is None or not fresh or place.attempt != job.status.attempt:
                continue
            for segment in place.segments:
                for node in segment.nodes:
                    promised[node] = promised.get(node, 0) + spec.groups[0].cards_per_pod
        for node, cards in promised.items():
            assert cards <= self.cluster.node[node].allocatable[RESOURCE], f"{node} promised {cards}"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, min_size=5, max_size=40))
def test_invariants_hold_in_any_history(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """No rank twice, counters only grow, terminal stays, succeeded stays, no card promised beyond what is offered."""
    history = History()
    history.apply(("submit", 2, 8))
    for operation in operations:
        history.apply(operation)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(OPERATIONS, min_size=5, max_size=30))
def test_the_core_comes_to_rest_and_then_writes_nothing(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """After any history the cluster settles, and a core without memory sees nothing to do in the same world."""
    again = History().rests(operations)

    assert not again.steps
    assert not again.labels
    assert not again.supernodes
