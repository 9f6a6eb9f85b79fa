"""Scenarios on fake nodes: one real control plane, one recorder and one operator for all, a scene for each test.

All of it lives in one event loop, so that the recorder never misses an event between two tests.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio

from e2e.cluster import paths
from e2e.cluster.context import Context
from tests.support import controlplane
from tests.support.kubeclient import Kube
from tests.support.operator_process import Operator
from tests.support.recorder import Recorder
from tests.support.scene import Scene

NUMBERS = itertools.count()
LOGS: list[Operator] = []
MakeOperator = Callable[[str], Awaitable[Operator]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed scenario shows the end of the operators' logs."""
    outcome = yield
    if outcome.failed and "scene" in getattr(item, "fixturenames", ()):
        outcome.sections += [(f"log of {one.name}", one.tail()) for one in LOGS if one.log.exists()]
    setattr(item, f"outcome_{outcome.when}", outcome)
    return outcome


@pytest.fixture(scope="session")
def fake_cluster() -> Iterator[Context]:
    """The control plane of these scenarios, with KWOK and no nodes."""
    with controlplane.running(purpose="-e2e") as ctx:
        yield ctx


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fake_kube(fake_cluster: Context) -> AsyncIterator[Kube]:
    """An administrator's client; the kinds are installed as crds/ has them."""
    async with Kube.open(fake_cluster.kubeconfig) as client:
        await client.install(sorted((paths.ROOT / "crds").glob("*.yaml")))
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def recorder(fake_kube: Kube) -> AsyncIterator[Recorder]:
    """Keeps everything that the API shows from here on."""
    recorder = Recorder(fake_kube)
    await recorder.start()
    yield recorder
    await recorder.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_operator(
    fake_cluster: Context, fake_kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Operator]:
    """The operator that all scenes share."""
    operator = Operator(fake_cluster.kubeconfig, tmp_path_factory.mktemp("operator"))
    LOGS.append(operator)
    yield operator
    await operator.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def operator(shared_operator: Operator) -> Operator:
    """The shared operator, ready and leading; started again where the test before ended it."""
    if not shared_operator.alive:
        await shared_operator.start()
    return shared_operator


@pytest_asyncio.fixture(loop_scope="session")
async def make_operator(fake_cluster: Context, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MakeOperator]:
    """Starts further operators of this test alone, as standbys."""
    made: list[Operator] = []

    async def make(name: str) -> Operator:
        one = Operator(fake_cluster.kubeconfig, tmp_path_factory.mktemp(name), name)
        made.append(one)
        LOGS.append(one)
        await one.start(leading=False)
        return one

    yield make
    for one in made:
        LOGS.remove(one)
        await one.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def scene(
    request: pytest.FixtureRequest, fake_kube: Kube, recorder: Recorder, operator: Operator
) -> AsyncIterator[Scene]:
    """A namespace of this test alone; the test makes nodes, pool and jobs, and ends with ``verify``."""
    scene = Scene(f"s{os.getpid() % 10_000}-{next(NUMBERS):02d}", fake_kube, recorder, operator)
    logged = operator.logged()
    await scene.open()
    yield scene
    await scene.close()
    outcome = getattr(request.node, "outcome_call", None)
    if outcome is not None and outcome.passed:
        assert scene.verified, "the scenario never asked for its verdict"
        assert operator.complaints(logged) == []
