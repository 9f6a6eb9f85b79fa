"""The one loop: wait, gather changes, freeze the world, decide, hand the decision to commit.

Everything is decided anew from observed state in each cycle, so a missed change, an exception or a restart loses
nothing. This is the one place that catches what the core raises: it logs, counts, waits and goes on; the probes tell
when that has lasted too long.

The decision itself is made in a thread of its own, one at a time: watches, writes, the lease and the probes go on
meanwhile. It sees a frozen world and nothing that the event loop changes, and what the loop starts, it starts after
it; so it decides as if no time had passed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Final, Protocol

from cardpool.domain import world
from cardpool.lifecycle import actions
from cardpool.runtime import health, inbox, metrics

logger = logging.getLogger(__name__)

PAUSE_MAX: Final = 1.0
WRITING_SHARE: Final = 12.0
WAKE_MIN: Final = 0.05
BACKOFF_BASE: Final = 0.5
BACKOFF_CAP: Final = 15.0
SLOW_SECONDS: Final = 0.25

Decide = Callable[[], actions.Decision]
Core = Callable[[world.World], Decide]


class Source(Protocol):
    """Where a world comes from: the mirror."""

    changed: asyncio.Event

    def freeze(
        self,
        now: float,
        refused: Mapping[str, world.Refused],
        busy: frozenset[str],
        first: frozenset[str],
    ) -> world.World:
        """Everything known at this moment, as values."""


class Sink(Protocol):
    """Where a decision goes to: commit."""

    @property
    def refused(self) -> Mapping[str, world.Refused]:
        """What the API server refused and the core has not answered yet."""

    def busy(self) -> frozenset[str]:
        """UIDs that are being written."""

    def next_due(self) -> float | None:
        """Seconds until some object stops being busy by time alone."""

    def writing(self) -> int:
        """How many objects are being written at this moment."""

    def take(self, decision: actions.Decision) -> int:
        """Start the writes; never blocks."""


class Loop:
    """Runs cycles until cancelled. Starts only when the mirror is whole and the lease is ours: see ``app``.

    ``core`` is called on the event loop; what it returns is called in the thread of the decisions.
    """

    def __init__(
        self,
        *,
        source: Source,
        sink: Sink,
        mailbox: inbox.Inbox,
        core: Core,
        instruments: metrics.Metrics,
        pulse: health.Pulse,
        debounce: float = 0.03,
        resync: float = 30.0,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._sink = sink
        self._inbox = mailbox
        self._core = core
        self._thread = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="decide")
        self._metrics = instruments
        self._pulse = pulse
        self._debounce = debounce
        self._resync = resync
        self._wall = wall
        self._clock = clock
        self._wake: float | None = None
        self._took = 0.0
        self._failures = 0

    async def run(self) -> None:
        """Cycle at once, then on every change, when due, and at least once per resync; never returns."""
        while True:
            await self._guarded()
            if self._failures:
                await asyncio.sleep(min(BACKOFF_CAP, BACKOFF_BASE * 2.0 ** min(self._failures - 1, 10)))
            else:
                await self._wait(self.patience())
                await self._pause()

    def patience(self) -> float:
        """Seconds until the next cycle is due though nothing changes."""
        times = [self._resync]
        if self._wake is not None:
            times.append(max(WAKE_MIN, self._wake - self._wall()))
        due = self._sink.next_due()
        if due is not None:
            times.append(max(WAKE_MIN, due))
        return min(times)

    async def _guarded(self) -> None:
        start = self._clock()
        self._pulse.began(start)
        try:
            await self._cycle()
        except Exception as error:
            self._failures += 1
            self._metrics.cycles.labels(outcome="error").inc()
            self._pulse.failed(self._clock(), f"{type(error).__name__}: {error}")
            logger.exception("a cycle raised", extra={"failures": self._failures})
        else:
            self._failures = 0
            self._metrics.cycles.labels(outcome="ok").inc()
            self._pulse.succeeded(self._clock())
        self._took = self._clock() - start
        if self._took > SLOW_SECONDS:
            logger.info("a cycle was slow", extra={"seconds": round(self._took, 3)})

    async def _cycle(self) -> None:
        self._source.changed.clear()
        first = self._inbox.drain()
        with self._metrics.phase("freeze"):
            seen = self._source.freeze(self._wall(), self._sink.refused, self._sink.busy(), first)
        with self._metrics.phase("decide"):
            decision = await asyncio.get_running_loop().run_in_executor(self._thread, self._core(seen))
        with self._metrics.phase("commit"):
            begun = self._sink.take(decision)
        self._wake = decision.wake
        self._pulse.due = None if self._wake is None else self._clock() + self._wake - self._wall()
        self._metrics.decided(decision.gauges)
        logger.debug("cycle", extra={"begun": begun, "steps": len(decision.steps), "first": len(first)})

    async def _pause(self) -> None:
        """Gather changes; a long cycle earns a longer pause, so that writes get most of the core meanwhile."""
        begun = self._clock()
        while True:
            await asyncio.sleep(self._debounce)
            share = WRITING_SHARE if self._sink.writing() else 1.0
            if self._clock() - begun >= min(PAUSE_MAX, self._took * share):
                return

    async def _wait(self, patience: float) -> None:
        waits = [asyncio.ensure_future(self._source.changed.wait()), asyncio.ensure_future(self._inbox.wait())]
        try:
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
