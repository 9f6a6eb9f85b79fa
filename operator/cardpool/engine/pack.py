"""Where the pods of one shape go: level by level, from the widest to the node, as few domains as possible, the last
one as tight as possible.

Down to the level that the job cares for (required or preferred) the narrowest single domain wins; below it each level
is decided in turn. Among domains that hold everything: fewest preferred domains, no untouched domain broken up while a
touched one has room, fewest domains of the next level, least room left, of nodes the tightest fabric, path order.
Answers are exact: pods fit if and only if the pyramid's total holds them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardpool.engine import pyramid as pyramids
from cardpool.engine.pyramid import Capacities, Ints, Pyramid


@dataclass(frozen=True, slots=True)
class Ask:
    """``pods`` to place; ``required`` and ``preferred`` are level numbers, -1 for none."""

    pods: int
    required: int = -1
    preferred: int = -1


def best(pyramid: Capacities | Pyramid, required: int) -> tuple[int, int]:
    """The most pods that fit, and in which domain of the required level (-1 where none is required)."""
    if required < 0:
        return pyramid.total, -1
    caps = pyramid.caps[required]
    if not len(caps):
        return 0, -1
    at = int(caps.argmax())
    return int(caps[at]), at


def pack(pyramid: Pyramid, ask: Ask, within: tuple[int, int, int] = (0, 0, -1)) -> Ints | None:
    """Pods per position, or None where they do not fit.

    ``within`` are domains of a level, first and end, that are known to hold them; end -1 stands for all.
    """
    level, lo, hi = within
    if hi < 0:
        if best(pyramid, ask.required)[0] < ask.pods:
            return None
        hi = len(pyramid.caps[level])
    counts = np.zeros(len(pyramid.caps[-1]), np.int64)
    if ask.pods:
        _Descent(pyramid, ask, counts).settle(level, lo, hi, ask.pods)
    return counts


class _Descent:
    """One walk down the tree; ``counts`` collects the answer."""

    __slots__ = ("care", "counts", "preferred", "pyramid")

    def __init__(self, pyramid: Pyramid, ask: Ask, counts: Ints) -> None:
        self.pyramid = pyramid
        self.preferred = ask.preferred
        self.care = max(ask.required, ask.preferred)
        self.counts = counts

    def settle(self, level: int, lo: int, hi: int, pods: int) -> None:
        """Place ``pods`` in the domains lo to hi of a level, which together hold them."""
        caps = self.pyramid.caps
        if caps[level][lo:hi].max() < pods:
            self._span(level, lo, hi, pods)
            return
        children = self.pyramid.layout.children
        while level < self.care:
            below = int(children[level][lo]), int(children[level][hi])
            if caps[level + 1][below[0] : below[1]].max() < pods:
                break
            level, (lo, hi) = level + 1, below
        owners = lo + np.flatnonzero(caps[level][lo:hi] >= pods)
        self._enter(level, self._pick(level, owners, pods), pods)

    def _enter(self, level: int, domain: int, pods: int) -> None:
        """Place ``pods`` inside one domain, which holds them."""
        if level == self.pyramid.last:
            self.counts[domain] += pods
        elif pods == self.pyramid.whole[level][domain]:
            starts = self.pyramid.layout.starts[level]
            run = slice(starts[domain], starts[domain + 1])
            self.counts[run] += self.pyramid.caps[-1][run]
        else:
            children = self.pyramid.layout.children[level]
            self.settle(level + 1, int(children[domain]), int(children[domain + 1]), pods)

    def _span(self, level: int, lo: int, hi: int, pods: int) -> None:
        """Fill the largest domains whole until what is left fits into one; that one is the tightest."""
        caps = self.pyramid.caps[level][lo:hi]
        waste = self.pyramid.cards[level][lo:hi] - caps * self.pyramid.per_pod
        order = np.lexsort((waste, -caps))
        sums = np.cumsum(caps[order])
        whole = int(np.searchsorted(sums, pods))
        rest = pods - (int(sums[whole - 1]) if whole else 0)
        self._fill(level, lo, hi, order[:whole])
        left = np.sort(order[whole:])
        owners = lo + left[caps[left] >= rest]
        self._enter(level, self._pick(level, owners, rest), rest)

    def _fill(self, level: int, lo: int, hi: int, full: NDArray[np.intp]) -> None:
        """As many pods as they hold in each of these domains, counted from ``lo``."""
        caps = self.pyramid.caps
        if level == self.pyramid.last:
            self.counts[lo + full] += caps[level][lo + full]
        elif (caps[level][lo + full] == self.pyramid.whole[level][lo + full]).all():
            starts = self.pyramid.layout.starts[level][lo : hi + 1]
            chosen = np.zeros(hi - lo, np.bool_)
            chosen[full] = True
            run = slice(int(starts[0]), int(starts[-1]))
            self.counts[run] += caps[-1][run] * np.repeat(chosen, np.diff(starts))
        else:
            for domain in (lo + full).tolist():
                self._enter(level, domain, int(caps[level][domain]))

    def _pick(self, level: int, owners: NDArray[np.intp], pods: int) -> int:
        """The best of the domains that each hold all ``pods``."""
        tree = self.pyramid
        if self.preferred > level and len(owners) > 1:
            owners = _least(owners, pyramids.fewest(tree, self.preferred, level, owners, pods))
        if len(owners) > 1:
            owners = _least(owners, pyramids.broken(tree, level, owners, pods))
        if len(owners) > 1 and level < tree.last and pods > 1 and self.preferred != level + 1:
            owners = _least(owners, pyramids.fewest(tree, level + 1, level, owners, pods))
        at = owners
        for up in range(level, -1, -1):
            if len(owners) == 1:
                break
            at = owners if up == level else tree.layout.parents[up + 1][at]
            keep = _tightest(tree, up, at)
            owners, at = owners[keep], at[keep]
        if tree.fabrics is not None and level == tree.last and len(owners) > 1 and tree.per_pod:
            owners = _least(owners, tree.fabrics.left(tree.per_pod, owners))
        return int(owners[0])


def _least(owners: NDArray[np.intp], keys: Ints) -> NDArray[np.intp]:
    best_of: NDArray[np.intp] = owners[keys == keys.min()]
    return best_of


def _tightest(tree: Pyramid, level: int, domains: NDArray[np.intp]) -> NDArray[np.bool_]:
    """The domains with the fewest slots and then the fewest free cards."""
    caps, cards = tree.caps[level][domains], tree.cards[level][domains]
    keep = caps == caps.min()
    fewest: NDArray[np.bool_] = keep & (cards == cards[keep].min())
    return fewest
