"""What is measured, one function each; all times in seconds on the monotonic clock of this process.

Invariant: nothing is left of one measurement when the next begins: no pod in either namespace, no job.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.bench import floor, watching
from e2e.cluster import rest
from tests.support import builders
from tests.support.operator_process import Operator

POOL, PROFILE, VENDOR = "main", "k100", "hygon"
OURS, RAW = "bench", "bench-floor"
GANG = "gang"
STILL = 2.5  # longer than counts are held back, so that no figure is about those of the one before


@dataclass(slots=True)
class Figures:
    """Everything measured in one run; lists hold one value a round."""

    label_seconds: float = 0.0
    floor_seconds: list[float] = field(default_factory=list)
    bound_seconds: list[float] = field(default_factory=list)
    bound_cpu_seconds: list[float] = field(default_factory=list)
    no_seconds: list[float] = field(default_factory=list)
    no_cpu_seconds: list[float] = field(default_factory=list)
    start_seconds: list[float] = field(default_factory=list)
    ready_seconds: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)
    peak_mib: float = 0.0

    @property
    def ratio(self) -> float:
        """Median of the rounds' ratios of operator to floor: neighbours in time share the machine's mood."""
        return statistics.median(ours / raw for ours, raw in zip(self.bound_seconds, self.floor_seconds, strict=True))


@dataclass(slots=True)
class Bench:
    """One cluster with its nodes, one operator that comes and goes."""

    client: rest.Client
    kubeconfig: Path
    folder: Path
    pods: int
    nodes: int
    patience: float
    figures: Figures = field(default_factory=Figures)
    made: tuple[list[rest.JSON], list[rest.JSON]] = field(default_factory=lambda: ([], []))
    operator: Operator = field(init=False)

    def __post_init__(self) -> None:
        # Users' own settings: nothing is tuned for the measurement.
        defaults = {"CARDPOOL_LEASE_SECONDS": "15", "CARDPOOL_RENEW_SECONDS": "10", "CARDPOOL_RETRY_SECONDS": "2"}
        self.operator = Operator(self.kubeconfig, self.folder, "bench", CARDPOOL_STATUS_SECONDS="2", **defaults)

    async def prepare(self) -> None:
        """Namespaces and the pool; the seconds until every node is labelled and counted."""
        await self._untainted()
        for name in (OURS, RAW):
            await self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            await _until_account(self.client, name)
        manifest = builders.pool(POOL, profiles=[{"name": PROFILE, "vendor": VENDOR}])
        manifest["spec"].pop("faults")
        await self.client.create(manifest)
        begun = time.monotonic()
        await self.operator.start(seconds=self.patience)

        async def counted() -> bool:
            status = (await self.client.get("CardPool", POOL)).get("status") or {}
            ready = [one for one in status.get("conditions") or () if one["type"] == "Ready"]
            return status.get("nodes") == self.nodes and bool(ready) and ready[0]["status"] == "True"

        await rest.wait_for(counted, self.patience, "all nodes counted", every=0.5)
        await self._labelled()
        self.figures.label_seconds = time.monotonic() - begun

    async def gang(self) -> None:
        """Submit → all bound, once; the first time the pods are kept for the floor."""
        async with watching.watching(self.client, OURS) as seen:
            begun, used = time.monotonic(), self.operator.cpu_seconds()
            await self.client.create(self._job(GANG, self.pods))
            await seen.until(lambda now: len(now.bound) == self.pods, self.patience, "all bound")
            self.figures.bound_cpu_seconds.append(self.operator.cpu_seconds() - used)
            self.figures.bound_seconds.append(seen.last_bound - begun)
            if not self.made[1]:
                listed = await self.client.list("Pod", OURS)
                pods = [floor.strip_pod(pod, RAW, GANG, "raw") for pod in listed]
                services = [
                    floor.strip_service(one, RAW, GANG, "raw") for one in await self.client.list("Service", OURS)
                ]
                self.made = (services, pods)
            self._memory()

    async def refusals(self, times: int) -> None:
        """Submit → the written No, for a gang with one pod more than there are nodes."""
        await self._at_rest()
        for number in range(times):
            name = f"no-{number}"
            begun, used = time.monotonic(), self.operator.cpu_seconds()
            created = await self.client.create(self._job(name, self.nodes + 1))
            seen = await watching.until_status(
                self.client, name, OURS, _refused, self.patience, created["metadata"]["resourceVersion"]
            )
            self.figures.no_seconds.append(seen - begun)
            self.figures.no_cpu_seconds.append(self.operator.cpu_seconds() - used)
            await self.client.delete("TrainingJob", name, OURS)
            await asyncio.sleep(STILL)

    async def restart(self) -> None:
        """Process start → the first decision (a waiting job is placed), with the large gang running."""
        await self.operator.stop()
        created = await self.client.create(self._job("late", 1))
        begun = time.monotonic()
        decided = asyncio.create_task(
            watching.until_status(
                self.client, "late", OURS, lambda status: bool(status.get("placement")), self.patience,
                created["metadata"]["resourceVersion"],
            )
        )  # fmt: skip
        self.figures.ready_seconds.append(await self.operator.start(seconds=self.patience))
        self.figures.start_seconds.append(await decided - begun)
        self._memory()
        await self.client.delete("TrainingJob", "late", OURS)

    async def floor(self) -> None:
        """The raw client's time for the same work, while no operator runs."""
        await self.operator.stop()
        self.figures.floor_seconds.append(await floor.run(self.client, RAW, self.made[0], self.made[1], self.patience))
        await self._clear_raw()
        await self.operator.start(seconds=self.patience)

    async def clear(self) -> None:
        """Delete the gang and wait until all of it is gone."""
        await self.client.delete("TrainingJob", GANG, OURS)
        await self._gone(OURS)

    def _job(self, name: str, pods: int) -> rest.JSON:
        manifest = builders.job(name, OURS, POOL, pods=pods)
        manifest["spec"].pop("deadlines")
        manifest["spec"].pop("restart")
        return manifest

    def _memory(self) -> None:
        self.figures.resident_mib.append(self.operator.resident_bytes() / 2**20)
        self.figures.peak_mib = max(self.figures.peak_mib, self.operator.peak_bytes() / 2**20)

    async def _clear_raw(self) -> None:
        gate = asyncio.Semaphore(floor.IN_FLIGHT)

        async def delete(name: str) -> None:
            async with gate:
                await self.client.delete("Pod", name, RAW, grace=0)

        await asyncio.gather(*(delete(pod["metadata"]["name"]) for pod in self.made[1]))
        for service in self.made[0]:
            await self.client.delete("Service", service["metadata"]["name"], RAW)
        await self._gone(RAW)

    async def _gone(self, namespace: str) -> None:
        async def none() -> bool:
            listed = await self.client.request("GET", rest.path_of("Pod", None, namespace), query={"limit": "1"})
            return not listed["items"]

        await rest.wait_for(none, self.patience, f"no pod in {namespace}", every=0.5)

    async def _at_rest(self) -> None:
        """Return when the gang runs, so that no figure is about the events of the one before."""

        async def running() -> bool:
            status = (await self.client.get("TrainingJob", GANG, OURS)).get("status") or {}
            return bool(status.get("phase") == "Running")

        await rest.wait_for(running, self.patience, "the gang runs", every=1.0)
        await asyncio.sleep(STILL)

    async def _labelled(self) -> None:
        async def all_labelled() -> bool:
            return len(await self.client.list("Node", labels=f"cardpool.dev/pool={POOL}")) == self.nodes

        await rest.wait_for(all_labelled, self.patience, "all nodes labelled", every=1.0)

    async def _untainted(self) -> None:
        """Return when the controller manager has taken its own taints off all nodes, which trails their readiness."""

        async def none_tainted() -> bool:
            return not any(node["spec"].get("taints") for node in await self.client.list("Node"))

        await rest.wait_for(none_tainted, self.patience, "all nodes free of taints", every=3.0)


def _refused(status: dict[str, Any]) -> bool:
    return any(
        one["type"] == "PodsScheduled" and one["status"] == "False" and one["reason"] == "InsufficientCards"
        for one in status.get("conditions") or ()
    )


async def _until_account(client: rest.Client, namespace: str) -> None:
    async def there() -> bool:
        return await client.find("ServiceAccount", "default", namespace) is not None

    await rest.wait_for(there, 30, f"service account of {namespace}")
