"""One gang in one profile: from its demands to a node for every rank, or to the reason why not.

Room is taken from the ground only when every pod has its node. Ranks follow the path order of the topology, so that
consecutive ranks are neighbours.
"""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, GroupShape, Option, Placement, Refusal, Segment
from cardpool.engine import alike, bundle, demand, explain, fabrics, parts, repair, wording
from cardpool.engine.attempt import Attempt
from cardpool.engine.ground import Ground


def place(ground: Ground, gang: Gang, option: Option) -> Placement | Refusal:
    """The gang's placement, its room taken; or why it does not fit, nothing taken."""
    known = alike.bound(ground, gang, option)
    if known is not None and option.groups[0].replicas > known.most:
        return explain.beyond(gang, option, known)
    tree = ground.inventory.trees[ground.profile]
    fault = demand.check(tree, gang.topology, option.groups) or fabrics.fault(ground.fabrics, option)
    if fault is not None:
        return wording.faulty(gang, option, fault)
    attempt = Attempt(ground, gang, option)
    whole = parts.cut(tree, gang.topology, option.groups)
    if bundle.settle(attempt, whole, thorough=True):
        return placement(attempt)
    return explain.unfit(attempt, whole)


def keep(ground: Ground, gang: Gang, option: Option) -> Placement | None:
    """The placement in which every rank whose previous node still serves stays there, or None where that fails."""
    tree = ground.inventory.trees[ground.profile]
    if (demand.check(tree, gang.topology, option.groups) or fabrics.fault(ground.fabrics, option)) is not None:
        return None
    attempt = Attempt(ground, gang, option)
    return placement(attempt) if repair.keep(attempt) else None


def placement(attempt: Attempt) -> Placement:
    """The answer for an attempt in which every rank has its position."""
    profile, groups = attempt.option.profile, attempt.option.groups
    segments = [
        segment
        for shape, positions in zip(groups, attempt.ranks, strict=True)
        for segment in _segments(attempt.ground, profile, shape, positions)
    ]
    crossings = _crossings(attempt.ground, np.concatenate(attempt.ranks))
    return Placement(attempt.gang.key, profile, tuple(segments), crossings)


def _segments(ground: Ground, profile: str, shape: GroupShape, positions: NDArray[np.int64]) -> list[Segment]:
    """Runs of consecutive indexes in one supernode."""
    if not len(positions):
        return []
    inventory, names = ground.inventory, ground.layout.names
    homes = inventory.supernode[ground.layout.rows[positions]]
    cuts = np.concatenate([[0], np.flatnonzero(homes[1:] != homes[:-1]) + 1, [len(positions)]])
    jumps = np.zeros(len(positions), np.int64)
    np.cumsum(positions[1:] - positions[:-1] != 1, out=jumps[1:])
    begins, ends = cuts[:-1], cuts[1:]
    runs = (jumps[begins] == jumps[ends - 1]).tolist()  # neighbours all along
    found = []
    for start, end, first, home, run in zip(
        begins.tolist(), ends.tolist(), positions[begins].tolist(), homes[begins].tolist(), runs, strict=True
    ):
        within = positions[start:end].tolist() if not run else ()
        nodes = names[first : first + end - start] if run else operator.itemgetter(*within)(names)
        found.append(Segment(shape.name, start, profile, inventory.supernodes[home] if home >= 0 else "", nodes))
    return found


def _crossings(ground: Ground, positions: NDArray[np.int64]) -> int:
    """Neighbours in rank that sit in different domains of the narrowest level above the node."""
    if not ground.layout.children:
        return 0
    homes = ground.layout.parents[-1][positions]
    return int(np.count_nonzero(homes[1:] != homes[:-1]))
