"""Keeps every event that the API shows during a scenario, and lets tests wait for what they expect to see.

Its watches are its own: the operator's mirror is among the things under test. Invariant: a watch that cannot go on
where it broke off makes the recording unusable and every later wait fail; a gap never goes unnoticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import aiohttp

from e2e.cluster import rest
from tests.support.history import Body, Change, History, Seen, key_of

KINDS = ("Node", "Pod", "TrainingJob", "CardPool", "Supernode", "Service", "ConfigMap", "Lease", "Event", "Namespace")
WATCH_SECONDS = 3600
TOGETHER = 0.005  # events that come together are looked at once, or a large gang outruns the one who looks
T = TypeVar("T")


class Recorder:
    """Watches all kinds of ``KINDS`` in the whole cluster from ``start`` to ``stop``."""

    def __init__(self, client: rest.Client, kinds: tuple[str, ...] = KINDS) -> None:
        self.events: list[Seen] = []
        self.now: dict[str, dict[str, Body]] = {kind: {} for kind in kinds}
        self._client = client
        self._changed = asyncio.Event()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._versions: dict[str, str] = {}

    async def start(self) -> None:
        """List every kind, then follow it; returns when all lists are in."""
        for kind in self.now:
            listed = await self._list(kind)
            for body in listed["items"]:
                self._note(kind, "ADDED", body)
            version = str(listed["metadata"]["resourceVersion"])
            self._watches[kind] = asyncio.create_task(self._follow(kind, version), name=f"record {kind}")

    async def stop(self) -> None:
        """Stop recording; what was seen stays."""
        for task in self._watches.values():
            task.cancel()
        await asyncio.gather(*self._watches.values(), return_exceptions=True)

    async def until(self, look: Callable[[], T | None], seconds: float, what: str) -> T:
        """The first truthy answer of ``look``, asked after every event; AssertionError with the last answer."""
        deadline = time.monotonic() + seconds
        while True:
            self._changed.clear()
            answer = look()
            if answer:
                return answer
            self._complain()
            rest_of_it = deadline - time.monotonic()
            if rest_of_it <= 0:
                raise AssertionError(f"{what}: not within {seconds:g} s; last answer: {answer!r}")
            try:
                await asyncio.wait_for(self._changed.wait(), min(rest_of_it, 0.5))
                await asyncio.sleep(TOGETHER)
            except TimeoutError:
                continue

    async def holds(self, look: Callable[[], object], seconds: float, what: str) -> None:
        """Ask after every event for so many seconds; AssertionError as soon as the answer is not truthy."""
        deadline = time.monotonic() + seconds
        while (rest_of_it := deadline - time.monotonic()) > 0:
            self._changed.clear()
            answer = look()
            assert answer, f"{what}: no longer, {rest_of_it:.1f} s before its time; answer: {answer!r}"
            self._complain()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(rest_of_it, 0.5))

    async def settled(self, keep: Callable[[Seen], bool], still: float, seconds: float) -> float:
        """Wait until no event of those has come for ``still`` seconds; the time of the last one (epoch seconds)."""
        deadline = time.monotonic() + seconds
        while True:
            last = next((seen.at for seen in reversed(self.events) if keep(seen)), 0.0)
            quiet = time.time() - last
            if quiet >= still:
                return last
            self._complain()
            assert time.monotonic() < deadline, f"never still for {still:g} s within {seconds:g} s"
            await asyncio.sleep(still - quiet)

    def find(self, kind: str, name: str, namespace: str = "") -> Body | None:
        """The object as last seen, None where it does not exist."""
        return self.now[kind].get(f"{namespace}/{name}" if namespace else name)

    def history(self, keep: Callable[[Seen], bool]) -> History:
        """What was seen so far of one scenario."""
        self._complain()
        return History.of((seen for seen in self.events if keep(seen)), time.time())

    def _note(self, kind: str, change: Change, body: Body) -> None:
        seen = Seen(time.time(), kind, change, body)
        self.events.append(seen)
        if change == "DELETED":
            self.now[kind].pop(key_of(body), None)
        else:
            self.now[kind][key_of(body)] = body
        self._changed.set()

    async def _list(self, kind: str) -> rest.JSON:
        """The collection; a kind whose definition came a moment ago may still be refused with 429."""

        async def listed() -> rest.JSON | None:
            try:
                return await self._client.request("GET", rest.path_of(kind))
            except rest.ApiError as error:
                if error.status != 429:
                    raise
                return None

        return await rest.wait_for(listed, 20, f"a list of {kind}")

    async def _follow(self, kind: str, version: str) -> None:
        """Watch for ever; a server that ends a stream is asked again from the last version seen, so nothing is lost."""
        self._versions[kind] = version
        timeout = aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS)
        url = self._client.server + rest.path_of(kind)
        while True:
            query = {"watch": "true", "resourceVersion": self._versions[kind], "timeoutSeconds": str(WATCH_SECONDS)}
            async with self._client.session.get(url, params=query, timeout=timeout) as answer:
                answer.raise_for_status()
                parts: list[bytes] = []
                async for chunk in answer.content.iter_any():
                    first, *others = chunk.split(b"\n")
                    parts.append(first)
                    for part in others:
                        self._line(kind, b"".join(parts))
                        parts = [part]

    def _line(self, kind: str, line: bytes) -> None:
        event: dict[str, Any] = json.loads(line)
        if event["type"] == "ERROR":
            raise ConnectionError(f"the watch of {kind} was refused: {event['object']}")
        self._versions[kind] = str(event["object"]["metadata"]["resourceVersion"])
        self._note(kind, cast("Change", event["type"]), event["object"])

    def _complain(self) -> None:
        for task in self._watches.values():
            if task.done():
                raise AssertionError("recording has a gap") from task.exception()
