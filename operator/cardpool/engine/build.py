"""Nodes as they are known become the arrays that the planner computes on.

Rows are sorted by node name and domain ids by path, so that equal worlds give equal arrays whatever order they were
told in. Rebuilding is for a changed node set and for nodes that stand elsewhere now; everything else goes through
``update_rows``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.fabrics import NodeFabrics
from cardpool.domain.gangs import Taint
from cardpool.domain.inventory import CARDS, PODS, Cause, Inventory, Memo
from cardpool.domain.topology import Tree
from cardpool.engine import domains, fabrics, ground, pyramid
from cardpool.engine.ground import Ground

CARDS_NAME = "cards"
PODS_NAME = "pods"
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node of the pool: ``capacity`` and ``used`` without cards, in canonical integers, ``pods`` in capacity.

    ``cards_usable`` are those that the fault pipeline calls healthy, ``used_cards`` those that a pod or promise holds.
    ``fabrics`` is None where the profile says nothing of them.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    profile: str = ""
    capacity: Mapping[str, int] = field(default_factory=dict)
    cards_total: int = 0
    cards_usable: int = 0
    used: Mapping[str, int] = field(default_factory=dict)
    used_cards: int = 0
    pods_used: int = 0
    cause: Cause = Cause.NONE
    supernode: str = ""
    spare: bool = False
    fabrics: NodeFabrics | None = None


def build_inventory(rows: Iterable[NodeRow], profiles: tuple[str, ...], trees: tuple[Tree, ...]) -> Inventory:
    """The inventory of these nodes; ``trees`` has one tree per profile. A node named twice is an error (ValueError)."""
    ordered = sorted(rows, key=lambda row: row.name)
    names = tuple(row.name for row in ordered)
    index = {name: position for position, name in enumerate(names)}
    if len(index) != len(names):
        raise ValueError("a node is named twice")
    if len(profiles) != len(trees):
        raise ValueError("each profile needs its tree")
    labels = tuple(row.labels for row in ordered)
    number = {name: position for position, name in enumerate(profiles)}
    profile = np.fromiter((number.get(row.profile, -1) for row in ordered), np.int16, len(names))
    cause = np.fromiter((row.cause for row in ordered), np.int8, len(names))
    cause[(profile < 0) & (cause == Cause.NONE)] = Cause.NO_PROFILE
    supernodes = tuple(sorted({row.supernode for row in ordered} - {""}))
    place = {name: position for position, name in enumerate(supernodes)}
    resources = _resources(ordered)
    capacity, free, debt = _amounts(ordered, resources)
    sets, tainted = _taints([row.taints for row in ordered])
    parts = [domains.lay_out(tree, np.flatnonzero(profile == p), names, labels) for p, tree in enumerate(trees)]
    built = Inventory(
        names=names,
        index=index,
        labels=labels,
        taint_sets=sets,
        tainted=tainted,
        resources=resources,
        capacity=capacity,
        free=free,
        debt=debt,
        cause=cause,
        profiles=profiles,
        profile=profile,
        trees=trees,
        domains=tuple(part.ids for part in parts),
        domain_names=tuple(part.names for part in parts),
        supernodes=supernodes,
        supernode=np.fromiter((place.get(row.supernode, -1) for row in ordered), np.int32, len(names)),
        spare=np.fromiter((row.spare for row in ordered), np.bool_, len(names)),
        busy=np.fromiter((row.used_cards > 0 for row in ordered), np.bool_, len(names)),
        layouts=tuple(part.layout for part in parts),
        fabrics=fabrics.table([row.fabrics for row in ordered], profile, len(profiles)),
    )
    prepare(built)
    return built


def prepare(inventory: Inventory) -> None:
    """Put each profile's nodes in path order, and sum up their cards, before the first gang asks."""
    for profile in range(len(inventory.profiles)):
        pyramid.cover(ground.kept(inventory, profile))


def update_rows(inventory: Inventory, rows: Sequence[NodeRow]) -> Inventory | None:
    """The inventory with these nodes replaced, the others shared; None where only a rebuild can tell.

    A rebuild is needed when a node is new, or its profile, its supernode or a label of its profile's levels changed, or
    it names a new resource.
    """
    if not rows:
        return inventory
    where = [inventory.index.get(row.name, -1) for row in rows]
    if not all(at >= 0 and _same_place(inventory, at, row) for at, row in zip(where, rows, strict=True)):
        return None
    known = set(inventory.resources)
    changed_fabrics = [row.fabrics for row in rows]
    if not fabrics.alike(inventory.fabrics, inventory.profile[where], changed_fabrics):
        return None
    if any(not known.issuperset(row.capacity) for row in rows):
        return None
    at = np.array(where, np.intp)
    capacity, free, debt = _amounts(rows, inventory.resources)
    cause = np.array([_cause(inventory, position, row) for position, row in zip(where, rows, strict=True)], np.int8)
    sets, tainted = _retainted(inventory, at, rows)
    labels, memo = _relabelled(inventory, where, rows)
    old = inventory.memo
    if tainted is inventory.tainted:
        memo.tolerated.update(old.tolerated)
    found = dataclasses.replace(
        inventory,
        labels=labels,
        capacity=_patched(inventory.capacity, at, capacity),
        free=_patched(inventory.free, at, free),
        debt=_patched(inventory.debt, at, debt),
        cause=_patched(inventory.cause, at, cause),
        spare=_patched(inventory.spare, at, np.array([row.spare for row in rows], np.bool_)),
        busy=_patched(inventory.busy, at, np.array([row.used_cards > 0 for row in rows], np.bool_)),
        taint_sets=sets,
        tainted=tainted,
        memo=memo,
        fabrics=fabrics.updated(inventory.fabrics, where, changed_fabrics),
    )
    if found.capacity is inventory.capacity:
        memo.cards.update(old.cards)
    for number, kept in old.grounds.items():
        if isinstance(kept, Ground):
            memo.grounds[number] = kept.renewed(found, where)
    return found


