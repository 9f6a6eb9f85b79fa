"""The loop: when cycles run, and that nothing the core raises ends it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections.abc import Callable
from typing import Any

from cardpool.domain.world import World
from cardpool.lifecycle import actions
from cardpool.runtime import health, inbox, loop, metrics

WALL = 1_000_000.0


class Source:
    """A mirror that freezes to a world with the time alone."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    def freeze(self, now: float, refused: Any, busy: frozenset[str], first: frozenset[str]) -> World:
        return World(now=now, refused=refused, busy=busy, first=first)


class Sink:
    """A commit that only counts."""

    def __init__(self) -> None:
        self.refused: dict[str, Any] = {}
        self.due: float | None = None
        self.under_way = 0
        self.taken: list[actions.Decision] = []

    def busy(self) -> frozenset[str]:
        return frozenset({"busy"})

    def next_due(self) -> float | None:
        return self.due

    def writing(self) -> int:
        return self.under_way

    def take(self, decision: actions.Decision) -> int:
        self.taken.append(decision)
        return 0


class Desk:
    """A loop whose core is a function of the test's, with every world it saw."""

    def __init__(self, decide: Callable[[World], actions.Decision] | None = None, **options: Any) -> None:
        self.source, self.sink, self.mailbox = Source(), Sink(), inbox.Inbox()
        self.metrics = metrics.Metrics()
        self.pulse = health.Pulse(started=0.0)
        self.seen: list[World] = []
        self._decide = decide or (lambda _: actions.Decision())
        self.loop = loop.Loop(
            source=self.source,
            sink=self.sink,
            mailbox=self.mailbox,
            core=self._core,
            instruments=self.metrics,
            pulse=self.pulse,
            wall=lambda: WALL,
            **{"debounce": 0.01, "resync": 5.0, **options},
        )

    def _core(self, world: World) -> Callable[[], actions.Decision]:
        self.seen.append(world)
        return functools.partial(self._decide, world)

    async def cycles(self, count: int) -> None:
        """Return once that many cycles have begun."""
        await self.until(lambda: len(self.seen) >= count)

    async def until(self, condition: Callable[[], bool], seconds: float = 1.5) -> None:
        """Return once something is true of the loop under test."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 (nobody tells of it)
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def running(desk: Desk) -> Any:
    """The loop as a task, cancelled at the end."""
    task = asyncio.create_task(desk.loop.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_first_cycle_waits_for_nothing() -> None:
    """What happened before the start is decided at once."""
    desk = Desk()
    async with running(desk):
        await desk.cycles(1)

    assert (WALL, frozenset({"busy"})) == (desk.seen[0].now, desk.seen[0].busy)


async def test_the_pulse_knows_when_the_next_decision_is_due() -> None:
    """A wake is a moment of the wall clock, the pulse counts by the monotonic one."""
    desk = Desk(lambda _: actions.Decision(wake=WALL + 5.0), clock=lambda: 70.0)
    async with running(desk):
        await desk.until(lambda: desk.pulse.due is not None)

    assert desk.pulse.due == 75.0


async def test_a_change_wakes_and_a_burst_is_one_cycle() -> None:
    """Changes inside the debounce make one cycle, and asked-for keys come with it."""
    desk = Desk(debounce=0.05)
    async with running(desk):
        await desk.cycles(1)
        for index in range(20):
            desk.source.changed.set()
            desk.mailbox.put(f"team/{index % 2}")
        await desk.cycles(2)
        desk.mailbox.put("team/2")
        await desk.cycles(3)

    assert [one.first for one in desk.seen] == [frozenset(), frozenset({"team/0", "team/1"}), frozenset({"team/2"})]


async def test_a_core_that_raises_does_not_end_the_loop() -> None:
    """The failure is counted and shown by the pulse, the next cycle comes without a change, and clears it."""
    calls = 0

    def decide(_: World) -> actions.Decision:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ValueError("broken")
        return actions.Decision()

    desk = Desk(decide)
    async with running(desk) as task:
        await desk.until(lambda: bool(desk.pulse.last_error))
        error, failing = desk.pulse.last_error, desk.pulse.failing_since
        await desk.until(lambda: desk.pulse.cycles == 1)
        assert not task.done()

    assert (error, failing is not None) == ("ValueError: broken", True)
    assert (desk.pulse.failing_since, desk.pulse.last_error, desk.pulse.cycles) == (None, "", 1)
    assert 'cardpool_cycles_total{outcome="error"} 1.0' in desk.metrics.expose().decode()


async def test_a_long_decision_holds_nobody_up() -> None:
    """While the core computes, never pausing, the event loop goes on: here until it has run twenty times more."""
    beats = 0

    def decide(_: World) -> actions.Decision:
        until = time.monotonic() + 1.5
        before = beats
        while beats < before + 20 and time.monotonic() < until:
            sum(range(1000))
        return actions.Decision(gauges={"beats": {(): float(beats - before)}})

    desk = Desk(decide)
    async with running(desk):
        while not desk.sink.taken:
            await asyncio.sleep(0.001)
            beats += 1

    assert desk.sink.taken[0].gauges["beats"][()] >= 20


async def test_a_new_loop_waits_for_the_decision_of_the_one_before() -> None:
    """Decisions share a memory: those of one core never run side by side, and a cancelled one starts no writes."""
    inside, most, go = 0, 0, threading.Event()

    def decide(_: World) -> actions.Decision:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        go.wait(1.0)
        inside -= 1
        return actions.Decision()

    desk = Desk(decide)
    async with running(desk):
        await desk.until(lambda: inside == 1)
    async with running(desk):
        await desk.cycles(2)
        before = most, len(desk.sink.taken)
        go.set()
        await desk.until(lambda: len(desk.sink.taken) == 1)

    assert (before, most) == ((1, 0), 1)


async def test_nothing_happens_without_a_change() -> None:
    """An idle loop sleeps for longer than any pause of its own, and is awake at the first ring."""
    desk = Desk()
    async with running(desk):
        await desk.cycles(1)
        for _ in range(10):
            await asyncio.sleep(0.01)
            assert len(desk.seen) == 1
        desk.mailbox.ring()
        await desk.cycles(2)

    assert len(desk.seen) == 2


async def test_a_wake_time_is_kept() -> None:
    """The decision's own time makes the next cycle."""
    desk = Desk(lambda _: actions.Decision(wake=WALL + 0.1))
    start = time.monotonic()
    async with running(desk):
        await desk.cycles(2)

    assert time.monotonic() - start >= 0.1


