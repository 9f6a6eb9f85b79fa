"""A small asyncio client of the Kubernetes REST API for tests and tools: plain JSON in and out, one method per verb.

It knows the kinds that the project touches and nothing else. Every refusal is an ApiError that carries the server's
own Status, so that a test can assert on reason and message.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import yaml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

JSON = dict[str, Any]
Objects = list[JSON]
T = TypeVar("T")
PATCHES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
# kind -> (group/version, plural, namespaced)
KINDS: dict[str, tuple[str, str, bool]] = {
    "Namespace": ("v1", "namespaces", False),
    "Node": ("v1", "nodes", False),
    "PersistentVolume": ("v1", "persistentvolumes", False),
    "Pod": ("v1", "pods", True),
    "Service": ("v1", "services", True),
    "ServiceAccount": ("v1", "serviceaccounts", True),
    "ConfigMap": ("v1", "configmaps", True),
    "Secret": ("v1", "secrets", True),
    "Event": ("v1", "events", True),
    "Endpoints": ("v1", "endpoints", True),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims", True),
    "ResourceQuota": ("v1", "resourcequotas", True),
    "Deployment": ("apps/v1", "deployments", True),
    "DaemonSet": ("apps/v1", "daemonsets", True),
    "Job": ("batch/v1", "jobs", True),
    "Lease": ("coordination.k8s.io/v1", "leases", True),
    "PriorityClass": ("scheduling.k8s.io/v1", "priorityclasses", False),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "Role": ("rbac.authorization.k8s.io/v1", "roles", True),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings", True),
    "FlowSchema": ("flowcontrol.apiserver.k8s.io/v1", "flowschemas", False),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices", True),
    "ResourceSlice": ("resource.k8s.io/v1", "resourceslices", False),
    "StorageClass": ("storage.k8s.io/v1", "storageclasses", False),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions", False),
    "ValidatingAdmissionPolicy": ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies", False),
    "ValidatingAdmissionPolicyBinding": ("admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings", False),
    "CardPool": ("cardpool.dev/v1alpha1", "cardpools", False),
    "Supernode": ("cardpool.dev/v1alpha1", "supernodes", False),
    "TrainingJob": ("cardpool.dev/v1alpha1", "trainingjobs", True),
}


class ApiError(Exception):
    """The API server refused; `status`, `reason`, `message` and the whole `body` are its own words."""

    def __init__(self, status: int, body: JSON) -> None:
        self.status = status
        self.body = body
        self.reason = str(body.get("reason", ""))
        self.message = str(body.get("message", ""))
        super().__init__(f"{status} {self.reason}: {self.message}")


@dataclass(slots=True)
class Client:
    """One connection pool to one API server; close it, or use it as an async context manager."""

    server: str
    session: aiohttp.ClientSession

    @classmethod
    def open(cls, kubeconfig: Path, connections: int = 64, token: str | None = None) -> Self:
        """A client for the kubeconfig's current context; a token replaces the kubeconfig's own user."""
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config, "contexts", config["current-context"], "context")
        cluster = _named(config, "clusters", context["cluster"], "cluster")
        user = _named(config, "users", context["user"], "user")
        trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
        headers = {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        else:
            trust.load_cert_chain(user["client-certificate"], user["client-key"])
        connector = aiohttp.TCPConnector(limit=connections, ssl=trust)
        return cls(cluster["server"], aiohttp.ClientSession(connector=connector, headers=headers))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> JSON:
        """Send one request and return the decoded answer; ApiError for every status from 400 on."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        async with self.session.request(method, self.server + path, data=data, params=query, headers=headers) as answer:
            raw = await answer.read()
            try:
                decoded: Any = json.loads(raw) if raw else {}
            except ValueError:
                decoded = {"message": raw.decode(errors="replace")}
            content: JSON = decoded if isinstance(decoded, dict) else {"items": decoded}
            if answer.status >= 400:
                raise ApiError(answer.status, content)
            return content

    async def get(self, kind: str, name: str, namespace: str | None = None) -> JSON:
        """The object; ApiError 404 if it is not there."""
        return await self.request("GET", path_of(kind, name, namespace))

    async def find(self, kind: str, name: str, namespace: str | None = None) -> JSON | None:
        """The object, or None if it is not there."""
        try:
            return await self.get(kind, name, namespace)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(
        self, kind: str, namespace: str | None = None, *, labels: str | None = None, fields: str | None = None
    ) -> Objects:
        """All objects that fit, of all namespaces if none is named, each with its apiVersion and kind."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        query = {key: value for key, value in selectors.items() if value}
        answer = await self.request("GET", path_of(kind, None, namespace), query=query)
        stamp = {"apiVersion": KINDS[kind][0], "kind": kind}
        return [stamp | item for item in answer["items"]]

    async def create(self, body: JSON, *, dry_run: bool = False) -> JSON:
        """Create the object and return what the server made of it."""
        path = path_of(body["kind"], None, body["metadata"].get("namespace"))
        return await self.request("POST", path, body, query={"dryRun": "All"} if dry_run else None)

    async def replace(self, body: JSON, subresource: str | None = None) -> JSON:
        """Put the object as it stands, with the resourceVersion in it as the precondition."""
        metadata = body["metadata"]
        path = path_of(body["kind"], metadata["name"], metadata.get("namespace"), subresource)
        return await self.request("PUT", path, body)

    async def patch(
        self,
        kind: str,
        name: str,
        body: object,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        how: str = "merge",
    ) -> JSON:
        """Patch the object; `how` is merge, strategic or json."""
        path = path_of(kind, name, namespace, subresource)
        return await self.request("PATCH", path, body, content_type=PATCHES[how])

    async def apply(self, body: JSON, *, manager: str = "test", subresource: str | None = None) -> JSON:
        """Server-side apply by force as that field manager."""
        metadata = body["metadata"]
        path = path_of(body["kind"], metadata["name"], metadata.get("namespace"), subresource)
        query = {"fieldManager": manager, "force": "true"}
        return await self.request("PATCH", path, body, query=query, content_type=PATCHES["apply"])

    async def delete(
        self, kind: str, name: str, namespace: str | None = None, *, grace: int | None = None, uid: str | None = None
    ) -> None:
        """Ask for the object's deletion; an object that is already gone is no error."""
        options: JSON = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self.request("DELETE", path_of(kind, name, namespace), options)
        except ApiError as error:
            if error.status != 404:
                raise

    async def watch(
        self, kind: str, namespace: str | None = None, *, version: str = "", seconds: int = 60, labels: str = ""
    ) -> AsyncIterator[tuple[str, JSON]]:
        """Events as (type, object) from that resourceVersion on, for at most the given seconds."""
        query = {"watch": "true", "timeoutSeconds": str(seconds), "resourceVersion": version, "labelSelector": labels}
        path = self.server + path_of(kind, None, namespace)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=seconds + 10)
        async with self.session.get(path, params=query, timeout=timeout) as answer:
            if answer.status >= 400:
                raise ApiError(answer.status, await answer.json())
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    yield event["type"], event["object"]


async def wait_for(look: Callable[[], Awaitable[T | None]], seconds: float, what: str, *, every: float = 0.05) -> T:
    """The first truthy answer of `look`; TimeoutError that says what was waited for and the last answer seen."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true in {seconds:.0f} s; last answer: {answer!r}")
        await asyncio.sleep(every)


def path_of(kind: str, name: str | None = None, namespace: str | None = None, subresource: str | None = None) -> str:
    """The REST path of an object, or of its collection when no name is given."""
    group_version, plural, namespaced = KINDS[kind]
    parts = ["", "api" if group_version == "v1" else "apis", group_version]
    if namespaced and namespace:
        parts += ["namespaces", quote(namespace)]
    parts.append(plural)
    if name is not None:
        parts.append(quote(name))
    if subresource is not None:
        parts.append(subresource)
    return "/".join(parts)


def _named(config: JSON, section: str, name: str, key: str) -> JSON:
    found: JSON = next(entry[key] for entry in config[section] if entry["name"] == name)
    return found
