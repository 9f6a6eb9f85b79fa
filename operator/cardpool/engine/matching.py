"""Which nodes a template's selector, affinity and tolerations admit: kube-scheduler's rules on labels and taints.

Answers depend on labels and taints alone, so they are kept in the inventory's memo, at most ``_KEPT`` of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import NodeFilter, Requirement, Taint, Toleration
from cardpool.domain.inventory import Inventory, Tolerance
from cardpool.engine import columns

_BLOCKING: Final = frozenset({"NoSchedule", "NoExecute"})
_KEPT: Final = 512

Mask = NDArray[np.bool_]


def chosen(inventory: Inventory, nodes: NodeFilter) -> Mask | None:
    """Per row whether selector and required affinity admit the node; None where nothing is demanded."""
    if not (nodes.selector or nodes.terms or nodes.field_terms):
        return None
    memo = inventory.memo.chosen
    if nodes not in memo:
        if len(memo) >= _KEPT:
            memo.clear()
        memo[nodes] = _chosen(inventory, nodes)
    return memo[nodes]


def tolerance(inventory: Inventory, tolerations: tuple[Toleration, ...]) -> Tolerance:
    """Per row the first taint that these tolerations leave."""
    memo = inventory.memo.tolerated
    if tolerations not in memo:
        if len(memo) >= _KEPT:
            memo.clear()
        memo[tolerations] = _tolerance(inventory, tolerations)
    return memo[tolerations]


def admits(nodes: NodeFilter, name: str, labels: Mapping[str, str]) -> bool:
    """True where the node selector and at least one affinity term (if there are any) match."""
    if any(labels.get(key) != value for key, value in nodes.selector):
        return False
    count = max(len(nodes.terms), len(nodes.field_terms))
    return count == 0 or any(_term(nodes, at, name, labels) for at in range(count))


def tolerates(tolerations: tuple[Toleration, ...], taint: Taint) -> bool:
    """True where a pod may be bound to a node with this taint and stay there."""
    return taint.effect not in _BLOCKING or any(_covers(toleration, taint) for toleration in tolerations)


def _chosen(inventory: Inventory, nodes: NodeFilter) -> Mask:
    """What ``admits`` says of each node."""
    found = np.ones(len(inventory.names), np.bool_)
    for key, value in nodes.selector:
        found &= columns.equal(inventory, key, value)
    count = max(len(nodes.terms), len(nodes.field_terms))
    return found & np.logical_or.reduce([_meets(inventory, nodes, at) for at in range(count)]) if count else found


def _meets(inventory: Inventory, nodes: NodeFilter, at: int) -> Mask:
    """What ``_term`` says of each node."""
    demands = _demands(nodes, at)
    if not demands:
        return np.zeros(len(inventory.names), np.bool_)
    found: Mask = np.logical_and.reduce([columns.rows(inventory, one) for one in demands])
    return found


def _term(nodes: NodeFilter, at: int, name: str, labels: Mapping[str, str]) -> bool:
    demands = _demands(nodes, at)
    values = (name if one.key == columns.NAME_FIELD else labels.get(one.key) for one in demands)
    return bool(demands) and all(map(columns.holds, demands, values))


def _demands(nodes: NodeFilter, at: int) -> tuple[Requirement, ...]:
    """All that one term demands; nothing is met by no node."""
    names = nodes.field_terms[at] if at < len(nodes.field_terms) else ()
    by_name = (Requirement(columns.NAME_FIELD, "In", names),) if names else ()
    return (*by_name, *(nodes.terms[at] if at < len(nodes.terms) else ()))


def _covers(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.operator == "Exists":
        return not toleration.key or toleration.key == taint.key
    return bool(toleration.key) and toleration.key == taint.key and toleration.value == taint.value


def _tolerance(inventory: Inventory, tolerations: tuple[Toleration, ...]) -> Tolerance:
    number, codes = {"": 0}, []
    for held in inventory.taint_sets:
        left = next((taint for taint in held if not tolerates(tolerations, taint)), None)
        codes.append(number.setdefault("" if left is None else _text(left), len(number)))
    if len(number) == 1:
        return Tolerance(np.zeros(len(inventory.tainted), np.int32), ("",))
    return Tolerance(np.array(codes, np.int32)[inventory.tainted], tuple(number))


def _text(taint: Taint) -> str:
    return f"tainted ({taint.key}={taint.value})" if taint.value else f"tainted ({taint.key})"
