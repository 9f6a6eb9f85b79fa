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

NAME_FIELD: Final = "metadata.name"
_BLOCKING: Final = frozenset({"NoSchedule", "NoExecute"})
_KEPT: Final = 512


def chosen(inventory: Inventory, nodes: NodeFilter) -> NDArray[np.bool_] | None:
    """Per row whether selector and required affinity admit the node; None where nothing is demanded."""
    if not (nodes.selector or nodes.terms or nodes.field_terms):
        return None
    memo = inventory.memo.chosen
    if nodes not in memo:
        if len(memo) >= _KEPT:
            memo.clear()
        pairs = zip(inventory.names, inventory.labels, strict=True)
        memo[nodes] = np.fromiter((admits(nodes, name, labels) for name, labels in pairs), np.bool_)
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


def _term(nodes: NodeFilter, at: int, name: str, labels: Mapping[str, str]) -> bool:
    requirements = nodes.terms[at] if at < len(nodes.terms) else ()
    names = nodes.field_terms[at] if at < len(nodes.field_terms) else ()
    if not requirements and not names:
        return False
    return (not names or name in names) and all(_holds(requirement, name, labels) for requirement in requirements)


def _holds(requirement: Requirement, name: str, labels: Mapping[str, str]) -> bool:
    value = name if requirement.key == NAME_FIELD else labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(requirement, value)
        case _:
            return False


def _compares(requirement: Requirement, value: str | None) -> bool:
    """Gt and Lt compare whole numbers; what is none matches nothing."""
    if value is None or len(requirement.values) != 1:
        return False
    try:
        have, bound = int(value), int(requirement.values[0])
    except ValueError:
        return False
    return have > bound if requirement.operator == "Gt" else have < bound


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
