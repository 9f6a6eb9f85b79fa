"""The lease: who leads, who may write, and when it ends."""

from __future__ import annotations

import asyncio
import math
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from cardpool import errors
from cardpool.kube import identity, lease
from tests.unit.kube import scripted

FAST = {"duration": 1.6, "renew_deadline": 0.4, "retry": 0.1}


@dataclass(slots=True)
class Leases:
    """A server that holds one Lease with compare and swap, and can be told to misbehave."""

    server: scripted.Server
    spec: dict[str, Any] | None = None
    version: int = 0
    down: bool = False
    slow: float = 0.0
    slowed: int = 0
    lose_answers: int = 0
    writes: list[dict[str, Any]] = field(default_factory=list)

    def write(self, **spec: Any) -> None:
        """Somebody else writes the Lease."""
        self.version += 1
        self.spec = {**(self.spec or {}), **spec}

    async def handle(self, request: Any) -> Any:
        """Answer one request on the Lease."""
        if self.down:
            await asyncio.sleep(30)
        if self.slow:
            self.slowed += 1
            await asyncio.sleep(self.slow)
        if request.method == "GET":
            return await (self._show() if self.spec is not None else scripted.status(404, "NotFound"))(request)
        body = await request.json()
        exists, version = self.spec is not None, body["metadata"].get("resourceVersion", "")
        if (request.method == "POST") == exists or (exists and version != str(self.version)):
            return await scripted.status(409, "Conflict" if exists else "NotFound")(request)
        self.version += 1
        self.spec = body["spec"]
        self.writes.append(self.spec)
        if self.lose_answers:
            self.lose_answers -= 1
            return await scripted.dropped()(request)
        return await self._show()(request)

    def _show(self) -> Any:
        return scripted.answer({"metadata": {"name": "x", "resourceVersion": str(self.version)}, "spec": self.spec})


@pytest.fixture
async def leases() -> AsyncIterator[Leases]:
    """A Lease's server."""
    async with scripted.serving() as server:
        made = Leases(server)

        class Always(dict[str, Any]):
            def __missing__(self, verb: str) -> Any:
                return _Endless(made.handle)

        server.replies = Always()
        yield made


class _Endless:
    def __init__(self, reply: Any) -> None:
        self._reply = reply

    def __bool__(self) -> bool:
        return True

    def popleft(self) -> Any:
        return self._reply


@dataclass(slots=True)
class Running:
    """An elector at work."""

    elector: lease.Elector
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """Stop it and wait for its end."""
        self.elector.stop()
        await self.task


@pytest.fixture
async def start(leases: Leases) -> AsyncIterator[Any]:
    """Starts electors, and ends them after the test."""
    made: list[tuple[Running, Any]] = []

    def run(own: str, **options: Any) -> Running:
        api = scripted.api(leases.server)
        elector = lease.Elector(api, "default", own, **{**FAST, **options})
        running = Running(elector, asyncio.create_task(elector.run()))
        made.append((running, api))
        return running

    yield run
    for running, api in made:
        await running.stop()
        await api.close()


async def test_the_first_leads_and_the_second_waits(leases: Leases, start: Any) -> None:
    """One elector leads and renews; another one waits as long as that goes on."""
    first = start("first")
    await first.elector.acquired.wait()
    second = start("second")
    await scripted.until(lambda: len(leases.writes) >= 6)
    assert (
        first.elector.surely_ours(),
        second.elector.surely_ours(),
        second.elector.acquired.is_set(),
    ) == (True, False, False)
    assert {"first"} == {spec["holderIdentity"] for spec in leases.writes}
    assert ("first", math.inf) == (second.elector.holder, second.elector.age())
    assert first.elector.age() < 1.6


