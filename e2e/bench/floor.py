"""The floor: what a client that decides nothing needs for the same Service and the same pods.

The pods are those that the operator really made, without what the API server added to them, under another name and in
another namespace. They are encoded beforehand, so the floor holds nothing but requests.
"""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from e2e.bench import watching
from e2e.cluster import rest

IN_FLIGHT = 48  # as many as the operator has under way by default
DEFAULTED_POD = (
    "nodeName", "dnsPolicy", "enableServiceLinks", "preemptionPolicy", "priority", "schedulerName", "securityContext",
    "serviceAccount", "serviceAccountName",
)  # fmt: skip
DEFAULTED_CONTAINER = ("imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy")
DEFAULTED_SERVICE = ("clusterIPs", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy", "sessionAffinity")
OWN_LABELS = "cardpool.dev/"

Json = dict[str, Any]


def strip_pod(pod: Mapping[str, Any], namespace: str, old: str, new: str) -> Json:
    """The manifest that a client would send for such a pod; the job's name becomes another, and nobody owns it."""
    spec = copy.deepcopy(dict(pod["spec"]))
    for field in DEFAULTED_POD:
        spec.pop(field, None)
    tokens = {one["name"] for one in spec.get("volumes") or () if one["name"].startswith("kube-api-access-")}
    spec["volumes"] = [one for one in spec.get("volumes") or () if one["name"] not in tokens]
    unreachable = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    spec["tolerations"] = [
        one
        for one in spec.get("tolerations") or ()
        if not (one.get("key") in unreachable and one.get("tolerationSeconds") == 300)
    ]
    for container in spec["containers"]:
        for field in DEFAULTED_CONTAINER:
            container.pop(field, None)
        mounts = [one for one in container.get("volumeMounts") or () if one["name"] not in tokens]
        container["volumeMounts"] = mounts
    for field in ("hostname", "subdomain"):
        if field in spec:
            spec[field] = spec[field].replace(old, new, 1)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _meta(pod, namespace, old, new), "spec": spec}


def strip_service(service: Mapping[str, Any], namespace: str, old: str, new: str) -> Json:
    """The same for the gang's Service."""
    spec = {key: value for key, value in service["spec"].items() if key not in DEFAULTED_SERVICE}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(service, namespace, old, new), "spec": spec}


async def run(
    client: rest.Client, namespace: str, services: Sequence[Json], pods: Sequence[Json], seconds: float
) -> float:
    """Create all of it and return the seconds from the first request until the last pod is bound."""
    bodies = [json.dumps(pod).encode() for pod in pods]
    gate = asyncio.Semaphore(IN_FLIGHT)
    async with watching.watching(client, namespace) as seen:
        begun = time.monotonic()
        for service in services:
            await client.create(service)
        await asyncio.gather(*(_post(client, namespace, body, gate) for body in bodies))
        await seen.until(lambda now: len(now.bound) == len(bodies), seconds, "all bound (floor)")
        return seen.last_bound - begun


async def _post(client: rest.Client, namespace: str, body: bytes, gate: asyncio.Semaphore) -> None:
    url = client.server + rest.path_of("Pod", None, namespace)
    async with gate, client.session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
        content = await answer.read()
        if answer.status != 201:
            raise RuntimeError(f"pod refused with {answer.status}: {content[:300].decode(errors='replace')}")


def _meta(body: Mapping[str, Any], namespace: str, old: str, new: str) -> Json:
    meta = body["metadata"]
    kept = {key: meta[key] for key in ("labels", "annotations") if meta.get(key)}
    return {"name": meta["name"].replace(old, new, 1), "namespace": namespace, **kept}
