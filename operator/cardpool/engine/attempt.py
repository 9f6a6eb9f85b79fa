"""One try to place a gang in one profile: what each group needs, where it may go, and the ranks placed so far.

Everything that is taken from the ground can be given back by ``undo``, so a failed try leaves no trace.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, Option
from cardpool.engine import balance, demand, fit, pack, pyramid
from cardpool.engine import scope as scopes
from cardpool.engine.demand import Demand
from cardpool.engine.fit import Fit
from cardpool.engine.ground import Ground, Snapshot
from cardpool.engine.pack import Ask
from cardpool.engine.scope import Domains, Scope

Mask = scopes.Mask
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

    def capacities(self, group: int, wants: Demand, scope: Scope = None) -> pyramid.Capacities:
        """What each domain holds of a group under these demands, inside a scope."""
        grains = wants.grains(len(self.ground.layout.starts))
        slots = self.slots(group)
        if scope is None:
            return pyramid.capacities(self.ground, slots, grains, self.fits[group].key)
        return pyramid.capacities(self.ground, slots * scopes.mask(self.ground.layout, scope), grains)

    def holds(self, group: int, wants: Demand, scope: Scope = None) -> int:
        """The most pods of a group that fit inside a scope, in one domain of the required level."""
        if isinstance(scope, Domains):
            found, layout = self.capacities(group, wants), self.ground.layout
            most = scopes.most(layout, found.caps, wants.grains(len(layout.starts)), scope, wants.required)
            if most is not None:
                return most
        return pack.best(self.capacities(group, wants, scope), wants.required)[0]

    def pack(self, group: int, pods: int, wants: Demand, scope: Scope = None) -> NDArray[np.intp] | None:
        """Positions for some pods of a group, in path order and taken; None where they do not fit."""
        need = self.fits[group].need
        if need is None or self.holds(group, wants, scope) < pods:
            return None
        counts = self._packed(group, Ask(pods, wants.required, wants.preferred), wants, scope)
        if counts is None:
            return None
        at = np.flatnonzero(counts)
        self.ground.take_at(at, counts, need)
        return np.repeat(at, counts[at])

    def _packed(self, group: int, ask: Ask, wants: Demand, scope: Scope) -> NDArray[np.int64] | None:
        """Pods per position. What one domain holds is packed where it stands in the whole; else all around is shut."""
        per_pod, start = self.option.groups[group].cards_per_pod, (0, 0, -1)
        if isinstance(scope, Domains) and len(scope.numbers) == 1 and not wants.balanced:
            number = int(scope.numbers[0])
            start, scope = (scope.level, number, number + 1), None
        built = pyramid.build(self.ground, self.capacities(group, wants, scope), per_pod)
        if wants.balanced:
            return balance.spread(built, ask, wants.grains(len(self.ground.layout.starts)))
        return pack.pack(built, ask, start)

    def placed(self) -> NDArray[np.int64]:
        """The positions that the gang holds so far."""
        every = np.concatenate(self.ranks) if len(self.ranks) > 1 else self.ranks[0]
        held = every[every >= 0]
        return np.unique(held) if len(held) else held

    def domain(self, level: int, position: int) -> Mask:
        """The positions in the same domain of a level."""
        return scopes.mask(self.ground.layout, scopes.around(self.ground.layout, level, np.array([position])))

    def marks(self) -> Marks:
        """A point to come back to."""
        return self.ground.snapshot(), [ranks.copy() for ranks in self.ranks]

    def undo(self, marks: Marks) -> None:
        """Back to that point."""
        self.ground.restore(marks[0])
        for ranks, before in zip(self.ranks, marks[1], strict=True):
            ranks[:] = before
