"""Where a search keeps to: some domains of one level, known by their numbers, or any positions.

Domains of a level are what capacities are kept of, so what fits into some of them is read off and not worked out anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.inventory import Layout

Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Domains:
    """Some domains of a level, by rising numbers."""

    level: int
    numbers: Numbers


Scope = Mask | Domains | None


def around(layout: Layout, level: int, positions: NDArray[np.int64]) -> Domains:
    """The domains of a level that these positions (rising) are in."""
    at = np.searchsorted(layout.starts[level], positions, side="right") - 1
    return Domains(level, np.unique(at) if len(at) > 1 else at)


def meet(layout: Layout, domains: Domains, scope: Scope) -> Mask | Domains:
    """What lies in these domains and in the scope."""
    if scope is None:
        return domains
    if not isinstance(scope, Domains):
        return mask(layout, domains) & scope
    wide, narrow = (scope, domains) if scope.level <= domains.level else (domains, scope)
    above = narrow.numbers
    for level in range(narrow.level, wide.level, -1):
        above = layout.parents[level][above]
    return Domains(narrow.level, narrow.numbers[np.isin(above, wide.numbers)])


def mask(layout: Layout, domains: Mask | Domains) -> Mask:
    """The positions in these domains."""
    if not isinstance(domains, Domains):
        return domains
    starts = layout.starts[domains.level]
    if len(domains.numbers) == 1:
        found = np.zeros(len(layout.rows), np.bool_)
        found[starts[domains.numbers[0]] : starts[domains.numbers[0] + 1]] = True
        return found
    marked = np.zeros(len(starts) - 1, np.bool_)
    marked[domains.numbers] = True
    return np.repeat(marked, np.diff(starts))


def most(
    layout: Layout, caps: Sequence[NDArray[np.int64]], grains: Sequence[int], domains: Domains, required: int
) -> int | None:
    """The most pods that fit there in whole blocks, in one domain of ``required`` (-1: together), read off ``caps``.

    These are the capacities of the whole profile. None where reading is not enough.
    """
    if required > domains.level:
        return _inside(layout, caps[required], domains, required)
    pods, above = caps[domains.level][domains.numbers], domains.numbers
    for level in range(domains.level, max(required, 0), -1):
        above = layout.parents[level][above]
        if len(above) > 1:
            begin = np.flatnonzero(np.concatenate([[True], above[1:] != above[:-1]]))
            pods, above = np.add.reduceat(pods, begin), above[begin]
        if grains[level - 1] > 1:
            pods = pods - pods % grains[level - 1]
    return int(pods.sum() if required < 0 else pods.max(initial=0))


def _inside(layout: Layout, caps: NDArray[np.int64], domains: Domains, required: int) -> int | None:
    if len(domains.numbers) != 1:
        return None
    lo, hi = int(domains.numbers[0]), int(domains.numbers[0]) + 1
    for level in range(domains.level, required):
        lo, hi = int(layout.children[level][lo]), int(layout.children[level][hi])
    return int(caps[lo:hi].max())
