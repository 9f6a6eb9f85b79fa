"""Puts fake nodes into a cluster and waits until they are Ready; KWOK must run there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from e2e.cluster import rest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

IN_FLIGHT = 64

NOT_READY = "node.kubernetes.io/not-ready"


async def create(
    client: rest.Client, nodes: Iterable[dict[str, Any]], *, progress: Callable[[int], None] | None = None
) -> int:
    """Create the nodes, leaving those that exist; the number that is new."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(node: dict[str, Any]) -> int:
        async with gate:
            try:
                await client.create(node)
            except rest.ApiError as error:
                if error.status != 409:
                    raise
                return 0
            finally:
                if progress is not None:
                    progress(1)
            return 1

    return sum(await asyncio.gather(*(one(node) for node in nodes)))


async def wait_ready(client: rest.Client, names: Iterable[str], seconds: float) -> None:
    """Return when every named node is Ready; TimeoutError with the number that is not."""
    wanted = set(names)

    async def unready() -> set[str]:
        listed = await client.list("Node")
        return wanted - {node["metadata"]["name"] for node in listed if is_ready(node)}

    async def done() -> bool:
        return not await unready()

    every = 0.1 + len(wanted) / 1000  # a listing of thousands costs the server more than the wait
    await rest.wait_for(done, seconds, f"{len(wanted)} nodes Ready", every=every)


def is_ready(node: dict[str, Any]) -> bool:
    """Whether the condition Ready is True and the taint of the time before, which goes a little later, is gone."""
    conditions = node.get("status", {}).get("conditions", [])
    tainted = any(one["key"] == NOT_READY for one in node.get("spec", {}).get("taints", []))
    return not tainted and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
