"""How many more free nodes would let a waiting gang start, and like which of those that are there.

A number is told only where it is exact: for a gang of one shape without blocks, on copies of a node that would be open
to it. Where the gang has to sit in one domain they come to the one that lacks least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, GroupShape, Option
from cardpool.domain.inventory import CARDS
from cardpool.engine import explain, fit, pack
from cardpool.engine.future import Future
from cardpool.engine.ground import Ground
from cardpool.engine.parts import Run
from cardpool.engine.probe import Prober
from cardpool.names import NODE_LEVEL


@dataclass(frozen=True, slots=True)
class More:
    """So many free copies of ``node``, of ``cards`` each; ``where`` says in which domain, empty where anywhere."""

    number: int
    node: str
    cards: int
    where: str


def enough(base: Future, gang: Gang, option: Option) -> More | None:
    """The fewest copies of one node with which the gang fits; None where no number would be exact."""
    prober = Prober(base, gang, option)
    whole = prober.whole
    if not isinstance(whole, Run) or whole.demand.blocks or gang.topology.exclusive or _picks(option.groups[0]):
        return None
    need = prober.attempt.fits[0].need
    if need is None:
        return None
    ground, level, names = base.ground, whole.demand.required, prober.attempt.tree.names()
    single = level == len(names) - 1
    most, domain = pack.best(prober.attempt.capacities(0, whole.demand), level)
    if single:
        most = 0
    slots = _slots(prober, need)
    where = "" if level < 0 or names[level] == NODE_LEVEL else f"one {names[level]}"
    if where and most:
        starts = ground.layout.starts[level]
        slots[: starts[domain]] = 0
        slots[starts[domain + 1] :] = 0
        where = explain.domain(ground, level, domain)
    if not len(slots) or not slots.max() or (single and slots.max() < whole.pods):
        return None
    model = int(slots.argmax())
    number = math.ceil((whole.pods - most) / int(slots[model]))
    cards = int(ground.inventory.capacity[ground.layout.rows[model], CARDS])
    return More(number, ground.name(model), cards, where)


def _slots(prober: Prober, need: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pods that an empty copy of each node holds, none where the copy would be closed to the gang."""
    ground = prober.attempt.ground
    capacity, columns = ground.inventory.capacity[ground.layout.rows], np.flatnonzero(need)
    slots: NDArray[np.int64] = (capacity[:, columns] // need[columns]).min(axis=1)
    slots[~_models(ground, prober.attempt.fits[0].exclusions)] = 0
    if ground.fabrics is not None:  # only of an empty node is it known how many pods its fabrics hold
        np.minimum(slots, prober.attempt.slots(0), out=slots)
        slots[ground.free[:, CARDS] < capacity[:, CARDS]] = 0
    return slots


def _picks(shape: GroupShape) -> bool:
    return bool(shape.nodes.selector or shape.nodes.terms or shape.nodes.field_terms)


def _models(ground: Ground, exclusions: Sequence[fit.Exclusion]) -> NDArray[np.bool_]:
    """Nodes whose copy would be open to the gang: at most that they are avoided, or kept as spares, is against them."""
    open_ = np.ones(ground.size, np.bool_)
    for text, mask in exclusions:
        if text != fit.SPARE and not text.startswith(fit.AVOIDED):
            open_ &= ~mask
    return open_
