"""Requests: lanes, the fence, refusals, unknown outcomes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from cardpool import errors
from cardpool.kube import client, paths
from cardpool.kube.client import Lane
from cardpool.kube.window import Window
from cardpool.names import Kind
from tests.unit.kube import scripted

PODS = "/api/v1/namespaces/team-a/pods"


async def test_bodies_and_headers(server: scripted.Server, api: client.Client) -> None:
    """Each verb sends its body, parameters and content type, and gives the raw answer back."""
    for verb in ("POST", "PUT", "PATCH", "PATCH", "DELETE", "GET"):
        server.say(verb, scripted.answer({"verb": verb}))
    assert await api.post(PODS, {"a": 1}) == b'{"verb": "POST"}'
    await api.put(f"{PODS}/a", b'{"a": 2}', lane=Lane.STATUS)
    await api.patch(f"{PODS}/a/status", [{"op": "test"}], content_type=client.JSON_PATCH)
    await api.apply(f"{PODS}/a", {"a": 3})
    await api.delete(f"{PODS}/a", uid="u-1", resource_version="7", grace=0, propagation="Foreground")
    assert await api.get(f"{PODS}/a", params={"x": "y"}) == b'{"verb": "GET"}'
    options = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u-1", "resourceVersion": "7"},
        "gracePeriodSeconds": 0,
        "propagationPolicy": "Foreground",
    }
    assert [
        ("POST", PODS, {}, {"a": 1}),
        ("PUT", f"{PODS}/a", {}, {"a": 2}),
        ("PATCH", f"{PODS}/a/status", {}, [{"op": "test"}]),
        ("PATCH", f"{PODS}/a", {"fieldManager": "cardpool", "force": "false"}, {"a": 3}),
        ("DELETE", f"{PODS}/a", {}, options),
        ("GET", f"{PODS}/a", {"x": "y"}, None),
    ] == [(item.verb, item.path, item.query, item.body) for item in server.asked]


REFUSALS = {
    "status": (scripted.status(409, "AlreadyExists", "pods a exists"), (409, "AlreadyExists", "pods a exists", None)),
    "no status": (scripted.answer(b"<html>no</html>", 403), (403, "Unknown", "<html>no</html>", None)),
    "empty": (scripted.answer(b"", 422), (422, "Unknown", "", None)),
    "retry after": (
        scripted.status(503, "ServiceUnavailable", headers={"Retry-After": "3"}),
        (503, "ServiceUnavailable", "ServiceUnavailable", 3.0),
    ),
    "retry after in the body": (
        scripted.answer({"kind": "Status", "reason": "Timeout", "details": {"retryAfterSeconds": 2}}, 504),
        (504, "Timeout", "", 2.0),
    ),
    "retry after as a date": (
        scripted.status(503, "Busy", headers={"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}),
        (503, "Busy", "Busy", None),
    ),
}


@pytest.mark.parametrize(("reply", "expected"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_refusals(server: scripted.Server, api: client.Client, reply: Any, expected: tuple[Any, ...]) -> None:
    """An error status becomes an ApiError with the server's words, and a write is not repeated."""
    server.say("POST", reply)
    with pytest.raises(errors.ApiError) as caught:
        await api.post(PODS, {})
    error = caught.value
    assert expected == (error.code, error.reason, error.message, error.retry_after)
    assert server.count("POST") == 1


async def test_throttled_write_is_sent_again(server: scripted.Server, api: client.Client) -> None:
    """429 means that nothing was done: the write waits Retry-After and goes again, through a narrower window."""
    server.say("POST", scripted.status(429, "TooManyRequests", headers={"Retry-After": "1"}), scripted.answer({}))
    await api.post(PODS, {})
    first, second = server.of("POST")
    assert second.at - first.at >= 1.0
    assert (api.stats[Lane.WRITE].throttled, api.stats[Lane.WRITE].limit < 48) == (1, True)


async def test_reads_are_repeated(server: scripted.Server, api: client.Client) -> None:
    """A read is asked again after server errors and broken connections."""
    server.say("GET", scripted.status(503, "ServiceUnavailable"), scripted.dropped(), scripted.answer({"ok": 1}))
    assert await api.get(f"{PODS}/a") == b'{"ok": 1}'


async def test_a_missing_object_is_said_at_once(server: scripted.Server, api: client.Client) -> None:
    """404 is an answer."""
    with pytest.raises(errors.ApiError, match="404"):
        await api.get(f"{PODS}/a")
    assert server.count("GET") == 1


UNKNOWN = {
    "broken connection": scripted.dropped(),
    "no answer in time": scripted.after(5.0, scripted.answer({})),
}


@pytest.mark.parametrize("reply", UNKNOWN.values(), ids=UNKNOWN.keys())
async def test_a_write_without_answer_is_unknown(server: scripted.Server, api: client.Client, reply: Any) -> None:
    """A write whose answer is lost is reported as such and never repeated."""
    server.say("POST", reply)
    with pytest.raises(errors.UnreachableError):
        await api.post(PODS, {}, timeout=0.2)
    assert server.count("POST") == 1


async def test_nobody_listens() -> None:
    """A refused connection is unreachable as well."""
    async with client.Client(scripted.credentials("http://127.0.0.1:1")) as api:
        with pytest.raises(errors.UnreachableError):
            await api.post(PODS, {})


