"""Which running gangs would have to move so that another fits: each restarts whole elsewhere and keeps running.

Everything is tried out first. The asked gang fits once the others have left; each of them fits at the same time into
room that is free now, or that it leaves itself: nobody waits for anybody but the asked gang. So a move needs free cards
for the whole of the asked gang; it only brings them together.

Least work lost first (cards times seconds since the newest proved checkpoint or the start), then the fewest gangs. Up
to three gangs the choice is the best one there is among the ``_NEAR`` cheapest gangs of each domain, as long as
``looks`` tries suffice; beyond that a heuristic over four orders, whose choice is irreducible: without any one of its
gangs the asked one would not fit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cardpool.domain.gangs import Gang, Option, Placement
from cardpool.domain.inventory import CARDS
from cardpool.engine import landing, preempt, quota
from cardpool.engine.attempt import Mask
from cardpool.engine.future import Future
from cardpool.engine.landing import Mover
from cardpool.engine.occupancy import Room
from cardpool.engine.probe import Prober

LOOKS: Final = 2_000
SCOPES: Final = 8
_NEAR: Final = 12
_EXACT: Final = 3
Cost = tuple[int, int, tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A way: the asked gang's place, and for each gang that moves its new one; nobody moves where it fits already."""

    asked: Placement
    moves: tuple[tuple[Mover, Placement], ...]

    @property
    def lost(self) -> int:
        """Card-seconds of all moves together."""
        return sum(mover.lost for mover, _ in self.moves)


@dataclass(frozen=True, slots=True)
class Nowhere:
    """Why no move helps, in words that count."""

    message: str


def movers(rooms: Sequence[Room], gangs: Sequence[Gang | None], now: float) -> list[Mover]:
    """The movers of these rooms, each with what it would ask for (None: it may not move); costs at ``now``."""
    return [
        Mover(room, gang, preempt.lost(room.gang, room.cards, now))
        for room, gang in zip(rooms, gangs, strict=True)
        if gang is not None and len(room.at)
    ]


def search(
    late: Future,
    gang: Gang,
    option: Option,
    chosen: Sequence[Mover],
    *,
    present: Future | None = None,
    most: int | None = None,
    looks: int = LOOKS,
    scopes: int = SCOPES,
) -> Found | Nowhere:
    """The cheapest way found for the gang to fit ``late``, with at most ``most`` gangs moved.

    ``present`` is the room that movers may go to, where that is less than ``late`` (gangs that are still leaving hold
    theirs). Neither is changed.
    """
    return _Search(late, present or late, gang, option, chosen, most, looks, scopes).run()


