"""Where objects live in the API: pure functions from kind and name to a URL path.

Nothing here talks to a server; every path that the package requests is built here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from cardpool import names
from cardpool.names import Kind


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the API; ``api`` is ``v1`` or ``group/version``."""

    api: str
    kind: str
    plural: str
    namespaced: bool


NAMESPACES: Final = Resource("v1", "Namespace", "namespaces", namespaced=False)
SERVICES: Final = Resource("v1", "Service", "services", namespaced=True)
SECRETS: Final = Resource("v1", "Secret", "secrets", namespaced=True)
LEASES: Final = Resource("coordination.k8s.io/v1", "Lease", "leases", namespaced=True)
EVENTS: Final = Resource("events.k8s.io/v1", "Event", "events", namespaced=True)

RESOURCES: Final[Mapping[Kind, Resource]] = {
    Kind.NODE: Resource("v1", "Node", "nodes", namespaced=False),
    Kind.POD: Resource("v1", "Pod", "pods", namespaced=True),
    Kind.CONFIG_MAP: Resource("v1", "ConfigMap", "configmaps", namespaced=True),
    Kind.NAMESPACE: NAMESPACES,
    Kind.PRIORITY_CLASS: Resource("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False),
    Kind.JOB: Resource(names.API_VERSION, "TrainingJob", "trainingjobs", namespaced=True),
    Kind.POOL: Resource(names.API_VERSION, "CardPool", "cardpools", namespaced=False),
    Kind.SUPERNODE: Resource(names.API_VERSION, "Supernode", "supernodes", namespaced=False),
}
_BY_TYPE: Final = {(item.api, item.kind): item for item in (*RESOURCES.values(), SERVICES, SECRETS, LEASES, EVENTS)}


def resource(kind: Resource | Kind) -> Resource:
    """Return the resource of a mirrored kind; a Resource passes through."""
    return kind if isinstance(kind, Resource) else RESOURCES[kind]


def collection(kind: Resource | Kind, namespace: str | None = None) -> str:
    """Return the path of a collection: of one namespace, or of the whole cluster where ``namespace`` is None."""
    target = resource(kind)
    root = f"/api/{target.api}" if "/" not in target.api else f"/apis/{target.api}"
    scope = f"/namespaces/{quote(namespace, safe='')}" if target.namespaced and namespace is not None else ""
    return f"{root}{scope}/{target.plural}"


def item(kind: Resource | Kind, name: str, namespace: str | None = None, subresource: str = "") -> str:
    """Return the path of one object, or of its subresource; ValueError where a needed namespace is missing."""
    target = resource(kind)
    if target.namespaced and not namespace:
        raise ValueError(f"{target.kind} {name} needs a namespace")
    tail = f"/{subresource}" if subresource else ""
    return f"{collection(target, namespace)}/{quote(name, safe='')}{tail}"


def by_key(kind: Resource | Kind, key: str, subresource: str = "") -> str:
    """Return the path of the object with this key: ``namespace/name``, or ``name`` for a cluster's object."""
    namespace, _, name = key.rpartition("/")
    return item(kind, name, namespace or None, subresource)


def of_manifest(manifest: Mapping[str, Any]) -> str:
    """Return the collection that a manifest is posted to; ValueError for a kind that cardpool never makes."""
    target = _BY_TYPE.get((manifest["apiVersion"], manifest["kind"]))
    if target is None:
        raise ValueError(f"cardpool makes no {manifest['apiVersion']} {manifest['kind']}")
    return collection(target, manifest["metadata"].get("namespace"))
