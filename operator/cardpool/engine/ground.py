"""The working copy of one profile's nodes during one planning cycle: what earlier gangs took is gone for later ones.

Positions, not rows, count here: nodes stand in path order, so that every domain is one run of positions.
"""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import GroupShape
from cardpool.domain.inventory import CARDS, PODS, Inventory
from cardpool.engine import fabrics

Snapshot = tuple[NDArray[np.int64], NDArray[np.bool_], fabrics.State | None]


class Ground:
    """Free room of one profile; ``restore`` undoes what was taken since the ``snapshot``.

    ``held`` counts pods of gangs, ``closed`` the gangs that have the domain of a position for themselves; both stay 0
    in a cycle in which nobody wants that.
    """

    __slots__ = (
        "busy",
        "cause",
        "causes",
        "closed",
        "columns",
        "debt",
        "fabrics",
        "free",
        "held",
        "inventory",
        "layout",
        "profile",
        "spare",
    )

    def __init__(self, inventory: Inventory, profile: int) -> None:
        self.inventory = inventory
        self.profile = profile
        self.layout = inventory.layouts[profile]
        rows = self.layout.rows
        self.columns = {name: column for column, name in enumerate(inventory.resources)}
        self.free = inventory.free[rows]
        self.cause = inventory.cause[rows]
        self.causes = tuple(int(cause) for cause in np.unique(self.cause) if cause)
        self.spare = inventory.spare[rows]
        self.busy = inventory.busy[rows]
        self.debt = inventory.debt[rows]
        self.fabrics = fabrics.working(inventory, profile, rows)
        self.held = np.zeros(len(rows), np.int64)
        self.closed = np.zeros(len(rows), np.int64)

    def copy(self) -> Ground:
        """The same room, to try something on."""
        other: Ground = copy.copy(self)
        other.free, other.busy = self.free.copy(), self.busy.copy()
        other.held, other.closed = self.held.copy(), self.closed.copy()
        other.fabrics = self.fabrics.copy() if self.fabrics is not None else None
        return other

    @property
    def size(self) -> int:
        """Nodes of the profile."""
        return len(self.layout.rows)

    def position(self, node: str) -> int:
        """Where a node stands, -1 where it is unknown or of another profile."""
        row = self.inventory.index.get(node, -1)
        if row < 0 or self.inventory.profile[row] != self.profile:
            return -1
        return int(self.inventory.domains[self.profile][row, -1])

    def name(self, position: int) -> str:
        """The node's name."""
        return self.inventory.names[int(self.layout.rows[position])]

    def around(self, level: int, positions: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Every position in the domains of a level that these positions are in."""
        starts = self.layout.starts[level]
        marked = np.zeros(len(starts) - 1, np.bool_)
        marked[np.searchsorted(starts, positions, side="right") - 1] = True
        return np.repeat(marked, np.diff(starts))

    def demand(self, shape: GroupShape) -> NDArray[np.int64] | None:
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

    def take(self, counts: NDArray[np.int64], need: NDArray[np.int64]) -> None:
        """Hold ``counts[i]`` pods of this need at each position."""
        at = np.flatnonzero(counts)
        self.free[at] -= counts[at, None] * need
        if need[CARDS]:
            self.busy[at] = True
            if self.fabrics is not None:
                self.fabrics.take(at, counts[at], int(need[CARDS]))

    def snapshot(self) -> Snapshot:
        """What ``restore`` needs to undo everything taken from now on."""
        return self.free.copy(), self.busy.copy(), self.fabrics.snapshot() if self.fabrics is not None else None

    def restore(self, snapshot: Snapshot) -> None:
        """The room as it was; a snapshot serves any number of times."""
        self.free[:], self.busy[:] = snapshot[:2]
        if self.fabrics is not None and snapshot[2] is not None:
            self.fabrics.restore(snapshot[2])
