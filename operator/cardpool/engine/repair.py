"""Replacing lost ranks of a gang while the others stay where they are.

A rank stays when its previous node still admits it. A lost rank goes to a spare of its old supernode, else to other
room there, else wherever the demands on the topology allow, always inside the domains that the ranks that stay pin
down. Where that cannot be, nothing is taken and the gang is planned from scratch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.topology import TopologyRequest
from cardpool.engine import demand, fit, pack
from cardpool.engine.attempt import Attempt, Mask
from cardpool.engine.demand import Demand


@dataclass(frozen=True, slots=True)
class _Bond:
    """Pods that must sit in one domain of a level, as ranks of the gang."""

    level: int
    lo: int
    hi: int


@dataclass(frozen=True, slots=True)
class _Loss:
    """Lost ranks of one group that are placed together, inside the domains of the ``tied`` bonds.

    ``block`` is the widest bond of which nobody is left; its ranks go into one domain or nowhere.
    """

    group: int
    block: _Bond | None
    tied: tuple[_Bond, ...]
    home: int


def keep(attempt: Attempt) -> bool:
    """Keep and replace; False, and nothing taken, where it cannot be done or nobody stays."""
    marks = attempt.marks()
    _stay(attempt)
    bonds = _bonds(attempt)
    where = np.concatenate(attempt.ranks)
    if (where >= 0).any() and _sound(attempt, bonds, where) and _replace(attempt, bonds, where):
        return True
    attempt.undo(marks)
    return False


def _stay(attempt: Attempt) -> None:
    """Put every rank whose previous node admits it back; of too many on one node the lower ranks stay."""
    ground, previous = attempt.ground, attempt.gang.previous
    start = 0
    for group, ranks in enumerate(attempt.ranks):
        need = attempt.fits[group].need
        if need is not None:
            room = fit.room(ground, need)
            room[~(attempt.open[group] | (ground.spare & _but_spare(attempt, group)))] = 0
            counts = np.zeros(ground.size, np.int64)
            for index in range(len(ranks)):
                node = previous.get(start + index)
                at = ground.position(node) if node else -1
                if at >= 0 and counts[at] < room[at]:
                    counts[at] += 1
                    ranks[index] = at
            ground.take(counts, need)
        start += len(ranks)


def _but_spare(attempt: Attempt, group: int) -> Mask:
    """Nodes that nothing but being a spare excludes: a rank that runs on a spare stays there."""
    mask = np.ones(attempt.ground.size, np.bool_)
    for text, closed in attempt.fits[group].exclusions:
        if text != fit.SPARE:
            mask &= ~closed
    return mask


def _bonds(attempt: Attempt) -> list[_Bond]:
    """Every demand to stay together, of the gang and of its groups, as runs of ranks."""
    tree, groups = attempt.tree, attempt.option.groups
    total = sum(shape.replicas for shape in groups)
    scopes = [(demand.resolve(tree, attempt.gang.topology), 0, total)]
    start = 0
    for shape in groups:
        scopes.append((demand.resolve(tree, TopologyRequest(), shape.topology), start, start + shape.replicas))
        start += shape.replicas
    found = []
    for wants, lo, hi in scopes:
        if wants.required >= 0:
            found.append(_Bond(wants.required, lo, hi))
        for pods, level in wants.blocks:
            found += [_Bond(level, at, at + pods) for at in range(lo, hi, pods)]
    return found


def _sound(attempt: Attempt, bonds: list[_Bond], where: NDArray[np.int64]) -> bool:
    """True where the ranks that stay are still together as they must be."""
    for bond in bonds:
        held = where[bond.lo : bond.hi]
        held = held[held >= 0]
        if len(held):
            home = attempt.domain(bond.level, int(held[0]))
            if not home[held].all():
                return False
    return True


def _replace(attempt: Attempt, bonds: list[_Bond], where: NDArray[np.int64]) -> bool:
    """Place every lost rank, those of one block or one old supernode together."""
    start = 0
    for group, ranks in enumerate(attempt.ranks):
        losses: dict[_Loss, list[int]] = {}
        for rank in (start + np.flatnonzero(ranks < 0)).tolist():
            loss = _loss(attempt, group, [bond for bond in bonds if bond.lo <= rank < bond.hi], where, rank)
            losses.setdefault(loss, []).append(rank - start)
        if not all(_place(attempt, loss, np.array(indexes), where) for loss, indexes in losses.items()):
            return False
        start += len(ranks)
    return True


def _loss(attempt: Attempt, group: int, bonds: list[_Bond], where: NDArray[np.int64], rank: int) -> _Loss:
    """What binds one lost rank; ranks with equal losses go together."""
    alive = {bond: bool((where[bond.lo : bond.hi] >= 0).any()) for bond in bonds}
    gone = [bond for bond in bonds if not alive[bond]]
    block = max(gone, key=lambda bond: (bond.hi - bond.lo, bond.level)) if gone else None
    home = _home(attempt, where, block.lo if block else rank)
    return _Loss(group, block, tuple(bond for bond in bonds if alive[bond]), home)


def _home(attempt: Attempt, where: NDArray[np.int64], rank: int) -> int:
    """The supernode of a rank's previous node, else of the rank nearest to it; -1 where there is none."""
    ground = attempt.ground
    at = ground.position(attempt.gang.previous.get(rank, ""))
    if at < 0:
        alive = np.flatnonzero(where >= 0)
        at = int(where[alive[np.abs(alive - rank).argmin()]])
    return int(ground.inventory.supernode[ground.layout.rows[at]])


def _place(attempt: Attempt, loss: _Loss, indexes: NDArray[np.intp], where: NDArray[np.int64]) -> bool:
    """Nodes for these indexes of a group, from the nearest stage on; a block stays whole."""
    ranks = attempt.ranks[loss.group]
    shape = attempt.option.groups[loss.group]
    wants = demand.resolve(attempt.tree, attempt.gang.topology, shape.topology)
    size = len(indexes)
    if loss.block is None:
        wants = Demand(preferred=wants.preferred)
    elif loss.block.hi - loss.block.lo != size:
        return False
    else:
        inner = tuple(block for block in wants.blocks if block[0] < size)
        wants = Demand(loss.block.level, wants.preferred, inner)
    for stage in _stages(attempt, loss, where):
        built = attempt.capacities(loss.group, wants, stage)
        most = pack.best(built, wants.required)[0]
        pods = min(most, len(indexes)) if loss.block is None else len(indexes) * (most >= len(indexes))
        positions = attempt.pack(loss.group, pods, wants, stage) if pods else None
        if positions is not None:
            ranks[indexes[:pods]] = positions
            indexes = indexes[pods:]
        if not len(indexes):
            return True
    return False


def _stages(attempt: Attempt, loss: _Loss, where: NDArray[np.int64]) -> list[Mask]:
    """A spare of the old supernode, other room there, then wherever the survivors' domains allow."""
    ground = attempt.ground
    scope = np.ones(ground.size, np.bool_)
    for bond in loss.tied:
        held = where[bond.lo : bond.hi]
        scope &= attempt.domain(bond.level, int(held[held >= 0][0]))
    if loss.home < 0:
        return [scope]
    home = scope & (ground.inventory.supernode[ground.layout.rows] == loss.home)
    return [home & ground.spare, home, scope]
