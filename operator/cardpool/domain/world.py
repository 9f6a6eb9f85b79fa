"""The world of one cycle: everything the pure core may know, frozen, in typed records.

The runtime builds it from the mirror; nothing in it is a live object. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cardpool.api.cardpool import CardPoolSpec, CardPoolStatus
from cardpool.api.supernode import SupernodeSpec, SupernodeStatus
from cardpool.api.trainingjob import TrainingJobSpec, TrainingJobStatus
from cardpool.domain.gangs import Taint


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A Node. Quantities are canonical integers (cpu in millicores, bytes, units).

    ``owned`` are the label keys that cardpool's own field manager holds on it. ``ready_since`` is when ``ready`` last
    changed, in either direction.
    """

    name: str
    uid: str
    created: float
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    ready: bool
    deleting: bool
    capacity: Mapping[str, int]
    allocatable: Mapping[str, int]
    owned: frozenset[str] = frozenset()
    ready_since: float = 0.0


@dataclass(frozen=True, slots=True)
class DeviceHealth:
    """One entry of a container's allocatedResourcesStatus; ``resource`` without the container's prefix."""

    resource: str
    card: str
    health: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended."""

    container: str
    code: int
    reason: str
    message: str
    finished: float
    signal: int = 0


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A Pod. ``requests`` are its effective requests (canonical integers, cards included); terminal pods hold nothing.

    ``owner`` is the UID of the controlling owner, empty where there is none. ``disruption`` is the reason of a true
    DisruptionTarget condition. ``scheduling`` is kube-scheduler's message while it refuses the pod. ``nominated`` is
    the node on which it keeps room for a foreign pod that is not bound yet.
    """

    namespace: str
    name: str
    uid: str
    created: float
    labels: Mapping[str, str]
    owner: str
    node: str
    phase: str
    ready: bool
    deleting: bool
    requests: Mapping[str, int]
    scheduled_at: float = 0.0
    started_at: float = 0.0
    ready_at: float = 0.0
    reason: str = ""
    message: str = ""
    scheduling: str = ""
    disruption: str = ""
    exits: tuple[Exit, ...] = ()
    devices: tuple[DeviceHealth, ...] = ()
    waiting: str = ""
    nominated: str = ""

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def holds(self) -> str:
        """The node whose room the pod has, or is to have; empty where nobody knows."""
        return self.node or self.nominated

    @property
    def finished(self) -> bool:
        """True in a terminal phase: the pod holds no card any more."""
        return self.phase in {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A TrainingJob; ``spec`` is None where it does not parse, with ``invalid`` saying field and cause.

    ``owner`` is the name of its controlling owner, ``runtime_key`` its own word on whose run time is like its.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    created: float
    deleting: bool
    spec: TrainingJobSpec | None
    status: TrainingJobStatus
    invalid: str = ""
    owner: str = ""
    runtime_key: str = ""

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PoolRecord:
    """A CardPool; ``spec`` is None where it does not parse."""

    name: str
    uid: str
    resource_version: str
    generation: int
    created: float
    deleting: bool
    spec: CardPoolSpec | None
    status: CardPoolStatus
    invalid: str = ""


@dataclass(frozen=True, slots=True)
class SupernodeRecord:
    """A Supernode; ``discovered`` where the pool made it; ``user_fields`` where a person set spares or cordoned."""

    name: str
    uid: str
    resource_version: str
    generation: int
    created: float
    deleting: bool
    spec: SupernodeSpec | None
    status: SupernodeStatus
    discovered: bool = False
    user_fields: bool = False
    owner: str = ""
    invalid: str = ""


@dataclass(frozen=True, slots=True)
class PriorityClassRecord:
    """A PriorityClass."""

    name: str
    value: int
    preemption_policy: str
    global_default: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """What the API server said of an object that was to be made for an attempt; in memory only, found again by trying.

    ``code`` is the HTTP status; ``taken`` marks a foreign object under the name.
    """

    job_uid: str
    attempt: int
    object: str
    code: int
    message: str
    at: float
    taken: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """One cycle's view. ``busy`` are UIDs of objects whose last actions are still being written: leave them alone.

    ``late`` are settled jobs that were given a TTL after they had settled; ``jobs`` holds none that is settled.
    """

    now: float
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    pods: Mapping[str, PodRecord] = field(default_factory=dict)
    pods_by_owner: Mapping[str, tuple[PodRecord, ...]] = field(default_factory=dict)
    pods_by_node: Mapping[str, tuple[PodRecord, ...]] = field(default_factory=dict)
    jobs: Mapping[str, JobRecord] = field(default_factory=dict)
    pools: Mapping[str, PoolRecord] = field(default_factory=dict)
    supernodes: Mapping[str, SupernodeRecord] = field(default_factory=dict)
    priority_classes: Mapping[str, PriorityClassRecord] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    late: Mapping[str, JobRecord] = field(default_factory=dict)
    refused: Mapping[str, Refused] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()
    first: frozenset[str] = frozenset()
