"""From wire structs to the core's records: pure functions, and a cache of parsed specs.

Two equal states of an object give equal records, whatever heartbeats and orders of lists differ: the store drops
what changes nothing. An object that does not say what it must raises ValueError; a spec of ours that does not parse
becomes a record with ``invalid``, because its author has to be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from sys import intern
from typing import Any, Final, TypeVar

import msgspec
import pydantic

from cardpool import names
from cardpool.api.cardpool import CardPoolSpec, CardPoolStatus
from cardpool.api.jobstatus import TrainingJobStatus
from cardpool.api.supernode import SupernodeSpec, SupernodeStatus
from cardpool.api.trainingjob import TrainingJobSpec
from cardpool.domain import quantity
from cardpool.domain.gangs import Taint
from cardpool.domain.world import (
    DeviceHealth,
    Exit,
    JobRecord,
    NodeRecord,
    PodRecord,
    PoolRecord,
    PriorityClassRecord,
    SupernodeRecord,
)
from cardpool.kube import wire
from cardpool.names import Kind

MESSAGE_TAIL: Final = 1024
_SHARED_MAPS: Final = 4096
_TERMINAL: Final = frozenset({"Succeeded", "Failed"})
_FIELDS: Final = msgspec.json.Decoder(dict[str, Any])
_NONE: Final[frozenset[str]] = frozenset()
_Model = TypeVar("_Model", bound=pydantic.BaseModel)
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


def key(meta: wire.Meta) -> str:
    """Return ``namespace/name``, or ``name`` for a cluster's object."""
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


class Converter:
    """Turns decoded objects into records; remembers parsed specs by UID and generation, and shares equal amounts."""

    def __init__(self) -> None:
        self._offers: dict[tuple[tuple[str, str | int | float], ...], Mapping[str, int]] = {}
        self._specs: dict[str, tuple[int, Any, str]] = {}
        self._shared: dict[tuple[tuple[str, int], ...], dict[str, int]] = {}

    def record(self, kind: Kind, obj: Any) -> Record:
        """Return the record of a decoded object; ValueError where it cannot be one."""
        match kind:
            case Kind.NODE:
                return node(obj, self._amounts)
            case Kind.POD:
                return pod(obj, self._requests(obj))
            case Kind.JOB:
                return self._job(obj)
            case Kind.POOL:
                return self._pool(obj)
            case Kind.SUPERNODE:
                return self._supernode(obj)
            case Kind.PRIORITY_CLASS:
                return priority_class(obj)
            case Kind.CONFIG_MAP:
                meta = obj.metadata
                return ConfigMapRecord(meta.namespace, meta.name, meta.uid, obj.data or {})
            case Kind.NAMESPACE:
                return NamespaceRecord(obj.metadata.name, obj.metadata.labels or {})

    def forget(self, uid: str) -> None:
        """Drop what is remembered of an object that is gone."""
        self._specs.pop(uid, None)

    def _requests(self, obj: wire.Pod) -> Mapping[str, int]:
        requests = {} if obj.status.phase in _TERMINAL else pod_requests(obj)
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

    def _spec(self, model: type[_Model], obj: wire.Custom) -> tuple[_Model | None, str]:
        meta = obj.metadata
        held = self._specs.get(meta.uid)
        if held is not None and held[0] == meta.generation:
            return held[1], held[2]
        spec, invalid = parse_model(model, obj.spec, "spec")
        self._specs[meta.uid] = (meta.generation, spec, invalid)
        return spec, invalid

    def _job(self, obj: wire.Custom) -> JobRecord:
        meta = obj.metadata
        spec, invalid = self._spec(TrainingJobSpec, obj)
        status, damage = parse_model(TrainingJobStatus, obj.status, "status")
        return JobRecord(
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            created=epoch(meta.creation_timestamp),
            deleting=meta.deletion_timestamp is not None,
            spec=None if damage else spec,
            status=status or TrainingJobStatus(),
            invalid=invalid or damage,
            owner=next((owner.name for owner in meta.owner_references or () if owner.controller), ""),
            runtime_key=(meta.labels or {}).get(names.LABEL_RUNTIME_KEY, ""),
        )

    def _pool(self, obj: wire.Custom) -> PoolRecord:
        meta = obj.metadata
        spec, invalid = self._spec(CardPoolSpec, obj)
        status, damage = parse_model(CardPoolStatus, obj.status, "status")
        return PoolRecord(
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            created=epoch(meta.creation_timestamp),
            deleting=meta.deletion_timestamp is not None,
            spec=None if damage else spec,
            status=status or CardPoolStatus(),
            invalid=invalid or damage,
        )

    def _supernode(self, obj: wire.Custom) -> SupernodeRecord:
        meta = obj.metadata
        spec, invalid = self._spec(SupernodeSpec, obj)
        status, damage = parse_model(SupernodeStatus, obj.status, "status")
        return SupernodeRecord(
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            created=epoch(meta.creation_timestamp),
            deleting=meta.deletion_timestamp is not None,
            spec=None if damage else spec,
            status=status or SupernodeStatus(),
            discovered=names.LABEL_DISCOVERED in (meta.labels or {}),
            user_fields=_written_by_others(meta),
            owner=_controller(meta),
            invalid=invalid or damage,
        )


