"""Node labels as columns: one label's value on every node as a number, so that a demand is weighed once per value.

A column depends on labels alone and is made when a demand first names its key. What it answers is what ``holds`` says
of each node by itself.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Requirement
from cardpool.domain.inventory import Column, Inventory

NAME_FIELD: Final = "metadata.name"
_KEPT: Final = 64
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,4000}")
_BOUND: Final = 1 << 63

Mask = NDArray[np.bool_]


def column(inventory: Inventory, key: str) -> Column:
    """The values of a label."""
    memo = inventory.memo.columns
    if key not in memo:
        if len(memo) >= _KEPT:
            memo.clear()
        memo[key] = _column(inventory, key)
    return memo[key]


def equal(inventory: Inventory, key: str, value: str) -> Mask:
    """Per row whether the label has this value."""
    found = column(inventory, key)
    return np.equal(found.codes, found.index.get(value, len(found.index) + 1))


def rows(inventory: Inventory, requirement: Requirement) -> Mask:
    """Per row whether the node meets a requirement."""
    found = _demanded(inventory, requirement)
    match requirement.operator:
        case "In":
            return _among(found, requirement)
        case "NotIn":
            return ~_among(found, requirement)
        case "Exists":
            return found.codes >= 0
        case "DoesNotExist":
            return found.codes < 0
        case "Gt" | "Lt":
            return _beyond(inventory, requirement, found)
        case _:
            return np.zeros(len(found.codes), np.bool_)


def holds(requirement: Requirement, value: str | None) -> bool:
    """True where a label's value meets a requirement, as kube-scheduler says; None for a node without the label."""
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


def _demanded(inventory: Inventory, requirement: Requirement) -> Column:
    """What a requirement weighs: a label, or the nodes' names."""
    if requirement.key == NAME_FIELD:
        return Column(np.arange(len(inventory.names), dtype=np.int32), inventory.index)
    return column(inventory, requirement.key)


def _column(inventory: Inventory, key: str) -> Column:
    number: defaultdict[str | None, int] = defaultdict(itertools.count(-1).__next__, {})
    number[None]  # -1
    values = [labels.get(key) for labels in inventory.labels]
    codes = np.fromiter(map(number.__getitem__, values), np.int32, len(values))
    return Column(codes, {value: code for value, code in number.items() if value is not None})


def _among(found: Column, requirement: Requirement) -> Mask:
    """Whether the label has one of the values."""
    known = [found.index[value] for value in requirement.values if value in found.index]
    if len(known) <= 1:
        return np.equal(found.codes, known[0]) if known else np.zeros(len(found.codes), np.bool_)
    table = np.zeros(len(found.index) + 1, np.bool_)  # the last, which -1 means as well, is for nodes without the label
    table[known] = True
    return table[found.codes]


def _beyond(inventory: Inventory, requirement: Requirement, found: Column) -> Mask:
    """Whether the value is a whole number on the right side of the bound."""
    bound = _whole(requirement.values[0]) if len(requirement.values) == 1 else None
    if bound is None:
        return np.zeros(len(found.codes), np.bool_)
    memo = inventory.memo.numbers
    if requirement.key not in memo:
        if len(memo) >= _KEPT:
            memo.clear()
        memo[requirement.key] = _numbers(found)
    some, number = memo[requirement.key]
    table = some & (number > bound if requirement.operator == "Gt" else number < bound)
    return table[found.codes]


def _numbers(found: Column) -> tuple[Mask, NDArray[np.int64]]:
    """By code whether the value is a whole number, and which; the last, for nodes without the label, is none."""
    known = [_whole(value) for value in found.index]
    return (
        np.array([*(one is not None for one in known), False], np.bool_),
        np.array([*(one or 0 for one in known), 0], np.int64),
    )


def _compares(requirement: Requirement, value: str | None) -> bool:
    """Gt and Lt compare whole numbers; what is none matches nothing."""
    if value is None or len(requirement.values) != 1:
        return False
    have, bound = _whole(value), _whole(requirement.values[0])
    if have is None or bound is None:
        return False
    return have > bound if requirement.operator == "Gt" else have < bound


def _whole(text: str) -> int | None:
    """The number that a text is, in 64 bits as kube-scheduler reads it (``1_0`` is none)."""
    if _WHOLE.fullmatch(text) is None:
        return None
    number = int(text)
    return number if -_BOUND <= number < _BOUND else None
