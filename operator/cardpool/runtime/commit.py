"""Carrying a decision out: one step an object at a time, in its own task, while the loop goes on deciding.

An object whose writes are under way, or wait out a failure, is busy: the core leaves it alone and the next step of that
object is decided on what is true then. What the API server refused is remembered until the core has written its answer
to status. Losing the lease ends everything at once.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

from cardpool import errors
from cardpool.domain import world
from cardpool.kube import store
from cardpool.lifecycle import actions
from cardpool.names import Kind
from cardpool.runtime import fleet, metrics, pacing, steps

logger = logging.getLogger(__name__)

LABEL_WRITES_AT_ONCE: Final = 16


class Committer:
    """Performs decisions. Owned by one event loop; ``wake`` is called whenever something worth a cycle happened."""

    def __init__(
        self,
        *,
        mirror: store.Mirror,
        performer: steps.Steps,
        nodes: fleet.Fleet,
        instruments: metrics.Metrics,
        wake: Callable[[], None],
        quiet: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mirror = mirror
        self._steps = performer
        self._fleet = nodes
        self._metrics = instruments
        self._wake = wake
        self._clock = clock
        self._pacing = pacing.Pacing(quiet=quiet)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._few = asyncio.Semaphore(LABEL_WRITES_AT_ONCE)
        self._refused: dict[str, tuple[str, world.Refused]] = {}
        self.lease_lost = asyncio.Event()

    @property
    def refused(self) -> Mapping[str, world.Refused]:
        """What the API server refused and the core has not answered yet, by job UID."""
        return {uid: refusal for uid, (_, refusal) in self._refused.items()}

    def busy(self) -> frozenset[str]:
        """UIDs (and names of Supernodes to be) that the core must leave alone now."""
        return frozenset(self._running) | self._pacing.held(self._clock())

    def writing(self) -> int:
        """How many objects are being written at this moment."""
        return len(self._running)

    def next_due(self) -> float | None:
        """Seconds until some object stops being busy by time alone, or None."""
        return self._pacing.next_due(self._clock())

    def take(self, decision: actions.Decision) -> int:
        """Start what the decision wants; returns how many writes were started. Never blocks."""
        self._prune()
        self._pacing.looked(self._clock())
        begun = 0
        for step in decision.steps:
            begun += self._begin(step.uid, functools.partial(self._perform, step)) if self._due(step) else 0
        for labels in decision.labels:
            begun += self._begin_simple(labels.uid, functools.partial(self._fleet.labels, labels))
        for supernode in decision.supernodes:
            begun += self._begin_simple(supernode.name, functools.partial(self._fleet.supernode, supernode))
        for removal in decision.removals:
            begun += self._begin_simple(removal.uid, functools.partial(self._fleet.remove, removal))
        self._metrics.in_flight.set(len(self._running))
        return begun

    async def stop(self) -> None:
        """Cancel what is under way and wait until it is; what was half done is found again by the next leader."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._running:
            await asyncio.wait(list(self._running.values()))
            await asyncio.sleep(0)

    def _due(self, step: actions.Step) -> bool:
        if step.urgent or step.deletions or step.prerequisites or step.pods or step.delete_self:
            return True
        return not self._pacing.too_soon(step.uid, self._clock())

    def _begin(self, key: str, work: Callable[[], Coroutine[Any, Any, None]]) -> int:
        if key in self._running or self._pacing.holds(key, self._clock()) or self.lease_lost.is_set():
            return 0
        task = asyncio.create_task(work(), name=f"commit {key}")
        self._running[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return 1

    def _begin_simple(self, key: str, write: Callable[[], Awaitable[bool]]) -> int:
        return self._begin(key, functools.partial(self._simple, key, write))

    def _ended(self, key: str, task: asyncio.Task[None]) -> None:
        self._running.pop(key, None)
        self._metrics.in_flight.set(len(self._running))
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, errors.LeaseLostError):
            self.lease_lost.set()
        elif error is not None:
            delay = self._pacing.failed(key, self._clock())
            logger.error("a write raised", exc_info=error, extra={"key": key, "pause_seconds": round(delay, 2)})
        self._wake()

    async def _perform(self, step: actions.Step) -> None:
        before = self._status_of(step)
        result = await self._steps.perform(step, functools.partial(self._written, step, before))
        now = self._clock()
        if result.refused is not None:
            self._refused[step.uid] = (f"{step.kind}/{step.key}", result.refused)
        if result.end in {steps.End.DONE, steps.End.REFUSED}:
            self._pacing.succeeded(step.uid)
        else:
            self._pacing.failed(step.uid, now, soft=result.end is steps.End.STALE)

    async def _simple(self, key: str, write: Callable[[], Awaitable[bool]]) -> None:
        async with self._few:
            done = await write()
        if done:
            self._pacing.succeeded(key)
        else:
            self._pacing.failed(key, self._clock())

    def _status_of(self, step: actions.Step) -> Mapping[str, Any]:
        record = self._mirror.get(step.kind, step.key) if step.status is not None else None
        if not isinstance(record, world.JobRecord):
            return {}
        return record.status.model_dump(mode="json", by_alias=True, exclude_none=True, include=_COMPARED)

    def _written(self, step: actions.Step, before: Mapping[str, Any]) -> None:
        """A new status went through: count what a job's says, and drop the refusal that it answers."""
        self._pacing.wrote(step.uid, self._clock())
        if step.kind is not Kind.JOB or step.status is None:
            return
        after = step.status
        self._metrics.transition(before, after)
        if after.get("phase") != before.get("phase") or after.get("attempt", 0) != before.get("attempt", 0):
            logger.info(
                "job %s is %s",
                step.key,
                after.get("phase"),
                extra={"job": step.key, "attempt": after.get("attempt", 0), "before": before.get("phase")},
            )
        if step.uid in self._refused:
            refusal = self._refused[step.uid][1]
            later = int(after.get("attempt") or 0) > refusal.attempt
            if later or after.get("retryAfter") != before.get("retryAfter") or after.get("phase") in _OVER:
                del self._refused[step.uid]

    def _prune(self) -> None:
        for uid, (where, _) in list(self._refused.items()):
            kind, _, key = where.partition("/")
            if self._mirror.uid(Kind(kind), key) != uid:
                del self._refused[uid]
        if len(self._pacing.keys()) > 4 * len(self._running) + 1024:
            self._pacing.forget(self._pacing.keys() - frozenset(self._running) - self._pacing.held(self._clock()))


_COMPARED = {"phase", "attempt", "retry_after", "timings", "last_fault"}
_OVER = {"Succeeded", "Failed"}