async def test_release_hands_over_at_once(leases: Leases, start: Any) -> None:
    """A stopped leader gives the lease up, and the standby leads long before it would have ended."""
    first = start("first", duration=30.0)
    await first.elector.acquired.wait()
    second = start("second", duration=30.0)
    await scripted.until(lambda: second.elector.holder == "first")
    await first.stop()
    assert not first.elector.surely_ours()
    await asyncio.wait_for(second.elector.acquired.wait(), 2.0)
    assert (leases.writes[-1]["holderIdentity"], leases.writes[-1]["leaseTransitions"]) == ("second", 1)
    assert next(spec for spec in leases.writes if spec["holderIdentity"] != "first")["holderIdentity"] == ""


async def test_a_dead_holder_is_waited_out(leases: Leases, start: Any) -> None:
    """A Lease that nobody renews is free once its duration went by on our own clock, whatever its times say."""
    leases.write(
        holderIdentity="ghost", leaseDurationSeconds=1, renewTime="2999-01-01T00:00:00.000000Z", leaseTransitions=4
    )
    began = asyncio.get_running_loop().time()
    elector = start("late").elector
    await asyncio.wait_for(elector.acquired.wait(), 3.0)
    assert asyncio.get_running_loop().time() - began >= 1.0
    assert (leases.writes[0]["holderIdentity"], leases.writes[0]["leaseTransitions"]) == ("late", 5)


async def test_a_renewed_lease_is_not_taken(leases: Leases, start: Any) -> None:
    """Each write of a rival starts the waiting anew."""
    leases.write(holderIdentity="rival", leaseDurationSeconds=1)
    elector = start("late").elector
    for _ in range(8):
        await asyncio.sleep(0.2)
        leases.write(renewTime="x")
    assert (elector.acquired.is_set(), leases.writes) == (False, [])


async def test_a_holder_proved_dead_is_not_waited_for(leases: Leases, start: Any) -> None:
    """Where the holder's process is surely gone, its lease is free."""
    leases.write(holderIdentity="crashed", leaseDurationSeconds=600)
    elector = start("next", is_dead=lambda holder: holder == "crashed").elector
    await asyncio.wait_for(elector.acquired.wait(), 1.0)


async def test_foreign_takeover_ends_leading(leases: Leases, start: Any) -> None:
    """A leader that finds another holder is lost at once and for good, and does not touch the lease again."""
    first = start("first")
    await first.elector.acquired.wait()
    leases.write(holderIdentity="usurper")
    await asyncio.wait_for(first.task, 2.0)
    assert (first.elector.lost.is_set(), first.elector.surely_ours()) == (True, False)
    with pytest.raises(errors.LeaseLostError):
        first.elector.check()
    assert (leases.spec or {})["holderIdentity"] == "usurper"


async def test_a_conflict_with_ourselves_goes_on(leases: Leases, start: Any) -> None:
    """A renewal whose answer was lost is found again, and leading goes on."""
    first = start("first")
    await first.elector.acquired.wait()
    leases.lose_answers = 1
    before = len(leases.writes)
    await scripted.until(lambda: len(leases.writes) >= before + 4)
    assert (first.elector.surely_ours(), first.elector.lost.is_set()) == (True, False)


async def test_two_candidates_one_winner(leases: Leases, start: Any) -> None:
    """When a lease falls free, compare and swap lets exactly one of many have it."""
    leases.write(holderIdentity="", leaseDurationSeconds=1)
    many = [start(f"candidate-{number}") for number in range(5)]
    await scripted.until(lambda: any(one.elector.acquired.is_set() for one in many))
    await scripted.until(lambda: len(leases.writes) >= 5)
    assert sum(one.elector.surely_ours() for one in many) == 1
    assert len({spec["holderIdentity"] for spec in leases.writes}) == 1


async def test_an_unreachable_server_ends_leading(leases: Leases, start: Any) -> None:
    """A leader that cannot renew stops being one at its deadline, before any rival may start."""
    first = start("first")
    await first.elector.acquired.wait()
    leases.down = True
    await asyncio.wait_for(first.task, 3.0)
    assert (first.elector.lost.is_set(), first.elector.surely_ours()) == (True, False)


