"""Events: one per transition, counted when repeated, dropped when too many."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from cardpool.kube import client, recorder
from cardpool.names import Kind
from tests.unit.kube import scripted


@contextlib.asynccontextmanager
async def running(events: recorder.Recorder) -> AsyncIterator[None]:
    """The recorder's writers at work until the block ends and all is written."""
    task = asyncio.create_task(events.run())
    yield
    await events.drain(3.0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def say(events: recorder.Recorder, message: str = "placed on 4 nodes", uid: str = "u-1", **more: Any) -> None:
    """Record something of a job."""
    events.record(Kind.JOB, "team-a/llm", uid, "Placed", message, **more)


async def test_one_event(server: scripted.Server, api: client.Client) -> None:
    """An Event has all that the API demands and points at its object."""
    server.say("POST", scripted.answer({}))
    events = recorder.Recorder(api, "pod-1")
    async with running(events):
        say(events, warning=True, action="Place", resource_version="7")
    asked = server.asked[0]
    assert (asked.path, events.posted) == ("/apis/events.k8s.io/v1/namespaces/team-a/events", 1)
    body = asked.body
    assert body["metadata"]["name"].startswith("llm.")
    assert body["eventTime"].endswith("Z")
    regarding = {
        "apiVersion": "cardpool.dev/v1alpha1",
        "kind": "TrainingJob",
        "namespace": "team-a",
        "name": "llm",
        "uid": "u-1",
        "resourceVersion": "7",
    }
    assert ("Placed", "Place", "Warning", "placed on 4 nodes", "cardpool.dev/operator", "pod-1", regarding) == (
        body["reason"],
        body["action"],
        body["type"],
        body["note"],
        body["reportingController"],
        body["reportingInstance"],
        body["regarding"],
    )
    assert "series" not in body


async def test_cluster_objects_report_to_default(server: scripted.Server, api: client.Client) -> None:
    """An Event on a cluster's object lives in the namespace default."""
    server.say("POST", scripted.answer({}))
    events = recorder.Recorder(api, "pod-1")
    async with running(events):
        events.record(Kind.POOL, "main", "u-2", "Ready", "48 supernodes")
    assert (
        server.asked[0].path,
        server.asked[0].body["metadata"]["namespace"],
    ) == ("/apis/events.k8s.io/v1/namespaces/default/events", "default")


async def test_repeats_become_a_series(server: scripted.Server, api: client.Client) -> None:
    """The same thing said again of the same object counts up the Event that is there."""
    server.say("POST", scripted.answer({}))
    server.say("PATCH", scripted.answer({}))
    events = recorder.Recorder(api, "pod-1")
    async with running(events):
        say(events)
        await events.drain(3.0)
        say(events)
    post, patch = server.asked
    assert ("POST", "PATCH", f"{post.path}/{post.body['metadata']['name']}", 2, 1) == (
        post.verb,
        patch.verb,
        patch.path,
        patch.body["series"]["count"],
        events.merged,
    )


async def test_repeats_before_the_first_is_written(server: scripted.Server, api: client.Client) -> None:
    """A burst of the same is one request with its count."""
    server.say("POST", scripted.answer({}))
    events = recorder.Recorder(api, "pod-1")
    for _ in range(5):
        say(events)
    async with running(events):
        pass
    assert [(item.verb, item.body["series"]["count"]) for item in server.asked] == [("POST", 5)]


async def test_an_expired_event_is_made_again(server: scripted.Server, api: client.Client) -> None:
    """A repeat whose Event the server collected makes a new one."""
    server.say("POST", scripted.answer({}), scripted.answer({}))
    server.say("PATCH", scripted.status(404, "NotFound"))
    events = recorder.Recorder(api, "pod-1")
    async with running(events):
        say(events)
        await events.drain(3.0)
        say(events)
    assert [item.verb for item in server.asked] == ["POST", "PATCH", "POST"]


async def test_the_window_ends(api: client.Client) -> None:
    """After the window the same words are a new Event."""
    now = 0.0
    events = recorder.Recorder(api, "pod-1", clock=lambda: now, window=600.0)
    say(events)
    now = 599.0
    say(events)
    now = 601.0
    say(events)
    assert (events.merged, events._queue.qsize()) == (1, 2)


async def test_one_object_cannot_flood(api: client.Client) -> None:
    """Each object has its own bucket, which fills again with time; what does not fit is dropped and counted."""
    now = 0.0
    events = recorder.Recorder(api, "pod-1", clock=lambda: now, burst=3, refill_seconds=30)
    for number in range(10):
        say(events, f"message {number}")
    assert (events.dropped, events._queue.qsize()) == (7, 3)
    say(events, uid="u-2")
    assert (events.dropped, events._queue.qsize()) == (7, 4)
    now = 30.0
    say(events, "later")
    assert (events.dropped, events._queue.qsize()) == (7, 5)


async def test_a_full_queue_drops_and_never_waits(api: client.Client) -> None:
    """However slow the server, recording returns at once; what does not fit is counted."""
    events = recorder.Recorder(api, "pod-1", capacity=5)
    for number in range(8):
        say(events, uid=f"u-{number}")
    assert (events.dropped, events._queue.qsize()) == (3, 5)


async def test_refused_events_are_counted(server: scripted.Server, api: client.Client) -> None:
    """A refused Event is lost without ending the writers."""
    server.say("POST", scripted.status(403, "Forbidden"), scripted.answer({}))
    events = recorder.Recorder(api, "pod-1")
    async with running(events):
        say(events, "first")
        await events.drain(3.0)
        say(events, "second")
    assert (events.posted, events.dropped) == (1, 1)


async def test_long_notes_are_cut(server: scripted.Server, api: client.Client) -> None:
    """A note has at most 1,024 bytes, whole characters."""
    server.say("POST", scripted.answer({}))
    events = recorder.Recorder(api, "pod-1")
    async with running(events):
        say(events, "é" * 1000)
    note = server.asked[0].body["note"]
    assert note.endswith("é…")
    assert len(note.encode()) <= 1024
