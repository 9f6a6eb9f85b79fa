"""A ground as it will be once some gangs are gone, and what each running gang holds of it.

Freed room pays a node's debt first: a node that lost cards under a gang does not get them back by the gang's leaving.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, Option, Placement, Refusal, Running
from cardpool.domain.inventory import CARDS, PODS
from cardpool.engine import bundle, demand, fabrics, fit, pack, parts, place
from cardpool.engine.attempt import Attempt, Mask
from cardpool.engine.ground import Ground, Snapshot
from cardpool.engine.parts import Part, Run
from cardpool.engine.shelf import Positions

_KEPT: Final = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Seats:
    """Positions that some pods hold, the amounts there (one row each), and the number of pods there."""

    at: NDArray[np.intp]
    amounts: NDArray[np.int64]
    pods: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """What one gang holds, ``cards`` everywhere together, and the positions that it closes for others.

    ``shares`` are the cards by profile; a gang of several profiles has a room on each, and goes from all at once.
    ``fabrics`` is what its leaving frees of them at each position, None where the profile says nothing of fabrics.
    """

    gang: Running
    cards: int
    shares: tuple[tuple[str, int], ...]
    seats: Seats
    closes: Mask | None
    fabrics: fabrics.State | None = None

    @property
    def at(self) -> NDArray[np.intp]:
        """Its positions."""
        return self.seats.at


def rooms(ground: Ground, running: Iterable[Running]) -> list[Room]:
    """The rooms of the gangs that run on this ground's profile; what they hold is looked up once."""
    inventory, memo = ground.inventory, ground.inventory.memo.rooms
    profile, names = inventory.profiles[ground.profile], inventory.trees[ground.profile].names()
    found = []
    if len(memo) > _KEPT:
        memo.clear()
    for gang in running:
        if not gang.on(profile) or not gang.pods:
            continue
        key = id(gang.pods), ground.profile
        kept = memo.get(key)
        if kept is None or kept[0] is not gang.pods or not isinstance(kept[1], Seats):
            kept = memo[key] = gang.pods, _seats(ground, gang)
        seats = cast("Seats", kept[1])
        closes = None
        if gang.exclusive in names and len(seats.at):
            closes = ground.around(names.index(gang.exclusive), seats.at)
        cards, own = gang.cards(), ground.fabrics
        freed = own.frees(gang.uid, seats.at, seats.amounts[:, CARDS]) if own is not None else None
        found.append(Room(gang, cards, gang.mixed or ((gang.profile, cards),), seats, closes, freed))
    return found


def _seats(ground: Ground, gang: Running) -> Seats:
    """The gang's pods by position; a node that is gone, or of another profile, holds nothing here."""
    places: dict[int, int] = {}
    needs: dict[tuple[int, int], NDArray[np.int64]] = {}
    rows: list[NDArray[np.int64]] = []
    counts: list[int] = []
    for node, cards, requests in gang.pods:
        position = ground.position(node)
        if position < 0:
            continue
        need = needs.get((cards, id(requests)))
        if need is None:
            need = needs[cards, id(requests)] = _need(ground, cards, requests.items())
        place_ = places.setdefault(position, len(rows))
        if place_ == len(rows):
            rows.append(need.copy())
            counts.append(1)
        else:
            rows[place_] += need
            counts[place_] += 1
    amounts = np.array(rows, np.int64) if rows else np.zeros((0, len(ground.columns)), np.int64)
    return Seats(np.fromiter(places, np.intp, len(places)), amounts, np.array(counts, np.int64))


def _need(ground: Ground, cards: int, requests: Iterable[tuple[str, int]]) -> NDArray[np.int64]:
    need = np.zeros(len(ground.columns), np.int64)
    for resource, amount in requests:
        column = ground.columns.get(resource, -1)
        if column > PODS:
            need[column] = amount
    need[CARDS], need[PODS] = cards, 1
    return need


def occupy(ground: Ground, room: Room, sign: int = 1) -> None:
    """Count the gang where it sits, for those who want a domain for themselves."""
    ground.held[room.at] += sign * room.seats.pods
    if room.closes is not None:
        ground.closed[room.closes] += sign


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
            occupy(self.ground, room, -sign)

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
            occupy(self.ground, room, -sign)

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
            self.note(mark)
            if gang.topology.exclusive:
                level = self.ground.inventory.trees[self.ground.profile].names().index(gang.topology.exclusive)
                self.shut(self.ground.around(level, positions(self.ground, answer)))
        return answer

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


class Prober:
    """Asks again and again whether a gang fits a future that changes; ``measure`` bounds it from above, cheaply.

    The measure is the pods that the open nodes hold for a gang of one shape, else their free cards; the gang fits only
    where it reaches ``want``.
    """

    __slots__ = ("attempt", "future", "gang", "option", "want", "whole")

    def __init__(self, future: Future, gang: Gang, option: Option) -> None:
        self.future, self.gang, self.option = future, gang, option
        self.attempt = Attempt(future.ground, gang, option)
        self.whole = parts.cut(self.attempt.tree, gang.topology, option.groups)
        one = isinstance(self.whole, Run)
        cards = sum(group.replicas * group.cards_per_pod for group in option.groups)
        self.want = option.groups[0].replicas if one else cards

    def fits(self, scope: Mask | None = None) -> bool:
        """True where the gang would have a place inside the scope; nothing is taken."""
        if self.future.tracked:
            self.attempt = Attempt(self.future.ground, self.gang, self.option)
        return _fits(self.attempt, self.whole, scope)

    def open(self) -> Mask:
        """Positions that some group may use."""
        masks = self.attempt.open
        return masks[0] if len(masks) == 1 else np.logical_or.reduce(masks)

    def measure(self, at: NDArray[np.intp] | None = None) -> NDArray[np.int64]:
        """The measure of these positions (of all), closed ones included."""
        ground = self.future.ground
        if not isinstance(self.whole, Run):
            return ground.free[:, CARDS] if at is None else ground.free[at, CARDS]
        need = self.attempt.fits[0].need
        if need is None:
            return np.zeros(ground.size if at is None else len(at), np.int64)
        return fit.room(ground, need, at)

    def required(self) -> int:
        """The level of which one domain must hold the gang, -1 for none."""
        return self.whole.demand.required if isinstance(self.whole, Run) else self.whole.required


def fits(ground: Ground, gang: Gang, option: Option) -> bool:
    """True where the gang would have a place on the ground as it is; nothing is taken."""
    attempt = Attempt(ground, gang, option)
    return _fits(attempt, parts.cut(attempt.tree, gang.topology, option.groups), None)


def _fits(attempt: Attempt, whole: Part, scope: Mask | None) -> bool:
    if isinstance(whole, Run):
        if attempt.fits[whole.group].need is None:
            return False
        built = attempt.capacities(whole.group, whole.demand, scope)
        return pack.best(built, whole.demand.required)[0] >= whole.pods
    marks = attempt.marks()
    found = bundle.settle(attempt, whole, scope)
    attempt.undo(marks)
    return found


def sound(ground: Ground, gang: Gang, option: Option) -> bool:
    """True where the gang's demands can be meant on this ground."""
    tree = ground.inventory.trees[ground.profile]
    return (demand.check(tree, gang.topology, option.groups) or fabrics.fault(ground.fabrics, option)) is None
