"""The working copy of one profile's nodes during one planning cycle: what earlier gangs took is gone for later ones.

Positions, not rows, count here: nodes stand in path order, so that every domain is one run of positions. The arrays are
shared between copies until one of them takes something, and are written through the methods alone: whatever is derived
from them learns that way which positions changed.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import numpy as np
import numpy.ma  # np.unique imports it when first called: 60 ms, in the middle of the first No
from numpy.typing import NDArray

from cardpool.domain.gangs import GroupShape
from cardpool.domain.inventory import CARDS, PODS, Inventory
from cardpool.engine import fabrics
from cardpool.engine.shelf import Positions, Shelf

T = TypeVar("T")
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Snapshot = tuple[int, int, fabrics.State | None]
Taking = tuple[Positions, Ints, Ints, Mask]

EFFORT: Final = 8_000
_RULES: Final = 64
_NUMBERED: Final = 4096
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Positions, each once, the amounts taken there (one row each), and what that took of the fabrics everywhere."""

    at: Positions
    amounts: Ints
    fabrics: fabrics.State | None


class Effort:
    """What is left of a cycle's patience with exact searches, in states; shared by the copies of a ground."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = EFFORT


class Ground:
    """Free room of one profile; ``restore`` undoes what was taken since the ``snapshot``.

    ``free`` and ``busy`` (a card is in use) can only be read; ``take`` and ``put`` change them. ``held`` counts pods of
    gangs, ``closed`` the gangs that have the domain of a position for themselves; both stay 0 until ``track``.
    ``rules`` keeps what depends on neither of these, for this ground and its copies.
    """

    __slots__ = (
        "_busy",
        "_debt",
        "_free",
        "_numbers",
        "_own",
        "_put",
        "_shelf",
        "_takings",
        "busy",
        "cause",
        "causes",
        "closed",
        "columns",
        "effort",
        "fabrics",
        "free",
        "held",
        "inventory",
        "layout",
        "origin",
        "profile",
        "rules",
        "spare",
        "tracked",
    )

    free: Ints
    busy: Mask

    def __init__(self, inventory: Inventory, profile: int) -> None:
        self.inventory = inventory
        self.profile = profile
        self.layout = inventory.layouts[profile]
        rows = self.layout.rows
        self.columns = {name: column for column, name in enumerate(inventory.resources)}
        self._debt: Ints | None = None
        self.cause = inventory.cause[rows]
        self.causes = _causes(self.cause)
        self.spare = inventory.spare[rows]
        self.fabrics = fabrics.working(inventory, profile, rows)
        self.held = self.closed = np.zeros(len(rows), np.int64)
        self.held.flags.writeable = False
        self.tracked = False
        self.effort = Effort()
        self.rules: dict[Hashable, object] = {}
        self._numbers: dict[Hashable, int] = {}
        self.origin: Ground | None = None
        self._shelf = Shelf(len(rows))
        self._takings: list[Taking] = []
        self._put = 0
        self._own = True
        self._hold(_gathered(inventory.free, rows), inventory.busy[rows])

    def copy(self) -> Ground:
        """The same room, to try something on."""
        other: Ground = copy.copy(self)
        self._own = other._own = False
        other._shelf, other._takings = self._shelf.copy(), []
        if self.tracked:
            other.held, other.closed = self.held.copy(), self.closed.copy()
        if self.fabrics is not None:
            other.fabrics = self.fabrics.copy()
        return other

    def opened(self, causes: Sequence[int], *, spares: bool) -> Ground:
        """A copy on which no node is out for these causes (``spares``: nor kept as a spare)."""
        other: Ground = self.copy()
        other.cause = np.where(np.isin(self.cause, causes), 0, self.cause).astype(self.cause.dtype)
        other.causes = _causes(other.cause)
        if spares:
            other.spare = np.zeros_like(self.spare)
        other.rules, other.origin, other._shelf = {}, None, Shelf(self.size)
        return other

    def begin(self) -> Ground:
        """A copy that makes what it derives before its first change here, for later copies as well."""
        other = self.copy()
        other.origin, other.effort = self, Effort()
        return other

    @property
    def size(self) -> int:
        """Nodes of the profile."""
        return len(self.layout.rows)

    @property
    def debt(self) -> Ints:
        """What each node lacks for the pods that it has already."""
        if self._debt is None:
            self._debt = _gathered(self.inventory.debt, self.layout.rows)
        return self._debt

    def position(self, node: str) -> int:
        """Where a node stands, -1 where it is unknown or of another profile."""
        row = self.inventory.index.get(node, -1)
        if row < 0 or self.inventory.profile[row] != self.profile:
            return -1
        return int(self.inventory.domains[self.profile][row, -1])

    def name(self, position: int) -> str:
        """The node's name."""
        return self.layout.names[position]

    def around(self, level: int, positions: Positions) -> Mask:
        """Every position in the domains of a level that these positions are in."""
        starts = self.layout.starts[level]
        marked = np.zeros(len(starts) - 1, np.bool_)
        marked[np.searchsorted(starts, positions, side="right") - 1] = True
        return np.repeat(marked, np.diff(starts))

    def demand(self, shape: GroupShape) -> Ints | None:
        """What one pod takes of each resource; None where it asks for one that no node has."""
        need = np.zeros(len(self.columns), np.int64)
        need[CARDS] = shape.cards_per_pod
        need[PODS] = 1
        for resource, amount in shape.requests.items():
            column = self.columns.get(resource, -1)
            if amount <= 0 or column == PODS:
                continue
            if column <= CARDS:
                return None
            need[column] = amount
        return need

    def track(self) -> None:
        """From now on it is counted who sits where."""
        if not self.tracked:
            self.tracked = True
            self.held, self.closed = np.zeros(self.size, np.int64), np.zeros(self.size, np.int64)

    def take(self, counts: Ints, need: Ints) -> None:
        """Hold ``counts[i]`` pods of this need at each position."""
        self.take_at(np.flatnonzero(counts), counts, need)

    def take_at(self, at: Positions, counts: Ints, need: Ints) -> None:
        """The same where the positions with pods are known already; ``counts`` still has one for every position."""
        self._write()
        here, before = counts[at], self._busy[at]
        self._add(at, here, -need)
        if need[CARDS]:
            self._busy[at] = True
            if self.fabrics is not None:
                self.fabrics.take(at, here, int(need[CARDS]))
        self._takings.append((at, here, need, before))
        self._shelf.touch(at)

    def put(self, at: Positions, free: Ints, busy: Mask | None = None) -> None:
        """Set the free amounts (one row per position, each position once), and which of them are busy."""
        self._write()
        for column in range(free.shape[1]):
            self._free[:, column][at] = free[:, column]
        if busy is not None:
            self._busy[at] = busy
        self._shelf.touch(at)
        self._put = self._shelf.version

    def snapshot(self) -> Snapshot:
        """What ``restore`` needs to give back everything taken from now on."""
        of_fabrics = self.fabrics.snapshot() if self.fabrics is not None else None
        return len(self._takings), self._shelf.version, of_fabrics

    def restore(self, snapshot: Snapshot) -> None:
        """Give back what was taken since; a snapshot serves any number of times, what was ``put`` stays."""
        number, version, of_fabrics = snapshot
        undone = self._takings[number:]
        for at, counts, need, busy in reversed(undone):
            self._add(at, counts, need)
            self._busy[at] = busy
        if self._put > version or not self._shelf.rewind(version):
            for at, *_ in undone:
                self._shelf.touch(at)
        del self._takings[number:]
        if self.fabrics is not None and of_fabrics is not None:
            self.fabrics.restore(of_fabrics)

    def taken(self, snapshot: Snapshot) -> Taken:
        """What was taken since."""
        number, _, before = snapshot
        takings = self._takings[number:]
        where = np.concatenate([np.zeros(0, np.intp), *(at for at, *_ in takings)])
        at, back = np.unique(where, return_inverse=True)
        amounts, begin = np.zeros((len(at), len(self.columns)), np.int64), 0
        for places, counts, need, _ in takings:
            amounts[back[begin : begin + len(places)]] += counts[:, None] * need
            begin += len(places)
        lost = self.fabrics.since(before) if self.fabrics is not None and before is not None else None
        return Taken(at, amounts, lost)

    def version(self) -> int:
        """A number that rises with every change."""
        return self._shelf.version

    def since(self, version: int) -> Positions | None:
        """The positions that changed after a version, each once; None where they are many."""
        return self._shelf.since(version)

    def value(
        self,
        key: Hashable,
        make: Callable[[Ground], T],
        renew: Callable[[Ground, T, Positions], T] | None = None,
    ) -> T:
        """Something derived from this ground, never to be written to; ``renew`` brings it up to date at some positions.

        What depends on the start of the cycle is made there, where the next cycle finds it.
        """
        shelf, origin = self._shelf, self.origin
        found = shelf.present(key)
        if found is not None:
            return cast("T", found)
        if origin is not None and not shelf.knows(key):
            start = origin.version()
            if start == shelf.version or (renew is not None and shelf.since(start) is not None):
                shelf.adopt(key, origin.value(key, make, renew), start)
        again = None if renew is None else functools.partial(renew, self)
        return cast("T", shelf.value(key, functools.partial(make, self), again))

    def present(self, key: Hashable) -> object | None:
        """What is kept by this key, where it belongs to the room of this moment."""
        return self._shelf.present(key)

    def rule(self, key: Hashable, make: Callable[[], T]) -> T:
        """Something that depends on the nodes alone and not on what is free on them."""
        if key not in self.rules:
            if len(self.rules) >= _RULES:
                self.rules.clear()
            self.rules[key] = make()
        return cast("T", self.rules[key])

    def number(self, rule: Hashable) -> int:
        """A number that stands for a rule on this ground, its copies and those of later cycles; never another's."""
        if rule not in self._numbers:
            if len(self._numbers) >= _NUMBERED:
                self._numbers.clear()
            self._numbers[rule] = next(_NUMBERS)
        return self._numbers[rule]

    def renewed(self, inventory: Inventory, rows: Sequence[int]) -> Ground:
        """The start of the next cycle, in an inventory in which only these rows changed."""
        other = self.copy()
        other.enter(inventory)
        found = inventory.domains[self.profile][rows, -1]
        at = np.unique(found[found >= 0]).astype(np.intp)
        if not len(at):
            return other
        mine = self.layout.rows[at]
        other.fabrics = fabrics.working(inventory, self.profile, self.layout.rows)
        other.put(at, inventory.free[mine], inventory.busy[mine])
        cause, spare = inventory.cause[mine], inventory.spare[mine]
        before = self.inventory
        same = inventory.tainted is before.tainted and inventory.labels is before.labels
        if not same or (cause != self.cause[at]).any() or (spare != self.spare[at]).any():
            other.cause, other.spare, other.rules = self.cause.copy(), self.spare.copy(), {}
            other.cause[at], other.spare[at] = cause, spare
            other.causes = _causes(other.cause)
        return other

    def enter(self, inventory: Inventory) -> None:
        """Belong to another inventory of the same nodes."""
        self.inventory, self._debt = inventory, None
        self._shelf.trim()

    def _hold(self, free: Ints, busy: Mask) -> None:
        self._free, self._busy, self._own = free, busy, True
        self.free, self.busy = free.view(), busy.view()
        self.free.flags.writeable = self.busy.flags.writeable = False

    def _write(self) -> None:
        if not self._own:
            self._hold(self._free.copy(order="K"), self._busy.copy())

    def _add(self, at: Positions, counts: Ints, need: Ints) -> None:
        """Add so many times the need; column by column, since columns are what lies together."""
        for column, amount in enumerate(need.tolist()):
            if amount:
                self._free[:, column][at] += counts * amount


def kept(inventory: Inventory, profile: int) -> Ground:
    """The profile's nodes as no cycle has changed them yet, not to be written to."""
    grounds = inventory.memo.grounds
    if profile not in grounds:
        grounds[profile] = Ground(inventory, profile)
    return cast("Ground", grounds[profile])


def start(inventory: Inventory, profile: int) -> Ground:
    """A ground at the start of a cycle; what is derived from it before it changes serves later cycles too."""
    return kept(inventory, profile).begin()


def _causes(cause: NDArray[np.int8]) -> tuple[int, ...]:
    return tuple(number for number in np.flatnonzero(np.bincount(cause)).tolist() if number) if cause.any() else ()


def _gathered(values: Ints, rows: NDArray[np.intp]) -> Ints:
    """These rows, each column in one piece."""
    found = np.empty((len(rows), values.shape[1]), np.int64, order="F")
    for column in range(values.shape[1]):
        np.take(values[:, column], rows, out=found[:, column], mode="clip")
    return found
