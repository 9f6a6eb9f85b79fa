"""From wire structs to the core's records, kind by kind; amounts that many objects have alike are held once.

Two equal states of an object give equal records, whatever heartbeats and orders of lists differ: the store drops
what changes nothing. An object that does not say what it must raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cardpool.domain import quantity
from cardpool.domain.gangs import Taint
from cardpool.domain.world import (
    JobRecord,
    NodeRecord,
    PodRecord,
    PoolRecord,
    PriorityClassRecord,
    SupernodeRecord,
)
from cardpool.kube import customs, metadata, pods, wire
from cardpool.names import Kind

_SHARED_MAPS: Final = 4096
Amounts = Callable[[wire.Quantities | None], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class ConfigMapRecord:
    """A ConfigMap with vendor files."""

    namespace: str
    name: str
    uid: str
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NamespaceRecord:
    """A Namespace and its labels."""

    name: str
    labels: Mapping[str, str]


Record = (
    NodeRecord
    | PodRecord
    | JobRecord
    | PoolRecord
    | SupernodeRecord
    | PriorityClassRecord
    | ConfigMapRecord
    | NamespaceRecord
)


class Converter:
    """Turns decoded objects into records; remembers parsed specs, and shares equal amounts."""

    def __init__(self) -> None:
        self._offers: dict[tuple[tuple[str, str | int | float], ...], Mapping[str, int]] = {}
        self._customs = customs.Customs()
        self._shared: dict[tuple[tuple[str, int], ...], dict[str, int]] = {}

    def record(self, kind: Kind, obj: Any) -> Record:
        """Return the record of a decoded object; ValueError where it cannot be one."""
        match kind:
            case Kind.NODE:
                return node(obj, self._amounts)
            case Kind.POD:
                return pods.record(obj, self._requests(obj))
            case Kind.JOB:
                return self._customs.job(obj)
            case Kind.POOL:
                return self._customs.pool(obj)
            case Kind.SUPERNODE:
                return self._customs.supernode(obj)
            case Kind.PRIORITY_CLASS:
                return priority_class(obj)
            case Kind.CONFIG_MAP:
                meta = obj.metadata
                return ConfigMapRecord(meta.namespace, meta.name, meta.uid, obj.data or {})
            case Kind.NAMESPACE:
                return NamespaceRecord(obj.metadata.name, obj.metadata.labels or {})

    def forget(self, uid: str) -> None:
        """Drop what is remembered of an object that is gone."""
        self._customs.forget(uid)

    def _requests(self, obj: wire.Pod) -> Mapping[str, int]:
        requests = pods.requests(obj)
        if len(self._shared) >= _SHARED_MAPS:
            self._shared.clear()
        return self._shared.setdefault(tuple(sorted(requests.items())), requests)

    def _amounts(self, quantities: wire.Quantities | None) -> Mapping[str, int]:
        """What a node has: many nodes have the same, which is held once."""
        said = tuple(quantities.items()) if quantities else ()
        found = self._offers.get(said)
        if found is None:
            if len(self._offers) >= _SHARED_MAPS:
                self._offers.clear()
            found = self._offers[said] = quantity.amounts(quantities)
        return found


def node(obj: wire.Node, amounts: Amounts = quantity.amounts) -> NodeRecord:
    """Return a Node's record; ``amounts`` gives its resource lists in canonical integers."""
    meta, status = obj.metadata, obj.status
    ready = metadata.condition(status.conditions, "Ready")
    created = metadata.epoch(meta.creation_timestamp)
    taints = obj.spec.taints and sorted((item.key, item.value or "", item.effect) for item in obj.spec.taints)
    return NodeRecord(
        name=meta.name,
        uid=meta.uid,
        created=created,
        labels=metadata.texts(meta.labels),
        taints=tuple(Taint(*taint) for taint in taints) if taints else (),
        unschedulable=obj.spec.unschedulable,
        ready=ready is not None and ready.status == "True",
        deleting=meta.deletion_timestamp is not None,
        capacity=amounts(status.capacity),
        allocatable=amounts(status.allocatable),
        owned=metadata.owned_labels(meta),
        ready_since=metadata.epoch(ready.last_transition_time) if ready is not None else created,
    )


def priority_class(obj: wire.PriorityClass) -> PriorityClassRecord:
    """Return a PriorityClass's record."""
    policy = obj.preemption_policy or "PreemptLowerPriority"
    return PriorityClassRecord(obj.metadata.name, obj.value, policy, obj.global_default)
