"""Teams, priorities and preemption in any history: the same promises as ever, and the quotas kept besides."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.world import PriorityClassRecord
from cardpool.lifecycle import ranks
from cardpool.names import Attribution
from tests.property.test_core import OPERATIONS, History
from tests.support.simworld import SimCluster, job_spec, pool_spec

TEAMS = {"team-a": ("a", 16), "team-b": ("b", 8)}
POOL = pool_spec(
    teams=[
        {"name": name, "namespaces": [space], "quota": [{"profile": "k100", "cards": cards}]}
        for space, (name, cards) in TEAMS.items()
    ],
    queue={"preemption": {"withinTeam": "LowerPriority", "reclaimBorrowed": "Any"}},
)
SLOW = [HealthCheck.too_slow]


class Crowd(History):
    """Jobs of two teams and of nobody, in two priorities, some with a declared run time."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = SimCluster(spec=POOL)
        self.cluster.priorities["high"] = PriorityClassRecord("high", 100, "PreemptLowerPriority")

    def _submit(self, replicas: int, cards: int) -> None:
        self.count += 1
        namespace = ("team-a", "team-b", "elsewhere")[(replicas + cards + self.count) % 3]
        fields: dict[str, object] = {"restart": {"backoff": {"baseSeconds": 1, "capSeconds": 5}, "maxRestarts": 2}}
        if self.count % 2:
            fields["priorityClassName"] = "high"
        if self.count % 3:
            fields["expectedRuntimeSeconds"] = 60 * replicas
        self.cluster.submit(f"j{self.count}", job_spec(replicas, cards, **fields), namespace)

    def check(self) -> None:
        """Also: quotas, and preemption that is charged to nobody."""
        super().check()
        held: dict[str, int] = {}
        for job in self.cluster.jobs.values():
            status, spec = job.status, job.spec
            fault = status.last_fault
            assert fault is None or fault.attribution is not Attribution.PREEMPTION or not fault.charged
            assert all(item.reason != "Preempted" for item in status.restart_times)
            place = status.placement
            same = place is not None and place.attempt == status.attempt
            if place is None or spec is None or not same or status.completion_time is not None or spec.suspend:
                continue
            nodes = sum(len(segment.nodes) for segment in place.segments) - len(ranks.parse(status.succeeded_ranks))
            held[job.namespace] = held.get(job.namespace, 0) + nodes * spec.groups[0].cards_per_pod
        whole = sum(cards for _, cards in TEAMS.values())
        assert all(held.get(namespace, 0) <= whole for namespace in TEAMS)


@settings(max_examples=120, deadline=None, suppress_health_check=SLOW)
@given(st.lists(OPERATIONS, min_size=5, max_size=40))
def test_promises_hold_with_teams_and_preemption(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """Everything that holds without them, and no team beyond all quotas together."""
    history = Crowd()
    for operation in operations:
        history.apply(operation)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(st.lists(OPERATIONS, min_size=5, max_size=30))
def test_preemption_comes_to_rest(operations: list[tuple[str, float | int, int | bool]]) -> None:
    """Nobody evicts each other in turns: after any history the cluster settles and stays so without memory."""
    again = Crowd().rests(operations)

    assert not again.steps
