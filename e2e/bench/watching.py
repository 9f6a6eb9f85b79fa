"""A cheap pair of eyes: counts pods of one gang as they are bound and gone, at a few microseconds an event.

The same eyes watch the operator's gang and the raw client's, so that what they cost is in both figures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from e2e.cluster import rest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WATCH_SECONDS = 3600


class _Meta(msgspec.Struct):
    name: str = ""
    resourceVersion: str = ""  # noqa: N815 (the wire's spelling)


class _Spec(msgspec.Struct):
    nodeName: str = ""  # noqa: N815 (the wire's spelling)


class _Object(msgspec.Struct):
    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _Event(msgspec.Struct):
    type: str
    object: _Object


class Pods:
    """Names of the pods seen: made, and bound, neither gone; ``last_bound`` is a reading of the monotonic clock."""

    def __init__(self) -> None:
        self.made: set[str] = set()
        self.bound: set[str] = set()
        self.last_bound = 0.0
        self.changed = asyncio.Event()
        self.version = ""
        self.task: asyncio.Task[None] | None = None

    def note(self, line: bytes, decoder: msgspec.json.Decoder[_Event]) -> None:
        """Take in one line of the watch."""
        event = decoder.decode(line)
        name = event.object.metadata.name
        self.version = event.object.metadata.resourceVersion
        if event.type == "DELETED":
            self.made.discard(name)
            self.bound.discard(name)
        else:
            self.made.add(name)
            if event.object.spec.nodeName and name not in self.bound:
                self.bound.add(name)
                self.last_bound = time.monotonic()
        self.changed.set()

    async def until(self, look: Callable[[Pods], bool], seconds: float, what: str) -> None:
        """Return once it looks so; TimeoutError with the counts."""
        deadline = time.monotonic() + seconds
        while not look(self):
            self.changed.clear()
            if self.task is not None and self.task.done():
                raise RuntimeError("the watch of the pods ended") from self.task.exception()
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{what} not within {seconds:g} s: {len(self.made)} pods, {len(self.bound)} bound")
            try:
                await asyncio.wait_for(self.changed.wait(), min(left, 1.0))
            except TimeoutError:
                continue


@asynccontextmanager
async def watching(client: rest.Client, namespace: str) -> AsyncIterator[Pods]:
    """Follow the namespace's pods, which must be none at the start."""
    listed = await client.request("GET", rest.path_of("Pod", None, namespace), query={"limit": "1"})
    if listed["items"]:
        raise RuntimeError(f"namespace {namespace} is not empty")
    pods = Pods()
    pods.version = listed["metadata"]["resourceVersion"]
    pods.task = asyncio.create_task(_follow(client, namespace, pods))
    try:
        yield pods
    finally:
        pods.task.cancel()
        await asyncio.gather(pods.task, return_exceptions=True)


async def _follow(client: rest.Client, namespace: str, pods: Pods) -> None:
    decoder = msgspec.json.Decoder(_Event)
    timeout = aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS)
    url = client.server + rest.path_of("Pod", None, namespace)
    while True:
        query = {"watch": "true", "resourceVersion": pods.version, "timeoutSeconds": str(WATCH_SECONDS)}
        async with client.session.get(url, params=query, timeout=timeout) as answer:
            answer.raise_for_status()
            rest_of_line = b""
            async for chunk in answer.content.iter_any():
                *lines, rest_of_line = (rest_of_line + chunk).split(b"\n")
                for line in lines:
                    pods.note(line, decoder)


async def until_status(
    client: rest.Client, name: str, namespace: str, look: Callable[[dict[str, Any]], bool], seconds: float, version: str
) -> float:
    """The monotonic time at which a TrainingJob's status was first seen to look so, watching from that version on."""
    async with asyncio.timeout(seconds):
        while True:
            async for kind, body in client.watch("TrainingJob", namespace, version=version, seconds=int(seconds)):
                seen = time.monotonic()
                version = body["metadata"]["resourceVersion"]
                if kind != "DELETED" and body["metadata"]["name"] == name and look(body.get("status") or {}):
                    return seen
