"""Kubernetes Events, one per transition: said once, counted when repeated, never a flood and never a delay.

Saying the same of the same object again within the window counts up the Event that is there. Each object has a bucket
of tokens, the queue has a bound, and what does not fit is dropped and counted: an Event is news, never state.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cardpool import errors, names
from cardpool.kube import client, paths
from cardpool.names import Kind

_LOG: Final = logging.getLogger(__name__)
_NOTE_BYTES: Final = 1024
_REMEMBERED: Final = 4096
_WORKERS: Final = 4


@dataclass(slots=True)
class Series:
    """One Event and how often it was said."""

    kind: Kind
    key: str
    uid: str
    reason: str
    note: str
    warning: bool
    action: str
    resource_version: str
    first: datetime
    last: datetime
    expires: float
    count: int = 1
    path: str = ""
    queued: bool = False


@dataclass(slots=True)
class Bucket:
    """Tokens of one object."""

    tokens: float
    filled: float


class Recorder:
    """Writes Events in the background. ``posted``, ``merged`` and ``dropped`` count what became of them."""

    def __init__(
        self,
        api: client.Client,
        instance: str,
        *,
        capacity: int = 1000,
        window: float = 600.0,
        burst: float = 25.0,
        refill_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.posted = 0
        self.merged = 0
        self.dropped = 0
        self._api = api
        self._instance = instance[:128]
        self._window = window
        self._burst = burst
        self._refill_seconds = refill_seconds
        self._clock = clock
        self._queue: asyncio.Queue[Series] = asyncio.Queue(capacity)
        self._series: OrderedDict[tuple[str, str, str], Series] = OrderedDict()
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def record(
        self,
        kind: Kind,
        key: str,
        uid: str,
        reason: str,
        message: str,
        *,
        warning: bool = False,
        action: str = "Reconcile",
        resource_version: str = "",
    ) -> None:
        """Say something of an object; returns at once, whatever the API server does."""
        now, at = self._clock(), datetime.now(UTC)
        note = _cut(message)
        series = self._series.get((uid, reason, note))
        if series is not None and series.expires > now:
            series.count += 1
            series.last = at
            self.merged += 1
        elif self._spend(uid, now):
            series = Series(kind, key, uid, reason, note, warning, action, resource_version, at, at, now + self._window)
            self._series[uid, reason, note] = series
            _bound(self._series)
        else:
            self.dropped += 1
            return
        self._enqueue(series)

    async def run(self) -> None:
        """Write what was recorded; ends by cancellation."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())

    async def drain(self, seconds: float) -> None:
        """Wait until everything recorded so far is written or dropped, at most ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            _LOG.warning("events left unwritten", extra={"count": self._queue.qsize()})

    def _enqueue(self, series: Series) -> None:
        if series.queued:
            return
        try:
            self._queue.put_nowait(series)
            series.queued = True
        except asyncio.QueueFull:
            self.dropped += 1

    def _spend(self, uid: str, now: float) -> bool:
        bucket = self._buckets.setdefault(uid, Bucket(self._burst, now))
        _bound(self._buckets)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled) / self._refill_seconds)
        bucket.filled = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    async def _work(self) -> None:
        while True:
            series = await self._queue.get()
            series.queued = False
            try:
                await self._write(series)
                self.posted += 1
            except errors.CardpoolError as error:
                self.dropped += 1
                _LOG.info("event not written", extra={"reason": series.reason, "cause": str(error)})
            finally:
                self._queue.task_done()

    async def _write(self, series: Series) -> None:
        if series.path:
            body = {"series": {"count": series.count, "lastObservedTime": _time(series.last)}}
            try:
                await self._api.patch(series.path, body, lane=client.Lane.STATUS)
            except errors.ApiError as error:
                if error.code != 404:
                    raise
            else:
                return
        namespace, _, name = series.key.rpartition("/")
        manifest = self._manifest(series, namespace, name)
        home = manifest["metadata"]["namespace"]
        await self._api.post(paths.collection(paths.EVENTS, home), manifest, lane=client.Lane.STATUS)
        series.path = paths.item(paths.EVENTS, manifest["metadata"]["name"], home)

    def _manifest(self, series: Series, namespace: str, name: str) -> dict[str, Any]:
        resource = paths.RESOURCES[series.kind]
        regarding = {
            "apiVersion": resource.api,
            "kind": resource.kind,
            "namespace": namespace,
            "name": name,
            "uid": series.uid,
            "resourceVersion": series.resource_version,
        }
        manifest: dict[str, Any] = {
            "apiVersion": paths.EVENTS.api,
            "kind": paths.EVENTS.kind,
            "metadata": {"name": f"{name[:220]}.{uuid.uuid4().hex[:16]}", "namespace": namespace or "default"},
            "eventTime": _time(series.first),
            "reportingController": names.OPERATOR,
            "reportingInstance": self._instance,
            "action": series.action,
            "reason": series.reason,
            "regarding": {field: value for field, value in regarding.items() if value},
            "note": series.note,
            "type": "Warning" if series.warning else "Normal",
        }
        if series.count > 1:
            manifest["series"] = {"count": series.count, "lastObservedTime": _time(series.last)}
        return manifest


def _cut(message: str) -> str:
    data = message.encode()
    return message if len(data) <= _NOTE_BYTES else data[: _NOTE_BYTES - 3].decode("utf-8", "ignore") + "…"


def _bound(remembered: OrderedDict[Any, Any]) -> None:
    while len(remembered) > _REMEMBERED:
        remembered.popitem(last=False)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
