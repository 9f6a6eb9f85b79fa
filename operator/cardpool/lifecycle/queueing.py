"""The planner's answers carried out on the jobs: places, reasons to wait, and gangs that go for another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cardpool.domain.gangs import PlanResult
from cardpool.lifecycle import reserving, trainingjob, waiting
from cardpool.lifecycle.draft import Draft


def carry_out(answer: PlanResult, drafts: Mapping[str, Draft]) -> Iterator[Draft]:
    """Let each job know; gives those whose room changed."""
    for placement in answer.placements:
        one = drafts[placement.gang]
        reserving.place(one, placement)
        trainingjob.conclude(one)
        yield one
    for refusal in answer.refusals:
        waiting.waits(drafts[refusal.gang], refusal)
