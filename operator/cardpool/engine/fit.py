"""How many pods of one shape each node takes, counting everything that kube-scheduler would refuse.

A node is either excluded, with one cause, or has ``slots``; a node that is not excluded and has none is short of a
resource. Every node has at most one cause, so the counts of a message add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, GroupShape
from cardpool.domain.inventory import CARDS, Cause
from cardpool.engine import fabrics, matching
from cardpool.engine.ground import Ground

SPARE: Final = "kept as spare"
SELECTOR: Final = "not matching node selector or affinity"
AVOIDED: Final = "avoided"
ALONE: Final = "in a domain that another job has for itself"
SHARED: Final = "in a domain with other jobs"

Exclusion = tuple[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Pods of a shape per position, and what excluded nodes (an earlier cause wins)."""

    slots: NDArray[np.int64]
    need: NDArray[np.int64] | None
    exclusions: tuple[Exclusion, ...]


def fit(ground: Ground, gang: Gang, shape: GroupShape, levels: Sequence[int], *, avoid: bool = True) -> Fit:
    """The slots for one group of a gang; ``levels`` need their label; ``avoid`` honours the gang's exclusions."""
    exclusions = tuple(_exclusions(ground, gang, shape, levels, avoid=avoid))
    need = ground.demand(shape)
    if need is None:
        return Fit(np.zeros(ground.size, np.int64), None, exclusions)
    slots = room(ground, need)
    for _, mask in exclusions:
        slots[mask] = 0
    return Fit(slots, need, exclusions)


def room(ground: Ground, need: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many pods of this need the free amounts of each node hold."""
    columns = np.flatnonzero(need)
    slots: NDArray[np.int64] = ground.free[:, columns[0]] // need[columns[0]]
    for column in columns[1:]:
        np.minimum(slots, ground.free[:, column] // need[column], out=slots)
    if ground.fabrics is not None and need[CARDS]:
        np.minimum(slots, ground.fabrics.slots(int(need[CARDS])), out=slots)
    return slots


def causes(ground: Ground, fitted: Fit, shape: GroupShape) -> dict[str, int]:
    """Nodes without a slot counted by cause, the most frequent first."""
    open_ = np.ones(ground.size, np.bool_)
    found: dict[str, int] = {}
    for text, mask in fitted.exclusions:
        _count(found, text, open_ & mask)
        open_ &= ~mask
    open_ &= fitted.slots == 0
    for text, mask in _shortages(ground, fitted, shape):
        _count(found, text, open_ & mask)
        open_ &= ~mask
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _count(found: dict[str, int], text: str, mask: NDArray[np.bool_]) -> None:
    number = int(np.count_nonzero(mask))
    if number:
        found[text] = found.get(text, 0) + number


def _exclusions(
    ground: Ground, gang: Gang, shape: GroupShape, levels: Sequence[int], *, avoid: bool
) -> list[Exclusion]:
    found: list[Exclusion] = [(Cause(cause).text, np.equal(ground.cause, cause)) for cause in ground.causes]
    rows = ground.layout.rows
    if avoid:
        found += _avoided(ground, gang)
    if not gang.repair and ground.spare.any():
        found.append((SPARE, ground.spare))
    tolerance = matching.tolerance(ground.inventory, shape.tolerations)
    if len(tolerance.texts) > 1:
        code = tolerance.code[rows]
        found += [(text, code == number) for number, text in enumerate(tolerance.texts) if number]
    chosen = matching.chosen(ground.inventory, shape.nodes)
    if chosen is not None:
        found.append((SELECTOR, ~chosen[rows]))
    if ground.closed.any():
        found.append((ALONE, ground.closed > 0))
    if gang.topology.exclusive and ground.held.any():
        level = ground.inventory.trees[ground.profile].names().index(gang.topology.exclusive)
        found.append((SHARED, ground.around(level, np.flatnonzero(ground.held))))
    if levels:
        missing = (ground.inventory.domains[ground.profile][rows][:, list(levels)] < 0).any(axis=1)
        if missing.any():
            found.append((Cause.LABELS_MISSING.text, np.asarray(missing)))
    return found


def _avoided(ground: Ground, gang: Gang) -> list[Exclusion]:
    """One mask per cause for which the gang avoids nodes."""
    masks: dict[str, NDArray[np.bool_]] = {}
    for node, cause in gang.excluded.items():
        at = ground.position(node)
        if at >= 0:
            text = f"{AVOIDED} ({cause})" if cause else AVOIDED
            masks.setdefault(text, np.zeros(ground.size, np.bool_))[at] = True
    return sorted(masks.items(), key=lambda item: item[0])


def _shortages(ground: Ground, fitted: Fit, shape: GroupShape) -> list[Exclusion]:
    """What a node lacks for one pod, cards first."""
    if fitted.need is None:
        everywhere = np.ones(ground.size, np.bool_)
        return [(f"without {name}", everywhere) for name in sorted(shape.requests) if name not in ground.columns][:1]
    need = fitted.need
    order = [CARDS, *sorted(range(1, len(need)), key=lambda column: ground.inventory.resources[column])]
    names = ground.inventory.resources
    found = [(f"short of {names[at]}", ground.free[:, at] < need[at]) for at in order if need[at]]
    if ground.fabrics is not None and need[CARDS]:
        found += fabrics.shortages(ground.fabrics, int(need[CARDS]))
    return found
