"""Which gang a fault hits, and whose fault an exit was.

A gang is hit by a confirmed fault of a card that one of its pods holds by name, by unnamed losses that leave too few
other cards for them to be elsewhere, and by the loss of a node. Nothing else takes a gang down: no restart for a
fault that the job does not sit on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cardpool.domain.cards import CardFault
from cardpool.domain.world import PodRecord
from cardpool.faults.cards import GONE, UNNAMED
from cardpool.faults.signals import NodeFacts
from cardpool.names import CardState, Reason


@dataclass(frozen=True, slots=True)
class Hit:
    """Why a gang must come down; ``seen`` is when the first signal came, in epoch seconds."""

    reason: Reason
    node: str
    pod: str
    card: str
    seen: float
    message: str


def hit(
    pods: Iterable[PodRecord],
    owner: str,
    faults: Mapping[str, Mapping[str, CardFault]],
    facts: Mapping[str, NodeFacts],
    dead: Mapping[str, float],
) -> Hit | None:
    """The first fault under a gang's living pods, in the order of the pods; ``dead`` maps lost nodes to since when."""
    for pod in pods:
        if pod.finished or not pod.node:
            continue
        if pod.node in dead:
            text = f"node {pod.node} is gone or silent"
            return Hit(Reason.NODE_LOST, pod.node, pod.name, "", dead[pod.node], text)
        found = _by_name(pod, faults.get(pod.node, {})) or _by_count(pod, owner, faults, facts)
        if found is not None:
            return found
    return None


def _by_name(pod: PodRecord, records: Mapping[str, CardFault]) -> Hit | None:
    for device in pod.devices:
        record = records.get(device.card)
        if record is None or not record.confirmed or record.id.resource != device.resource:
            continue
        quarantined = record.state is CardState.QUARANTINED and device.health != "Unhealthy"
        reason = Reason.QUARANTINED_CARD if quarantined else Reason.CARD_UNHEALTHY
        text = f"card {device.card} of node {pod.node}: {record.message or 'Unhealthy'}"
        seen = record.times[-1] if record.times else record.since
        return Hit(reason, pod.node, pod.name, device.card, seen, text)
    return None


def _by_count(
    pod: PodRecord,
    owner: str,
    faults: Mapping[str, Mapping[str, CardFault]],
    facts: Mapping[str, NodeFacts],
) -> Hit | None:
    """Pigeonhole: more cards are lost than there are cards outside the gang's hands."""
    node = facts.get(pod.node)
    lost = [
        record
        for card, record in faults.get(pod.node, {}).items()
        if card.startswith(UNNAMED) and record.confirmed and card != GONE
    ]
    if node is None or not lost or not pod.requests.get(node.resource):
        return None
    outside = node.capacity - node.held.get(owner, 0)
    if node.lost <= outside:
        return None
    text = f"node {pod.node} offers {node.allocatable} of {node.capacity} {node.resource}, and the gang holds "
    text += f"{node.held.get(owner, 0)} there"
    return Hit(Reason.CARDS_SHRUNK, pod.node, pod.name, "", min(item.since for item in lost), text)


def explains(
    job: str, nodes: Iterable[str], faults: Mapping[str, Mapping[str, CardFault]], since: float
) -> CardFault | None:
    """The fault that explains an exit on one of ``nodes`` at or after ``since``; Suspects included.

    A named card must have been held by the job; an unnamed loss on the node of the exit is taken as the cause.
    """
    best: CardFault | None = None
    for node in nodes:
        for card, record in faults.get(node, {}).items():
            onset = record.times[-1] if record.confirmed and record.times else record.since
            if card == GONE or not record.bad or onset < since:
                continue
            if card.startswith(UNNAMED) or record.job == job:
                best = record if best is None or record.confirmed > best.confirmed else best
    return best
