"""Defragmentation in any history: the same promises as ever, the budget kept, and it comes to rest."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.test_core import OPERATIONS, History
from tests.support.simworld import SimCluster, job_spec, pool_spec

BUDGET = 3
POOL = pool_spec(
    queue={
        "defragmentation": {
            "maxMovesPerHour": BUDGET,
            "maxLostCardSeconds": 1_000_000,
            "afterSeconds": 0,
            "gang": {"pods": 2, "cardsPerPod": 8, "level": "supernode"},
        }
    }
)
SLOW = [HealthCheck.too_slow]


class Shuffled(History):
    """Jobs that want a whole supernode among others, in a pool that moves gangs."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = SimCluster(spec=POOL)
        self.times: dict[tuple[str, int], float] = {}
        for number in range(4):
            self.cluster.submit(f"fill-{number}", job_spec(1))
        self.cluster.settle()
        for pod in list(self.cluster.pod.values()):
            if pod.node in {"n-0", "n-2"}:  # half of each supernode is free now: the next cycle moves somebody
                self.cluster.end(pod.key, 0)

    def _submit(self, replicas: int, cards: int) -> None:
        self.count += 1
        fields: dict[str, object] = {"restart": {"backoff": {"baseSeconds": 1, "capSeconds": 5}, "maxRestarts": 2}}
        if self.count % 3 == 0:
            fields["topology"] = {"required": "supernode"}
        self.cluster.submit(f"j{self.count}", job_spec(replicas, cards, **fields))

    def check(self) -> None:
        """Also: moves are charged to nobody, and never more than the budget within an hour, nor one gang twice."""
        super().check()
        for job in self.cluster.jobs.values():
            assert all(item.reason != "Defragmented" for item in job.status.restart_times)
            for entry in job.status.history:
                if entry.reason == "Defragmented" and entry.end_time is not None:
                    self.times[job.uid, entry.attempt] = entry.end_time.timestamp()
        for moment in self.times.values():
            hour = [uid for (uid, _), other in self.times.items() if moment <= other < moment + 3600.0]
            assert len(hour) <= BUDGET
            assert len(set(hour)) == len(hour)


@settings(max_examples=120, deadline=None, suppress_health_check=SLOW)
@given(st.lists(OPERATIONS, min_size=5, max_size=40))
def test_promises_hold_while_gangs_move(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """Everything that holds without moves."""
    history = Shuffled()
    for operation in operations:
        history.apply(operation)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(st.lists(OPERATIONS, min_size=5, max_size=30))
def test_moves_come_to_rest(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """Nobody moves in turns: after any history the cluster settles and stays so without memory."""
    history = Shuffled()
    for operation in operations:
        history.apply(operation)
    history.cluster.settle(0.0)
    history.cluster.step(60.0)  # what was looked for in vain may be looked for again
    history.cluster.settle(0.0)
    history.cluster.memory = type(history.cluster.memory)()

    again = history.cluster.decide()

    assert not again.steps