def epoch(time: datetime | None) -> float:
    """Return seconds since the epoch, 0 where there is no time."""
    return time.timestamp() if time is not None else 0.0


def parse_model(model: type[_Model], raw: msgspec.Raw, root: str) -> tuple[_Model | None, str]:
    """Return the parsed part of an object and "", or None and the first error as ``spec.groups[0].replicas: …``."""
    try:
        return model.model_validate_json(bytes(raw) or b"{}"), ""
    except pydantic.ValidationError as error:
        return None, describe(error, root)


def describe(error: pydantic.ValidationError, root: str) -> str:
    """Return the first error with its field path, and how many more there are."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{path}: {first['msg']}{more}"


def node(obj: wire.Node, amounts: Amounts = quantity.amounts) -> NodeRecord:
    """Return a Node's record; ``amounts`` gives its resource lists in canonical integers."""
    meta, status = obj.metadata, obj.status
    ready = condition(status.conditions, "Ready")
    created = epoch(meta.creation_timestamp)
    taints = obj.spec.taints and sorted((item.key, item.value or "", item.effect) for item in obj.spec.taints)
    return NodeRecord(
        name=meta.name,
        uid=meta.uid,
        created=created,
        labels=_shared_texts(meta.labels),
        taints=tuple(Taint(*taint) for taint in taints) if taints else (),
        unschedulable=obj.spec.unschedulable,
        ready=ready is not None and ready.status == "True",
        deleting=meta.deletion_timestamp is not None,
        capacity=amounts(status.capacity),
        allocatable=amounts(status.allocatable),
        owned=_owned_labels(meta),
        ready_since=epoch(ready.last_transition_time) if ready is not None else created,
    )


def pod_requests(obj: wire.Pod) -> dict[str, int]:
    """Return a pod's effective requests as kube-scheduler counts them, a resize under way at its larger side."""
    spec = obj.spec
    allocated = {status.name: status.allocated_resources for status in obj.status.container_statuses or ()}
    return quantity.effective(
        [_at_least(_requests(item.resources), allocated.get(item.name)) for item in spec.containers],
        [(_requests(item.resources), item.restart_policy == "Always") for item in spec.init_containers or ()],
        quantity.amounts(spec.overhead),
        _requests(spec.resources),
    )


def pod(obj: wire.Pod, requests: Mapping[str, int]) -> PodRecord:
    """Return a Pod's record with these effective requests."""
    meta, status = obj.metadata, obj.status
    scheduled = condition(status.conditions, "PodScheduled")
    ready = condition(status.conditions, "Ready")
    disruption = condition(status.conditions, "DisruptionTarget")
    statuses = status.container_statuses or []
    inits = status.init_container_statuses or []
    is_ready = ready is not None and ready.status == "True"
    is_resolver = (meta.labels or {}).get(names.LABEL_ROLE) == names.ROLE_RESOLVER
    return PodRecord(
        namespace=intern(meta.namespace),
        name=meta.name,
        uid=meta.uid,
        created=epoch(meta.creation_timestamp),
        labels=_shared_texts(meta.labels),
        owner=intern(_controller(meta)),
        node=intern(obj.spec.node_name),
        phase=intern(status.phase),
        ready=is_ready,
        deleting=meta.deletion_timestamp is not None,
        requests=requests,
        scheduled_at=epoch(scheduled.last_transition_time) if scheduled and scheduled.status == "True" else 0.0,
        started_at=epoch(status.start_time),
        ready_at=epoch(ready.last_transition_time) if ready is not None and is_ready else 0.0,
        reason=status.reason or "",
        message=_tail(status.message, MESSAGE_TAIL),
        scheduling=_tail(scheduled.message, MESSAGE_TAIL) if scheduled and scheduled.status == "False" else "",
        disruption=(disruption.reason or "") if disruption and disruption.status == "True" else "",
        exits=_exits(inits, statuses, None if is_resolver else MESSAGE_TAIL),
        devices=_devices([*inits, *statuses]),
        waiting=_waiting([*inits, *statuses]),
        nominated=_nominated(obj),
    )


