"""Gangs that run, and gangs that wait, of which nothing was to be written rest: judged again when something moves.

A gang rests only in a state in which its judgement reads nothing but its own record and pods, the specification of its
pool, the priority classes, its team, what was learned of such runs, and the faults of the very nodes that it sits on.
``roll`` watches all of these, records by identity, and deadlines. What the planner says is told to a resting gang too,
and ends its rest where it makes anything of it. A cycle that broke off leaves nobody at rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cardpool.api.jobstatus import PlacementState
from cardpool.domain.gangs import Running
from cardpool.domain.teams import DEFAULT_TEAM
from cardpool.lifecycle import learning
from cardpool.lifecycle.conditions import Board
from cardpool.lifecycle.draft import Draft, PoolView, Surroundings
from cardpool.names import Attribution, Condition, Reason


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """A judged gang with what its judgement came from; ``alarm`` is when it asked to be judged again.

    ``learned`` has the run times that were looked up, found or not. ``changing``: what the gang holds has to be told
    anew in each cycle. ``moved``: the job's history has a move.
    """

    draft: Draft
    team: str
    learned: tuple[tuple[str, float | None], ...]
    alarm: float | None
    changing: bool
    moved: bool

    def agrees(self, pool: PoolView) -> bool:
        """True where the pool still says the same of the gang's team and of runs such as its."""
        team = pool.teams.get(self.draft.job.namespace, DEFAULT_TEAM)
        return team == self.team and all(pool.runtimes.get(kind) == seconds for kind, seconds in self.learned)

    def resume(self, around: Surroundings) -> Draft:
        """The draft as this cycle would have judged it."""
        one = self.draft
        one.around, one.wake = around, self.alarm
        one.board = Board(one.status.conditions, one.job.generation, around.world.now)
        return one


def rest(draft: Draft, promises: Mapping[str, object], found: Running | None, alarm: float | None) -> Rest | None:
    """The gang at rest, None where it is in any other state; for a job of which nothing is to be written.

    ``found`` is what it holds, ``alarm`` when its judgement asked for another.
    """
    pool, fault = draft.around.pool, draft.status.last_fault
    pending = fault is not None and fault.attribution is Attribution.PENDING
    open_ = draft.old or draft.resolvers or draft.events or promises or draft.around.refused is not None
    if pool is None or open_ or pending or draft.status.completion_time is not None or draft.spec.suspend:
        return None
    if not (_runs(draft, pool) or _waits(draft)):
        return None
    return Rest(
        draft=draft,
        team=draft.team,
        learned=learning.looked_up(draft),
        alarm=alarm,
        changing=found is not None and (found.elastic is not None or found.leaving),
        moved=any(entry.reason == Reason.DEFRAGMENTED for entry in draft.job.status.history),
    )


def _runs(draft: Draft, pool: PoolView) -> bool:
    """True where the gang runs as a whole, on nodes of which nothing bad is known."""
    place = draft.placement
    bound = place is not None and place.state is PlacementState.BOUND and draft.board.holds(Condition.RUNNING)
    if not bound or draft.gang is not None or draft.marks.running is None:
        return False
    nodes = {pod.node for pod in draft.live.values()}
    return pool.faults.keys().isdisjoint(nodes) and pool.dead.keys().isdisjoint(nodes)


def _waits(draft: Draft) -> bool:
    """True where the gang only waits for the planner, as one of the queue."""
    return draft.gang is not None and draft.placement is None and not draft.live and not draft.gang.asked_first
