"""One try to place a gang in one profile: what each group needs, where it may go, and the ranks placed so far.

Everything that is taken from the ground can be given back by ``undo``, so a failed try leaves no trace.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, Option
from cardpool.engine import balance, demand, fit, pack, pyramid
from cardpool.engine.demand import Demand
from cardpool.engine.fit import Fit
from cardpool.engine.ground import Ground, Snapshot

Mask = NDArray[np.bool_]
Marks = tuple[Snapshot, list[NDArray[np.int64]]]


class Attempt:
    """The state of a try; ``ranks[g]`` has the position of each pod of group g, -1 where it has none yet."""

    __slots__ = ("fits", "gang", "ground", "open", "option", "ranks", "tree")

    def __init__(self, ground: Ground, gang: Gang, option: Option, *, avoid: bool = True) -> None:
        self.ground = ground
        self.gang = gang
        self.option = option
        self.tree = ground.inventory.trees[ground.profile]
        self.fits: list[Fit] = []
        self.open: list[Mask] = []
        for shape in option.groups:
            levels = demand.labelled(self.tree, gang.topology, shape.topology)
            fitted = fit.fit(ground, gang, shape, levels, avoid=avoid)
            self.fits.append(fitted)
            self.open.append(fitted.open)
        self.ranks = [np.full(shape.replicas, -1, np.int64) for shape in option.groups]

    def slots(self, group: int) -> NDArray[np.int64]:
        """Pods of a group that each position takes now; shared, not to be written to."""
        return fit.slots(self.ground, self.fits[group])

    def capacities(self, group: int, wants: Demand, scope: Mask | None = None) -> pyramid.Capacities:
        """What each domain holds of a group under these demands, inside a scope."""
        return pyramid.capacities(self.ground, *self._base(group, wants, scope))

    def _base(
        self, group: int, wants: Demand, scope: Mask | None
    ) -> tuple[NDArray[np.int64], tuple[int, ...], Hashable | None]:
        """Slots, the multiple of pods at each level, and the key that such slots are known by."""
        grains = wants.grains(len(self.ground.layout.starts))
        if scope is None:
            return self.slots(group), grains, self.fits[group].key
        return self.slots(group) * scope, grains, None

    def pack(self, group: int, pods: int, wants: Demand, scope: Mask | None = None) -> NDArray[np.intp] | None:
        """Positions for some pods of a group, in path order and taken; None where they do not fit."""
        found = self.capacities(group, wants, scope)
        if pack.best(found, wants.required)[0] < pods:
            return None
        built = pyramid.build(self.ground, found, self.option.groups[group].cards_per_pod)
        ask = pack.Ask(pods, wants.required, wants.preferred)
        if wants.balanced:
            counts = balance.spread(built, ask, wants.grains(len(self.ground.layout.starts)))
        else:
            counts = pack.pack(built, ask)
        need = self.fits[group].need
        if counts is None or need is None:
            return None
        at = np.flatnonzero(counts)
        self.ground.take_at(at, counts, need)
        return np.repeat(at, counts[at])

    def placed(self) -> NDArray[np.int64]:
        """The positions that the gang holds so far."""
        every = np.concatenate(self.ranks) if len(self.ranks) > 1 else self.ranks[0]
        held = every[every >= 0]
        return np.unique(held) if len(held) else held

    def domain(self, level: int, position: int) -> Mask:
        """The positions in the same domain of a level."""
        starts = self.ground.layout.starts[level]
        at = int(np.searchsorted(starts, position, side="right")) - 1
        mask = np.zeros(self.ground.size, np.bool_)
        mask[starts[at] : starts[at + 1]] = True
        return mask

    def marks(self) -> Marks:
        """A point to come back to."""
        return self.ground.snapshot(), [ranks.copy() for ranks in self.ranks]

    def undo(self, marks: Marks) -> None:
        """Back to that point."""
        self.ground.restore(marks[0])
        for ranks, before in zip(self.ranks, marks[1], strict=True):
            ranks[:] = before
