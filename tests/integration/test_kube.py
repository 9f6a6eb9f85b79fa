"""Mirror, reflector, lease and Events against the real API server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cardpool import errors, names
from cardpool.kube import auth, client, lease, paths, recorder, reflector, store
from cardpool.names import Kind

PATH = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from tests.support.kubeclient import Kube


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for a condition; AssertionError when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        await asyncio.sleep(0.01)


@pytest.fixture
async def api(cluster: Context) -> AsyncIterator[client.Client]:
    """Our own client, with the cluster's kubeconfig."""
    credentials = await auth.load(str(cluster.kubeconfig))
    async with client.Client(credentials) as made:
        yield made


@asynccontextmanager
async def reflecting(
    api: client.Client, kind: Kind, *, start_at: str = "", **options: Any
) -> AsyncIterator[tuple[reflector.Reflector, store.Mirror]]:
    """A running, synced reflector; with ``start_at`` it first tries to watch from that version."""
    mirror = store.Mirror()
    watcher = reflector.Reflector(api, mirror, kind, **options)
    watcher.last_rv = start_at
    task = asyncio.create_task(watcher.run())
    try:
        await asyncio.wait_for(watcher.synced.wait(), 20.0)
        yield watcher, mirror
        assert not task.done()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def config_map(name: str, namespace: str, **data: str) -> dict[str, Any]:
    """A ConfigMap that the reflector selects."""
    metadata = {"name": name, "namespace": namespace, "labels": {names.LABEL_VENDORS: "true"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def pod(name: str, namespace: str) -> dict[str, Any]:
    """A pod that no node can take."""
    container = {"name": "main", "image": "none:1", "resources": {"requests": {"cpu": "1500m", "memory": "1Gi"}}}
    spec = {"containers": [container], "nodeSelector": {"nowhere": "true"}, "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def job(name: str, namespace: str) -> dict[str, Any]:
    """A TrainingJob of one pod."""
    template = {"spec": {"containers": [{"name": "main", "image": "train:1"}]}}
    spec = {"pool": "main", "groups": [{"name": "worker", "replicas": 1, "cardsPerPod": 1, "template": template}]}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": names.API_VERSION, "kind": "TrainingJob", "metadata": metadata, "spec": spec}


async def test_mirror_follows(api: client.Client, kube: Kube, namespace: str) -> None:
    """What others create, change, delete and create again shows in the mirror."""
    options = {"namespace": namespace, "label_selector": names.LABEL_VENDORS, "page": 2}
    for number in range(5):
        await kube.create(config_map(f"old-{number}", namespace))
    async with reflecting(api, Kind.CONFIG_MAP, **options) as (watcher, mirror):
        assert (mirror.size(Kind.CONFIG_MAP), watcher.counters.lists) == (5, 1)
        first = await kube.create(config_map("new", namespace, a="1"))
        key = f"{namespace}/new"
        await until(lambda: mirror.uid(Kind.CONFIG_MAP, key) == first["metadata"]["uid"])
        await kube.patch("ConfigMap", "new", {"data": {"a": "2"}}, namespace)
        await until(lambda: mirror.config_maps()[key].data == {"a": "2"})
        await kube.delete("ConfigMap", "new", namespace)
        await until(lambda: mirror.get(Kind.CONFIG_MAP, key) is None)
        second = await kube.create(config_map("new", namespace, a="3"))
        await until(lambda: mirror.uid(Kind.CONFIG_MAP, key) == second["metadata"]["uid"])
        assert (watcher.counters.lists, watcher.counters.malformed) == (1, 0)


@pytest.mark.usefixtures("crds")
async def test_too_old_a_version_lists_again(api: client.Client) -> None:
    """The real server's answer to a version older than the kind itself leads to a list."""
    async with reflecting(api, Kind.POOL, start_at="1") as (watcher, _):
        assert (watcher.counters.relists, watcher.counters.lists) == (1, 1)
        assert "too old resource version" in watcher.problem


async def test_a_version_from_the_future_lists_again(api: client.Client) -> None:
    """To a version that it does not know yet the server says nothing at all: silence leads to a list as well."""
    async with reflecting(api, Kind.NODE, start_at=str(2**50), inactivity=0.5) as (watcher, _):
        assert (watcher.counters.relists, watcher.counters.lists) == (1, 1)


async def test_own_writes_show_at_once(api: client.Client, namespace: str) -> None:
    """A pod's whole life by our own writes: visible before the watch says so, and gone for good in the end."""
    async with reflecting(api, Kind.POD, namespace=namespace) as (watcher, mirror):
        made = mirror.overlay(Kind.POD, await api.post(paths.collection(Kind.POD, namespace), pod("a", namespace)))
        assert (made.requests, made.phase) == ({"cpu": 1500, "memory": 2**30}, "Pending")
        key = f"{namespace}/a"
        await until(lambda: mirror.get(Kind.POD, key).scheduling != "")
        path = paths.by_key(Kind.POD, key)
        with pytest.raises(errors.ApiError) as conflict:
            await api.delete(path, uid="somebody-else")
        assert (409, made.uid) == (conflict.value.code, mirror.uid(Kind.POD, key))
        mirror.overlay(Kind.POD, await api.delete(path, uid=made.uid, grace=0))
        await until(lambda: mirror.get(Kind.POD, key) is None)
        again = mirror.overlay(Kind.POD, await api.post(paths.collection(Kind.POD, namespace), pod("a", namespace)))
        await until(lambda: mirror.get(Kind.POD, key).scheduling != "")
        assert watcher.counters.lists == 1
        assert again.uid == mirror.uid(Kind.POD, key) != made.uid


async def test_second_live_pod_is_refused(api: client.Client, namespace: str) -> None:
    """A name that is taken is said with Kubernetes' own word."""
    await api.post(paths.collection(Kind.POD, namespace), pod("a", namespace))
    with pytest.raises(errors.ApiError) as caught:
        await api.post(paths.collection(Kind.POD, namespace), pod("a", namespace))
    assert (caught.value.code, caught.value.reason) == (409, "AlreadyExists")


async def test_labels_that_we_hold(api: client.Client, kube: Kube) -> None:
    """Server-side apply by UID: our labels are known as ours, others' are not, and no node is made by it."""
    name = f"bare-{uuid.uuid4().hex[:8]}"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"zone": "a"}}}
    uid = (await kube.create(node))["metadata"]["uid"]
    try:
        async with reflecting(api, Kind.NODE) as (_, mirror):
            metadata = {"name": name, "uid": uid, "labels": {names.LABEL_POOL: "main"}}
            body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
            record = mirror.overlay(Kind.NODE, await api.apply(paths.item(Kind.NODE, name), body))
            assert ({names.LABEL_POOL}, "main", "a") == (
                record.owned,
                record.labels[names.LABEL_POOL],
                record.labels["zone"],
            )
            await kube.delete("Node", name)
            await until(lambda: mirror.get(Kind.NODE, name) is None)
            with pytest.raises(errors.ApiError) as caught:
                await api.apply(paths.item(Kind.NODE, name), body)
            assert caught.value.code == 409
    finally:
        with contextlib.suppress(errors.ApiError):
            await api.delete(paths.item(Kind.NODE, name))


