"""How many pods of one shape each node takes, counting everything that kube-scheduler would refuse.

A node is either excluded, with one cause, or has ``slots``; a node that is not excluded and has none is short of a
resource. Every node has at most one cause, so the counts of a message add up.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, GroupShape
from cardpool.domain.inventory import CARDS, Cause
from cardpool.engine import fabrics, matching
from cardpool.engine.ground import Ground
from cardpool.engine.shelf import Positions

SPARE: Final = "kept as spare"
SELECTOR: Final = "not matching node selector or affinity"
AVOIDED: Final = "avoided"
ALONE: Final = "in a domain that another job has for itself"
SHARED: Final = "in a domain with other jobs"

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Exclusion = tuple[str, Mask]


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """Who is excluded for what (an earlier cause wins), the open positions, and the excluded ones by cause.

    ``number`` stands for the rule that excludes them, on whatever nodes; 0 where other gangs' places had a say. Nobody
    is excluded from the ``whole``.
    """

    exclusions: tuple[Exclusion, ...]
    open: Mask
    counts: tuple[tuple[str, int], ...]
    number: int = 0
    whole: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What one pod needs (None: something that no node has) and which positions are open to it.

    Fits with the same ``key`` on one ground have the same slots; None where other gangs' places had a say.
    """

    need: Ints | None
    gate: Gate
    key: Hashable | None

    @property
    def open(self) -> Mask:
        """Positions that nothing excludes."""
        return self.gate.open

    @property
    def exclusions(self) -> tuple[Exclusion, ...]:
        """Who is excluded for what."""
        return self.gate.exclusions


def fit(ground: Ground, gang: Gang, shape: GroupShape, levels: Sequence[int], *, avoid: bool = True) -> Fit:
    """What bounds one group of a gang; ``levels`` need their label; ``avoid`` honours the gang's exclusions."""
    need = ground.demand(shape)
    excluded = tuple(sorted(gang.excluded.items())) if avoid and gang.excluded else ()
    levels = tuple(level for level in levels if _is_bare(ground, level))
    rule = shape.tolerations, shape.nodes, levels, gang.repair, excluded

    def first() -> list[Exclusion]:
        return _first(ground, shape, excluded, repair=gang.repair)

    others = _others(ground, gang) if ground.tracked else []
    if others:
        return Fit(need, _gate(ground, [*first(), *others, *_unlabelled(ground, levels)]), None)
    gate = ground.rule(rule, lambda: _gate(ground, [*first(), *_unlabelled(ground, levels)], ground.number(rule)))
    return Fit(need, gate, None if need is None else (need.tobytes(), gate.number))


def slots(ground: Ground, fitted: Fit) -> Ints:
    """How many pods each position takes now; shared, not to be written to."""
    need, open_ = fitted.need, fitted.open
    if need is None:
        return np.zeros(ground.size, np.int64)
    if fitted.key is None:
        return room(ground, need) * open_

    def make(now: Ground) -> Ints:
        found = room(now, need)
        return found if fitted.gate.whole else np.multiply(found, open_, out=found)

    def renew(now: Ground, before: Ints, at: Positions) -> Ints:
        found = before.copy()
        found[at] = room(now, need, at) * open_[at]
        return found

    return ground.value(("slots", fitted.key), make, renew)


def room(ground: Ground, need: Ints, at: Positions | None = None) -> Ints:
    """How many pods of this need the free amounts of each node, or of those at some positions, hold."""
    found: Ints | None = None
    for column, amount in enumerate(need.tolist()):
        if not amount:
            continue
        free = ground.free[:, column] if at is None else ground.free[at, column]
        if found is None:
            found = free // amount
        else:
            _bound(found, free, amount)
    if found is None:
        return np.zeros(ground.size if at is None else len(at), np.int64)
    if ground.fabrics is not None and need[CARDS]:
        np.minimum(found, ground.fabrics.slots(int(need[CARDS]), at), out=found)
    return found


def _bound(found: Ints, free: Ints, amount: int) -> None:
    """No more pods than this resource holds; divided only where it is the one that is short, which is rare."""
    short = np.flatnonzero(free < (found if amount == 1 else found * amount))
    if len(short):
        found[short] = free[short] // amount