async def pause_after(desk: Desk, took: float) -> float:
    """How long the loop pauses after a cycle of that length."""
    desk.loop._took = took
    begun = time.monotonic()
    await desk.loop._pause()
    return time.monotonic() - begun


async def test_long_cycles_leave_the_core_to_the_writes() -> None:
    """The pause grows with the cycle, four times as much while something is written, and ends with the last write."""
    desk = Desk(debounce=0.01)
    short, long = await pause_after(desk, 0.0), await pause_after(desk, 0.1)
    desk.sink.under_way = 1
    writing = await pause_after(desk, 0.1)
    asyncio.get_running_loop().call_later(0.15, setattr, desk.sink, "under_way", 0)
    ended = await pause_after(desk, 0.2)

    assert short < 0.1 <= long < 0.4 <= writing
    assert 0.2 <= ended < 0.8


def patience(desk: Desk, wake: float | None, due: float | None) -> float:
    """How long the loop would wait."""
    desk.loop._wake, desk.sink.due = wake, due
    return desk.loop.patience()


async def test_the_earliest_reason_to_look_wins() -> None:
    """Resync, the decision's time and commit's delays are all kept; a time in the past never makes it spin."""
    desk = Desk()

    assert [
        patience(desk, None, None),
        patience(desk, WALL + 2.0, None),
        patience(desk, WALL + 2.0, 1.0),
        patience(desk, WALL - 60.0, None),
        patience(desk, None, 0.0),
    ] == [5.0, 2.0, 1.0, loop.WAKE_MIN, loop.WAKE_MIN]
