"""Domains of one profile's tree: which node is in which, as dense ids in path order.

A domain is its whole path, so equal names under different parents stay apart. A node that lacks a level's label has
the id -1 there and at every narrower level but the node itself: it can serve whoever demands nothing of those levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.inventory import Layout
from cardpool.domain.topology import Tree

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Domains:
    """``ids`` has shape (all nodes of the pool, levels); ``names[l][id]`` is the path of a domain of level l."""

    ids: NDArray[np.int32]
    names: tuple[tuple[Path, ...], ...]
    layout: Layout


def lay_out(tree: Tree, rows: NDArray[np.intp], names: Sequence[str], labels: Sequence[Mapping[str, str]]) -> Domains:
    """The domains of the nodes in ``rows`` (rising row numbers of the pool, which are in node-name order)."""
    wide = len(tree.levels)
    ids = np.full((len(names), wide + 1), -1, np.int32)
    paths: list[tuple[Path, ...]] = []
    above: tuple[Path, ...] = ((),)
    parent = np.zeros(len(rows), np.int64)
    for column, level in enumerate(tree.levels):
        values = [labels[row].get(level.label, "") for row in rows]
        keys = [(up, value) for up, value in zip(parent.tolist(), values, strict=True)]
        found = sorted({key for key in keys if key[0] >= 0 and key[1]})
        number = {key: position for position, key in enumerate(found)}
        parent = np.fromiter((number.get(key, -1) for key in keys), np.int64, len(rows))
        ids[rows, column] = parent
        above = tuple((*above[up], value) for up, value in found)
        paths.append(above)
    last = np.where(ids[rows, :wide] < 0, np.iinfo(np.int32).max, ids[rows, :wide])
    order = np.lexsort([np.arange(len(rows)), *(last[:, column] for column in reversed(range(wide)))])
    ids[rows[order], wide] = np.arange(len(rows), dtype=np.int32)
    paths.append(_node_paths(tree, rows[order], names, labels))
    return Domains(ids, tuple(paths), _layout(rows[order], tuple(path[-1] for path in paths[-1]), last[order]))


def _node_paths(
    tree: Tree, rows: NDArray[np.intp], names: Sequence[str], labels: Sequence[Mapping[str, str]]
) -> tuple[Path, ...]:
    keys = [level.label for level in tree.levels]
    return tuple((*[labels[row].get(key, "") for key in keys], names[row]) for row in rows.tolist())


def _layout(rows: NDArray[np.intp], names: tuple[str, ...], ids: NDArray[np.int32]) -> Layout:
    """Runs of equal path prefixes, level by level; ``ids`` is in path order and without the node level."""
    size, wide = ids.shape
    starts: list[NDArray[np.intp]] = []
    fresh = np.zeros(size, np.bool_)
    fresh[:1] = True
    for column in range(wide):
        fresh[1:] |= ids[1:, column] != ids[:-1, column]
        starts.append(np.append(np.flatnonzero(fresh), size))
    starts.append(np.arange(size + 1))
    children = [np.searchsorted(starts[level + 1], starts[level]) for level in range(wide)]
    parents = [np.zeros(0, np.intp)]
    parents += [np.searchsorted(starts[level], starts[level + 1][:-1], side="right") - 1 for level in range(wide)]
    return Layout(rows, names, tuple(starts), tuple(children), tuple(parents))
