"""Where gangs that move land: new places for all of them at once, beside the gang that they make room for.

A mover finds room that is free now or that it leaves itself, and that nobody else is to have later: nobody waits for
anybody but the asked gang. Either everybody has a place or the answer is None; what is tried is tried on copies.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cardpool.domain.gangs import Gang, Option, Placement
from cardpool.engine import bundle, fabrics, place
from cardpool.engine.attempt import Attempt, Mask
from cardpool.engine.future import Future
from cardpool.engine.occupancy import Room
from cardpool.engine.probe import Prober

_FEW: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class Mover:
    """A running gang that may move: what it holds, what it would ask for, and what its restart loses.

    ``gang`` has one option, the profile that it runs on, and its nodes by rank in ``previous``.
    """

    room: Room
    gang: Gang
    lost: int

    @property
    def key(self) -> str:
        """The gang's key."""
        return self.gang.key


def way(
    late: Future, present: Future, gang: Gang, option: Option, gone: Sequence[Mover], scope: Mask | None
) -> tuple[Placement, dict[str, Placement]] | None:
    """Seats for everybody: the asked gang first, where others leave or anywhere; or last, when all have landed.

    ``late`` is the room with the movers gone, ``present`` what they may go to; the asked gang stays inside the scope.
    """
    left = np.zeros(late.ground.size, np.bool_)
    for mover in gone:
        left[mover.room.at] = True
    for home in (left if scope is None else left & scope, scope):
        after = late.copy()
        asked = _seat(after, gang, option, home)
        landed = next((landed for landed, _ in _land(after, present, gone, None)), None) if asked is not None else None
        if asked is not None and landed is not None:
            return asked, landed
    for found, rest in _land(late, present, gone, left):
        asked = _seat(rest, gang, option, scope)
        if asked is not None:
            return asked, found
    return None


def settle(ahead: Future, mover: Mover, placement: Placement) -> None:
    """The mover sits in its new place: its room there is taken."""
    ground, mark = ahead.ground, ahead.ground.snapshot()
    for shape in mover.gang.options[0].groups:
        need = ground.demand(shape)
        nodes = [node for segment in placement.segments if segment.group == shape.name for node in segment.nodes]
        if need is not None and nodes:
            ground.take(np.bincount([ground.position(node) for node in nodes], minlength=ground.size), need)
    ahead.note(mark)
    ahead.seat(placement)


def moves(mover: Mover, placement: Placement) -> bool:
    """True where this is not where the mover sits already."""
    return tuple(mover.gang.previous.get(rank) for rank in range(len(placement.nodes()))) != placement.nodes()


def _land(
    late: Future, present: Future, gone: Sequence[Mover], closed: Mask | None
) -> Iterator[tuple[dict[str, Placement], Future]]:
    """New places for all at once, and what is left then, for each order of asking in which all find one."""
    for order in _orders(gone):
        trial, now = late.copy(), present.copy()
        landed: dict[str, Placement] = {}
        for mover in order:
            placement = _put(trial, now, mover, closed)
            if placement is None:
                break
            landed[mover.key] = placement
        else:
            yield landed, trial


def _orders(gone: Sequence[Mover]) -> Iterator[Sequence[Mover]]:
    """Orders in which movers are asked: all for a few, else the largest first, and the narrowest demands first."""
    if len(gone) <= _FEW:
        yield from itertools.permutations(sorted(gone, key=lambda mover: -mover.room.cards))
        return
    large = sorted(gone, key=lambda mover: (-mover.room.cards, mover.key))
    yield large
    yield sorted(large, key=lambda mover: not mover.gang.topology.required)
    yield sorted(large, key=lambda mover: -max(group.cards_per_pod for group in mover.gang.options[0].groups))


def _seat(ahead: Future, gang: Gang, option: Option, scope: Mask | None) -> Placement | None:
    """The gang's place inside the scope, taken."""
    mark = ahead.ground.snapshot()
    attempt = Attempt(ahead.ground, gang, option)
    if not bundle.settle(attempt, Prober(ahead, gang, option).whole, scope):
        return None
    answer = place.placement(attempt)
    ahead.settled(mark, gang, answer)
    return answer


def _put(trial: Future, present: Future, mover: Mover, closed: Mask | None) -> Placement | None:
    """The mover's new place, taken from both: what is left beside the others, and what is free now or its own."""
    present.free(mover.room)
    room = np.minimum(trial.ground.free, present.ground.free)
    common = fabrics.beside(trial.ground.fabrics, [present.ground.fabrics])
    present.free(mover.room, -1)
    if closed is not None:
        room[closed] = 0
    option = mover.gang.options[0]
    for how in (place.keep, place.place):
        ground = trial.ground.copy()
        ground.put(np.arange(ground.size), room)
        ground.fabrics = common.copy() if common is not None else None
        mark = ground.snapshot()
        answer = how(ground, mover.gang, option)
        if isinstance(answer, Placement):
            taken = ground.taken(mark)
            trial.take(taken.at, taken.amounts, taken.fabrics)
            trial.seat(answer)
            beyond = np.zeros_like(room)
            beyond[taken.at] = taken.amounts
            beyond[mover.room.at] = np.maximum(beyond[mover.room.at] - mover.room.seats.amounts, 0)
            present.take(taken.at, beyond[taken.at], fabrics.beyond(taken.fabrics, mover.room.at, mover.room.fabrics))
            return answer
    return None
