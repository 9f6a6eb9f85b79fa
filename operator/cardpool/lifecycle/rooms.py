"""What is free where: nodes, the pods on them, and every promise that is not a pod yet, as the planner's rows.

A placement in status holds its room from the moment it is written, pods or not. No card is promised twice: a promise
and the pod that fulfils it are never both counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cardpool.api.common import NumberOrPercent
from cardpool.domain.cards import CardFault
from cardpool.domain.inventory import Cause
from cardpool.engine.build import NodeRow
from cardpool.faults.cards import GONE, UNNAMED
from cardpool.faults.signals import NodeFacts
from cardpool.lifecycle import fabrics, ranks, shapes
from cardpool.lifecycle.draft import Draft
from cardpool.lifecycle.membership import Member


@dataclass(slots=True)
class Promise:
    """What is promised on one node without a pod holding it yet; ``cards`` are whole cards."""

    cards: int = 0
    pods: int = 0
    requests: dict[str, int] = field(default_factory=dict)

    def add(self, cards: int, requests: Mapping[str, int]) -> None:
        """One more pod."""
        self.cards += cards
        self.pods += 1
        for name, amount in requests.items():
            self.requests[name] = self.requests.get(name, 0) + amount

    def join(self, other: Promise) -> None:
        """Everything of another promise on the same node."""
        self.cards += other.cards
        self.pods += other.pods
        for name, amount in other.requests.items():
            self.requests[name] = self.requests.get(name, 0) + amount


Promises = dict[str, Promise]


def promised(draft: Draft) -> Promises:
    """The room that the job's placement holds beyond its bound pods."""
    found: Promises = {}
    place = draft.placement
    pool = draft.around.pool
    if place is None or draft.status.completion_time is not None or pool is None:
        return found
    done, need = draft.succeeded, shapes.needs(draft.spec, place.segments)
    for rank, (node, group, profile) in enumerate(ranks.nodes(place.segments)):
        pod = draft.live.get(rank)
        if rank not in done and (pod is None or not pod.node):
            found.setdefault(node, Promise()).add(*need[group, profile])
    return found


def cause_of(member: Member, records: Mapping[str, CardFault], *, cordoned: bool) -> Cause:
    """Why the node takes no pod at all, or NONE."""
    node = member.node
    if not records and node.ready and member.profile and not (cordoned or node.unschedulable or node.deleting):
        return Cause.NONE
    named = sum(1 for card, record in records.items() if record.bad and not card.startswith((UNNAMED, GONE)))
    lost = max(0, member.capacity - member.allocatable)
    for cause, holds in (
        (Cause.NO_PROFILE, not member.profile),
        (Cause.DELETING, node.deleting),
        (Cause.NOT_READY, not node.ready),
        (Cause.CORDONED, node.unschedulable),
        (Cause.SUPERNODE_CORDONED, cordoned),
        (Cause.CARDS_UNKNOWN, GONE in records),
        (Cause.CARDS_IN_DOUBT, named > lost),
    ):
        if holds:
            return cause
    return Cause.NONE


def row(
    member: Member,
    facts: NodeFacts,
    records: Mapping[str, CardFault],
    promise: Promise | None,
    cause: Cause,
    *,
    spare: bool,
) -> NodeRow:
    """The planner's row of one node."""
    promised = promise.cards if promise is not None else 0
    resource = member.resource
    used = {name: amount for name, amount in facts.used.items() if name != resource} if facts.used else {}
    cards = facts.used.get(resource, 0) if resource else 0
    pods = facts.pods
    if promise is not None:
        cards += promise.cards
        pods += promise.pods
        for name, amount in promise.requests.items():
            used[name] = used.get(name, 0) + amount
    return NodeRow(
        name=member.node.name,
        labels=member.node.labels,
        taints=member.node.taints,
        profile=member.profile,
        capacity=member.room,
        cards_total=member.capacity,
        cards_usable=member.allocatable,
        used=used,
        used_cards=cards,
        pods_used=pods,
        cause=cause,
        supernode=member.supernode,
        spare=spare,
        fabrics=fabrics.of_node(member.fabrics, facts, records, promised) if member.fabrics is not None else None,
    )


def spares_wanted(setting: NumberOrPercent | None, nodes: int) -> int:
    """Spare nodes of a supernode of ``nodes`` nodes; a percentage rounds up, absent means none."""
    if setting is None:
        return 0
    if isinstance(setting, int):
        return min(setting, nodes)
    return min(nodes, -(-nodes * int(str(setting).rstrip("%")) // 100))


def pick_spares(nodes: Sequence[str], wanted: int, idle: Callable[[str], bool]) -> frozenset[str]:
    """The nodes withheld: healthy and empty ones, the last by name, so that the choice does not wander."""
    if not wanted:
        return frozenset()
    found: list[str] = []
    for name in reversed(nodes):
        if len(found) == wanted:
            break
        if idle(name):
            found.append(name)
    return frozenset(found)
