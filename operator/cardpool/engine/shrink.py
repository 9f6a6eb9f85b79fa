"""Elastic gangs that make room by coming back smaller: tried before anybody is taken down for good.

Each goes whole and is tried out to fit again, at a legal smaller size, beside the gang that it makes room for and the
others that shrink. The first of the cheapest that suffice together are taken, then the dearest that are not needed
stay. What is lost counts as for any victim.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cardpool.domain.gangs import Gang, Option, Placement, Running
from cardpool.domain.inventory import CARDS
from cardpool.engine import elastic, preempt, quota
from cardpool.engine.future import Future
from cardpool.engine.ground import Ground
from cardpool.engine.occupancy import Room
from cardpool.engine.quota import Ledger

_MOST: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """A gang that may shrink, with what it asks for when it comes back."""

    room: Room
    gang: Gang
    option: Option
    scale: elastic.Scale
    pods: int

    def cards(self, pods: int) -> int:
        """Cards of so many pods."""
        size = self.scale.size(pods)
        return sum(number * shape.cards_per_pod for number, shape in zip(size, self.option.groups, strict=True))

    def spare(self) -> int:
        """Cards that it can do without."""
        return self.room.cards - self.cards(self.scale.lowest)


def search(
    late: Future, gang: Gang, option: Option, chosen: Sequence[Room], ledger: Ledger, now: float
) -> list[tuple[Room, int]] | None:
    """Who shrinks so that this gang fits, each with the pods that it comes back with; None where that does not help."""
    members = sorted(_members(chosen), key=lambda one: _dear(one, now))[:_MOST]
    trial = _Trial(late, gang, option, ledger)
    for number in range(1, len(members) + 1):
        found = members[:number]
        if trial.beside(found) is None:
            continue
        for one in reversed(found[:-1]):
            fewer = [other for other in found if other is not one]
            if trial.beside(fewer) is not None:
                found = fewer
        return [(one.room, pods) for one, pods in zip(found, trial.sizes(found), strict=True)]
    return None


def _members(rooms: Sequence[Room]) -> list[_Member]:
    """Those of the rooms whose gangs have a legal size below their present one."""
    found = []
    for room in rooms:
        wish = room.gang.elastic
        if wish is None or room.gang.mixed:
            continue
        option = wish.gang.options[0]
        scale = elastic.scale(wish.gang.topology, option)
        if scale is not None and scale.lowest < len(room.gang.pods):
            found.append(_Member(room, wish.gang, option, scale, len(room.gang.pods)))
    return found


def _dear(one: _Member, now: float) -> tuple[int, int, float, str]:
    """Least work lost first, then the lower priority, the youngest, the key."""
    gang = one.room.gang
    return preempt.lost(gang, one.room.cards, now), gang.priority, -gang.started, gang.key


class _Trial:
    """Tries choices for one preemptor; nothing of what was handed in changes."""

    def __init__(self, late: Future, gang: Gang, option: Option, ledger: Ledger) -> None:
        self.late, self.gang, self.option, self.ledger = late, gang, option, ledger
        self.short = quota.cards_of(option) - int(late.ground.free[:, CARDS].sum())

    def beside(self, members: Sequence[_Member]) -> tuple[Ground, Ledger] | None:
        """The room and the quota beside the gang, None where it does not fit or not all come back at their least."""
        if self.short > sum(one.spare() for one in members):
            return None
        ledger = self.ledger.copy()
        for one in members:
            victim = one.room.gang
            if victim.team != self.gang.team and not ledger.beyond_guarantee(victim):
                return None
            ledger.hold(victim.team, one.room.shares, -1)
        cards = quota.cards_of(self.option)
        if ledger.beyond(self.gang.team, self.option.profile, cards) is not None:
            return None
        later = self.late.copy()
        later.settle([one.room for one in members])
        if not isinstance(later.place(self.gang, self.option), Placement):
            return None
        ledger.take(self.gang.team, self.option.profile, cards)
        least = [one.scale.lowest for one in members]
        return (later.ground, ledger) if _all_fit(later.ground, ledger, members, least) else None

    def sizes(self, members: Sequence[_Member]) -> list[int]:
        """The pods with which each comes back: one after the other as many as fit, the later ones at their least."""
        found = [one.scale.lowest for one in members]
        room = self.beside(members)
        for number, one in enumerate(members) if room is not None else ():
            low, high = 0, bisect.bisect_right(one.scale.totals, one.pods)
            while room is not None and high - low > 1:
                middle = (low + high) // 2
                tried = [*found[:number], one.scale.totals[middle], *found[number + 1 :]]
                if _all_fit(*room, members, tried):
                    low = middle
                else:
                    high = middle
            found[number] = one.scale.totals[low]
        return found


def _all_fit(ground: Ground, ledger: Ledger, members: Sequence[_Member], sizes: Sequence[int]) -> bool:
    """True where all come back with these sizes, one after the other; nothing stays taken."""
    mark, books = ground.snapshot(), ledger.copy()
    fits = True
    for one, pods in zip(members, sizes, strict=True):
        cards = one.cards(pods)
        if books.beyond(one.gang.team, one.option.profile, cards) is not None:
            fits = False
            break
        books.take(one.gang.team, one.option.profile, cards)
        answer = elastic.exactly(ground, one.gang, one.option, pods)
        if not isinstance(answer, Placement):
            fits = False
            break
    ground.restore(mark)
    return fits


def words(victim: Running, pods: int | None) -> str:
    """What becomes of a victim that comes back with so many pods, for people; nothing where nobody can know."""
    if pods is None:
        return ""
    had = len(victim.pods)
    return f"; shrinks from {had} to {pods} pods" if pods < had else f"; comes back elsewhere with all {had} pods"