def _nominated(obj: wire.Pod) -> str:
    """Where kube-scheduler keeps room for a foreign pod; that of our own is promised by their placement."""
    ours = names.LABEL_JOB in (obj.metadata.labels or {})
    return "" if ours or obj.spec.node_name else intern(obj.status.nominated_node_name or "")


def priority_class(obj: wire.PriorityClass) -> PriorityClassRecord:
    """Return a PriorityClass's record."""
    policy = obj.preemption_policy or "PreemptLowerPriority"
    return PriorityClassRecord(obj.metadata.name, obj.value, policy, obj.global_default)


def _shared_texts(labels: Mapping[str, str] | None) -> dict[str, str]:
    """The labels, with equal texts held once in the process: thousands of objects say the same."""
    return {intern(name): intern(value) for name, value in (labels or {}).items()}


def condition(conditions: Iterable[wire.Condition] | None, name: str) -> wire.Condition | None:
    """Return the condition of this type, or None."""
    for item in conditions or ():
        if item.type == name:
            return item
    return None


def _controller(meta: wire.Meta) -> str:
    return next((owner.uid for owner in meta.owner_references or () if owner.controller), "")


def _requests(resources: wire.Resources | None) -> dict[str, int]:
    return quantity.amounts(resources.requests) if resources is not None else {}


def _at_least(requests: dict[str, int], allocated: wire.Quantities | None) -> dict[str, int]:
    for resource, amount in quantity.amounts(allocated).items():
        if amount > requests.get(resource, 0):
            requests[resource] = amount
    return requests


def _exits(
    inits: Iterable[wire.ContainerStatus], statuses: Iterable[wire.ContainerStatus], limit: int | None
) -> tuple[Exit, ...]:
    """How containers ended; of init containers only those that failed."""
    exits = [(item.name, ended) for item in statuses if (ended := _ended(item)) is not None]
    exits += [(item.name, ended) for item in inits if (ended := _ended(item)) is not None and ended.exit_code != 0]
    return tuple(
        Exit(name, end.exit_code, end.reason or "", _tail(end.message, limit), epoch(end.finished_at), end.signal or 0)
        for name, end in sorted(exits, key=lambda exit_: exit_[0])
    )


def _ended(status: wire.ContainerStatus) -> wire.Terminated | None:
    for state in (status.state, status.last_state):
        if state is not None and state.terminated is not None:
            return state.terminated
    return None


def _devices(statuses: Iterable[wire.ContainerStatus]) -> tuple[DeviceHealth, ...]:
    entries = {
        (intern(resource.name), intern(device.resource_id), intern(device.health), device.message or "")
        for status in statuses
        for resource in status.allocated_resources_status or ()
        for device in resource.resources or ()
    }
    return tuple(DeviceHealth(*entry) for entry in sorted(entries))


def _waiting(statuses: Iterable[wire.ContainerStatus]) -> str:
    for status in statuses:
        waiting = status.state.waiting if status.state is not None else None
        if waiting is not None and waiting.reason and waiting.reason not in {"PodInitializing", "ContainerCreating"}:
            return _tail(f"{waiting.reason}: {waiting.message}" if waiting.message else waiting.reason, MESSAGE_TAIL)
    return ""


def _tail(text: str | None, limit: int | None) -> str:
    data = (text or "").encode()
    return (text or "") if limit is None or len(data) <= limit else data[-limit:].decode("utf-8", "ignore")


def _owned_labels(meta: wire.ManagedMeta) -> frozenset[str]:
    """Label keys that our field manager holds."""
    if not meta.managed_fields:
        return _NONE
    keys: set[str] = set()
    for entry in meta.managed_fields:
        if entry.manager == names.FIELD_MANAGER:
            labels = _FIELDS.decode(entry.fields).get("f:metadata", {}).get("f:labels", {})
            keys.update(name.removeprefix("f:") for name in labels if name.startswith("f:"))
    return frozenset(keys)


def _written_by_others(meta: wire.ManagedMeta) -> bool:
    """Whether anybody but us holds a field of the spec."""
    return any(
        "f:spec" in _FIELDS.decode(entry.fields)
        for entry in meta.managed_fields or ()
        if entry.manager != names.FIELD_MANAGER and entry.subresource != "status"
    )
