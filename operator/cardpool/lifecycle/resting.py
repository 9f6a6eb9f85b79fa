"""Gangs that run and of which nothing was to be written rest: judged again when something of theirs moves.

A gang rests only in the state in which its judgement reads nothing but its own record and pods, the specification of
its pool, the priority classes, and the faults of the very nodes that it sits on; all of these are compared, records by
identity. A deadline of its own ends the rest. Whatever the planner does to the gang ends it too, and a cycle that
broke off leaves nobody at rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cardpool.api.jobstatus import PlacementState
from cardpool.domain.gangs import Running
from cardpool.domain.world import JobRecord, PodRecord
from cardpool.lifecycle.conditions import Board
from cardpool.lifecycle.draft import Draft, Surroundings
from cardpool.names import Attribution, Condition


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """A judged gang with everything that its judgement came from; ``running`` is None where it has to be told anew."""

    draft: Draft
    pods: tuple[PodRecord, ...]
    nodes: frozenset[str]
    team: str
    running: Running | None

    def lasts(self, job: JobRecord, pods: tuple[PodRecord, ...], around: Surroundings) -> bool:
        """True where judging the job again would come to the same."""
        one, pool, before = self.draft, around.pool, self.draft.around
        if one.job is not job or self.pods is not pods or pool is None or before.pool is None:
            return False
        return (
            pool.spec is before.pool.spec
            and around.priorities is before.priorities
            and around.refused is None
            and (one.wake is None or around.world.now < one.wake)
            and pool.faults.keys().isdisjoint(self.nodes)
            and pool.dead.keys().isdisjoint(self.nodes)
        )

    def resume(self, around: Surroundings) -> Running | None:
        """Make the draft this cycle's; gives what the gang holds, None where that has to be found out again."""
        one, pool, before = self.draft, around.pool, self.draft.around.pool
        learned = pool is not None and before is not None and pool.runtimes is before.runtimes
        one.around = around
        one.board = Board(one.status.conditions, one.job.generation, around.world.now)
        return self.running if learned and one.team == self.team else None

    def renewed(self, found: Running | None) -> Rest:
        """The same rest after what the gang holds was found out again."""
        return replace(self, team=self.draft.team, running=_lasting(found))


def rest(
    draft: Draft, pods: tuple[PodRecord, ...], promises: Mapping[str, object], found: Running | None
) -> Rest | None:
    """The gang at rest, None where it is in any other state; for a job of which nothing is to be written."""
    place, pool, fault = draft.placement, draft.around.pool, draft.status.last_fault
    runs = place is not None and place.state is PlacementState.BOUND and draft.board.holds(Condition.RUNNING)
    open_ = draft.old or draft.resolvers or draft.gang is not None or promises or draft.around.refused is not None
    ends = draft.status.completion_time is not None or draft.spec.suspend or draft.marks.running is None
    pending = fault is not None and fault.attribution is Attribution.PENDING
    if not runs or open_ or ends or pending or pool is None:
        return None
    nodes = frozenset(pod.node for pod in draft.live.values())
    if not (pool.faults.keys().isdisjoint(nodes) and pool.dead.keys().isdisjoint(nodes)):
        return None
    return Rest(draft, pods, nodes, draft.team, _lasting(found))


def _lasting(found: Running | None) -> Running | None:
    """What stays as it is while the gang rests; what an elastic gang would gain depends on the time."""
    return found if found is not None and found.elastic is None and not found.leaving else None
