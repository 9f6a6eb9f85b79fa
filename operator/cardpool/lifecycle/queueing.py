"""The planner's answers carried out on the jobs: places, reasons to wait, and gangs that go for another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cardpool.domain.gangs import PlanResult
from cardpool.lifecycle import reserving, restart, trainingjob, waiting
from cardpool.lifecycle.draft import Draft
from cardpool.lifecycle.restart import Cause
from cardpool.names import Attribution


def carry_out(answer: PlanResult, drafts: Mapping[str, Draft]) -> Iterator[Draft]:
    """Let each job know; gives those whose room changed."""
    for placement in answer.placements:
        one = drafts[placement.gang]
        reserving.place(one, placement)
        trainingjob.conclude(one)
        yield one
    for refusal in answer.refusals:
        waiting.waits(drafts[refusal.gang], refusal)
    for eviction in answer.evictions:
        victim = drafts.get(eviction.gang)
        if victim is not None and victim.placement is not None:
            restart.restart(victim, Cause(eviction.reason, eviction.message, Attribution.PREEMPTION, victim.now))
            trainingjob.conclude(victim)
            yield victim
