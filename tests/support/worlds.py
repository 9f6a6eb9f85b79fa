"""Small inventories for planner tests, written as nested dictionaries of domains down to nodes with free cards.

``pool({"b1": {"r1": {"x1": 2}}})`` is one block with one rack with one node with two free cards. A list of numbers in
place of the innermost dictionary names the nodes itself: ``{"r1": [2, 2]}`` has nodes ``r1-0`` and ``r1-1``.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cardpool.domain.gangs import Gang, GroupShape, Option, Placement, PlanResult, Running
from cardpool.domain.inventory import Inventory
from cardpool.domain.topology import Block, Level, TopologyRequest, Tree
from cardpool.engine import build, plan

PROFILE = "k100"
LABEL = "example.com/"


def tree(*levels: str) -> Tree:
    """Levels by name, each with a label of its own."""
    return Tree(tuple(Level(level, LABEL + level) for level in levels))


def node(name: str, cards: int = 8, *, free: int | None = None, **fields: Any) -> build.NodeRow:
    """A node with room for everything but cards; ``free`` fewer than ``cards`` means that the rest is in use."""
    used = 0 if free is None else cards - free
    row = build.NodeRow(
        name=name,
        profile=PROFILE,
        capacity={"cpu": 64_000, "memory": 1 << 40, "ephemeral-storage": 1 << 40, "pods": 110},
        cards_total=cards,
        cards_usable=cards,
        used_cards=used,
        pods_used=1 if used else 0,
    )
    return dataclasses.replace(row, **fields)


def rows(domains: Any, levels: Sequence[str], **fields: Any) -> list[build.NodeRow]:
    """The nodes of nested domains."""
    return [
        node(name, cards, labels=labels, supernode=labels.get(LABEL + "supernode", ""), **fields)
        for name, cards, labels in _leaves(domains, levels, {}, "")
    ]


def pool(
    domains: Any,
    levels: Sequence[str] = ("block", "rack"),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    **fields: Any,
) -> Inventory:
    """An inventory of one profile; ``changes`` replaces fields of single nodes."""
    made = [dataclasses.replace(row, **(changes or {}).get(row.name, {})) for row in rows(domains, levels, **fields)]
    return build.build_inventory(made, (PROFILE,), (tree(*levels),))


def topology(
    required: str = "", preferred: str = "", blocks: Sequence[tuple[int, str]] = (), packing: str = ""
) -> TopologyRequest:
    """A demand; blocks as (pods, level)."""
    return TopologyRequest(required, preferred, tuple(Block(pods, level) for pods, level in blocks), packing=packing)


def group(pods: int, cards: int = 1, name: str = "worker", **fields: Any) -> GroupShape:
    """One group that asks for nothing but cards."""
    return GroupShape(name=name, replicas=pods, cards_per_pod=cards, **fields)


def gang(*groups: GroupShape, key: str = "team-a/job", demand: TopologyRequest | None = None, **fields: Any) -> Gang:
    """A gang of the one profile."""
    options = fields.pop("options", (Option(PROFILE, groups),))
    values = {"uid": key, "priority": 0, "created": 0.0, "topology": demand or TopologyRequest(), **fields}
    return Gang(key=key, options=options, **values)


def holds(key: str, cards: int, node: str = "a", **fields: Any) -> Running:
    """A gang of one pod that runs on a node since the epoch began."""
    values = {"uid": key, "team": "default", "priority": 0, "profile": PROFILE, "started": 0.0, **fields}
    return Running(key=key, pods=values.pop("pods", ((node, cards, {}),)), **values)


def planned(inventory: Inventory, *gangs: Gang, strategy: str = "BestEffort") -> PlanResult:
    """One cycle at an arbitrary time."""
    return plan.plan(inventory, gangs, now=0.0, strategy=strategy)


def full(domains: Any, *running: Running, levels: Sequence[str] = (), **changes: Any) -> Inventory:
    """A pool in which these gangs hold their cards; ``changes`` are fields of single nodes."""
    used: Counter[str] = Counter()
    for one in running:
        for name, cards, _ in one.pods:
            used[name] += cards
    held = {name: {"used_cards": cards, "pods_used": 1} for name, cards in used.items()}
    return pool(domains, levels, changes=held | changes)


def counts(placement: Placement) -> dict[str, int]:
    """Pods per node."""
    return dict(Counter(placement.nodes()))


def domains_of(inventory: Inventory, placement: Placement, level: str) -> dict[str, int]:
    """Pods per domain of a level, by its path."""
    at = inventory.trees[0].names().index(level)
    found: Counter[str] = Counter()
    for name in placement.nodes():
        number = int(inventory.domains[0][inventory.index[name], at])
        found["/".join(inventory.domain_names[0][at][number])] += 1
    return dict(found)


def _leaves(
    domains: Any, levels: Sequence[str], labels: Mapping[str, str], parent: str
) -> Iterator[tuple[str, int, dict[str, str]]]:
    if not levels:
        nodes = (
            domains.items() if isinstance(domains, Mapping) else ((f"{parent}-{n}", c) for n, c in enumerate(domains))
        )
        for name, cards in nodes:
            yield name, cards, dict(labels)
        return
    for name, inner in domains.items():
        path = f"{parent}-{name}" if parent else name
        yield from _leaves(inner, levels[1:], {**labels, LABEL + levels[0]: name}, path)
