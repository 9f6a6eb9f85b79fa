"""Fixtures of tests on the real API server: one cluster per run, one client and one namespace per test."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING

import pytest

from e2e.cluster import layouts, paths
from tests.support import controlplane
from tests.support.kubeclient import Kube

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from e2e.cluster.context import Context

    MakeNodes = Callable[..., Awaitable[list[str]]]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Context]:
    """The control plane of this test run, with KWOK and no nodes."""
    with controlplane.running() as ctx:
        yield ctx


@pytest.fixture(scope="session")
def crds(cluster: Context) -> None:
    """The three kinds and the priority class, installed as crds/ has them."""
    files = sorted((paths.ROOT / "crds").glob("*.yaml"))
    assert files, "crds/ is empty: run `make crds`"

    async def install() -> None:
        async with Kube.open(cluster.kubeconfig) as client:
            await client.install(files)

    asyncio.run(install())


@pytest.fixture
async def kube(cluster: Context) -> AsyncIterator[Kube]:
    """An administrator's client."""
    async with Kube.open(cluster.kubeconfig) as client:
        yield client


@pytest.fixture
async def namespace(kube: Kube) -> AsyncIterator[str]:
    """A namespace of this test alone, ready for pods; deleted at the end."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    await kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await kube.until("ServiceAccount", "default", name)
    yield name
    await kube.delete("Namespace", name)


@pytest.fixture
async def make_nodes(kube: Kube) -> AsyncIterator[MakeNodes]:
    """Makes Ready fake nodes under names never used before, with their own pool label; removed at the end.

    Call it with racks (see e2e.cluster.layouts) and, for a pool of a certain label, `pool=`; the names are returned.
    """
    made: list[str] = []

    async def make(*racks: layouts.Rack, pool: str | None = None) -> list[str]:
        mark = uuid.uuid4().hex[:6]
        listed = layouts.nodes(racks, pool=pool or f"pool-{mark}", prefix=f"n-{mark}-")
        made.extend(node["metadata"]["name"] for node in listed)
        return await kube.make_nodes(listed)

    yield make
    await asyncio.gather(*(kube.delete("Node", name) for name in made))