@pytest.mark.usefixtures("crds")
async def test_settled_jobs_leave_the_selection(api: client.Client, kube: Kube, namespace: str) -> None:
    """A job is seen until its status says settled; then the server itself takes it out of the watch and the list."""
    await kube.create(job("llm", namespace))
    key = f"{namespace}/llm"
    options = {"namespace": namespace, "field_selector": reflector.JOB_SELECTOR}
    async with reflecting(api, Kind.JOB, **options) as (_, mirror):
        record = mirror.get(Kind.JOB, key)
        assert (record.invalid, record.spec.pool, record.generation) == ("", "main", 1)
        body = {"metadata": {"uid": record.uid, "resourceVersion": record.resource_version}, "status": {"attempt": 3}}
        path = paths.by_key(Kind.JOB, key, "status")
        written = mirror.overlay(Kind.JOB, await api.patch(path, body, lane=client.Lane.STATUS))
        assert (written.status.attempt, written.spec is record.spec) == (3, True)
        with pytest.raises(errors.ApiError) as stale:
            await api.patch(path, body, lane=client.Lane.STATUS)
        assert stale.value.code == 409
        await kube.patch("TrainingJob", "llm", {"status": {"settled": True}}, namespace, subresource="status")
        await until(lambda: mirror.get(Kind.JOB, key) is None)
    async with reflecting(api, Kind.JOB, **options) as (_, mirror):
        assert mirror.size(Kind.JOB) == 0


