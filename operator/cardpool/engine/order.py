"""The queue's order: higher priority first, then the team with the smaller share, then the older job, then the key.

Total, so equal worlds plan alike. A team's share is what it holds as the cycle goes on: each placement moves its next
gang back. Where borrowed quota is reclaimed from any priority, gangs inside their team's quota come before those that
would borrow: otherwise a gang that was taken down would take its room again before the one that it made room for.
Inside a team nobody passes, so one inside its quota comes after one of its team before it that would borrow
(``shadow``); only those that ask for more than their team can ever have hide nobody.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cardpool.domain.gangs import Gang, GroupShape, Running
from cardpool.domain.inventory import CARDS, Inventory
from cardpool.domain.teams import Reclaim
from cardpool.engine import elastic, quota, ways
from cardpool.engine.occupancy import Room
from cardpool.engine.quota import Ledger

Rank = tuple[bool, int, float, float, str]
Lane = tuple[str, bool]
_MIXES = 4
_FEW = 8


class Queue:
    """Gangs still to be asked, taken out one by one while the ledger changes."""

    __slots__ = ("_alone", "_capacity", "_heap", "_ledger", "_shadows", "_taken", "_teams")

    def __init__(self, gangs: Iterable[Gang], ledger: Ledger, capacity: Callable[[], Mapping[str, int]]) -> None:
        self._ledger, self._capacity = ledger, capacity
        self._teams: dict[Lane, deque[Gang]] = {}
        beyond = _Beyond(ledger)
        for gang in sorted(gangs, key=lambda gang: (-gang.priority, gang.created, gang.key)):
            self._teams.setdefault((gang.team, beyond.reach(gang)), deque()).append(gang)
        self._alone = len({team for team, _ in self._teams}) == 1
        self._shadows: dict[str, int] = {}
        self._heap: list[tuple[Rank, Lane]] = []
        self._taken: Lane | None = None
        for team in self._teams:
            self._push(team)

    def pop(self) -> Gang | None:
        """The next gang, after what was taken for the one before; None where none is left."""
        if self._taken is not None:
            self._push(self._taken)
        if not self._heap:
            return None
        rank, self._taken = heapq.heappop(self._heap)
        gang = self._teams[self._taken].popleft()
        borrows = _borrows(self._ledger, gang) if self._alone else rank[0]
        if borrows and not self._taken[1]:
            self._shadows[gang.team] = gang.priority
        return gang

    def overtaking(self, gang: Gang, teams: Iterable[str], books: Ledger, capacity: Mapping[str, int]) -> list[Gang]:
        """Those of these teams who are still to be asked, and would be before this gang if the teams held this little.

        ``gang`` is the one that was asked last; of each team only the first few.
        """
        shadow = self.shadow(gang)
        mine = _rank(books, gang, capacity)
        mine = mine if shadow is None else (True, -shadow, *mine[2:])
        waiting = [itertools.islice(self._teams.get((team, False), ()), _FEW) for team in dict.fromkeys(teams)]
        ranked = [(_rank(books, one, capacity), one) for few in waiting for one in few if one.team != gang.team]
        return [one for rank, one in sorted(ranked, key=lambda item: item[0]) if rank < mine]

    def shadow(self, gang: Gang) -> int | None:
        """The priority of the last one of its team, asked before this gang, that would borrow; None: nobody."""
        return self._shadows.get(gang.team)

    def _push(self, team: Lane) -> None:
        waiting = self._teams[team]
        if waiting:
            heapq.heappush(self._heap, (self._rank(waiting[0]), team))

    def _rank(self, gang: Gang) -> Rank:
        if self._alone:
            return False, -gang.priority, 0.0, gang.created, gang.key
        return _rank(self._ledger, gang, self._capacity())


def _rank(ledger: Ledger, gang: Gang, capacity: Mapping[str, int]) -> Rank:
    share = quota.share(ledger, gang.team, capacity)
    return _borrows(ledger, gang), -gang.priority, share, gang.created, gang.key


def _borrows(ledger: Ledger, gang: Gang) -> bool:
    """True where that counts, and the gang would be beyond its team's quota."""
    if ledger.rules.reclaim is not Reclaim.ANY:
        return False
    options = elastic.least(gang).options
    inside = any(ledger.inside(gang.team, option.profile, quota.cards_of(option)) for option in options)
    return not inside and not _mixes_inside(ledger, gang)


