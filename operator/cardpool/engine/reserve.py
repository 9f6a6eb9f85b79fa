"""When a gang that does not fit now could start at the earliest, and where.

Running gangs leave in the order of their ends, declared or learned from earlier runs. One without either, or past it,
is taken to run for ever, but for a head that has waited longer than the pool's patience they are taken to leave in the
order in which they began. Gangs that start later never come before those that ran, so a room that is kept this way is
reached: the head starts at the latest when the last of the gangs that it waits for has ended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cardpool.domain.gangs import Gang, Option
from cardpool.engine.future import Future
from cardpool.engine.occupancy import Room
from cardpool.engine.probe import Prober

_MANY: Final = 16  # from so many on, all rooms at once are faster than one by one


@dataclass(frozen=True, slots=True)
class Opening:
    """The future in which the gang fits, with everybody gone whom it waits for; ``start`` None = nobody knows when.

    ``sure`` is False while the gang is still patient: it would fit with everybody gone, and nothing is kept for it yet.
    ``learned`` counts those it waits for whose end is only known from earlier runs.
    """

    future: Future
    start: float | None
    gone: tuple[Room, ...]
    sure: bool = True
    learned: int = 0

    @property
    def waits_for(self) -> int:
        """How many gangs have to go first."""
        return len(self.gone)


class Exits:
    """The gangs of a future in the order in which they are taken to leave; ``known`` of them have an end.

    Made once for all who ask about the same future: what comes of many gone is theirs together, never to be changed.
    """

    __slots__ = ("_gone", "known", "late", "now", "order")

    def __init__(self, late: Future, rooms: Sequence[Room], now: float) -> None:
        self.late, self.now = late, now
        self.order = in_order([room for room in rooms if not room.gang.leaving], now)
        self.known = sum(1 for room in self.order if end(room, now) < math.inf)
        self._gone: dict[int, Future] = {}

    def gone(self, number: int) -> Future:
        """The future with the first so many gone."""
        if number not in self._gone:
            self._gone[number] = self.late.copy()
            self._gone[number].settle(self.order[:number])
        return self._gone[number]


def earliest(exits: Exits, gang: Gang, option: Option, *, patient: bool) -> Opening | None:
    """The first moment at which the gang fits; None where it would not with every running gang gone."""
    order, known = exits.order, exits.known
    search = _Search(exits.late, gang, option, order)
    if Prober(exits.gone(known), gang, option).fits():
        number = search.first(0, known)
        start = end(order[number - 1], exits.now) if number else exits.now
        learned = sum(1 for room in order[:number] if room.gang.learned)
        return Opening(search.future, start, tuple(order[:number]), learned=learned)
    if known == len(order) or not Prober(exits.gone(len(order)), gang, option).fits():
        return None
    if patient:
        return Opening(exits.gone(len(order)).copy(), None, tuple(order), sure=False)
    return Opening(search.future, None, tuple(order[: search.first(known, len(order))]))


def in_order(staying: Sequence[Room], now: float) -> list[Room]:
    """As they are taken to leave: by their known ends, then by their starts."""
    return sorted(staying, key=lambda room: (end(room, now), room.gang.started, room.gang.key))


def end(room: Room, now: float) -> float:
    """The declared or learned end; one that has passed says nothing any more."""
    ends = room.gang.ends
    return ends if ends is not None and ends > now else math.inf


class _Search:
    """Frees a growing or shrinking number of gangs, in order; all searches of a cycle share one effort.

    Thorough, since a greedy packing that finds the head's place now may miss it in the next cycle, when others have
    taken what is over, and its start would move.
    """

    __slots__ = ("future", "gone", "order", "prober")

    def __init__(self, late: Future, gang: Gang, option: Option, order: Sequence[Room]) -> None:
        self.future, self.order, self.gone = late.copy(), order, 0
        self.future.ground.effort = late.ground.effort
        self.prober = Prober(self.future, gang, option, thorough=True)

    def fits(self, number: int) -> bool:
        """True where the gang fits once so many are gone; the future is left like that."""
        low, high = sorted((self.gone, number))
        moved, sign = self.order[low:high], 1 if number > self.gone else -1
        if len(moved) > _MANY:
            self.future.settle(moved, sign)
        else:
            for room in moved:
                self.future.free(room, sign)
        self.gone = number
        return self.prober.fits()

    def first(self, low: int, high: int) -> int:
        """The least number between these with which it fits; it does with ``high``. Most gangs wait for a few."""
        step, at = 1, low
        while at < high:
            if self.fits(at):
                high = at
            else:
                low, at, step = at + 1, at + step, 2 * step
        while low < high:
            middle = (low + high) // 2
            if self.fits(middle):
                high = middle
            else:
                low = middle + 1
        self.fits(high)
        return high
