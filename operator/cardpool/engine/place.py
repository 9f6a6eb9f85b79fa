"""One gang in one profile: from its demands to a node for every rank, or to the reason why not.

Room is taken from the ground only when every pod has its node. Ranks follow the path order of the topology, so that
consecutive ranks are neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, GroupShape, Option, Placement, Refusal, Segment
from cardpool.engine import demand, explain, fit, pack, pyramid
from cardpool.engine.ground import Ground


def place(ground: Ground, gang: Gang, option: Option) -> Placement | Refusal:
    """The gang's placement, its room taken; or why it does not fit, nothing taken."""
    tree = ground.inventory.trees[ground.profile]
    fault = demand.check(tree, gang.topology, option.groups)
    if fault is not None:
        return explain.faulty(gang, option, fault)
    shape = option.groups[0]
    wants = demand.resolve(tree, gang.topology, shape.topology)
    fitted = fit.fit(ground, gang, shape, wants.levels())
    built = pyramid.build(ground, fitted.slots, wants.grains(len(tree.names())), shape.cards_per_pod)
    counts = pack.pack(built, pack.Ask(shape.replicas, wants.required, wants.preferred))
    if counts is None or fitted.need is None:
        return explain.unfit(ground, gang, option, shape, wants, fitted, built)
    ground.take(counts, fitted.need)
    return placement(ground, gang, option, [np.repeat(np.arange(ground.size), counts)])


def keep(ground: Ground, gang: Gang, option: Option) -> Placement | None:
    return None


def placement(ground: Ground, gang: Gang, option: Option, ranks: Sequence[NDArray[np.intp]]) -> Placement:
    """The answer for the positions of each group's ranks."""
    segments = [
        segment
        for shape, positions in zip(option.groups, ranks, strict=True)
        for segment in _segments(ground, option.profile, shape, positions)
    ]
    return Placement(gang.key, option.profile, tuple(segments), _crossings(ground, np.concatenate(list(ranks))))


def _segments(ground: Ground, profile: str, shape: GroupShape, positions: NDArray[np.intp]) -> list[Segment]:
    inventory, rows = ground.inventory, ground.layout.rows[positions]
    homes = inventory.supernode[rows]
    cuts = [0, *(np.flatnonzero(homes[1:] != homes[:-1]) + 1).tolist(), len(rows)]
    names = [inventory.names[row] for row in rows.tolist()]
    return [
        Segment(
            shape.name,
            start,
            profile,
            inventory.supernodes[homes[start]] if homes[start] >= 0 else "",
            tuple(names[start:end]),
        )
        for start, end in zip(cuts, cuts[1:], strict=False)
        if end > start
    ]


def _crossings(ground: Ground, positions: NDArray[np.intp]) -> int:
    """Neighbours in rank that sit in different domains of the narrowest level above the node."""
    if len(ground.layout.children) == 0:
        return 0
    homes = ground.layout.parents[-1][positions]
    return int(np.count_nonzero(homes[1:] != homes[:-1]))
