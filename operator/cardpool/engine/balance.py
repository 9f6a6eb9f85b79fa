"""Where the pods of one shape go when they are to be spread evenly instead of tightly.

The walk is that of ``pack``: the narrowest single domain down to the level that the job cares for, then level by level.
Wherever pods must be divided among domains of a level they go in equal parts (which differ by one block at most) to the
fewest domains that hold such parts; among domains that hold everything one in which that works goes first. Where it
works nowhere the parts are as equal as the capacities of the fewest domains allow. Whether a gang fits is the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cardpool.engine import pack
from cardpool.engine import pyramid as pyramids
from cardpool.engine.pack import Ask
from cardpool.engine.pyramid import Ints, Pyramid

_NOWHERE: Final = np.iinfo(np.int64).max


def spread(pyramid: Pyramid, ask: Ask, grains: tuple[int, ...]) -> Ints | None:
    """Pods per position, or None where they do not fit; ``grains`` are those of the pyramid."""
    if pack.best(pyramid, ask.required)[0] < ask.pods:
        return None
    counts = np.zeros(len(pyramid.caps[-1]), np.int64)
    if ask.pods:
        _Division(pyramid, ask, grains, counts).settle(0, 0, len(pyramid.caps[0]), ask.pods)
    return counts


def fewest_even(caps: Ints, starts: NDArray[np.intp], units: int) -> Ints:
    """Per owner the fewest of its capacities that hold ``units`` in parts that differ by one at most; 0 where none do.

    Owner i has the capacities from ``starts[i]`` to ``starts[i + 1]``.
    """
    numbers = np.diff(starts)
    found = np.zeros(len(numbers), np.int64)
    if not len(caps):
        return found
    order = np.lexsort((-caps, np.repeat(np.arange(len(numbers)), numbers)))
    largest_first, first = caps[order], starts[:-1]
    most = int(largest_first[0] if len(numbers) == 1 else caps.max())
    open_ = np.flatnonzero(numbers)
    for parts in range(max(1, -(-units // max(most, 1))), min(units, int(numbers.max())) + 1):
        open_ = open_[numbers[open_] >= parts]
        if not len(open_):
            break
        floor, over = divmod(units, parts)
        holds = largest_first[first[open_] + parts - 1] >= floor
        if over:
            holds &= largest_first[first[open_] + over - 1] > floor
        found[open_[holds]] = parts
        open_ = open_[~holds]
    return found


def level_out(caps: Ints, units: int) -> Ints:
    """``units`` over the fewest of these capacities (which hold them), as equal as they allow."""
    order = np.argsort(-caps, kind="stable")
    chosen = np.sort(order[: int(np.searchsorted(np.cumsum(caps[order]), units)) + 1])
    low, high = 0, units
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if int(np.minimum(caps[chosen], middle).sum()) <= units else (low, middle - 1)
    shares = np.zeros(len(caps), np.int64)
    shares[chosen] = np.minimum(caps[chosen], low)
    shares[chosen[caps[chosen] > low][: units - int(shares.sum())]] += 1
    return shares


class _Division:
    """One walk down the tree; ``counts`` collects the answer."""

    __slots__ = ("care", "counts", "grains", "pyramid")

    def __init__(self, pyramid: Pyramid, ask: Ask, grains: tuple[int, ...], counts: Ints) -> None:
        self.pyramid, self.grains, self.counts = pyramid, grains, counts
        self.care = max(ask.required, ask.preferred)

    def settle(self, level: int, lo: int, hi: int, pods: int) -> None:
        """Place ``pods`` in the domains lo to hi of a level, which together hold them."""
        caps, children = self.pyramid.caps, self.pyramid.layout.children
        if caps[level][lo:hi].max() < pods:
            for at, share in enumerate(self._shares(level, lo, hi, pods).tolist(), lo):
                if share:
                    self._enter(level, at, share)
            return
        while level < self.care:
            below = int(children[level][lo]), int(children[level][hi])
            if caps[level + 1][below[0] : below[1]].max() < pods:
                break
            level, (lo, hi) = level + 1, below
        owners = lo + np.flatnonzero(caps[level][lo:hi] >= pods)
        costs = self._costs(level, lo, hi, pods)[owners - lo]
        self._enter(level, int(owners[self._order(level, owners, pods, costs)[0]]), pods)

    def _enter(self, level: int, domain: int, pods: int) -> None:
        """Place ``pods`` inside one domain, which holds them."""
        if level == self.pyramid.last:
            self.counts[domain] += pods
        else:
            children = self.pyramid.layout.children[level]
            self.settle(level + 1, int(children[domain]), int(children[domain + 1]), pods)

    def _shares(self, level: int, lo: int, hi: int, pods: int) -> Ints:
        """Pods of each of the domains lo to hi, none of which holds all."""
        grain = self.grains[level]
        caps, units = self.pyramid.caps[level][lo:hi] // grain, pods // grain
        parts = int(fewest_even(caps, np.array([0, hi - lo]), units)[0])
        if not parts:
            return level_out(caps, units) * grain
        floor, over = divmod(units, parts)
        holders = np.flatnonzero(caps >= floor)
        holders = holders[self._order(level, lo + holders, floor * grain)]
        larger = holders[caps[holders] > floor][:over]
        shares = np.zeros(hi - lo, np.int64)
        shares[holders[~np.isin(holders, larger)][: parts - over]] = floor
        shares[larger] = floor + 1
        return shares * grain

    def _order(self, level: int, owners: NDArray[np.intp], pods: int, costs: Ints | None = None) -> NDArray[np.intp]:
        """Cheap ones first, then those that break up nothing untouched, then the tightest, then path order."""
        tree = self.pyramid
        rising = np.sort(owners)
        broken = pyramids.broken(tree, level, rising, pods)[np.searchsorted(rising, owners)]
        keys = (tree.cards[level][owners], tree.caps[level][owners], broken)
        return np.lexsort(keys if costs is None else (*keys, costs))

    def _costs(self, level: int, lo: int, hi: int, pods: int) -> Ints:
        """How well each of the domains lo to hi divides ``pods``: evenly first, deep down, into few parts."""
        tree = self.pyramid
        if level == tree.last:
            return np.where(tree.caps[level][lo:hi] >= pods, 0, _NOWHERE)
        at = tree.layout.children[level][lo : hi + 1]
        below = self._costs(level + 1, int(at[0]), int(at[-1]), pods)
        inside = np.minimum.reduceat(below, at[:-1] - at[0])
        grain = self.grains[level + 1]
        caps = tree.caps[level + 1][at[0] : at[-1]] // grain
        parts = fewest_even(caps, at - at[0], pods // grain)
        wide = len(tree.caps[-1]) + 1
        own = np.where(parts > 0, 0, (tree.last + 1) * wide) + (tree.last - level) * wide + parts
        costs: Ints = np.where(inside < _NOWHERE, inside, own)
        return np.where(tree.caps[level][lo:hi] >= pods, costs, _NOWHERE)
