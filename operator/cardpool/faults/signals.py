"""What the API says of one node's cards at this moment, without any judgement.

``allocatedResourcesStatus`` names cards, but only while a pod holds them: Unhealthy is a signal, Healthy proves
nothing. Allocatable counts cards, and is the only word on cards that nobody holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from cardpool.domain.world import NodeRecord, PodRecord
from cardpool.names import LABEL_JOB, LABEL_ROLE

UNHEALTHY = "Unhealthy"


@dataclass(frozen=True, slots=True)
class Named:
    """One pod's word against a card it holds. ``live`` is False once the pod has ended; ``ended`` says when."""

    card: str
    pod: str
    job: str
    message: str
    live: bool
    ended: float = 0.0


class NodeFacts(NamedTuple):
    """One node and everything that sits on it, derived from the node and its pods alone.

    ``used`` sums the requests of all pods that hold the node (canonical integers, cards included), ``pods`` counts
    them, ``held`` gives the cards of ``resource`` per owner UID (empty key: pods without a controller). ``unhealthy``
    are the cards that some pod calls so, ``quiet`` those of living pods that do not; ``named`` has by owner UID the
    ids of all cards that living pods are known to hold.
    """

    node: NodeRecord
    resource: str
    capacity: int
    allocatable: int
    used: Mapping[str, int]
    pods: int
    held: Mapping[str, int]
    unhealthy: tuple[Named, ...] = ()
    quiet: frozenset[str] = frozenset()
    named: Mapping[str, frozenset[str]] = MappingProxyType({})

    @property
    def lost(self) -> int:
        """Cards that the plug-in has but does not offer."""
        return max(0, self.capacity - self.allocatable)


def facts(node: NodeRecord, resource: str, pods: Iterable[PodRecord]) -> NodeFacts:
    """Everything the planner and the fault pipeline need of one node; terminal pods hold nothing."""
    used: dict[str, int] = {}
    held: dict[str, int] = {}
    unhealthy: list[Named] = []
    quiet: set[str] = set()
    named: dict[str, frozenset[str]] = {}
    count = 0
    for pod in pods:
        if not pod.finished:
            count += 1
            for name, amount in pod.requests.items():
                used[name] = used.get(name, 0) + amount
            if resource and pod.node and pod.requests.get(resource):
                held[pod.owner] = held.get(pod.owner, 0) + pod.requests[resource]
        for device in pod.devices:
            if device.resource != resource:
                continue
            if device.health == UNHEALTHY:
                unhealthy.append(_named(pod, device.card, device.message))
            elif not pod.finished:
                quiet.add(device.card)
        if pod.devices and not pod.finished:
            cards = frozenset(device.card for device in pod.devices if device.resource == resource)
            named[pod.owner] = named.get(pod.owner, frozenset()) | cards
    return NodeFacts(
        node=node,
        resource=resource,
        capacity=node.capacity.get(resource, 0),
        allocatable=node.allocatable.get(resource, 0),
        used=used,
        pods=count,
        held=held,
        unhealthy=tuple(unhealthy),
        quiet=frozenset(quiet),
        named=named,
    )


def _named(pod: PodRecord, card: str, message: str) -> Named:
    ours = LABEL_JOB in pod.labels and LABEL_ROLE not in pod.labels
    return Named(
        card=card,
        pod=pod.key,
        job=f"{pod.namespace}/{pod.labels[LABEL_JOB]}" if ours else "",
        message=message,
        live=not pod.finished,
        ended=max((item.finished for item in pod.exits), default=0.0),
    )