async def test_lease_between_two(api: client.Client, cluster: Context, namespace: str) -> None:
    """One leads, one waits; a release hands over at once; the one that lost may not write."""
    credentials = await auth.load(str(cluster.kubeconfig))
    times = {"duration": 4.0, "renew_deadline": 2.0, "retry": 0.5}
    async with client.Client(credentials) as other:
        first = lease.Elector(api, namespace, "first", **times)
        second = lease.Elector(other, namespace, "second", **times)
        leading = asyncio.create_task(first.run())
        await asyncio.wait_for(first.acquired.wait(), 5.0)
        waiting = asyncio.create_task(second.run())
        await until(lambda: second.holder == "first")
        await until(lambda: first.age() < 0.2)  # renewed while the other one looked on
        assert (first.surely_ours(), second.surely_ours()) == (True, False)
        first.stop()
        await leading
        await asyncio.wait_for(second.acquired.wait(), 3.0)
        with pytest.raises(errors.LeaseLostError):
            first.check()
        second.check()
        assert second.transitions == 1
        second.stop()
        await waiting


LEADER = """
import asyncio, sys
from cardpool.kube import auth, client, lease

async def main():
    async with client.Client(await auth.load(sys.argv[1])) as api:
        elector = lease.Elector(api, sys.argv[2], lease.default_identity())
        task = asyncio.create_task(elector.run())
        await elector.acquired.wait()
        print("leading", flush=True)
        await task

asyncio.run(main())
"""


async def test_killed_leader_is_replaced_at_once(api: client.Client, cluster: Context, namespace: str) -> None:
    """After kill -9 a successor on the same machine proves the holder dead and need not wait for its lease to end."""
    command = [sys.executable, "-c", LEADER, str(cluster.kubeconfig), namespace]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **PATH})
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20.0) == b"leading\n"
    successor = lease.Elector(api, namespace, lease.default_identity())
    task = asyncio.create_task(successor.run())
    await until(lambda: successor.holder != "")
    assert not successor.acquired.is_set()
    process.kill()
    await process.wait()
    await asyncio.wait_for(successor.acquired.wait(), 5.0)
    successor.check()
    successor.stop()
    await task


async def test_paused_leader_is_fenced(api: client.Client, cluster: Context, namespace: str) -> None:
    """A leader that sleeps through its lease finds a new holder when it wakes, and never wrote in between."""
    credentials = await auth.load(str(cluster.kubeconfig))
    times = {"duration": 2.0, "renew_deadline": 0.9, "retry": 0.2}
    async with client.Client(credentials) as other:
        paused = lease.Elector(api, namespace, "paused", **times)
        task = asyncio.create_task(paused.run())
        await asyncio.wait_for(paused.acquired.wait(), 5.0)
        turn = paused._turn
        gate = asyncio.Event()

        async def asleep() -> None:
            await gate.wait()
            await turn()

        paused._turn = asleep  # type: ignore[method-assign]  # the process stands still between two renewals
        rival = lease.Elector(other, namespace, "rival", **times)
        ruling = asyncio.create_task(rival.run())
        while not rival.acquired.is_set():
            assert not (paused.surely_ours() and rival.surely_ours())
            await asyncio.sleep(0.01)
        assert not paused.surely_ours()
        gate.set()
        await asyncio.wait_for(task, 3.0)
        assert paused.lost.is_set()
        rival.check()
        rival.stop()
        await ruling


async def test_events_are_accepted(api: client.Client, kube: Kube, namespace: str) -> None:
    """The API server takes our Events, and a repeat counts up the one that is there."""
    made = await kube.create(pod("a", namespace))
    events = recorder.Recorder(api, "test")
    task = asyncio.create_task(events.run())
    for _ in range(2):
        events.record(Kind.POD, f"{namespace}/a", made["metadata"]["uid"], "Placed", "on 4 nodes", action="Place")
        await events.drain(5.0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (events.posted, events.merged, events.dropped) == (2, 1, 0)
    raw = await api.get(paths.collection(paths.EVENTS, namespace), params={"fieldSelector": "reason=Placed"})
    assert raw.count(b'"reason":"Placed"') == 1
    assert b'"count":2' in raw