async def test_the_fence_stops_writes_only(server: scripted.Server) -> None:
    """Without a sure lease nothing is written but the lease itself; reads go on."""

    def fence() -> None:
        raise errors.LeaseLostError("gone")

    server.say("GET", scripted.answer({}))
    server.say("PUT", scripted.answer({}))
    async with scripted.api(server, before_write=fence) as api:
        for write in (api.post(PODS, {}), api.patch(PODS, {}), api.delete(PODS), api.apply(PODS, {})):
            with pytest.raises(errors.LeaseLostError):
                await write
        await api.get(PODS)
        await api.put("/lease", {}, lane=Lane.LEASE)
    assert [item.verb for item in server.asked] == ["GET", "PUT"]


async def test_the_fence_is_asked_after_the_wait(server: scripted.Server) -> None:
    """A write that waited in its lane is checked when it goes out, not when it was asked for."""
    ours = True

    def fence() -> None:
        if not ours:
            raise errors.LeaseLostError("gone")

    server.say("POST", scripted.after(0.1, scripted.answer({})))
    async with scripted.api(server, before_write=fence, ceilings={**client.CEILINGS, Lane.WRITE: 1}) as api:
        first, second = asyncio.create_task(api.post(PODS, {})), asyncio.create_task(api.post(PODS, {}))
        await scripted.until(lambda: server.count("POST") == 1)
        ours = False
        await first
        with pytest.raises(errors.LeaseLostError):
            await second
    assert server.count("POST") == 1


async def test_the_fence_is_asked_when_the_bytes_go_out(server: scripted.Server) -> None:
    """A write whose connection was made while the lease went is stopped though it passed the first look."""
    looks = 0

    def fence() -> None:
        nonlocal looks
        looks += 1
        if looks % 2 == 0:
            raise errors.LeaseLostError("gone meanwhile")

    async with scripted.api(server, before_write=fence) as api:
        for write in (api.post(PODS, {}), api.patch(PODS, {}), api.delete(PODS), api.apply(PODS, {})):
            with pytest.raises(errors.LeaseLostError):
                await write
    assert (looks, server.asked) == (8, [])


async def test_lanes_bound_what_is_in_flight(server: scripted.Server) -> None:
    """A hundred writes at once never exceed their window, and a status passes them in its own lane."""
    server.say("POST", *(scripted.after(0.05, scripted.answer({})) for _ in range(40)))
    server.say("PUT", scripted.answer({}))
    async with scripted.api(server, ceilings={**client.CEILINGS, Lane.WRITE: 10}) as api:
        writes = [asyncio.create_task(api.post(PODS, {})) for _ in range(40)]
        await scripted.until(lambda: server.in_flight == 10)
        await api.put(PODS, {}, lane=Lane.STATUS)
        assert not any(task.done() and task.exception() for task in writes)
        assert server.count("POST") < 40
        await asyncio.gather(*writes)
        assert api.stats[Lane.WRITE].in_flight == 0
    assert server.most_in_flight <= 11


async def test_window_halves_and_grows() -> None:
    """One burst of refusals halves the window once; a full round of successes widens it by about one."""
    window = Window(16)
    window.throttle(0.05)
    window.throttle(0.05)
    assert window.limit == 8.0
    for _ in range(8):
        window.succeeded()
    assert 8.9 < window.limit <= 9.0
    started = time.monotonic()
    async with window:
        assert time.monotonic() - started >= 0.03


async def test_window_survives_cancellation() -> None:
    """A waiter that gives up leaves the window as it found it."""
    window = Window(1)
    async with window:
        waiter = asyncio.create_task(window.__aenter__())
        await scripted.until(lambda: window.waiting == 1)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    late = asyncio.create_task(window.__aenter__())
    await late
    doomed = asyncio.create_task(window.__aenter__())
    await scripted.until(lambda: window.waiting == 1)
    await window.__aexit__(None, None, None)
    doomed.cancel()  # its turn has come, but it has not run yet
    with pytest.raises(asyncio.CancelledError):
        await doomed
    assert (window.in_flight, window.waiting) == (0, 0)


PATHS = {
    "node": (paths.item(Kind.NODE, "n1"), "/api/v1/nodes/n1"),
    "status": (
        paths.by_key(Kind.JOB, "a/llm", "status"),
        "/apis/cardpool.dev/v1alpha1/namespaces/a/trainingjobs/llm/status",
    ),
    "cluster": (paths.by_key(Kind.POOL, "main"), "/apis/cardpool.dev/v1alpha1/cardpools/main"),
    "all namespaces": (paths.collection(Kind.POD), "/api/v1/pods"),
    "one namespace": (paths.collection(Kind.POD, "a"), "/api/v1/namespaces/a/pods"),
    "lease": (paths.item(paths.LEASES, "x", "ns"), "/apis/coordination.k8s.io/v1/namespaces/ns/leases/x"),
    "quoted": (paths.item(Kind.NODE, "a/../b"), "/api/v1/nodes/a%2F..%2Fb"),
    "manifest": (
        paths.of_manifest({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a"}}),
        "/api/v1/namespaces/a/services",
    ),
}


@pytest.mark.parametrize(("path", "expected"), PATHS.values(), ids=PATHS.keys())
def test_paths(path: str, expected: str) -> None:
    """Paths are those of the API."""
    assert expected == path


def test_a_namespaced_object_needs_its_namespace() -> None:
    """A pod without namespace, or a kind that cardpool never makes, is refused."""
    with pytest.raises(ValueError, match="needs a namespace"):
        paths.item(Kind.POD, "a")
    with pytest.raises(ValueError, match="makes no"):
        paths.of_manifest({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}})
