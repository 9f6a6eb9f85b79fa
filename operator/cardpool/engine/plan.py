"""One planning cycle: every gang gets a node for each of its pods, or nothing and the reason why.

Gangs are asked in the queue's order and each sees what those before it took, so no room is promised twice. The answer
depends on the arguments alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable
from enum import StrEnum

from cardpool.domain.gangs import Gang, GroupShape, Placement, PlanResult, Refusal
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
    cycle = _Cycle(inventory)
    placements: list[Placement] = []
    refusals: list[Refusal] = []
    head: Gang | None = None
    for gang in order.ordered(gangs):
        answer = explain.behind(gang, head) if head else cycle.answer(gang)
        if isinstance(answer, Placement):
            placements.append(answer)
            continue
        refusals.append(dataclasses.replace(answer, position=len(refusals) + 1))
        if strategy == Strategy.STRICT and head is None and answer.reason in _BLOCKING:
            head = gang
    return PlanResult(tuple(placements), tuple(refusals))


class _Cycle:
    """What one cycle has taken, and the refusals that still hold because nothing was taken since."""

    __slots__ = ("grounds", "inventory", "refused")

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.grounds: dict[int, Ground] = {}
        self.refused: dict[Hashable, Refusal] = {}

    def answer(self, gang: Gang) -> Placement | Refusal:
        """The gang's place, or why it has none; equal gangs in an unchanged pool get equal answers at no cost."""
        key = _likeness(gang)
        if key in self.refused:
            return dataclasses.replace(self.refused[key], gang=gang.key)
        answer = self._try(gang)
        if isinstance(answer, Placement):
            self.refused.clear()
        else:
            self.refused[key] = answer
        return answer

    def _try(self, gang: Gang) -> Placement | Refusal:
        """The gang in the first of its options that holds it; a placement has taken its room."""
        if not gang.options:
            return explain.without_options(gang)
        profiles = self.inventory.profiles
        known = [(self._ground(option.profile), option) for option in gang.options if option.profile in profiles]
        if gang.previous:
            for ground, option in known:
                kept = place.keep(ground, gang, option)
                if kept is not None:
                    return kept
        refusals = []
        for option in gang.options:
            if option.profile not in profiles:
                refusals.append(explain.unknown_profile(gang, option, profiles))
                continue
            answer = place.place(self._ground(option.profile), gang, option)
            if isinstance(answer, Placement):
                return answer
            refusals.append(answer)
        return explain.combined(refusals)

    def _ground(self, profile: str) -> Ground:
        number = self.inventory.profiles.index(profile)
        if number not in self.grounds:
            self.grounds[number] = Ground(self.inventory, number)
        return self.grounds[number]


def _likeness(gang: Gang) -> Hashable:
    """Equal for gangs that ask for the same under the same conditions."""
    options = tuple((option.profile, tuple(_shape(shape) for shape in option.groups)) for option in gang.options)
    past = (tuple(sorted(gang.previous.items())), tuple(sorted(gang.excluded.items())), gang.repair)
    return options, gang.topology, past


def _shape(shape: GroupShape) -> Hashable:
    needs = tuple(sorted(shape.requests.items()))
    return shape.name, shape.replicas, shape.cards_per_pod, needs, shape.tolerations, shape.nodes, shape.topology
