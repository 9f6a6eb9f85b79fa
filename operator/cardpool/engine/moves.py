"""Moves within a pool's policy: who may move now, the cheapest way to make room for one gang, and the moves made.

Nobody moves where enough are going already, beyond the budget, twice within its rest, or for a gang that enough cards
are not free for: a move frees none. A look at a large pool is costly, so there is one in a cycle, small, and a gang for
which it found nothing is left alone for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from cardpool.domain.gangs import Gang, Move, Option, Placement
from cardpool.domain.inventory import CARDS
from cardpool.domain.teams import Moving
from cardpool.engine import defrag, future, landing, preempt, quota
from cardpool.engine.defrag import Found
from cardpool.engine.future import Future
from cardpool.engine.landing import Mover
from cardpool.engine.occupancy import Room
from cardpool.engine.outlook import Outlook
from cardpool.engine.probe import Prober
from cardpool.names import Reason

VAIN: Final = 30.0
SCATTERED: Final = frozenset({Reason.INSUFFICIENT_CARDS, Reason.TOPOLOGY_UNFIT})
_LOOKS: Final = 200
_SCOPES: Final = 3
Moves = Sequence[tuple[Mover, Placement]]


def ahead(view: Outlook) -> Future:
    """The room once those are gone that are going for good."""
    late, back = view.late(), view.returning()
    if back:
        late = late.copy()
        late.settle(back, -1)
    return late


def coming(view: Outlook, gang: Gang, option: Option) -> bool:
    """True where the gang fits as soon as those are gone that are going for another."""
    going = any(room.gang.preempted for room in view.rooms()) or bool(view.gone)
    return going and Prober(ahead(view), gang, option).fits()


def scattered(view: Outlook, option: Option) -> bool:
    """True where enough cards are free for the gang, wherever they are."""
    return int(ahead(view).ground.free[:, CARDS].sum()) >= quota.cards_of(option)


def find(view: Outlook, gang: Gang, option: Option, moving: Moving, left: int, min_runtime: float) -> Moves | None:
    """The cheapest moves found that make room for the gang; None where there are none."""
    may = [room for room in view.rooms() if _may(view, room, moving, min_runtime)]
    movers = defrag.movers(may, [moving.wish(room.gang.key) for room in may], view.now)
    present = Future(view.ground, tracked=view.tracked)
    found = defrag.search(ahead(view), gang, option, movers, present=present, most=left, looks=_LOOKS, scopes=_SCOPES)
    return found.moves if isinstance(found, Found) and found.moves else None


def shift(view: Outlook, moves: Moves, gang: Gang | None, option: Option) -> Placement | None:
    """Let gangs move, and keep what they leave for this gang; None, and nobody moved, where it has no place then.

    Nobody else gets a card of their new nodes in this cycle. Without a gang nothing is kept: an empty placement.
    """
    late, back, rooms, ground = view.late().copy(), view.returning(), [mover.room for mover, _ in moves], view.ground
    late.settle(back, -1)
    late.settle(rooms)
    for mover, placement in moves:
        landing.settle(late, mover, placement)
    answer = late.place(gang, option) if gang is not None else Placement("", option.profile, ())
    if not isinstance(answer, Placement):
        return None
    late.settle(back)
    closed = np.zeros(ground.size, np.bool_)
    for _, placement in moves:
        closed[future.positions(ground, placement)] = True
    at = np.flatnonzero(closed)
    ground.put(at, np.zeros_like(ground.free[at]))
    if ground.fabrics is not None:
        ground.fabrics.shut(closed)
    view.follow(late, [room.gang.uid for room in rooms], gang)
    return answer


def _may(view: Outlook, room: Room, moving: Moving, min_runtime: float) -> bool:
    """What the policy says of one gang; what the gang itself says is told by its wish."""
    gang = room.gang
    if gang.leaving or gang.uid in view.gone or gang.uid in moving.resting or gang.exclusive:
        return False
    if view.now < gang.started + min_runtime:
        return False
    if moving.most_lost is None:
        return gang.checkpoint > 0
    return preempt.lost(gang, room.cards, view.now) <= moving.most_lost


def told(moves: Moves, by: str, what: str) -> list[Move]:
    """The moves as they leave the planner; ``what`` is for whom or for what they are, in words."""
    found = []
    for mover, placement in moves:
        nodes = len(set(placement.nodes()))
        text = (
            f"moved to {nodes} nodes, to make room for {what}; {mover.lost} card-seconds since the last checkpoint "
            "or the start"
        )
        found.append(Move(mover.key, by, placement, mover.lost, text))
    return found
