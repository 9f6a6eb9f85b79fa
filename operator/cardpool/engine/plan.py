"""One planning cycle: every gang gets a node for each of its pods, or nothing and the reason why.

Gangs are asked in the queue's order and each sees what those before it took, so no room and no quota is promised
twice. A gang that finds no free room may have others go or move for it, and only then is anything kept for it. The
answer depends on the arguments alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from cardpool.domain.gangs import Gang, Placement, PlanResult, Refusal, Running
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import Rules
from cardpool.engine import advice, cycle, elastic, growth, lasting, mixing, order, wording
from cardpool.engine.answering import Answerer
from cardpool.engine.cycle import Cycle, Strategy
from cardpool.engine.holding import Holder
from cardpool.engine.outlook import BLOCKING
from cardpool.engine.rivals import Rivals
from cardpool.engine.shifting import Shifter
from cardpool.engine.taking import Taker
from cardpool.names import Reason

__all__ = ["WANTING", "Strategy", "plan"]

WANTING: Final = BLOCKING | {Reason.QUOTA_EXCEEDED, Reason.WAITING_FOR_PREEMPTION}
_OPEN: Final = BLOCKING | {Reason.QUOTA_EXCEEDED}
_ROOMLESS: Final = BLOCKING | {Reason.WAITING_FOR_PREEMPTION}


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
    gangs may pass. Backfill: they may where that does not delay the first of its profile that waits for room, and the
    first of a team that has waited for quota beyond the pool's patience has the next of it. A head that can never be
    placed as it is written (unknown level or profile) blocks nobody.
    """
    asked = list(gangs)
    return _Walk(cycle.begun(inventory, running, rules or Rules(), now, strategy, asked)).over(asked)


class _Walk:
    """The walk over the queue: whom the cycle's parts are asked for, in which order, and what was answered so far.

    ``waiting`` are the first refused gangs, at their least, beside their refusals; ``unserved`` all that want room.
    """

    __slots__ = (
        "answerer",
        "cycle",
        "holder",
        "placements",
        "refusals",
        "rivals",
        "shifter",
        "taker",
        "unserved",
        "waiting",
    )

    def __init__(self, one: Cycle) -> None:
        mixer = mixing.Mixer(one.inventory, one.ledger, one.outlook, one.behind)
        self.cycle = one
        self.rivals = Rivals(one)
        self.answerer, self.taker, self.shifter = Answerer(one, mixer), Taker(one, self.rivals), Shifter(one)
        self.holder = Holder(one, mixer)
        self.placements: list[Placement] = []
        self.refusals: list[Refusal] = []
        self.waiting: list[Gang] = []
        self.unserved: list[Gang] = []

    def over(self, gangs: Sequence[Gang]) -> PlanResult:
        """Ask gang after gang."""
        queue = order.Queue(gangs, self.cycle.ledger, partial(order.capacities, self.cycle.inventory))
        self.rivals.queue = queue
        while (gang := queue.pop()) is not None:
            self.cycle.shadow = queue.shadow(gang)
            answer = self._ask(gang)
            if isinstance(answer, Placement):
                self.placements.append(answer)
                continue
            self.refusals.append(answer.told(answer.gang, len(self.refusals) + 1))
            if answer.reason in WANTING:
                self.unserved.append(gang)
            if len(self.waiting) < advice.FIRST:
                self.waiting.append(elastic.least(gang))
        result = self._result()
        return dataclasses.replace(result, until=lasting.until(self.cycle, gangs, result))

    def _ask(self, gang: Gang) -> Placement | Refusal:
        """A place in what is free; else what others can do for the gang, or what is kept for it."""
        if self.cycle.head is not None:
            return wording.behind(gang, self.cycle.head)
        answer = self.answerer.answer(gang)
        if isinstance(answer, Placement) or answer.reason not in _OPEN:
            return answer
        least = elastic.least(gang)
        promised = self.taker.take(least, answer) or self.shifter.make_room(least, answer)
        if promised is not None:
            return promised
        self.rivals.met.append((self.answerer.asked, gang))
        return self.holder.hold(least, answer)

    def _result(self) -> PlanResult:
        """What the cycle did, after those that ask last: who moves for nobody yet, and who grows."""
        one = self.cycle
        if not any(refusal.reason in _ROOMLESS for refusal in self.refusals):
            self.shifter.room_ahead()
        grower = growth.Grower(one.running, self.unserved, one.outlook, one.ledger, one.inventory.profiles)
        growing = grower.find(one.now) if not one.moves else []
        one.again(grower.wake)
        first = list(zip(self.waiting, self.refusals, strict=False))
        return PlanResult(
            placements=tuple(self.placements),
            refusals=tuple(self.refusals),
            evictions=tuple(one.evictions),
            growing=tuple(growing),
            reservations=tuple(one.reservations),
            preempting=tuple(one.preempting),
            moves=tuple(one.moves),
            vain=tuple(one.vain),
            wake=one.wake,
            advice=advice.Advisor(one.inventory, one.outlook, one.ledger, first, one.now),
        )
