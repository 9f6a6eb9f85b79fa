"""A small pool, gangs that run on it, and what a gang that waits is told at the end of a cycle."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from cardpool.domain.gangs import Gang, PlanResult, Running, Taint
from cardpool.engine import build, plan
from cardpool.engine.build import NodeRow
from tests.support import worlds
from tests.support.worlds import holds

NOW = 10_000.0

LEVELS = ("supernode",)

TREE = (worlds.tree(*LEVELS),)


def planned(rows: Sequence[NodeRow], queue: Sequence[Gang], running: Sequence[Running] = (), **how: Any) -> PlanResult:
    """One cycle over these nodes."""
    inventory = build.build_inventory(rows, (worlds.PROFILE,), TREE)
    return plan.plan(inventory, queue, now=NOW, running=running, **how)


def told(result: PlanResult, key: str = "team-a/job") -> str:
    """The advice for a gang."""
    assert result.advice is not None
    return result.advice.of(key)


def nodes(domains: dict[str, list[int]], used: dict[str, int] | None = None, **fields: Any) -> list[NodeRow]:
    """Nodes named ``<supernode>-<n>`` with their cards, some of them in use."""
    rows = worlds.rows(domains, LEVELS, **fields)
    return [dataclasses.replace(row, used_cards=(used or {}).get(row.name, 0)) for row in rows]


TWO = {"a": [8, 8], "b": [8, 8]}

FULL = {"a-0": 8, "a-1": 8, "b-0": 8, "b-1": 8}


ENDS = [
    holds("x/one", 8, "a-0", ends=NOW + 100.0),
    holds("x/two", 8, "a-1", ends=NOW + 200.0),
    holds("y/one", 8, "b-0", ends=NOW + 300.0),
    holds("y/two", 8, "b-1"),
]

TAINTED = (Taint("maintenance", "disk"),)
