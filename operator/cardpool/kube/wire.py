"""What is read of Kubernetes' JSON: msgspec structs with only the fields that the records need.

Unknown fields are skipped while decoding, which is what makes an event cost microseconds. Values that Kubernetes may
send as null are optional here. Raw parts (spec and status of our kinds, field sets) are decoded later or not at all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from cardpool.names import Kind

Quantities = dict[str, str | int | float]
EMPTY: Final = msgspec.Raw(b"{}")


class Struct(msgspec.Struct, rename="camel", gc=False):
    """Base: camelCase on the wire, acyclic, so the garbage collector need not look."""


class Owner(Struct):
    """One owner reference."""

    uid: str = ""
    name: str = ""
    controller: bool | None = None


class Fields(Struct):
    """Which fields one manager owns."""

    manager: str = ""
    subresource: str = ""
    fields: msgspec.Raw = msgspec.field(default=EMPTY, name="fieldsV1")


class Meta(Struct):
    """Object metadata."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    owner_references: list[Owner] | None = None


class ManagedMeta(Meta):
    """Metadata where it matters who owns which field."""

    managed_fields: list[Fields] | None = None


class Headed(Struct):
    """Any object, of which only the metadata is read."""

    metadata: Meta


class Condition(Struct):
    """One condition of a Node or a Pod."""

    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


class Taint(Struct):
    """A node's taint."""

    key: str = ""
    value: str | None = None
    effect: str = ""


class NodeSpec(Struct):
    """spec of a Node."""

    unschedulable: bool = False
    taints: list[Taint] | None = None


class NodeStatus(Struct):
    """status of a Node."""

    capacity: Quantities | None = None
    allocatable: Quantities | None = None
    conditions: list[Condition] | None = None


class Node(Struct):
    """A Node."""

    metadata: ManagedMeta
    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class Resources(Struct):
    """Requests and limits."""

    requests: Quantities | None = None
    limits: Quantities | None = None


class Container(Struct):
    """A container of a pod's spec."""

    name: str = ""
    resources: Resources | None = None
    restart_policy: str | None = None


class PodSpec(Struct):
    """spec of a Pod."""

    node_name: str = ""
    containers: list[Container] = []
    init_containers: list[Container] | None = None
    overhead: Quantities | None = None
    resources: Resources | None = None


class Waiting(Struct):
    """Why a container does not run yet."""

    reason: str | None = None
    message: str | None = None


class Terminated(Struct):
    """How a container ended."""

    exit_code: int = 0
    signal: int | None = None
    reason: str | None = None
    message: str | None = None
    finished_at: datetime | None = None


class ContainerState(Struct):
    """State of a container."""

    waiting: Waiting | None = None
    terminated: Terminated | None = None


class DeviceStatus(Struct):
    """Health of one device."""

    resource_id: str = msgspec.field(default="", name="resourceID")
    health: str = ""
    message: str | None = None


class AllocatedResource(Struct):
    """Devices of one resource that a container holds."""

    name: str = ""
    resources: list[DeviceStatus] | None = None


class ContainerStatus(Struct):
    """Status of one container."""

    name: str = ""
    state: ContainerState | None = None
    last_state: ContainerState | None = None
    allocated_resources: Quantities | None = None
    allocated_resources_status: list[AllocatedResource] | None = None


class PodStatus(Struct):
    """status of a Pod."""

    phase: str = ""
    reason: str | None = None
    message: str | None = None
    start_time: datetime | None = None
    nominated_node_name: str | None = None
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None


class Pod(Struct):
    """A Pod."""

    metadata: Meta
    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class Custom(Struct):
    """One of our own kinds; spec and status stay raw until pydantic reads them."""

    metadata: ManagedMeta
    spec: msgspec.Raw = EMPTY
    status: msgspec.Raw = EMPTY


class PriorityClass(Struct):
    """A PriorityClass."""

    metadata: Meta
    value: int = 0
    preemption_policy: str | None = None
    global_default: bool = False


class ConfigMap(Struct):
    """A ConfigMap."""

    metadata: Meta
    data: dict[str, str] | None = None


class Namespace(Struct):
    """A Namespace."""

    metadata: Meta


class ListMeta(Struct):
    """Metadata of a list."""

    resource_version: str = ""
    continue_token: str = msgspec.field(default="", name="continue")


class Page(Struct):
    """One page of a list; items stay raw, so that one bad object does not spoil the page."""

    metadata: ListMeta
    items: list[msgspec.Raw] | None = None


class Event(Struct):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class Kinded(Struct):
    """Any answer, of which only the kind is read."""

    kind: str = ""


class StatusDetails(Struct):
    """Details of a Status."""

    retry_after: int = msgspec.field(default=0, name="retryAfterSeconds")


class Status(Struct):
    """Kubernetes' answer where it returns no object."""

    kind: str = ""
    code: int = 0
    reason: str | None = None
    message: str = ""
    details: StatusDetails | None = None


class LeaseSpec(Struct):
    """spec of a Lease; times are only written, never compared with our clock."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    lease_transitions: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None


class Lease(Struct):
    """A Lease."""

    metadata: Meta
    spec: LeaseSpec = msgspec.field(default_factory=LeaseSpec)


Typed = Node | Pod | Custom | PriorityClass | ConfigMap | Namespace

DECODERS: Final[dict[Kind, msgspec.json.Decoder[Typed]]] = {
    Kind.NODE: msgspec.json.Decoder(Node),
    Kind.POD: msgspec.json.Decoder(Pod),
    Kind.JOB: msgspec.json.Decoder(Custom),
    Kind.POOL: msgspec.json.Decoder(Custom),
    Kind.SUPERNODE: msgspec.json.Decoder(Custom),
    Kind.PRIORITY_CLASS: msgspec.json.Decoder(PriorityClass),
    Kind.CONFIG_MAP: msgspec.json.Decoder(ConfigMap),
    Kind.NAMESPACE: msgspec.json.Decoder(Namespace),
}
PAGE: Final = msgspec.json.Decoder(Page)
EVENT: Final = msgspec.json.Decoder(Event)
KINDED: Final = msgspec.json.Decoder(Kinded)
HEADED: Final = msgspec.json.Decoder(Headed)
STATUS: Final = msgspec.json.Decoder(Status)
LEASE: Final = msgspec.json.Decoder(Lease)