def causes(ground: Ground, fitted: Fit, shape: GroupShape) -> dict[str, int]:
    """Nodes without a slot counted by cause, the most frequent first; not to be written to."""
    if fitted.key is None:
        return _causes(ground, fitted, shape)
    return ground.value(("causes", fitted.key), lambda now: _causes(now, fitted, shape))


def _causes(ground: Ground, fitted: Fit, shape: GroupShape) -> dict[str, int]:
    found = dict(fitted.gate.counts)
    open_ = fitted.open & (slots(ground, fitted) == 0)
    for text, mask in _shortages(ground, fitted, shape):
        _count(found, text, open_ & mask)
        open_ &= ~mask
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def examples(ground: Ground, fitted: Fit, shape: GroupShape, most: int) -> dict[str, tuple[int, tuple[str, ...]]]:
    """The same with the names of some nodes, at most so many for each cause; worked out anew."""
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    left = np.ones(ground.size, np.bool_)
    full = slots(ground, fitted) == 0
    for text, mask in (*fitted.exclusions, *((text, mask & full) for text, mask in _shortages(ground, fitted, shape))):
        at = np.flatnonzero(left & mask)
        left[at] = False
        if len(at):
            number, names = found.get(text, (0, ()))
            named = (*names, *(ground.name(int(one)) for one in at[:most]))
            found[text] = number + len(at), named[:most]
    return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))


def _count(found: dict[str, int], text: str, mask: Mask) -> None:
    number = int(np.count_nonzero(mask))
    if number:
        found[text] = found.get(text, 0) + number


def _gate(ground: Ground, exclusions: list[Exclusion], number: int = 0) -> Gate:
    open_ = np.ones(ground.size, np.bool_)
    counts: dict[str, int] = {}
    for text, mask in exclusions:
        _count(counts, text, open_ & mask)
        open_ &= ~mask
    return Gate(tuple(exclusions), open_, tuple(counts.items()), number, whole=bool(open_.all()))


def _first(
    ground: Ground, shape: GroupShape, excluded: tuple[tuple[str, str], ...], *, repair: bool
) -> list[Exclusion]:
    """What depends on the nodes alone, labels of demanded levels aside."""
    found: list[Exclusion] = [(Cause(cause).text, np.equal(ground.cause, cause)) for cause in ground.causes]
    rows = ground.layout.rows
    found += _avoided(ground, excluded)
    if not repair and ground.spare.any():
        found.append((SPARE, ground.spare))
    tolerance = matching.tolerance(ground.inventory, shape.tolerations)
    if len(tolerance.texts) > 1:
        code = tolerance.code[rows]
        found += [(text, code == number) for number, text in enumerate(tolerance.texts) if number]
    chosen = matching.chosen(ground.inventory, shape.nodes)
    if chosen is not None:
        found.append((SELECTOR, ~chosen[rows]))
    return found


def _others(ground: Ground, gang: Gang) -> list[Exclusion]:
    """Where other gangs sit, or want to be alone."""
    found: list[Exclusion] = []
    if ground.closed.any():
        found.append((ALONE, ground.closed > 0))
    if gang.topology.exclusive and ground.held.any():
        level = ground.inventory.trees[ground.profile].names().index(gang.topology.exclusive)
        found.append((SHARED, ground.around(level, np.flatnonzero(ground.held))))
    return found


def _is_bare(ground: Ground, level: int) -> bool:
    """True where some node lacks the level's label."""
    return ground.rule(("bare", level), lambda: bool(_nameless(ground, level).any()))


def _nameless(ground: Ground, level: int) -> Mask:
    """Domains of a level that are none: their nodes lack its label and stand together."""
    ids, rows = ground.inventory.domains[ground.profile], ground.layout.rows
    nameless: Mask = ids[rows[ground.layout.starts[level][:-1]], level] < 0
    return nameless


def _unlabelled(ground: Ground, levels: Sequence[int]) -> list[Exclusion]:
    """Positions that lack the label of a demanded level, of which some do."""
    if not levels:
        return []
    spread = [np.repeat(_nameless(ground, level), np.diff(ground.layout.starts[level])) for level in levels]
    return [(Cause.LABELS_MISSING.text, np.logical_or.reduce(spread))]


def _avoided(ground: Ground, excluded: tuple[tuple[str, str], ...]) -> list[Exclusion]:
    """One mask per cause for which the gang avoids nodes."""
    masks: dict[str, Mask] = {}
    for node, cause in excluded:
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
