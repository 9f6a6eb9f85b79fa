"""A window of requests in flight that obeys the server: additive increase, multiplicative decrease.

A fixed rate is either too slow for an idle API server or too fast for a busy one. The window halves when the server
says 429 and lets nothing start before its Retry-After is over; every full round of successes widens it by one.
Invariant: never more than ``floor(limit)`` requests hold the window, and 1 <= limit <= ceiling.
"""

from __future__ import annotations

import asyncio
import collections
import time
from types import TracebackType
from typing import Final

_DEFAULT_PAUSE: Final = 1.0
_MAX_PAUSE: Final = 60.0


class Window:
    """At most ``limit`` holders at once; ``async with window`` holds it, first come first served."""

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit = float(ceiling)
        self.in_flight = 0
        self.throttled = 0
        self._queue: collections.deque[asyncio.Future[None]] = collections.deque()
        self._not_before = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many requests wait for room."""
        return len(self._queue)

    @property
    def pause(self) -> float:
        """Seconds until the server's Retry-After is over."""
        return max(0.0, self._not_before - time.monotonic())

    async def __aenter__(self) -> None:
        if not self._queue and self._open():
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.in_flight -= 1
            else:
                self._queue.remove(turn)
            self._wake()
            raise

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self.in_flight -= 1
        self._wake()

    def succeeded(self) -> None:
        """Widen the window by one for each full round of successes."""
        self.limit = min(float(self.ceiling), self.limit + 1.0 / self.limit)
        self._wake()

    def throttle(self, retry_after: float | None) -> float:
        """Halve the window and start nothing for ``retry_after`` seconds (1 where unsaid); return that time."""
        pause = min(_MAX_PAUSE, _DEFAULT_PAUSE if retry_after is None else retry_after)
        if self.pause <= 0.0:  # one burst of refusals is one signal
            self.limit = max(1.0, self.limit / 2)
        self.throttled += 1
        self._not_before = max(self._not_before, time.monotonic() + pause)
        return pause

    def _open(self) -> bool:
        return self.in_flight < int(self.limit) and self.pause <= 0.0

    def _wake(self) -> None:
        while self._queue and self._open():
            turn = self._queue.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
        if self._queue and self.pause > 0.0 and self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(self.pause, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._wake()
