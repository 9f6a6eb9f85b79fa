"""One planning cycle: every gang gets a node for each of its pods, or nothing and the reason why.

Gangs are asked in the queue's order and each sees what those before it took, so no room and no quota is promised
twice. The answer depends on the arguments alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Sequence
from enum import StrEnum

import numpy as np

from cardpool.domain.gangs import Gang, GroupShape, Placement, PlanResult, Refusal, Running
from cardpool.domain.inventory import CARDS, Inventory
from cardpool.domain.teams import Rules
from cardpool.engine import explain, order, place, quota
from cardpool.engine.ground import Ground
from cardpool.names import Reason

_BLOCKING = frozenset({Reason.INSUFFICIENT_CARDS, Reason.TOPOLOGY_UNFIT, Reason.EXCLUDED})


class Strategy(StrEnum):
    """What a gang that does not fit means for those behind it."""

    STRICT = "Strict"
    BEST_EFFORT = "BestEffort"
    BACKFILL = "Backfill"


def plan(
    inventory: Inventory,
    gangs: Iterable[Gang],
    *,
    now: float,
    strategy: str = Strategy.BEST_EFFORT,
    running: Sequence[Running] = (),
    rules: Rules | None = None,
) -> PlanResult:
    """An answer for each gang, in the queue's order; ``now`` in seconds since the epoch.

    Strict: nobody passes a head that waits for room, nobody of its team one that waits for quota. BestEffort: later
    gangs may pass. A head that can never be placed as it is written (unknown level or profile) blocks nobody.
    """
    return _Cycle(inventory, running, rules or Rules(), now, strategy).run(gangs)


class _Cycle:
    """What one cycle has taken, and the refusals that still hold because nothing was taken since."""

    __slots__ = ("blocked", "grounds", "head", "inventory", "ledger", "now", "refused", "rules", "running", "strategy")

    def __init__(
        self, inventory: Inventory, running: Sequence[Running], rules: Rules, now: float, strategy: str
    ) -> None:
        self.inventory, self.running, self.rules, self.now, self.strategy = inventory, running, rules, now, strategy
        self.ledger = quota.opened(rules, running)
        self.grounds: dict[int, Ground] = {}
        self.refused: dict[Hashable, Refusal] = {}
        self.head: Gang | None = None
        self.blocked: dict[str, Gang] = {}

    def run(self, gangs: Iterable[Gang]) -> PlanResult:
        """Ask gang after gang."""
        placements: list[Placement] = []
        refusals: list[Refusal] = []
        queue = order.Queue(gangs, self.ledger, capacities(self.inventory))
        while (gang := queue.pop()) is not None:
            answer = self._behind(gang) or self.answer(gang)
            if isinstance(answer, Placement):
                placements.append(answer)
                continue
            refusals.append(dataclasses.replace(answer, position=len(refusals) + 1))
            if self.strategy == Strategy.STRICT:
                self._strict(gang, answer.reason)
        return PlanResult(tuple(placements), tuple(refusals))

    def _behind(self, gang: Gang) -> Refusal | None:
        """The answer for a gang that may not pass another."""
        if self.head is not None:
            return explain.behind(gang, self.head)
        if gang.team in self.blocked:
            return explain.behind_quota(gang, self.blocked[gang.team])
        return None

    def _strict(self, gang: Gang, reason: Reason) -> None:
        if reason in _BLOCKING:
            self.head = self.head or gang
        elif reason is Reason.QUOTA_EXCEEDED:
            self.blocked.setdefault(gang.team, gang)

    def answer(self, gang: Gang) -> Placement | Refusal:
        """The gang's place, or why it has none; equal gangs in an unchanged pool get equal answers at no cost."""
        key = gang.team, _likeness(gang)
        if key in self.refused:
            return dataclasses.replace(self.refused[key], gang=gang.key)
        answer = self._try(gang)
        if isinstance(answer, Placement):
            self.refused.clear()
            option = next(option for option in gang.options if option.profile == answer.profile)
            self.ledger.take(gang.team, option.profile, quota.cards_of(option))
        else:
            self.refused[key] = answer
        return answer

    def _try(self, gang: Gang) -> Placement | Refusal:
        """The gang in the first of its options that quota and room allow; a placement has taken its room."""
        if not gang.options:
            return explain.without_options(gang)
        profiles = self.inventory.profiles
        over = {}
        for option in gang.options:
            limit = self.ledger.beyond(gang.team, option.profile, quota.cards_of(option))
            if limit is not None:
                over[option.profile] = self.ledger.refusal(gang, option, limit)
        if gang.previous:
            for option in gang.options:
                if option.profile in profiles and option.profile not in over:
                    kept = place.keep(self._ground(option.profile), gang, option)
                    if kept is not None:
                        return kept
        refusals = []
        for option in gang.options:
            if option.profile not in profiles:
                refusals.append(explain.unknown_profile(gang, option, profiles))
                continue
            if option.profile in over:
                refusals.append(over[option.profile])
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


def capacities(inventory: Inventory) -> dict[str, int]:
    """Cards of each profile."""
    known = inventory.profile >= 0
    sums = np.bincount(
        inventory.profile[known], weights=inventory.capacity[known, CARDS], minlength=len(inventory.profiles)
    )
    return {name: int(amount) for name, amount in zip(inventory.profiles, sums.tolist(), strict=True)}


def _likeness(gang: Gang) -> Hashable:
    """Equal for gangs that ask for the same under the same conditions."""
    options = tuple((option.profile, tuple(_shape(shape) for shape in option.groups)) for option in gang.options)
    past = (tuple(sorted(gang.previous.items())), tuple(sorted(gang.excluded.items())), gang.repair)
    return options, gang.topology, past


def _shape(shape: GroupShape) -> Hashable:
    needs = tuple(sorted(shape.requests.items()))
    return shape.name, shape.replicas, shape.cards_per_pod, needs, shape.tolerations, shape.nodes, shape.topology
