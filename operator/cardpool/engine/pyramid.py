"""Capacity of every domain of every level, in pods, as whole blocks allow it.

A block of b pods at level l makes every domain of l hold a multiple of b; as blocks divide each other, rounding down
level by level from the nodes up is exact: a domain holds q pods (q a multiple of its grain) if and only if
q <= caps[level][domain].
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.inventory import CARDS, Layout
from cardpool.engine.fabrics import Fabrics
from cardpool.engine.ground import Ground

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Cover = tuple[tuple[Ints, ...], tuple[Mask, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Capacities:
    """``caps[l]`` pods per domain, ``most[l]`` the largest of them; ``whole[l]`` the same without rounding above the
    node; ``total`` of the profile.
    """

    caps: tuple[Ints, ...]
    most: tuple[int, ...]
    whole: tuple[Ints, ...]
    total: int


@dataclass(frozen=True, slots=True, eq=False)
class Pyramid:
    """Capacities with what chooses between domains: ``cards[l]`` free cards of a domain, ``empty[l]`` no card in use.

    The node is the last level; everything is shared and never written to. ``fabrics`` is None where nothing is known.
    """

    layout: Layout
    caps: tuple[Ints, ...]
    most: tuple[int, ...]
    whole: tuple[Ints, ...]
    cards: tuple[Ints, ...]
    empty: tuple[Mask, ...]
    per_pod: int
    total: int
    fabrics: Fabrics | None

    @property
    def last(self) -> int:
        """The node level."""
        return len(self.caps) - 1


def build(ground: Ground, found: Capacities, per_pod: int) -> Pyramid:
    """The pyramid of these capacities of the ground as it is now, for pods of so many cards."""
    cards, empty = cover(ground)
    return Pyramid(
        ground.layout, found.caps, found.most, found.whole, cards, empty, per_pod, found.total, ground.fabrics
    )


def capacities(ground: Ground, slots: Ints, grains: tuple[int, ...], key: Hashable | None = None) -> Capacities:
    """The capacities of these slots, which tell whether something fits; ``grains[l]`` pods go together at level l.

    Equal keys (not None) mean equal slots as long as the ground does not change.
    """
    if key is None:
        return _capacities(ground, slots, grains)
    return ground.value(("capacities", key, grains), lambda now: _capacities(now, slots, grains))


def _capacities(ground: Ground, slots: Ints, grains: tuple[int, ...]) -> Capacities:
    layout, last = ground.layout, len(grains) - 1
    base = slots - slots % grains[last] if grains[last] > 1 else slots
    whole = _levels(base, layout)
    caps = whole if max(grains) == 1 else (base,)
    for level in range(last - 1, -1, -1) if caps is not whole else ():
        cap = _sums(caps[0], layout.children[level][:-1])
        caps = (cap - cap % grains[level] if grains[level] > 1 else cap, *caps)
    most = tuple(int(cap.max(initial=0)) for cap in caps)
    return Capacities(caps, most, whole, int(caps[0].sum()))


def cover(ground: Ground) -> Cover:
    """Free cards of each domain, and whether none of its cards is used; the same for pods of every shape."""
    return ground.value("cover", _cover)


def _cover(ground: Ground) -> Cover:
    used = _levels(ground.busy.astype(np.int64), ground.layout)
    return _levels(ground.free[:, CARDS], ground.layout), tuple(counts == 0 for counts in used)


def _levels(values: Ints, layout: Layout) -> tuple[Ints, ...]:
    """The values of the nodes summed up to every level."""
    found = [values]
    for children in reversed(layout.children):
        found.append(_sums(found[-1], children[:-1]))
    return tuple(reversed(found))


def _sums(values: Ints, at: NDArray[np.intp]) -> Ints:
    return np.add.reduceat(values, at, dtype=np.int64) if len(at) else np.zeros(0, np.int64)


def fewest(pyramid: Pyramid, level: int, owner_level: int, owners: NDArray[np.intp], pods: int) -> Ints:
    """For each owner (rising ids of ``owner_level``) the fewest of its domains of ``level`` that hold ``pods``."""
    lo, hi = owners[0], owners[-1] + 1
    for above in range(owner_level, level):
        lo, hi = pyramid.layout.children[above][lo], pyramid.layout.children[above][hi]
    caps = pyramid.caps[level][lo:hi]
    most = int(caps.max())
    if most <= 1 or int(caps.min()) == most:
        return np.full(len(owners), -(-pods // max(most, 1)), np.int64)
    bounds = pyramid.layout.starts[owner_level]
    belongs = np.searchsorted(bounds, pyramid.layout.starts[level][lo:hi], side="right") - 1
    widest = most + 1
    order = np.argsort(belongs * widest + (widest - 1 - caps), kind="stable")
    belongs, caps = belongs[order], caps[order]
    before = np.cumsum(caps) - caps
    first = np.searchsorted(belongs, belongs)
    needed = ((before - before[first]) < pods) & (caps > 0)
    counts: Ints = np.bincount(belongs[needed], minlength=int(owners[-1]) + 1).astype(np.int64)
    return counts[owners]


def broken(pyramid: Pyramid, level: int, owners: NDArray[np.intp], pods: int) -> Ints:
    """Which untouched domains, from the widest level to the node, would be left partly used by ``pods`` in an owner.

    The less the better: one of a wider level weighs more than one of each narrower level together. A domain that is
    filled to its last card is not broken up. Below the owner the best child that holds all counts; where none does,
    every narrower level counts as broken.
    """
    costs: Ints = _below(pyramid, level, owners, pods)[owners - owners[0]]
    at = owners
    for above in range(level - 1, -1, -1):
        at = pyramid.layout.parents[above + 1][at]
        costs = costs + _breaks(pyramid, above, pods, at)
    return costs


def _below(pyramid: Pyramid, level: int, owners: NDArray[np.intp], pods: int) -> Ints:
    """The cost of each domain of ``level`` from the first to the last owner, narrower levels included."""
    narrowest = max(down for down in range(level, pyramid.last + 1) if down == level or pyramid.most[down] >= pods)
    spans = [(int(owners[0]), int(owners[-1]) + 1)]
    for down in range(level, narrowest):
        children = pyramid.layout.children[down]
        spans.append((int(children[spans[-1][0]]), int(children[spans[-1][1]])))
    costs = np.zeros(0, np.int64)
    for down in range(narrowest, level - 1, -1):
        lo, hi = spans[down - level]
        own = _breaks(pyramid, down, pods, slice(lo, hi))
        if down == narrowest:
            own += (1 << pyramid.last - down) - 1  # no narrower domain holds them all
        else:
            below = spans[down - level + 1][0]
            own += np.minimum.reduceat(costs, pyramid.layout.children[down][lo:hi] - below)
        holds = pyramid.caps[down][lo:hi] >= pods
        costs = np.where(holds, own, (2 << pyramid.last - down) - 1)
    return costs


def _breaks(pyramid: Pyramid, level: int, pods: int, at: slice | NDArray[np.intp]) -> Ints:
    breaks = pyramid.empty[level][at] & (pyramid.cards[level][at] > pods * pyramid.per_pod)
    return breaks.astype(np.int64) << (pyramid.last - level)