class _Search:
    """One search; ``future`` is its own copy and changes back and forth."""

    __slots__ = (
        "best",
        "chosen",
        "future",
        "gang",
        "looks",
        "most",
        "option",
        "present",
        "prober",
        "scopes",
        "unlanded",
    )

    def __init__(
        self,
        late: Future,
        present: Future,
        gang: Gang,
        option: Option,
        chosen: Sequence[Mover],
        most: int | None,
        looks: int,
        scopes: int,
    ) -> None:
        self.gang, self.option = gang, option
        self.future, self.present = late.copy(), present
        self.prober = Prober(self.future, gang, option)
        self.chosen = sorted(chosen, key=lambda mover: (mover.lost, mover.room.cards, mover.key))
        self.most = len(chosen) if most is None else most
        self.looks, self.scopes = looks, scopes
        self.best: tuple[Cost, Found] | None = None
        self.unlanded = 0

    def run(self) -> Found | Nowhere:
        if self.prober.fits():
            self._simulate([], None)
            return self.best[1] if self.best is not None else Nowhere("it fits, but not in one piece")
        want, free = quota.cards_of(self.option), int(self.future.ground.free[self.prober.open(), CARDS].sum())
        if free < want:
            return Nowhere(f"{free} cards are free where it may run and it needs {want}: moving frees none")
        if not self.chosen:
            return Nowhere("no running gang may move")
        if not self.most:
            return Nowhere("no move is left in the budget")
        scopes = self._scopes()
        if not scopes:
            return Nowhere(f"it would not fit with all {len(self.chosen)} gangs gone that may move")
        for scope in scopes:
            near = [mover for mover in self.chosen if scope is None or scope[mover.room.at].any()]
            for order in self._orders(near, scope):
                self._reduce(order, scope)
            self._exact(near[:_NEAR], scope)
        if self.best is not None:
            return self.best[1]
        if self.unlanded:
            return Nowhere(f"the gangs that would have to move fit nowhere else ({self.unlanded} choices tried)")
        return Nowhere(f"no choice of at most {self.most} of {len(self.chosen)} gangs that may move makes room")

    def _scopes(self) -> list[Mask | None]:
        """Domains of the required level that hold the gang with every mover gone; those that lack least first."""
        level, open_ = self.prober.required(), self.prober.open()
        before = np.where(open_, self.prober.measure(), 0)
        every = [mover.room for mover in self.chosen]
        self.future.settle(every)
        found: list[Mask | None] = []
        if level < 0 and self.prober.fits():
            found.append(None)
        elif level >= 0:
            starts = self.future.ground.layout.starts[level][:-1]
            after = np.add.reduceat(np.where(open_, self.prober.measure(), 0), starts) if len(starts) else np.zeros(0)
            lack = np.maximum(self.prober.want - np.add.reduceat(before, starts), 0) if len(starts) else np.zeros(0)
            able = np.flatnonzero(after >= self.prober.want).tolist()
            masks = (self._domain(level, at) for at in sorted(able, key=lambda at: (lack[at], at)))
            found += itertools.islice((mask for mask in masks if self.prober.fits(mask)), self.scopes)
        self.future.settle(every, -1)
        return found

    def _domain(self, level: int, at: int) -> Mask:
        starts = self.future.ground.layout.starts[level]
        mask = np.zeros(self.future.ground.size, np.bool_)
        mask[starts[at] : starts[at + 1]] = True
        return mask

    def _orders(self, near: list[Mover], scope: Mask | None) -> list[list[Mover]]:
        """Orders in which gangs are let go: the cheapest, node by node, those that land most easily, the largest."""
        price = np.zeros(self.future.ground.size)
        for mover in near:
            price[mover.room.at] += mover.lost + 1
        if scope is not None:
            price[~scope] = np.inf

        def node(mover: Mover) -> tuple[float, int]:
            at = int(mover.room.at[int(price[mover.room.at].argmin())])
            return float(price[at]), at

        small = sorted(near, key=lambda mover: mover.room.cards)
        return [near, sorted(near, key=node), small, list(reversed(small))]

    def _reduce(self, order: Sequence[Mover], scope: Mask | None) -> None:
        """Let go in this order until the gang fits, take back whoever it does not need, and see where they land."""
        gone: list[Mover] = []
        for mover in order:
            self.future.free(mover.room)
            gone.append(mover)
            if self._enough(scope) and self.prober.fits(scope):
                break
        else:
            self.future.settle([mover.room for mover in gone], -1)
            return
        for mover in sorted(gone, key=lambda mover: (mover.lost, mover.room.cards), reverse=True):
            self.future.free(mover.room, -1)
            if self._enough(scope) and self.prober.fits(scope):
                gone.remove(mover)
            else:
                self.future.free(mover.room)
        if len(gone) <= self.most:
            self._simulate(gone, scope)
        self.future.settle([mover.room for mover in gone], -1)

    def _exact(self, near: Sequence[Mover], scope: Mask | None) -> None:
        """Every choice of a few gangs that costs less than the best so far, the cheapest first."""
        sizes = range(1, min(_EXACT, self.most) + 1)
        choices = [choice for size in sizes for choice in itertools.combinations(near, size)]
        for choice in sorted(choices, key=_cost):
            if self.looks <= 0 or (self.best is not None and _cost(choice) >= self.best[0]):
                return
            rooms = [mover.room for mover in choice]
            for room in rooms:
                self.future.free(room)
            if self._enough(scope):
                self.looks -= 1
                if self.prober.fits(scope):
                    self._simulate(choice, scope)
            for room in rooms:
                self.future.free(room, -1)

    def _enough(self, scope: Mask | None) -> bool:
        """False where the measure alone says that the gang does not fit."""
        inside = self.prober.open() if scope is None else self.prober.open() & scope
        return int(self.prober.measure(np.flatnonzero(inside)).sum()) >= self.prober.want

    def _simulate(self, gone: Sequence[Mover], scope: Mask | None) -> None:
        """See whether all land, and keep the way if it is the best so far."""
        way = landing.way(self.future, self.present, self.gang, self.option, gone, scope)
        if way is None:
            self.unlanded += 1
            return
        asked, landed = way
        inside = self.future.ground.fabrics is not None  # from one fabric of its node to another is a move as well
        moved = [(mover, landed[mover.key]) for mover in gone if inside or landing.moves(mover, landed[mover.key])]
        cost = _cost([mover for mover, _ in moved])
        if self.best is None or cost < self.best[0]:
            self.best = cost, Found(asked, tuple(moved))


def _cost(choice: Sequence[Mover]) -> Cost:
    return sum(mover.lost for mover in choice), len(choice), tuple(sorted(mover.key for mover in choice))