def _relabelled(
    inventory: Inventory, where: Sequence[int], rows: Sequence[NodeRow]
) -> tuple[tuple[Mapping[str, str], ...], Memo]:
    """The labels of all nodes, and what stays true of them."""
    old, held = inventory.memo, inventory.labels
    stale = set()
    for at, row in zip(where, rows, strict=True):
        before = held[at]
        if before is not row.labels and before != row.labels:
            stale |= {key for key in before.keys() | row.labels.keys() if before.get(key) != row.labels.get(key)}
    if not stale:
        return held, Memo(chosen=old.chosen, columns=old.columns, numbers=old.numbers, rooms=old.rooms)
    labels = list(held)
    for at, row in zip(where, rows, strict=True):
        labels[at] = row.labels
    columns = {key: found for key, found in old.columns.items() if key not in stale}
    numbers = {key: found for key, found in old.numbers.items() if key not in stale}
    return tuple(labels), Memo(columns=columns, numbers=numbers, rooms=old.rooms)


def _patched(values: NDArray[Any], at: NDArray[np.intp], fresh: NDArray[Any]) -> NDArray[Any]:
    """The values with these rows replaced; the very same array where nothing differs."""
    if np.array_equal(values[at], fresh):
        return values
    changed = values.copy(order="K")
    changed[at] = fresh
    return changed


def _taints(taints: Sequence[tuple[Taint, ...]]) -> tuple[tuple[tuple[Taint, ...], ...], NDArray[np.int32]]:
    """The different sets of taints, the empty one first, and which of them each node has."""
    number: dict[tuple[Taint, ...], int] = {(): 0}
    codes = np.fromiter((number.setdefault(held, len(number)) for held in taints), np.int32, len(taints))
    return tuple(number), codes


def _retainted(
    inventory: Inventory, at: NDArray[np.intp], rows: Sequence[NodeRow]
) -> tuple[tuple[tuple[Taint, ...], ...], NDArray[np.int32]]:
    """The sets of taints after these rows were replaced, those that nobody has any more left out."""
    sets, tainted = inventory.taint_sets, inventory.tainted
    if all(sets[tainted[position]] == row.taints for position, row in zip(at.tolist(), rows, strict=True)):
        return sets, tainted
    held = [sets[code] for code in tainted.tolist()]
    for position, row in zip(at.tolist(), rows, strict=True):
        held[position] = row.taints
    return _taints(held)


def _resources(rows: Sequence[NodeRow]) -> tuple[str, ...]:
    """Cards, pods, and what else any node has, by name."""
    found: set[str] = set()
    for row in rows:
        found.update(row.capacity)
    return (CARDS_NAME, PODS_NAME, *sorted(found - {CARDS_NAME, PODS_NAME}))


def _amounts(rows: Sequence[NodeRow], resources: tuple[str, ...]) -> tuple[Ints, Ints, Ints]:
    """Capacity, free amounts and what is over-used, one row per node."""
    size = len(rows)
    capacity = np.zeros((size, len(resources)), np.int64, order="F")
    free = np.zeros_like(capacity)
    capacity[:, CARDS] = np.fromiter((row.cards_total for row in rows), np.int64, size)
    free[:, CARDS] = np.fromiter((row.cards_usable - row.used_cards for row in rows), np.int64, size)
    capacity[:, PODS] = np.fromiter((row.capacity.get(PODS_NAME, 0) for row in rows), np.int64, size)
    free[:, PODS] = capacity[:, PODS] - np.fromiter((row.pods_used for row in rows), np.int64, size)
    for column, resource in enumerate(resources[PODS + 1 :], PODS + 1):
        capacity[:, column] = np.fromiter((row.capacity.get(resource, 0) for row in rows), np.int64, size)
        used = np.fromiter((row.used.get(resource, 0) for row in rows), np.int64, size)
        free[:, column] = capacity[:, column] - used
    debt = np.maximum(-free, 0)
    return capacity, np.maximum(free, 0, out=free), debt


def _same_place(inventory: Inventory, at: int, row: NodeRow) -> bool:
    """True where a node is still what the arrays that are kept say of it."""
    profile, supernode = inventory.profile[at], inventory.supernode[at]
    return (
        (inventory.profiles[profile] if profile >= 0 else "") == _known(row.profile, inventory.profiles)
        and (inventory.supernodes[supernode] if supernode >= 0 else "") == row.supernode
        and (inventory.labels[at] is row.labels or profile < 0 or _same_path(inventory, at, row))
    )


def _same_path(inventory: Inventory, at: int, row: NodeRow) -> bool:
    held, levels = inventory.labels[at], inventory.trees[inventory.profile[at]].levels
    return all(held.get(level.label) == row.labels.get(level.label) for level in levels)


def _known(profile: str, profiles: tuple[str, ...]) -> str:
    return profile if profile in profiles else ""


def _cause(inventory: Inventory, at: int, row: NodeRow) -> Cause:
    lacks = inventory.profile[at] < 0 and row.cause is Cause.NONE
    return Cause.NO_PROFILE if lacks else row.cause
