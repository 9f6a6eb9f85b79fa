"""The reflector against every way in which a list or a watch goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cardpool.kube import reflector, store
from cardpool.names import Kind
from tests.unit.kube import objects, scripted


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses."""
    monkeypatch.setattr(reflector, "_FIRST_PAUSE", 0.01)


@asynccontextmanager
async def reflecting(
    server: scripted.Server, kind: Kind = Kind.POD, **options: Any
) -> AsyncIterator[tuple[reflector.Reflector, store.Mirror]]:
    """A running reflector and its mirror."""
    mirror = store.Mirror()
    async with scripted.api(server) as api:
        watcher = reflector.Reflector(api, mirror, kind, **options)
        task = asyncio.create_task(watcher.run())
        try:
            yield watcher, mirror
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def names_of(mirror: store.Mirror, kind: Kind = Kind.POD) -> list[str]:
    """The names that the mirror holds."""
    world = mirror.freeze(0.0)
    held = world.pods if kind is Kind.POD else world.nodes
    return sorted(record.name for record in held.values())


async def test_pages_then_watch(server: scripted.Server) -> None:
    """All pages of one version are swapped in, then the watch goes on from that version with selectors and bookmarks."""
    server.say("LIST", scripted.page([objects.pod("a", 3)], 10, "next"), scripted.page([objects.pod("b", 4)], 10))
    server.say("WATCH", scripted.stream(scripted.event("ADDED", objects.pod("c", 11))))
    options = {"label_selector": "x=y", "field_selector": "spec.nodeName!=", "namespace": "team-a", "page": 7}
    async with reflecting(server, **options) as (watcher, mirror):
        await scripted.until(lambda: len(names_of(mirror)) == 3)
        assert watcher.synced.is_set()
        assert (watcher.last_rv, watcher.counters.lists, watcher.counters.events) == ("11", 1, 1)
        assert watcher.age() < 3.0
    first, second = server.of("LIST")
    watch = server.of("WATCH")[0]
    selectors = {"labelSelector": "x=y", "fieldSelector": "spec.nodeName!="}
    assert {"/api/v1/namespaces/team-a/pods"} == {item.path for item in server.asked}
    assert {"limit": "7", **selectors} == first.query
    assert {"limit": "7", "continue": "next", **selectors} == second.query
    timeout = int(watch.query["timeoutSeconds"])
    assert 240 <= timeout <= 300
    expected = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "10", **selectors}
    assert {**expected, "timeoutSeconds": str(timeout)} == watch.query


async def test_nothing_is_synced_before_the_last_page(server: scripted.Server) -> None:
    """A half list shows nothing."""
    gate = asyncio.Event()

    async def wait(request: Any) -> Any:
        await gate.wait()
        return await scripted.page([], 10)(request)

    server.say("LIST", scripted.page([objects.pod("a", 3)], 10, "next"), wait)
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: server.count("LIST") == 2)
        assert (names_of(mirror), watcher.synced.is_set()) == ([], False)
        gate.set()
        await scripted.until(watcher.synced.is_set)
        assert names_of(mirror) == ["a"]


async def test_list_dropped_in_the_middle(server: scripted.Server) -> None:
    """A connection that breaks inside a page costs a new list, not an object."""
    server.say("LIST", scripted.page([objects.pod("a", 3)], 10, "next"), scripted.dropped())
    server.say("LIST", scripted.page([objects.pod("a", 3), objects.pod("b", 4)], 12))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(watcher.synced.is_set)
        assert (names_of(mirror), watcher.last_rv, watcher.counters.errors) == (["a", "b"], "12", 1)


async def test_expired_continue_token(server: scripted.Server) -> None:
    """410 for the token starts the list over, from its first page."""
    server.say("LIST", scripted.page([objects.pod("gone", 3)], 10, "next"), scripted.status(410, "Expired"))
    server.say("LIST", scripted.page([objects.pod("b", 11)], 12))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(watcher.synced.is_set)
        assert (
            names_of(mirror),
            [item.query.get("continue") for item in server.of("LIST")],
        ) == (["b"], [None, "next", None])


EXPIRIES = {
    "410 in the stream": scripted.stream(scripted.error(410, "Expired", "too old resource version: 10 (90)")),
    "HTTP 410": scripted.status(410, "Gone", "too old resource version"),
    "a version from the future": scripted.stream(scripted.error(504, "Timeout", "Too large resource version: 10")),
}


