"""Levels that several profiles have in common, and their domains on each of them.

A level is common where its name and its label occur in every tree, and where the labels that all have in common tell
the domains of each profile apart: two racks of one name in different zones stay two. The node level never is, since a
node has the cards of one profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.inventory import CARDS, Inventory
from cardpool.domain.topology import Level, Tree
from cardpool.engine.ground import Ground

Path = tuple[str, ...]
Spans = Mapping[Path, tuple[int, int]]


def levels(trees: Sequence[Tree]) -> tuple[Level, ...]:
    """The levels that all of these trees have, wide to narrow."""
    found: list[Level] = []
    for level in trees[0].levels if trees else ():
        if all(level in tree.levels for tree in trees):
            after = all(tree.levels.index(found[-1]) < tree.levels.index(level) for tree in trees) if found else True
            found += [level] if after else []
    return tuple(found)


def spans(inventory: Inventory, profile: int, shared: Sequence[Level]) -> Spans | None:
    """The positions (from, to) of each domain of the last shared level on a profile; None where two have one path."""
    tree, layout = inventory.trees[profile], inventory.layouts[profile]
    columns = [tree.levels.index(one) for one in shared]
    depth = columns[-1]
    starts = layout.starts[depth]
    ids = inventory.domains[profile][layout.rows[starts[:-1]], depth]
    found: dict[Path, tuple[int, int]] = {}
    for at in np.flatnonzero(ids >= 0).tolist():
        whole = inventory.domain_names[profile][depth][int(ids[at])]
        path = tuple(whole[column] for column in columns)
        if path in found:
            return None
        found[path] = int(starts[at]), int(starts[at + 1])
    return found


def roomy(grounds: Sequence[tuple[Ground, Spans, int]], together: int = 0) -> list[Path]:
    """The domains in which each ground has so many free cards, and all so many ``together``; the fullest first."""
    able: set[Path] | None = None
    free: dict[Path, int] = {}
    for ground, known, cards in grounds:
        sums = np.concatenate([[0], np.cumsum(ground.free[:, CARDS])])
        here = {path: int(sums[end] - sums[start]) for path, (start, end) in known.items()}
        enough = {path for path, amount in here.items() if amount >= cards}
        able = enough if able is None else able & enough
        for path, amount in here.items():
            free[path] = free.get(path, 0) + amount
    return sorted((path for path in able or () if free[path] >= together), key=lambda path: (free[path], path))


def mask(ground: Ground, span: tuple[int, int]) -> NDArray[np.bool_]:
    """The positions of a span."""
    found = np.zeros(ground.size, np.bool_)
    found[span[0] : span[1]] = True
    return found
