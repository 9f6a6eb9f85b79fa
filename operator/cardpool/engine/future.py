"""A ground as it will be once some gangs are gone.

Freed room pays a node's debt first: a node that lost cards under a gang does not get them back by the gang's leaving.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, Option, Placement, Refusal
from cardpool.domain.inventory import CARDS
from cardpool.engine import fabrics, occupancy, place
from cardpool.engine.attempt import Mask
from cardpool.engine.ground import Ground, Snapshot
from cardpool.engine.occupancy import Room
from cardpool.engine.shelf import Positions


class Future:
    """``ground`` after some gangs left; ``raw`` is its free room with debts as negative amounts."""

    __slots__ = ("ground", "raw", "tracked")

    def __init__(self, ground: Ground, *, tracked: bool) -> None:
        self.ground = ground.copy()
        self.raw = ground.free - ground.debt
        self.tracked = tracked

    def copy(self) -> Future:
        """The same, to try something on."""
        other = Future(self.ground, tracked=self.tracked)
        other.raw = self.raw.copy(order="K")
        return other

    def without(self, back: Sequence[Room]) -> Future:
        """The same where some that were to be gone stay."""
        other = self.copy()
        other.settle(back, -1)
        return other

    def free(self, room: Room, sign: int = 1) -> None:
        """The gang is gone (sign -1: it is back)."""
        self._add(room.at, sign * room.seats.amounts)
        self._release((room,), sign)
        if self.tracked:
            occupancy.occupy(self.ground, room, -sign)

    def settle(self, chosen: Sequence[Room], sign: int = 1) -> None:
        """Many are gone (sign -1: back) at once."""
        if not chosen:
            return
        where = np.concatenate([room.at for room in chosen])
        at, back = np.unique(where, return_inverse=True)
        amounts = np.zeros((len(at), self.raw.shape[1]), np.int64)
        np.add.at(amounts, back, sign * np.concatenate([room.seats.amounts for room in chosen]))
        self._add(at, amounts)
        self._release(chosen, sign)
        for room in chosen if self.tracked else ():
            occupancy.occupy(self.ground, room, -sign)

    def _release(self, chosen: Sequence[Room], sign: int) -> None:
        """Their cards are back in the fabrics in which they lie (sign -1: held again)."""
        if self.ground.fabrics is not None:
            for room in chosen:
                if room.fabrics is not None:
                    self.ground.fabrics.release(room.at, room.fabrics, sign)

    def take(self, at: Positions, amounts: NDArray[np.int64], of_fabrics: fabrics.State | None = None) -> None:
        """So much is taken at these positions, each named once."""
        self._add(at, -amounts)
        if self.ground.fabrics is not None and of_fabrics is not None:
            self.ground.fabrics.lose(of_fabrics)

    def shut(self, mask: Mask) -> None:
        """Nothing is left at these positions for anybody."""
        at = np.flatnonzero(mask)
        self.raw[at] = np.minimum(self.raw[at], 0)
        self.ground.put(at, np.zeros_like(self.raw[at]))
        if self.ground.fabrics is not None:
            self.ground.fabrics.shut(mask)

    def place(self, gang: Gang, option: Option) -> Placement | Refusal:
        """The gang's place in it, taken; where it wants a domain for itself nothing of that is left."""
        mark = self.ground.snapshot()
        answer = place.place(self.ground, gang, option)
        if isinstance(answer, Placement):
            self.settled(mark, gang, answer)
        return answer

    def settled(self, mark: Snapshot, gang: Gang, placement: Placement) -> None:
        """The gang has its place, taken since; nothing is left of a domain that it wants for itself."""
        self.note(mark)
        self.seat(placement)
        closes = alone(self.ground, gang, placement)
        if closes is not None:
            self.shut(closes)

    def seat(self, placement: Placement) -> None:
        """A gang will sit there: nobody may have a domain of that for itself."""
        if self.tracked:
            self.ground.held[positions(self.ground, placement)] += 1

    def note(self, mark: Snapshot) -> None:
        """What was taken of the ground since is gone for good."""
        taken = self.ground.taken(mark)
        self.raw[taken.at] -= taken.amounts

    def _add(self, at: Positions, amounts: NDArray[np.int64]) -> None:
        """So much more (less, where negative) at these positions, each named once.

        A node of which every card is free again is no longer busy: what is promised on it is what it will be given.
        """
        found = self.raw[at] + amounts
        self.raw[at] = found
        whole = self.ground.inventory.capacity[self.ground.layout.rows[at], CARDS]
        busy = (found[:, CARDS] < whole) & (self.ground.busy[at] | (amounts[:, CARDS] < 0))
        self.ground.put(at, np.maximum(found, 0), busy)


def positions(ground: Ground, placement: Placement) -> NDArray[np.intp]:
    """Where a placement's nodes stand, each once."""
    return np.array(sorted({ground.position(node) for node in placement.nodes()}), np.intp)


def alone(ground: Ground, gang: Gang, placement: Placement) -> Mask | None:
    """The positions of the domains that the gang has for itself, placed like this; None where it wants none."""
    if not gang.topology.exclusive:
        return None
    level = ground.inventory.trees[ground.profile].names().index(gang.topology.exclusive)
    return ground.around(level, positions(ground, placement))
