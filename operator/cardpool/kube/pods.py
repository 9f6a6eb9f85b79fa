"""A pod's record: what it holds as kube-scheduler counts it, how its containers fare, and how they ended.

A terminal pod holds nothing. Texts are cut to their ends, where the reason stands, but for the resolver's report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern
from typing import Final

from cardpool import names
from cardpool.domain import quantity
from cardpool.domain.world import DeviceHealth, Exit, PodRecord
from cardpool.kube import metadata, wire

MESSAGE_TAIL: Final = 1024
_TERMINAL: Final = frozenset({"Succeeded", "Failed"})


def requests(obj: wire.Pod) -> dict[str, int]:
    """Return a pod's effective requests as kube-scheduler counts them, a resize under way at its larger side."""
    spec = obj.spec
    if obj.status.phase in _TERMINAL:
        return {}
    allocated = {status.name: status.allocated_resources for status in obj.status.container_statuses or ()}
    return quantity.effective(
        [_at_least(_asked(item.resources), allocated.get(item.name)) for item in spec.containers],
        [(_asked(item.resources), item.restart_policy == "Always") for item in spec.init_containers or ()],
        quantity.amounts(spec.overhead),
        _asked(spec.resources),
    )


def record(obj: wire.Pod, requests: Mapping[str, int]) -> PodRecord:
    """Return a Pod's record with these effective requests."""
    meta, status = obj.metadata, obj.status
    scheduled = metadata.condition(status.conditions, "PodScheduled")
    ready = metadata.condition(status.conditions, "Ready")
    disruption = metadata.condition(status.conditions, "DisruptionTarget")
    statuses = status.container_statuses or []
    inits = status.init_container_statuses or []
    is_bound = scheduled is not None and scheduled.status == "True"
    is_ready = ready is not None and ready.status == "True"
    is_resolver = (meta.labels or {}).get(names.LABEL_ROLE) == names.ROLE_RESOLVER
    return PodRecord(
        namespace=intern(meta.namespace),
        name=meta.name,
        uid=meta.uid,
        created=metadata.epoch(meta.creation_timestamp),
        labels=metadata.texts(meta.labels),
        owner=intern(metadata.controller(meta)),
        node=intern(obj.spec.node_name),
        phase=intern(status.phase),
        ready=is_ready,
        deleting=meta.deletion_timestamp is not None,
        requests=requests,
        scheduled_at=metadata.epoch(scheduled.last_transition_time) if scheduled is not None and is_bound else 0.0,
        started_at=metadata.epoch(status.start_time),
        ready_at=metadata.epoch(ready.last_transition_time) if ready is not None and is_ready else 0.0,
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


def _asked(resources: wire.Resources | None) -> dict[str, int]:
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
        Exit(
            container=name,
            code=end.exit_code,
            reason=end.reason or "",
            message=_tail(end.message, limit),
            finished=metadata.epoch(end.finished_at),
            signal=end.signal or 0,
        )
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
