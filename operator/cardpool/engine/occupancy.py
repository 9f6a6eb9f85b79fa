"""What each running gang holds of a ground: its seats, and the positions that it closes for others.

A gang's pods are looked up once, as long as they are the same; a node that is gone holds nothing. What the gang holds
is told in full even where the node has lost cards under it: the debt is the ground's matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, Option, Placement, Running
from cardpool.domain.inventory import CARDS, PODS
from cardpool.engine import fabrics
from cardpool.engine.attempt import Mask
from cardpool.engine.ground import Ground

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


def begun(gang: Gang, option: Option, placement: Placement, now: float) -> Running:
    """A gang that was placed just now, as one that runs from now on."""
    shapes = {shape.name: (shape.cards_per_pod, shape.requests) for shape in option.groups}
    return Running(
        key=gang.key,
        uid=gang.uid,
        team=gang.team,
        priority=gang.priority,
        profile=option.profile,
        pods=tuple((node, *shapes[part.group]) for part in placement.segments for node in part.nodes),
        started=now,
        ends=now + gang.runtime if gang.runtime is not None else None,
        exclusive=gang.topology.exclusive,
    )


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
