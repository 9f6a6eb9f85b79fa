"""The setting of one scenario on fake nodes, and the parts of kubelet that a test plays in it.

Pool, nodes, namespaces and classes carry the scene's name, so scenes share a cluster and an operator undisturbed.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.cluster.context import Context
from tests.support import builders
from tests.support.history import Body, condition, status_of
from tests.support.kubeclient import Kube
from tests.support.recorder import Recorder
from tests.support.view import View


class Stage(View):
    """Makes what a scenario needs, remembers it, and takes it away again."""

    def __init__(self, name: str, kube: Kube, recorder: Recorder) -> None:
        super().__init__(name, kube, recorder)
        self.nodes: list[str] = []
        self.pools: list[str] = []
        self.namespaces: list[str] = []
        self.classes: list[str] = []

    async def open(self) -> None:
        """Make the namespace and wait until pods may be made in it."""
        await self.namespace(self.name)

    async def namespace(self, name: str, **labels: str) -> None:
        """Make a namespace that belongs to the scene."""
        self.namespaces.append(name)
        marks = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
        await self.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": marks}})
        await self.kube.until("ServiceAccount", "default", name)

    async def add_nodes(
        self, count: int, *, supernode: str = "SN_0", cards: int = 8, vendor: str = "nvidia"
    ) -> list[str]:
        """Make fake nodes of one supernode in the scene's pool and wait until they are Ready; their names."""
        made = []
        for _ in range(count):
            name = f"{self.name}-{len(self.nodes):03d}"
            self.nodes.append(name)
            labels = {builders.SUPERNODE_LABEL: supernode} if supernode else {}
            made.append(builders.node(name, self.name, vendor=vendor, cards=cards, labels=labels))
        return await self.kube.make_nodes(made)

    async def add_pool(self, *, wait: bool = True, **spec: Any) -> Body:
        """Make the scene's CardPool and wait until it is Ready with all nodes counted."""
        self.pools.append(self.name)
        await self.kube.create(builders.pool(self.name, **spec))
        return await self.pool_ready() if wait else await self.seen("CardPool", self.name, "", bool)

    async def pool_ready(self) -> Body:
        """The CardPool, once it is Ready and counts the scene's nodes."""

        def ready(body: Body) -> bool:
            whole = status_of(body).get("nodes") == len(self.nodes)
            return whole and condition(body, "Ready").get("status") == "True"

        return await self.seen("CardPool", self.name, "", ready, "Ready with all nodes")

    async def usual(self, nodes: int = 3, **pool: Any) -> None:
        """Nodes of one supernode with 8 cards each, and the pool over them."""
        await self.add_nodes(nodes)
        await self.add_pool(**pool)

    async def submit(self, name: str = "llm", **spec: Any) -> Body:
        """Create a TrainingJob in the scene's pool and namespace."""
        namespace = spec.pop("namespace", self.name)
        return await self.kube.create(builders.job(name, namespace, spec.pop("pool", self.name), **spec))

    async def patch_job(self, name: str, **spec: Any) -> Body:
        """Merge-patch the spec of a job."""
        return await self.kube.patch("TrainingJob", name, {"spec": spec}, self.name)

    async def priority(self, name: str, value: int, policy: str = "PreemptLowerPriority") -> str:
        """Make a PriorityClass that belongs to the scene; its full name."""
        full = f"{self.name}-{name}"
        self.classes.append(full)
        await self.kube.create(builders.priority_class(full, value, policy))
        return full

    async def end_pod(self, pod: Body, code: int = 0, message: str = "") -> None:
        """Let the pod's containers exit with that code now."""
        now = stamp()
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message, "finishedAt": now}
        current = await self.kube.get("Pod", pod["metadata"]["name"], self.name)
        statuses = [
            {**one, "ready": False, "started": False, "state": {"terminated": {**ended, "startedAt": now}}}
            for one in current["status"].get("containerStatuses") or ()
        ]
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": statuses}
        name = pod["metadata"]["name"]
        await self.kube.patch("Pod", name, {"status": status}, self.name, subresource="status")

    async def break_card(
        self, pod: Body, card: str = "card-3", health: str = "Unhealthy", resource: str = builders.RESOURCES["nvidia"]
    ) -> None:
        """Report the health of one of the pod's cards as kubelet does, all others Healthy."""
        others = {f"card-{index}": "Healthy" for index in range(8)}
        await self.kube.report_cards(pod["metadata"]["name"], self.name, resource, {**others, card: health})

    async def offer(
        self, node: str, cards: int, capacity: int | None = None, resource: str = builders.RESOURCES["nvidia"]
    ) -> None:
        """Set how many cards the node offers."""
        await self.kube.set_cards(node, resource, cards, capacity)

    async def succeed(self, name: str = "llm") -> None:
        """Let every pod of the job end well."""
        await asyncio.gather(*(self.end_pod(pod) for pod in self.pods(name)))

    async def close(self) -> None:
        """Take everything of the scene away; nothing is waited for but what would disturb the next scene."""
        for namespace in self.namespaces:
            await self.kube.delete("Namespace", namespace)
        await asyncio.gather(
            *(self.kube.delete("CardPool", name) for name in self.pools),
            *(self.kube.delete("PriorityClass", name) for name in self.classes),
            *(self.kube.delete("Node", name, grace=0) for name in self.nodes),
        )


@contextmanager
def paused(cluster: Context, program: str) -> Iterator[None]:
    """One program of the control plane stands still meanwhile."""
    running = cluster.processes.find(program)
    assert running is not None
    os.kill(running.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(running.pid, signal.SIGCONT)


def stamp() -> str:
    """The present time as Kubernetes writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