@pytest.mark.parametrize("expiry", EXPIRIES.values(), ids=EXPIRIES.keys())
async def test_expired_watch_finds_missed_deletions(server: scripted.Server, expiry: Any) -> None:
    """A version that is gone leads to a new list, and what was deleted meanwhile goes."""
    server.say("LIST", scripted.page([objects.pod("a", 3), objects.pod("b", 4)], 10))
    server.say("WATCH", expiry)
    server.say("LIST", scripted.page([objects.pod("b", 4), objects.pod("c", 95)], 99))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: watcher.counters.lists == 2)
        assert (names_of(mirror), watcher.counters.relists) == (["b", "c"], 1)
        await scripted.until(lambda: server.count("WATCH") == 2)
        assert server.of("WATCH")[-1].query["resourceVersion"] == "99"


ENDS = {"properly closed": "close", "dropped": "drop"}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_watch_goes_on_after_its_end(server: scripted.Server, end: str) -> None:
    """After the end of a stream the watch goes on from the last applied version, without a list."""
    server.say("LIST", scripted.page([], 10))
    server.say("WATCH", scripted.stream(scripted.event("ADDED", objects.pod("a", 11)), end=end))
    server.say("WATCH", scripted.stream(scripted.event("ADDED", objects.pod("b", 12))))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: names_of(mirror) == ["a", "b"])
        assert (
            watcher.counters.lists,
            [item.query["resourceVersion"] for item in server.of("WATCH")],
        ) == (1, ["10", "11"])


async def test_event_cut_in_two_is_not_applied(server: scripted.Server) -> None:
    """Half a line at the end of a stream is dropped; the watch goes on before it."""
    line = scripted.event("ADDED", objects.pod("b", 12))
    server.say("LIST", scripted.page([], 10))
    server.say("WATCH", scripted.stream(scripted.event("ADDED", objects.pod("a", 11)), line[:40], end="close"))
    server.say("WATCH", scripted.stream(line[:50], line[50:]))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: names_of(mirror) == ["a", "b"])
        assert (
            [item.query["resourceVersion"] for item in server.of("WATCH")],
            watcher.counters.malformed,
        ) == (["10", "11"], 0)


async def test_duplicate_and_out_of_order_events(server: scripted.Server) -> None:
    """After a failover older states may come again: the newest stays."""
    new, old = objects.pod("a", 15, on="n2"), objects.pod("a", 12, on="n1")
    server.say("LIST", scripted.page([], 10))
    events = [scripted.event(kind, obj) for kind, obj in (("ADDED", new), ("MODIFIED", old), ("MODIFIED", new))]
    server.say("WATCH", scripted.stream(*events, scripted.event("ADDED", objects.pod("z", 16))))
    async with reflecting(server) as (_, mirror):
        await scripted.until(lambda: "z" in names_of(mirror))
        assert mirror.get(Kind.POD, "team-a/a").node == "n2"


async def test_recreated_under_the_same_name(server: scripted.Server) -> None:
    """Objects are known by UID: a new one under an old name replaces it, late news of the old one change nothing."""
    server.say("LIST", scripted.page([objects.pod("a", 5, uid="first")], 10))
    server.say(
        "WATCH",
        scripted.stream(
            scripted.event("DELETED", objects.pod("a", 11, uid="first")),
            scripted.event("ADDED", objects.pod("a", 12, uid="second")),
            scripted.event("MODIFIED", objects.pod("a", 9, uid="first", on="n1")),
        ),
    )
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: watcher.counters.events == 3)
        assert mirror.uid(Kind.POD, "team-a/a") == "second"


async def test_bookmarks_only(server: scripted.Server) -> None:
    """Bookmarks alone keep a watch alive and move the version to go on from."""
    server.say("LIST", scripted.page([], 10))
    server.say("WATCH", scripted.stream(scripted.bookmark(20), scripted.bookmark(30), end="close"))
    async with reflecting(server) as (watcher, _):
        await scripted.until(lambda: server.count("WATCH") == 2)
        assert (
            server.of("WATCH")[-1].query["resourceVersion"],
            watcher.counters.bookmarks,
            watcher.counters.lists,
        ) == ("30", 2, 1)


async def test_silence_is_a_break(server: scripted.Server) -> None:
    """A stream without even a bookmark is given up after the inactivity time, and goes on from the last version."""
    server.say("LIST", scripted.page([], 10))
    server.say("WATCH", scripted.stream(scripted.bookmark(20)))
    server.say("WATCH", scripted.stream(scripted.event("ADDED", objects.pod("a", 21))))
    async with reflecting(server, inactivity=0.1) as (watcher, mirror):
        await scripted.until(lambda: names_of(mirror) == ["a"])
        assert (server.of("WATCH")[1].query["resourceVersion"], watcher.counters.lists) == ("20", 1)


