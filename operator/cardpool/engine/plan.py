"""One planning cycle: every gang gets a node for each of its pods, or nothing and the reason why.

Gangs are asked in the queue's order and each sees what those before it took, so no room is promised twice. The answer
depends on the arguments alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from enum import StrEnum

from cardpool.domain.gangs import Gang, Placement, PlanResult, Refusal
from cardpool.domain.inventory import Inventory
from cardpool.engine import explain, order, place
from cardpool.engine.ground import Ground
from cardpool.names import Reason

_BLOCKING = frozenset({Reason.INSUFFICIENT_CARDS, Reason.TOPOLOGY_UNFIT, Reason.EXCLUDED})


class Strategy(StrEnum):
    """What a gang that does not fit means for those behind it."""

    STRICT = "Strict"
    BEST_EFFORT = "BestEffort"
    BACKFILL = "Backfill"


def plan(
    inventory: Inventory, gangs: Iterable[Gang], *, now: float, strategy: str = Strategy.BEST_EFFORT
) -> PlanResult:
    """An answer for each gang, in the queue's order; ``now`` in seconds since the epoch.

    Strict: nobody passes a head that waits for room. BestEffort, and Backfill as long as no reservation is held: later
    gangs may pass. A head that can never be placed as it is written (unknown level or profile) blocks nobody.
    """
    grounds: dict[int, Ground] = {}
    placements: list[Placement] = []
    refusals: list[Refusal] = []
    head: Gang | None = None
    for gang in order.ordered(gangs):
        answer = explain.behind(gang, head) if head else _answer(inventory, grounds, gang)
        if isinstance(answer, Placement):
            placements.append(answer)
            continue
        refusals.append(dataclasses.replace(answer, position=len(refusals) + 1))
        if strategy == Strategy.STRICT and head is None and answer.reason in _BLOCKING:
            head = gang
    return PlanResult(tuple(placements), tuple(refusals))


def _answer(inventory: Inventory, grounds: dict[int, Ground], gang: Gang) -> Placement | Refusal:
    """The gang in the first of its options that holds it; a placement has taken its room."""
    if not gang.options:
        return explain.without_options(gang)
    known = []
    refusals = []
    for option in gang.options:
        if option.profile not in inventory.profiles:
            refusals.append(explain.unknown_profile(gang, option, inventory.profiles))
            continue
        number = inventory.profiles.index(option.profile)
        if number not in grounds:
            grounds[number] = Ground(inventory, number)
        known.append((grounds[number], option))
    if gang.previous:
        for ground, option in known:
            kept = place.keep(ground, gang, option)
            if kept is not None:
                return kept
    for ground, option in known:
        answer = place.place(ground, gang, option)
        if isinstance(answer, Placement):
            return answer
        refusals.append(answer)
    return explain.combined(refusals)
