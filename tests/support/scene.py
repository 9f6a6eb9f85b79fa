"""One scenario on a shared cluster: a pool, nodes and a namespace of its own, and the verdict at the end.

What a test waits for it sees through the recorder, as any user could. ``verify`` is the end of every test: the scene
grows still, stays so, everything is deleted, and the checker judges the whole history.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from e2e.cluster import rest
from e2e.cluster.context import Context
from tests.support import builders, invariants
from tests.support.history import PREFIX, Body, Seen, condition, controller, status_of
from tests.support.kubeclient import Kube
from tests.support.recorder import Recorder
from tests.support.rules.verdict import Expectation, Quiet

SECONDS = 20.0
STILL = 0.4  # longer than the operator holds back counts, see operator_process
QUIET = 0.5  # finds writes that repeat; test_a_long_rest_is_without_a_write finds those of slow timers
OWNED = ("Pod", "Service", "ConfigMap")


class Scene:
    """Pool, nodes and namespace carry the scene's name; ``kube`` acts, ``recorder`` sees."""

    def __init__(self, name: str, kube: Kube, recorder: Recorder) -> None:
        self.name = name
        self.kube = kube
        self.recorder = recorder
        self.nodes: list[str] = []
        self.pools: list[str] = []
        self.namespaces: list[str] = []
        self.classes: list[str] = []
        self.verified = False

    # -- setting ------------------------------------------------------------------------------------------------

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

    # -- seeing -------------------------------------------------------------------------------------------------

    def job(self, name: str = "llm") -> Body:
        """The job as last seen; empty where it does not exist."""
        return self.recorder.find("TrainingJob", name, self.name) or {}

    def status(self, name: str = "llm") -> Mapping[str, Any]:
        """The job's status as last seen."""
        return status_of(self.job(name)) if self.job(name) else {}

    def pods(self, name: str = "llm") -> list[Body]:
        """The job's pods that exist, resolver excluded, in rank order."""
        mine = [
            pod
            for pod in self.recorder.now["Pod"].values()
            if pod["metadata"]["namespace"] == self.name
            and (pod["metadata"].get("labels") or {}).get(f"{PREFIX}job") == name
            and f"{PREFIX}rank" in pod["metadata"]["labels"]
        ]
        return sorted(mine, key=lambda pod: int(pod["metadata"]["labels"][f"{PREFIX}rank"]))

    def pod_events(self, name: str = "llm") -> list[Seen]:
        """Every event ever seen of the job's pods, resolver excluded."""
        return [
            seen
            for seen in self.recorder.events
            if seen.kind == "Pod"
            and seen.body["metadata"]["namespace"] == self.name
            and seen.labels.get(f"{PREFIX}job") == name
            and f"{PREFIX}rank" in seen.labels
        ]

    def last_counts(self, name: str = "llm") -> int:
        """Restarts of both sorts in the last status ever seen of the job, which may be gone."""
        bodies = [
            seen.body
            for seen in self.recorder.events
            if seen.kind == "TrainingJob" and seen.key == f"{self.name}/{name}"
        ]
        status = status_of(bodies[-1])
        return int(status.get("restarts", 0)) + int(status.get("faultRestarts", 0))

    def events(self, reason: str, name: str = "llm") -> list[Body]:
        """Events about the job with that reason."""
        return [
            event
            for event in self.recorder.now["Event"].values()
            if event.get("reason") == reason
            and event["involvedObject"]["name"] == name
            and event["involvedObject"].get("namespace") == self.name
        ]

    def nodes_of(self, name: str = "llm") -> list[str]:
        """Nodes of the job's pods in rank order."""
        return [pod["spec"].get("nodeName", "") for pod in self.pods(name)]

    async def until(self, look: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        """The first truthy answer, asked after every event."""
        return await self.recorder.until(look, seconds, what)

    async def seen(
        self,
        kind: str,
        name: str,
        namespace: str,
        look: Callable[[Body], Any],
        what: str = "exists",
        seconds: float = SECONDS,
    ) -> Body:
        """The object, once it exists and looks as asked; AssertionError with its status."""

        def found() -> Body | None:
            body = self.recorder.find(kind, name, namespace)
            return body if body is not None and look(body) else None

        try:
            return await self.recorder.until(found, seconds, f"{kind} {name} {what}")
        except AssertionError as error:
            body = self.recorder.find(kind, name, namespace)
            raise AssertionError(f"{error}; status: {status_of(body) if body else 'no such object'}") from error

    async def until_job(
        self, look: Callable[[Mapping[str, Any]], Any], what: str, name: str = "llm", seconds: float = SECONDS
    ) -> Mapping[str, Any]:
        """The job's status, once it looks as asked."""
        return status_of(
            await self.seen("TrainingJob", name, self.name, lambda body: look(status_of(body)), what, seconds)
        )

    async def until_phase(self, phase: str, name: str = "llm", seconds: float = SECONDS) -> Mapping[str, Any]:
        """The job's status, once it is in that phase."""
        return await self.until_job(lambda status: status.get("phase") == phase, f"in phase {phase}", name, seconds)

    async def until_condition(
        self, kind: str, value: str, reason: str = "", name: str = "llm", seconds: float = SECONDS
    ) -> Mapping[str, Any]:
        """The job's condition, once it has that value (and reason)."""

        def look(body: Body) -> bool:
            one = condition(body, kind)
            return one.get("status") == value and reason in {"", one.get("reason")}

        body = await self.seen("TrainingJob", name, self.name, look, f"{kind}={value} {reason}", seconds)
        return condition(body, kind)

    async def until_running(
        self, name: str = "llm", attempt: int | None = None, seconds: float = SECONDS
    ) -> Mapping[str, Any]:
        """The job's status, once all of its pods run (in that attempt)."""

        def look(status: Mapping[str, Any]) -> bool:
            ready, _, want = str(status.get("ready", "")).partition("/")
            here = attempt is None or status.get("attempt") == attempt
            return status.get("phase") == "Running" and here and ready == want and bool(ready)

        return await self.until_job(look, f"Running in attempt {attempt}", name, seconds)

    async def until_waiting(self, reason: str, name: str = "llm", seconds: float = SECONDS) -> str:
        """The message of PodsScheduled, once it is False for that reason."""
        return str((await self.until_condition("PodsScheduled", "False", reason, name, seconds))["message"])

    async def until_gone(self, kind: str, name: str, seconds: float = SECONDS) -> None:
        """Return when the namespaced object does not exist any more."""
        await self.until(lambda: self.recorder.find(kind, name, self.name) is None, f"{kind} {name} gone", seconds)

    async def until_quota(self, name: str) -> None:
        """Return when the API server enforces the ResourceQuota."""

        async def enforced() -> bool:
            quota = await self.kube.get("ResourceQuota", name, self.name)
            return bool(status_of(quota).get("used"))

        await rest.wait_for(enforced, SECONDS, f"quota {name} enforced")

    # -- playing kubelet ----------------------------------------------------------------------------------------

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

    # -- the verdict --------------------------------------------------------------------------------------------

    def concerns(self, seen: Seen) -> bool:
        """Whether an event belongs to this scene."""
        meta = seen.body["metadata"]
        if meta.get("namespace"):
            return meta["namespace"] in self.namespaces
        match seen.kind:
            case "Node":
                return meta["name"] in self.nodes
            case "CardPool":
                return meta["name"] in self.pools
            case "Supernode":
                return (seen.body.get("spec") or {}).get("pool") in self.pools
            case _:
                return False

    def ours(self, seen: Seen) -> bool:
        """Whether an event is a write that a quiet operator does not make."""
        if not self.concerns(seen) or seen.kind in {"Node", "Event", "Lease", "Namespace"}:
            return False
        return seen.kind not in OWNED or bool(_job_uid(seen.body))

    async def verify(
        self, restarts: Mapping[str, int] | None = None, *, quiet: float = QUIET, keep: bool = False, **expected: Any
    ) -> None:
        """Grow still, stay so for ``quiet`` seconds, delete all jobs (unless ``keep``), then judge the whole history."""
        windows: tuple[Quiet, ...] = tuple(expected.pop("windows", ()))
        if quiet:
            await self.recorder.settled(self.ours, STILL, SECONDS)
            since = time.time()
            await asyncio.sleep(quiet)
            windows += (Quiet(since, time.time()),)
        if not keep:
            await self.clear()
        named = {f"{self.name}/{name}": number for name, number in (restarts or {}).items()}
        violations = invariants.check(
            self.recorder.history(self.concerns), Expectation(restarts=named, quiet=windows, **expected)
        )
        self.verified = True
        assert not violations, invariants.report(violations)

    async def clear(self) -> None:
        """Delete every job and wait until nothing that they owned is left."""
        jobs = [
            body
            for body in self.recorder.now["TrainingJob"].values()
            if body["metadata"]["namespace"] in self.namespaces
        ]
        for body in jobs:
            await self.kube.delete("TrainingJob", body["metadata"]["name"], body["metadata"]["namespace"])
        await self.until(lambda: not self.owned(), "everything of the jobs gone", 2 * SECONDS)

    def owned(self) -> list[str]:
        """Objects that belong to a job of the scene, the jobs themselves included."""
        return [
            f"{kind} {key}"
            for kind in ("TrainingJob", *OWNED)
            for key, body in self.recorder.now[kind].items()
            if body["metadata"]["namespace"] in self.namespaces and (kind == "TrainingJob" or _job_uid(body))
        ]

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


def _job_uid(body: Body) -> str:
    labels = body["metadata"].get("labels") or {}
    owners = body["metadata"].get("ownerReferences") or ()
    mine = any(owner["kind"] == "TrainingJob" for owner in owners)
    return str(labels.get(f"{PREFIX}job-uid", "")) or (controller(body) if mine else "")
