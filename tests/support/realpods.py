"""Builds pods for real nodes and waits for what really happens to them.

Invariant: a pod answers through its termination message, which the API server shows without a way to the node.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from e2e.cluster import rest
from tests.support.kubeclient import Kube

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

START_SECONDS = 60.0
ANSWER = "open('/dev/termination-log', 'w').write"


def pod(
    name: str,
    namespace: str,
    *,
    node: str,
    script: str = "",
    image: str = "cardpool/base:dev",
    cards: Mapping[str, int] | None = None,
    env: Mapping[str, str] | None = None,
    subdomain: str = "",
    shared: bool = False,
) -> dict[str, Any]:
    """A pod under the restricted profile's rules; `script` is Python, `shared` mounts the nodes' common folder at /ckpt."""
    container: dict[str, Any] = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "env": [{"name": key, "value": value} for key, value in (env or {}).items()],
        "resources": {"limits": {key: str(value) for key, value in (cards or {}).items()}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if script:
        container["command"] = ["python3", "-c", script]
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "nodeSelector": {"kubernetes.io/hostname": node},
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    if subdomain:
        spec |= {"hostname": name, "subdomain": subdomain}
    if shared:
        spec["volumes"] = [{"name": "ckpt", "hostPath": {"path": "/var/lib/cardpool", "type": "Directory"}}]
        container["volumeMounts"] = [{"name": "ckpt", "mountPath": "/ckpt"}]
    labels = {"app": subdomain or name}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def headless(name: str, namespace: str) -> dict[str, Any]:
    """The Service that gives pods of that subdomain their names."""
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": {"app": name}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


async def answer(kube: Kube, name: str, namespace: str, seconds: float = START_SECONDS) -> str:
    """What the pod wrote to its termination message; AssertionError with its status if it failed."""

    async def ended() -> dict[str, Any] | None:
        found = await kube.get("Pod", name, namespace)
        return found if found["status"].get("phase") in {"Succeeded", "Failed"} else None

    found = await rest.wait_for(ended, seconds, f"pod {name} to end", every=0.1)
    assert found["status"]["phase"] == "Succeeded", found["status"]
    message: str = found["status"]["containerStatuses"][0]["state"]["terminated"].get("message", "")
    return message


async def until_in_service(kube: Kube, node: str, namespace: str) -> None:
    """Return when the node's kubelet ran a pod.

    A kubelet that starts again counts cards of pods long gone as taken until it has its first list of pods from the
    API, and refuses what is in that very list.
    """
    await kube.create(pod("in-service", namespace, node=node, script="pass"))
    await answer(kube, "in-service", namespace)


async def cards_of(kube: Kube, name: str, namespace: str) -> dict[str, str]:
    """The health of each card that the pod holds, as kubelet reports it."""
    found = await kube.get("Pod", name, namespace)
    statuses = found["status"].get("containerStatuses", [])
    listed = [entry for status in statuses for entry in status.get("allocatedResourcesStatus", [])]
    return {one["resourceID"]: one["health"] for entry in listed for one in entry["resources"]}


async def counts(kube: Kube, node: str, resource: str) -> tuple[int, int]:
    """How many cards the node has and how many are allocatable."""
    status = (await kube.get("Node", node))["status"]
    return int(status["capacity"].get(resource, "0")), int(status["allocatable"].get(resource, "0"))


def run_forever(kubeconfig: Path, name: str) -> None:
    """Start a pod that does not end by itself, and return when it runs."""

    async def run() -> None:
        async with Kube.open(kubeconfig) as kube:
            await kube.create(pod(name, "default", node="real-1", script="import time\ntime.sleep(3600)"))
            await kube.until_phase(name, "default", "Running", START_SECONDS)

    asyncio.run(run())