class _Beyond:
    """Who asks for more than its team can ever have, where that may hide those behind it."""

    __slots__ = ("_empty", "_known", "_looks")

    def __init__(self, ledger: Ledger) -> None:
        self._looks, self._empty = ledger.rules.reclaim is Reclaim.ANY, ledger.none()
        self._known: dict[tuple[str, str, int], bool] = {}

    def reach(self, gang: Gang) -> bool:
        """True where it is so for every option."""
        if not self._looks or gang.mix is not None or not gang.options:
            return False
        return all(
            self._beyond(gang.team, option.profile, quota.cards_of(option)) for option in elastic.least(gang).options
        )

    def _beyond(self, team: str, profile: str, cards: int) -> bool:
        key = team, profile, cards
        if key not in self._known:
            self._known[key] = self._empty.beyond(*key) is not None
        return self._known[key]


def outranks(ledger: Ledger, victim: Running, gang: Gang, shadow: int | None, capacity: Mapping[str, int]) -> bool:
    """True where a victim may be asked before the gang once it waits again; ``ledger`` without it.

    In doubt it is: where both are equal but for their age.
    """
    if victim.team == gang.team:
        return victim.priority >= gang.priority
    lanes = ledger.rules.reclaim is Reclaim.ANY
    mine = lanes and shadow is not None, -(shadow if lanes and shadow is not None else gang.priority)
    other = lanes and not _inside_again(ledger, victim), -victim.priority
    if mine != other:
        return other < mine
    return quota.share(ledger, victim.team, capacity) <= quota.share(ledger, gang.team, capacity)


def _inside_again(ledger: Ledger, victim: Running) -> bool:
    """True where a victim would be inside its team's quota, as it runs or on some profile that it accepts."""
    others = any(ledger.inside(victim.team, profile, cards) for profile, cards in victim.accepts)
    return others or ledger.within(victim.team, victim.shares())


def behind(gang: Gang, shadow: int | None, rooms: Sequence[Room]) -> Sequence[Room]:
    """The rooms of those whose leaving serves the gang though one of its team would borrow before it (``shadow``)."""
    if shadow is None:
        return rooms
    return [room for room in rooms if room.gang.team == gang.team or room.gang.priority < shadow]


def capacities(inventory: Inventory) -> Mapping[str, int]:
    """Cards of each profile."""
    found = inventory.memo.cards
    if not found:
        known = inventory.profile >= 0
        sums = np.bincount(
            inventory.profile[known], weights=inventory.capacity[known, CARDS], minlength=len(inventory.profiles)
        )
        found.update((name, int(amount)) for name, amount in zip(inventory.profiles, sums.tolist(), strict=True))
    return found


def likeness(gang: Gang) -> Hashable:
    """Equal for gangs that ask for the same under the same conditions."""
    options = tuple((option.profile, tuple(_shape(shape) for shape in option.groups)) for option in gang.options)
    past = _items(gang.previous), _items(gang.excluded), gang.repair
    return options, _mixed(gang), gang.topology, past


def _mixes_inside(ledger: Ledger, gang: Gang) -> bool:
    """True where one of the gang's first mixes stays inside its team's nominal quota."""
    alone = [option.profile for option in gang.options]
    some = itertools.islice(ways.in_order(gang.mix, alone), _MIXES) if gang.mix is not None else ()
    return any(ledger.within(gang.team, ways.shares(way)) for way in some)


def _mixed(gang: Gang) -> Hashable:
    mix = gang.mix
    if mix is None:
        return None
    groups = tuple(tuple(_shape(shape) if shape is not None else None for shape in shapes) for shapes in mix.groups)
    return mix.profiles, groups, mix.within


def _items(values: Mapping[Any, Any]) -> Hashable:
    return tuple(sorted(values.items())) if values else ()


def _shape(shape: GroupShape) -> Hashable:
    needs = _items(shape.requests)
    size = shape.replicas, shape.min_replicas
    return shape.name, size, shape.cards_per_pod, needs, shape.tolerations, shape.nodes, shape.topology
