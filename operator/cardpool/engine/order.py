"""The queue's order: higher priority first, then the team with the smaller share, then the older job, then the key.

Total, so equal worlds plan alike. A team's share is what it holds as the cycle goes on: each placement moves its next
gang back. Where borrowed quota is reclaimed from any priority, gangs inside their team's quota come before those that
would borrow: otherwise a gang that was taken down would take its room again before the one that it made room for.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from cardpool.domain.gangs import Gang, GroupShape
from cardpool.domain.inventory import CARDS, Inventory
from cardpool.domain.teams import Reclaim
from cardpool.engine import elastic, quota, ways
from cardpool.engine.quota import Ledger

Rank = tuple[bool, int, float, float, str]
_MIXES = 4


class Queue:
    """Gangs still to be asked, taken out one by one while the ledger changes."""

    __slots__ = ("_capacity", "_heap", "_ledger", "_taken", "_teams")

    def __init__(self, gangs: Iterable[Gang], ledger: Ledger, capacity: Callable[[], Mapping[str, int]]) -> None:
        self._ledger, self._capacity = ledger, capacity
        self._teams: dict[str, deque[Gang]] = {}
        for gang in sorted(gangs, key=lambda gang: (-gang.priority, gang.created, gang.key)):
            self._teams.setdefault(gang.team, deque()).append(gang)
        self._heap: list[tuple[Rank, str]] = []
        self._taken: str | None = None
        for team in self._teams:
            self._push(team)

    def pop(self) -> Gang | None:
        """The next gang, after what was taken for the one before; None where none is left."""
        if self._taken is not None:
            self._push(self._taken)
        if not self._heap:
            return None
        self._taken = heapq.heappop(self._heap)[1]
        return self._teams[self._taken].popleft()

    def _push(self, team: str) -> None:
        waiting = self._teams[team]
        if waiting:
            heapq.heappush(self._heap, (self._rank(waiting[0]), team))

    def _rank(self, gang: Gang) -> Rank:
        if len(self._teams) == 1:
            return False, -gang.priority, 0.0, gang.created, gang.key
        ledger = self._ledger
        borrows = False
        if ledger.rules.reclaim is Reclaim.ANY:
            borrows = not any(
                ledger.inside(gang.team, option.profile, quota.cards_of(option))
                for option in elastic.least(gang).options
            )
            borrows = borrows and not _mixes_inside(ledger, gang)
        return borrows, -gang.priority, quota.share(ledger, gang.team, self._capacity()), gang.created, gang.key


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