async def test_repeated_silence_lists_again(server: scripted.Server) -> None:
    """A server that was set back to an older state says nothing to a watch from the future: the list tells."""
    server.say("LIST", scripted.page([objects.pod("a", 90), objects.pod("b", 91)], 100))
    server.say("LIST", scripted.page([objects.pod("a", 40)], 50))
    async with reflecting(server, inactivity=0.1) as (watcher, mirror):
        await scripted.until(lambda: watcher.counters.lists == 2)
        assert (
            names_of(mirror),
            [item.query["resourceVersion"] for item in server.of("WATCH")][:2],
        ) == (["a"], ["100", "100"])


BAD_POD = {**objects.pod("bad", 12), "spec": {"containers": "none"}}
BAD_QUANTITY = objects.pod("bad", 12)
BAD_QUANTITY["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "many"
MALFORMED = {"wrong type": BAD_POD, "bad quantity": BAD_QUANTITY}


@pytest.mark.parametrize("bad", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_object_in_the_stream(server: scripted.Server, bad: Any) -> None:
    """An object that cannot be read is counted and set aside; the stream goes on; a good state of it heals."""
    server.say("LIST", scripted.page([objects.pod("bad", 5)], 10))
    good = scripted.event("ADDED", objects.pod("good", 13))
    server.say("WATCH", scripted.stream(scripted.event("MODIFIED", bad), good, end="close"))
    server.say("WATCH", scripted.stream(scripted.event("MODIFIED", objects.pod("bad", 14, on="n1"))))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: names_of(mirror) == ["bad", "good"])
        assert (watcher.counters.malformed, watcher.counters.lists) == (1, 1)
        await scripted.until(lambda: mirror.get(Kind.POD, "team-a/bad").node == "n1")
        assert watcher.quarantined == {}


async def test_malformed_object_in_a_list(server: scripted.Server) -> None:
    """A bad object in a list spoils neither the page nor the good state that is held of it."""
    server.say("LIST", scripted.page([objects.pod("bad", 5), objects.pod("a", 6)], 10))
    server.say("WATCH", scripted.status(410, "Gone"))
    server.say("LIST", scripted.page([BAD_POD, objects.pod("b", 16)], 20))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: watcher.counters.lists == 2)
        assert (names_of(mirror), list(watcher.quarantined)) == (["b", "bad"], ["uid-bad"])


async def test_an_unreadable_object_can_be_deleted(server: scripted.Server) -> None:
    """A deletion needs only the object's name and UID."""
    server.say("LIST", scripted.page([objects.pod("bad", 5)], 10))
    server.say("WATCH", scripted.stream(scripted.event("DELETED", BAD_POD)))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: watcher.counters.events == 1)
        assert names_of(mirror) == []


async def test_huge_object(server: scripted.Server) -> None:
    """An object of 5 MB in one line passes."""
    huge = objects.pod("huge", 11)
    huge["metadata"]["annotations"] = {"blob": "x" * (5 * 2**20)}
    server.say("LIST", scripted.page([], 10))
    server.say("WATCH", scripted.stream(scripted.event("ADDED", huge), scripted.event("ADDED", objects.pod("a", 12))))
    async with reflecting(server) as (_, mirror):
        await scripted.until(lambda: names_of(mirror) == ["a", "huge"])


async def test_throttled_watch_obeys_retry_after(server: scripted.Server) -> None:
    """After 429 nothing is asked before Retry-After is over, and the watch goes on without a list."""
    server.say("LIST", scripted.page([], 10))
    server.say("WATCH", scripted.status(429, "TooManyRequests", headers={"Retry-After": "1"}))
    server.say("WATCH", scripted.stream(scripted.event("ADDED", objects.pod("a", 11))))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: names_of(mirror) == ["a"], 5.0)
        first, second = server.of("WATCH")
        assert second.at - first.at >= 1.0
        assert watcher.counters.lists == 1


async def test_errors_never_end_it(server: scripted.Server) -> None:
    """Refusals, garbage and server errors in any order only cost time."""
    server.say(
        "LIST", scripted.status(500, "InternalError"), scripted.status(403, "Forbidden"), scripted.answer(b"<html>")
    )
    server.say("LIST", scripted.page([objects.pod("a", 5)], 10))
    server.say("WATCH", scripted.status(503, "ServiceUnavailable"), scripted.stream(b"not json\n"))
    server.say("LIST", scripted.page([objects.pod("b", 15)], 20))
    async with reflecting(server) as (watcher, mirror):
        await scripted.until(lambda: names_of(mirror) == ["b"])
        assert watcher.problem != ""


async def test_a_standing_error_backs_off(server: scripted.Server) -> None:
    """The pauses grow while nothing works."""
    for _ in range(40):
        server.say("LIST", scripted.status(500, "InternalError"))
    async with reflecting(server):
        await scripted.until(lambda: server.count("LIST") >= 6)
        at = [item.at for item in server.of("LIST")]
        assert at[5] - at[4] > 2 * (at[1] - at[0])
