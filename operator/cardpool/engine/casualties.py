"""The search for victims: the cheapest running gangs that have to go so that a waiting one fits.

Least work lost first (``preempt.lost``), then fewest gangs, then the lower priorities. Gangs are let go in several
orders until the preemptor fits, then everyone is taken back whom it does not need: what is left is irreducible. Nothing
is chosen where nothing helps. A gang that shares no node is worth the same whoever else is gone, so it is only counted
until the question is whether the preemptor fits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, Option
from cardpool.engine import preempt, quota
from cardpool.engine.attempt import Mask
from cardpool.engine.future import Future
from cardpool.engine.occupancy import Room
from cardpool.engine.probe import Prober
from cardpool.engine.quota import Ledger

_SCOPES = 3
Cost = tuple[int, int, int, tuple[str, ...]]


def search(
    late: Future, gang: Gang, option: Option, chosen: Sequence[Room], ledger: Ledger, now: float
) -> list[Room] | None:
    """The gangs to take down so that this one fits ``late`` and its quota; None where no choice helps."""
    return _Search(late, gang, option, chosen, ledger, now).run()


class _Search:
    """One search; ``future`` and ``ledger`` are its own copies and change back and forth."""

    __slots__ = (
        "cards",
        "costs",
        "delta",
        "future",
        "gang",
        "ledger",
        "now",
        "option",
        "order",
        "prober",
        "rooms",
        "sole",
        "want_quota",
    )

    def __init__(
        self, late: Future, gang: Gang, option: Option, rooms: Sequence[Room], ledger: Ledger, now: float
    ) -> None:
        self.gang, self.option, self.now = gang, option, now
        self.future, self.ledger = late.copy(), ledger.copy()
        self.prober = Prober(self.future, gang, option)
        self.costs = {room.gang.uid: preempt.lost(room.gang, room.cards, now) for room in rooms}
        self.order = {
            room.gang.uid: (self.costs[room.gang.uid], room.gang.priority, -room.gang.started, room.gang.key)
            for room in rooms
        }
        self.rooms = sorted(rooms, key=self._dear)
        self.cards = quota.cards_of(option)
        self.sole: list[Room] = []
        self.delta = np.zeros(0, np.int64)
        self.want_quota = not self._quota()

    def run(self) -> list[Room] | None:
        """The cheapest of the choices that were found."""
        every = [room for room in self.rooms if self._lets_go(room)]
        self.future.settle(every)
        feasible = self._quota() and self.prober.fits()
        scopes = self._scopes(every) if feasible else []
        full = self.prober.measure().copy()
        self._bring_back(every)
        if scopes:
            self.delta, self.sole = full - self.prober.measure(), _sole(every, self.rooms, len(full))
        best: tuple[Cost, list[Room]] | None = None
        for scope in scopes:
            for order in self._orders(scope, full):
                found = self._reduce(order, scope)
                if found is not None and (best is None or self._cost(found) < best[0]):
                    best = self._cost(found), found
        return best[1] if best is not None else None

    def _dear(self, room: Room) -> tuple[int, int, float, str]:
        """Cheapest first: work lost, priority, the youngest, the key."""
        return self.order[room.gang.uid]

    def _cost(self, chosen: Sequence[Room]) -> Cost:
        total = sum(self.costs[room.gang.uid] for room in chosen)
        highest = max((room.gang.priority for room in chosen), default=0)
        return total, len(chosen), highest, tuple(sorted(room.gang.key for room in chosen))

    def _quota(self) -> bool:
        return self.ledger.beyond(self.gang.team, self.option.profile, self.cards) is None

    def _lets_go(self, room: Room) -> bool:
        """Take the gang off the ledger, unless it belongs to another team that has no more than its quota."""
        victim = room.gang
        if victim.team != self.gang.team and not self.ledger.beyond_guarantee(victim):
            return False
        self.ledger.hold(victim.team, room.shares, -1)
        return True

    def _bring_back(self, chosen: Sequence[Room]) -> None:
        self.future.settle(chosen, -1)
        for room in chosen:
            self.ledger.hold(room.gang.team, room.shares)

    def _scopes(self, every: Sequence[Room]) -> list[Mask | None]:
        """Domains of the required level that hold the gang with all gone, those that need least first."""
        level = self.prober.required()
        if level < 0:
            return [None]
        ground = self.future.ground
        starts = ground.layout.starts[level]
        open_ = self.prober.open()
        after = np.add.reduceat(np.where(open_, self.prober.measure(), 0), starts[:-1])
        self._bring_back(every)
        before = np.add.reduceat(np.where(open_, self.prober.measure(), 0), starts[:-1])
        self.future.settle(every)
        for room in every:
            self.ledger.hold(room.gang.team, room.shares, -1)
        able = np.flatnonzero(after >= self.prober.want)
        costs = np.zeros(len(starts) - 1)
        for room in every:
            homes = np.unique(np.searchsorted(starts, room.at, side="right") - 1)
            costs[homes] += self.costs[room.gang.uid] / len(homes)
        short = np.maximum(self.prober.want - before, 0) / np.maximum(after - before, 1)
        ranked = sorted(able.tolist(), key=lambda at: (costs[at] * short[at], short[at], at))
        found: list[Mask | None] = []
        for at in ranked:
            mask = np.zeros(ground.size, np.bool_)
            mask[starts[at] : starts[at + 1]] = True
            if self.prober.fits(mask):
                found.append(mask)
            if len(found) == _SCOPES:
                break
        return found

    def _orders(self, scope: Mask | None, full: NDArray[np.int64]) -> list[list[Room]]:
        """Orders in which gangs are let go: the cheapest, node by node, the largest."""
        near = self.rooms
        if scope is not None and not self.want_quota:
            near = [room for room in near if scope[room.at].any()]
        gain = full - self.prober.measure()
        price = np.zeros(len(full))
        for room in near:
            price[room.at] += self.costs[room.gang.uid]
        density = np.where(gain > 0, price / np.maximum(gain, 1), math.inf)
        if scope is not None:
            density[~scope] = math.inf

        def node(room: Room) -> tuple[float, int, tuple[int, int, float, str]]:
            if not len(room.at):
                return math.inf, 0, self._dear(room)
            at = int(room.at[int(density[room.at].argmin())])
            return float(density[at]), at, self._dear(room)

        largest = sorted(near, key=lambda room: (-room.cards, self._dear(room)))
        return [near, sorted(near, key=node), largest]

    def _reduce(self, order: Sequence[Room], scope: Mask | None) -> list[Room] | None:
        """Let go in this order until the gang fits, then take back whoever is not needed, the dearest first."""
        inside = self.prober.open() if scope is None else self.prober.open() & scope
        worth = self.prober.measure() * inside
        gains = self._gains(inside)
        total = int(worth.sum())
        gone: list[Room] = []
        late: list[Room] = []
        fits, test, step = False, 0, 1
        for room in order:
            if not self._lets_go(room):
                continue
            gone.append(room)
            if room.gang.uid in gains:
                total += gains[room.gang.uid]
                late.append(room)
            else:
                self.future.free(room)
                total += self._change(room, worth, inside)
            if total >= self.prober.want and len(gone) >= test and self._quota():
                fits = self._fits(late, scope)
                if fits:
                    break
                test, step = len(gone) + step, 2 * step
        if not fits:
            fits = total >= self.prober.want and self._quota() and self._fits(late, scope)
        kept = self._needed(gone, total, gains, worth, inside, scope) if fits else gone
        self.future.settle(late)
        self._bring_back(kept)
        return kept if fits else None

    def _needed(
        self,
        gone: Sequence[Room],
        total: int,
        gains: Mapping[str, int],
        worth: NDArray[np.int64],
        inside: Mask,
        scope: Mask | None,
    ) -> list[Room]:
        """Those of the gone without whom the gang would not fit, after the dearest that it can do without came back."""
        kept = list(gone)
        for room in sorted(gone, key=self._dear, reverse=True):
            gain = gains.get(room.gang.uid)
            if gain is not None and total - gain < self.prober.want:
                continue
            self.future.free(room, -1)
            self.ledger.hold(room.gang.team, room.shares)
            now = total - gain if gain is not None else total + self._change(room, worth, inside)
            if now >= self.prober.want and self._quota() and self.prober.fits(scope):
                total = now
                kept.remove(room)
                continue
            self.future.free(room)
            self.ledger.hold(room.gang.team, room.shares, -1)
            if gain is None:
                self._change(room, worth, inside)
        return kept

    def _fits(self, late: list[Room], scope: Mask | None) -> bool:
        """True where the gang fits once those have left, too, who were only counted so far."""
        self.future.settle(late)
        late.clear()
        return self.prober.fits(scope)

    def _gains(self, inside: Mask) -> Mapping[str, int]:
        """By how much the measure rises with each that shares no node: the same whoever else is gone."""
        rooms = [room for room in self.sole if len(room.at)]
        if not rooms:
            return {}
        ends = np.cumsum([len(room.at) for room in rooms])
        where = np.concatenate([room.at for room in rooms])
        sums = np.add.reduceat((self.delta * inside)[where], ends - [len(room.at) for room in rooms])
        return {room.gang.uid: gain for room, gain in zip(rooms, sums.tolist(), strict=True)}

    def _change(self, room: Room, worth: NDArray[np.int64], inside: Mask) -> int:
        """By how much the measure of a gang's positions has changed since it was last looked at; ``worth`` follows."""
        now = self.prober.measure(room.at) * inside[room.at]
        change = int(now.sum() - worth[room.at].sum())
        worth[room.at] = now
        return change


def _sole(rooms: Sequence[Room], every: Sequence[Room], size: int) -> list[Room]:
    """Those that share none of their positions with anybody of ``every``."""
    holders = np.zeros(size, np.int64)
    for room in every:
        holders[room.at] += 1
    return [room for room in rooms if (holders[room.at] == 1).all()]
