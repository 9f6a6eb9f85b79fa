"""The map of the machine room: every card of the pool by supernode and node, in the state that the API shows.

Named cards are those that pods or fault records name; of the others only numbers are known, so they fill the rest of
their node: held ones first, then lost ones, then free ones. Pure: bodies in, rows out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.support.history import Body, cards_of, status_of
from tests.support.rules.objects import selects


class State(StrEnum):
    """How a card is drawn."""

    FREE = "free"
    HELD = "held"
    SUSPECT = "suspect"
    FAULTY = "faulty"
    UNKNOWN = "unknown"


FAULT_STATES = {
    "Suspect": State.SUSPECT,
    "Probation": State.SUSPECT,
    "Faulty": State.FAULTY,
    "Quarantined": State.FAULTY,
    "Unknown": State.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node and its cards, in the order of their names."""

    name: str
    cells: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class SupernodeRow:
    """One supernode: ``profile`` of its cards, and its nodes."""

    name: str
    profile: str
    nodes: tuple[NodeRow, ...]

    def count(self, *states: State) -> int:
        """How many of its cards are in those states."""
        return sum(cell in states for node in self.nodes for cell in node.cells)


Objects = Mapping[str, Body]


def draw(supernodes: Objects, nodes: Objects, pods: Objects) -> tuple[SupernodeRow, ...]:
    """The map; a node belongs to the first supernode (by name) that selects it."""
    on_node: dict[str, list[Body]] = {}
    for pod in pods.values():
        if status_of(pod).get("phase") not in {"Succeeded", "Failed"}:
            on_node.setdefault((pod.get("spec") or {}).get("nodeName", ""), []).append(pod)
    rows, taken = [], set[str]()
    for name, supernode in sorted(supernodes.items()):
        faults = status_of(supernode).get("faults") or ()
        mine = [
            key
            for key, node in sorted(nodes.items())
            if key not in taken and selects(supernode["spec"]["selector"], node["metadata"].get("labels") or {})
        ]
        taken.update(mine)
        found = tuple(_node(key, nodes[key], on_node.get(key, ()), faults) for key in mine)
        profile = next((_profile(nodes[key]) for key in mine), "")
        rows.append(SupernodeRow(name, profile, tuple(row for row in found if row.cells)))
    return tuple(row for row in rows if row.nodes)


def held(pod: Body) -> dict[str, str]:
    """Card id to health of the cards that a pod holds, as kubelet reports them."""
    statuses = status_of(pod).get("containerStatuses") or ()
    entries = [entry for status in statuses for entry in status.get("allocatedResourcesStatus") or ()]
    return {one["resourceID"]: one.get("health", "") for entry in entries for one in entry.get("resources") or ()}


def _profile(node: Body) -> str:
    return str((node["metadata"].get("labels") or {}).get("cardpool.dev/profile", ""))


def _node(name: str, node: Body, pods: Iterable[Body], faults: Iterable[Mapping[str, Any]]) -> NodeRow:
    mine = {str(one["card"]): FAULT_STATES.get(str(one["state"])) for one in faults if one["node"] == name}
    total = _cards(status_of(node).get("capacity") or {})
    if "*" in mine:
        return NodeRow(name, (State.UNKNOWN,) * total)
    named: dict[str, State] = {}
    unnamed = 0
    for pod in pods:
        ids = held(pod)
        named |= dict.fromkeys(ids, State.HELD)
        unnamed += max(0, sum(cards_of(pod.get("spec") or {}).values()) - len(ids))
    lost = []
    for card, state in mine.items():
        if state is None:
            continue
        if card.startswith("?"):
            lost.append(state)
        else:
            named[card] = state
    return NodeRow(name, _fill(named, [State.HELD] * unnamed + lost, total))


def _fill(named: Mapping[str, State], others: list[State], total: int) -> tuple[State, ...]:
    """Cards named ``…-<number>`` take that place; the rest fills what is left, free ones last."""
    cells: list[State | None] = [None] * total
    rest = []
    for card, state in sorted(named.items()):
        digits = card.rpartition("-")[2]
        place = int(digits) if digits.isdigit() else total
        if place < total and cells[place] is None:
            cells[place] = state
        else:
            rest.append(state)
    queue = [*rest, *others]
    return tuple(cell if cell is not None else queue.pop(0) if queue else State.FREE for cell in cells)


def _cards(capacity: Mapping[str, str]) -> int:
    return sum(int(number) for name, number in capacity.items() if "/" in name)
