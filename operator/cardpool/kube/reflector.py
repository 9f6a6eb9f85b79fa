"""One kind, listed and watched for ever, so that the mirror converges on what the API server holds.

A list is built aside, page by page, and swapped in whole: what it lacks is gone, also where its deletion was missed.
A watch goes on from the last resourceVersion that was applied; when that is too old, or streams from it stay silent,
the list is made anew. Nothing ends the loop but its cancellation. An object that cannot be read is counted and set
aside by its UID; the last good state of it stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from cardpool import errors
from cardpool.kube import client, paths, store, wire
from cardpool.names import Kind

JOB_SELECTOR: Final = "status.settled!=true"
LATE_SELECTOR: Final = "status.settled=true,spec.ttlSecondsAfterFinished!="  # an absent field selects as empty text

_LOG: Final = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
_WATCH_SECONDS: Final = (240, 300)
# A server whose history was set back keeps a watch from our later version open and says nothing, for ever.
_SILENT_STREAMS: Final = 2
_YIELD_EVERY: Final = 100
_UNREADABLE: Final = (msgspec.DecodeError, ValueError, TypeError, KeyError)


class ExpiredError(errors.CardpoolError):
    """The version to go on from is no longer (or not yet) known to the server: list again."""


@dataclass(slots=True)
class Counters:
    """What a reflector has done since its start."""

    events: int = 0
    bookmarks: int = 0
    lists: int = 0
    relists: int = 0
    watches: int = 0
    errors: int = 0
    malformed: int = 0


class Reflector:
    """Keeps one kind of the mirror true. ``synced`` is set after the first complete list."""

    def __init__(
        self,
        api: client.Client,
        mirror: store.Mirror,
        kind: Kind,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        page: int = 500,
        inactivity: float = 70.0,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self.last_rv = ""
        self.last_seen = -math.inf
        self.counters = Counters()
        self.quarantined: dict[str, str] = {}
        self.problem = ""
        self._api = api
        self._mirror = mirror
        self._path = paths.collection(kind, namespace)
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        self._selectors = {name: text for name, text in selectors.items() if text}
        self._page = page
        self._inactivity = inactivity
        self._pause = 0.0
        self._silent = 0

    def age(self) -> float:
        """Return the seconds since the last page, event or bookmark; infinite before the first."""
        return time.monotonic() - self.last_seen

    async def run(self) -> None:
        """List, watch, and start over as needed; returns never, ends by cancellation."""
        while True:
            try:
                if not self.last_rv:
                    await self._list()
                await self._watch()
                self.problem = ""
            except ExpiredError as error:
                self._failed(error, relist=True)
            except errors.ApiError as error:
                self._failed(error, relist=error.code == 410, floor=error.retry_after)
            except errors.UnreachableError as error:
                self._failed(error, relist=self._silent >= _SILENT_STREAMS)
            except Exception as error:  # noqa: BLE001 - a mirror that stops silently is worse than any error
                _LOG.exception("reflector failed, lists again", extra={"kind": self.kind.value})
                self._failed(error, relist=True)
            if self._pause:
                await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))

    def _failed(self, error: Exception, *, relist: bool, floor: float | None = None) -> None:
        self.counters.errors += 1
        self.problem = str(error)
        if relist:
            self.last_rv = ""
            self.counters.relists += 1
        longer = max(_FIRST_PAUSE, self._pause * 2.0)
        # Twice the floor, because the pause is shortened by up to half: Retry-After is a lower bound.
        self._pause = max(min(_LONGEST_PAUSE, longer), 2.0 * (floor or 0.0))
        _LOG.info("reflector goes on after an error", extra={"kind": self.kind.value, "cause": str(error)})

    def _alive(self) -> None:
        self.last_seen = time.monotonic()
        self._pause = 0.0
        self._silent = 0

    async def _list(self) -> None:
        """Fetch every page of one version of the collection, then swap; nothing is swapped where a page fails."""
        prepared: list[store.Prepared] = []
        present: set[str] = set()
        token = version = ""
        while True:
            raw = await self._api.list_page(self._path, limit=self._page, token=token, params=self._selectors)
            page = wire.PAGE.decode(raw)
            version = version or page.metadata.resource_version
            for count, item in enumerate(page.items or (), 1):
                self._prepare(item, prepared, present)
                if count % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)
            self.last_seen = time.monotonic()
            token = page.metadata.continue_token
            if not token:
                break
        self._mirror.replace(self.kind, prepared, version, present)
        self.quarantined = {uid: text for uid, text in self.quarantined.items() if uid in present}
        self.last_rv = version
        self._silent = 0
        self.counters.lists += 1
        self.synced.set()

    def _prepare(self, raw: msgspec.Raw, prepared: list[store.Prepared], present: set[str]) -> None:
        try:
            prepared.append(self._mirror.prepare(self.kind, wire.DECODERS[self.kind].decode(raw)))
        except _UNREADABLE as error:
            if head := self._set_aside(raw, error):
                present.add(head.metadata.uid)

    async def _watch(self) -> None:
        """Apply events from the last version on until the server ends the stream; ExpiredError where it is too old."""
        params = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self.last_rv,
            "timeoutSeconds": str(random.randint(*_WATCH_SECONDS)),
            **self._selectors,
        }
        self.counters.watches += 1
        started, applied = time.monotonic(), 0
        try:
            async with contextlib.aclosing(self._api.lines(self._path, params, self._inactivity)) as lines:
                async for line in lines:
                    self._take(wire.EVENT.decode(line))
                    self._alive()
                    applied += 1
                    if applied % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
        finally:
            self._silent += not applied and time.monotonic() - started >= self._inactivity
        if not applied and time.monotonic() - started < 1.0:
            raise errors.UnreachableError(f"watch {self._path} ended at once")

    def _take(self, event: wire.Event) -> None:
        match event.type:
            case "BOOKMARK":
                self.counters.bookmarks += 1
                self.last_rv = wire.HEADED.decode(event.object).metadata.resource_version or self.last_rv
            case "ERROR":
                _raise(wire.STATUS.decode(event.object))
            case "ADDED" | "MODIFIED" | "DELETED":
                self.counters.events += 1
                self._apply(event)
            case other:
                _LOG.warning("unknown event in a watch", extra={"kind": self.kind.value, "type": other})

    def _apply(self, event: wire.Event) -> None:
        obj: Any
        try:
            # A deletion needs only the name: it must work for an object that cannot be read as well.
            decoder: msgspec.json.Decoder[Any] = wire.HEADED if event.type == "DELETED" else wire.DECODERS[self.kind]
            obj = decoder.decode(event.object)
            self._mirror.apply(self.kind, event.type, obj)
            self.quarantined.pop(obj.metadata.uid, None)
        except _UNREADABLE as error:
            obj = self._set_aside(event.object, error)
        if obj is not None and obj.metadata.resource_version:
            self.last_rv = obj.metadata.resource_version

    def _set_aside(self, raw: msgspec.Raw, error: Exception) -> wire.Headed | None:
        self.counters.malformed += 1
        _LOG.warning("object cannot be read", extra={"kind": self.kind.value, "cause": str(error)})
        try:
            head = wire.HEADED.decode(raw)
        except msgspec.DecodeError:
            return None
        self.quarantined[head.metadata.uid] = f"{head.metadata.namespace}/{head.metadata.name}: {error}"
        return head


def _raise(status: wire.Status) -> None:
    """Turn a watch's ERROR into what to do: list again, or go on after a pause."""
    if status.code == 410 or "resource version" in status.message.lower():
        raise ExpiredError(f"{status.code} {status.reason}: {status.message}")
    wait = float(status.details.retry_after) if status.details is not None and status.details.retry_after else None
    raise errors.ApiError(status.code, status.reason or "Unknown", status.message, wait)
