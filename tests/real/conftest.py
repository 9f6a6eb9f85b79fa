"""Fixtures of tests on real nodes: one cluster for the whole run, and at its end nothing of it may be left.

Where the machine cannot run real nodes these tests are skipped, which CI does not accept.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.cluster import lifecycle, real
from e2e.cluster.settings import Settings
from tests.support import controlplane, realpods
from tests.support.kubeclient import Kube

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from e2e.cluster.context import Context

REUSE = "CARDPOOL_REAL_CLUSTER"  # names a running cluster with real nodes to use instead, and to leave running


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of these tests."""
    config.addinivalue_line("markers", "real: needs root, containerd and real kubelets on this machine")


def machine(state: Path | None = None) -> dict[str, list[str]]:
    """What real nodes could leave on this machine, beside what real nodes of other clusters have."""
    links = Path("/sys/class/net").iterdir()
    foreign = {link.name for link in links if link.name.startswith("cp-") and _alias(link) != str(state)}
    return {
        "mounts": sorted(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        "interfaces": sorted({link.name for link in Path("/sys/class/net").iterdir()} - foreign),
        "rules": subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout.split(),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text().split(),
    }


def _alias(link: Path) -> str:
    return (link / "ifalias").read_text().strip() if (link / "ifalias").exists() else ""


@pytest.fixture(scope="session")
def real_cluster() -> Iterator[Context]:
    """The cluster with real nodes; taken down while a pod still runs, and then the machine must be as it was."""
    named = os.environ.get(REUSE)
    if named:
        yield lifecycle.up(named, Settings(profiles=("real",)))
        return
    reason = lifecycle.real_missing()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(f"real nodes are not tested: {reason}")
        pytest.skip(f"REAL NODES ARE NOT TESTED: {reason}")
    controlplane.sweep()
    before, name = machine(), f"{controlplane.PREFIX}{os.getpid()}-real"
    try:
        ctx = lifecycle.up(name, Settings(profiles=("real",)))
        realpods.run_forever(ctx.kubeconfig, "stays")
        yield ctx
        seen_while_up = real.leftovers(ctx.state)
    finally:
        lifecycle.down(name)

    assert {"interface", "process", "cgroup"} <= {line.split()[0] for line in seen_while_up}
    assert real.leftovers(ctx.state) == []
    assert before == machine(ctx.state)


@pytest.fixture
async def kube(real_cluster: Context) -> AsyncIterator[Kube]:
    """An administrator's client."""
    async with Kube.open(real_cluster.kubeconfig) as client:
        yield client


@pytest.fixture
async def namespace(kube: Kube) -> AsyncIterator[str]:
    """A namespace of this test alone; deleted at the end."""
    name = f"r-{uuid.uuid4().hex[:8]}"
    await kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await kube.until("ServiceAccount", "default", name)
    yield name
    await kube.delete("Namespace", name)