async def test_a_slow_server_is_waited_for(leases: Leases, start: Any) -> None:
    """Answers that take longer than the retry period win and keep the lease while a renewal may still take so long."""
    leases.slow = 0.3
    first = start("first", duration=3.0, renew_deadline=1.2, retry=0.05)
    await scripted.until(lambda: len(leases.writes) >= 6, seconds=10.0)

    assert (first.elector.surely_ours(), first.elector.lost.is_set()) == (True, False)


async def test_a_connection_that_hangs_is_tried_again_in_time(leases: Leases, start: Any) -> None:
    """A request that is never answered leaves time for another one before the deadline."""
    first = start("first", duration=4.0, renew_deadline=2.0, retry=0.05)
    await first.elector.acquired.wait()
    leases.slow = 30.0
    await scripted.until(lambda: leases.slowed == 1)
    leases.slow = 0.0
    before = len(leases.writes)
    await scripted.until(lambda: len(leases.writes) >= before + 2)

    assert (first.elector.surely_ours(), first.elector.lost.is_set()) == (True, False)


async def test_a_pause_fences_before_anything_runs(leases: Leases, start: Any) -> None:
    """A leader that was stopped or asleep knows by the clock alone that its lease is in doubt."""
    now = 1000.0
    first = start("first", duration=15.0, renew_deadline=10.0, retry=2.0, clock=lambda: now)
    await first.elector.acquired.wait()
    first.elector.check()
    now += 13.9
    assert first.elector.surely_ours()
    now += 0.2
    assert not first.elector.surely_ours()
    with pytest.raises(errors.LeaseLostError):
        first.elector.check()


async def test_the_time_of_a_renewal_is_its_start(leases: Leases, start: Any) -> None:
    """A slow answer does not lengthen the lease."""
    now = 0.0
    first = start("first", duration=15.0, renew_deadline=10.0, retry=2.0, clock=lambda: now)
    api = first.elector._api
    send = api.put

    async def slow(*args: Any, **options: Any) -> bytes:
        nonlocal now
        answer: bytes = await send(*args, **options)
        now += 5.0
        return answer

    await first.elector.acquired.wait()
    api.put = slow
    await first.elector._turn()
    assert (now, first.elector.age()) == (5.0, 5.0)


BAD_TIMES = {"deadline after the end": (15.0, 14.5, 2.0), "retry after the deadline": (15.0, 10.0, 10.0)}


@pytest.mark.parametrize(("duration", "deadline", "retry"), BAD_TIMES.values(), ids=BAD_TIMES.keys())
async def test_times_must_fit(leases: Leases, duration: float, deadline: float, retry: float) -> None:
    """Times that could let two lead are refused."""
    with pytest.raises(errors.SettingsError):
        lease.Elector(
            scripted.api(leases.server), "default", "x", duration=duration, renew_deadline=deadline, retry=retry
        )


def test_elapsed_time_never_goes_back() -> None:
    """The clock of the lease is one that only grows."""
    assert 0.0 < lease.elapsed() <= lease.elapsed()


def test_only_the_surely_dead_are_dead() -> None:
    """A process on this machine is proved dead when it is gone or its number is another's; strangers never are."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own = identity.default_identity()
    start = identity._start(child.pid)
    other = own.replace(f"-{os.getpid()}-{identity._start(os.getpid())}", f"-{child.pid}-{start}")
    reused = other.removesuffix(str(start)) + "7"
    assert tuple(identity.is_surely_dead(who) for who in (own, other, reused)) == (False, False, True)
    child.communicate(b"\n")
    assert identity.is_surely_dead(other)
    strangers = ["", "pod-7_abcdef", other.replace(f"_{identity._boot()}", "_000000000000")]
    assert [identity.is_surely_dead(who) for who in strangers] == [False] * 3
