"""Effects as values: what the core wants written. The runtime performs them with preconditions and in this order.

A ``Step`` belongs to one object and is carried out in stages: first the status (with the resourceVersion that was
read), then deletions, then the Service and other prerequisites, then all pods at once. When a stage fails the rest of
the step is dropped and the next cycle decides anew from what is true then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cardpool.names import Kind, Reason


@dataclass(frozen=True, slots=True)
class Event:
    """One Kubernetes Event on the step's object; written once per transition."""

    reason: Reason
    message: str
    warning: bool = False
    action: str = "Reconcile"


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete one pod by name and UID; ``grace`` seconds, None = the pod's own."""

    namespace: str
    name: str
    uid: str
    grace: int | None = None


@dataclass(frozen=True, slots=True)
class CreateObject:
    """Make one object (Service, ConfigMap or Pod) owned by the step's object, never more than once.

    ``manifest`` is complete JSON. On AlreadyExists the runtime looks: same controller and same attempt is ours.
    """

    manifest: Mapping[str, Any]
    attempt: int

    @property
    def name(self) -> str:
        """The object's name."""
        return str(self.manifest["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Step:
    """Everything one object needs now.

    ``status`` is the whole new status (JSON, camelCase) or None where it stays; ``urgent`` is False for progress and
    counts, which are written at most once per two seconds an object. ``delete_self`` removes the object (TTL).
    """

    kind: Kind
    key: str
    uid: str
    resource_version: str
    status: Mapping[str, Any] | None = None
    urgent: bool = True
    deletions: tuple[DeletePod, ...] = ()
    prerequisites: tuple[CreateObject, ...] = ()
    pods: tuple[CreateObject, ...] = ()
    events: tuple[Event, ...] = ()
    delete_self: bool = False


@dataclass(frozen=True, slots=True)
class ApplyNodeLabels:
    """Server-side apply of exactly these labels under our field manager; an empty map gives all up.

    ``taint`` is the value that the pool's own taint should have: None leaves it as it is, empty takes it away.

    Carries the node's UID so that an apply never makes a node.
    """

    node: str
    uid: str
    labels: Mapping[str, str]
    taint: str | None = None


@dataclass(frozen=True, slots=True)
class ApplySupernode:
    """Server-side apply of a discovered Supernode: pool and selector only, owned by the pool."""

    name: str
    pool: str
    pool_uid: str
    selector: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteSupernode:
    """Remove a discovered Supernode that nobody wrote fields on and whose nodes are gone."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What one cycle wants: steps, node labels, supernodes; ``wake`` is when to look again (epoch seconds)."""

    steps: tuple[Step, ...] = ()
    labels: tuple[ApplyNodeLabels, ...] = ()
    supernodes: tuple[ApplySupernode, ...] = ()
    removals: tuple[DeleteSupernode, ...] = ()
    wake: float | None = None
    gauges: Mapping[str, Mapping[tuple[tuple[str, str], ...], float]] | None = None
