"""The chart on a real API server of its own: fresh install, its rights, and the ways between Helm and kubectl."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from e2e.cluster import binaries, layouts, lifecycle, paths, rest
from e2e.cluster.settings import Settings
from tests.support import builders, controlplane
from tests.support.kubeclient import Kube
from tests.support.operator_process import Operator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from e2e.cluster.context import Context

CHART = paths.ROOT / "helm" / "cardpool"
HOME = "cardpool-system"
CRD = "trainingjobs.cardpool.dev"
OWNER = "meta.helm.sh/release-name"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Context]:
    """A control plane without our kinds, for this file alone."""
    name = f"{controlplane.PREFIX}{os.getpid()}-chart"
    try:
        yield lifecycle.up(name, Settings())
    finally:
        lifecycle.down(name)


@pytest.fixture
async def kube(cluster: Context) -> AsyncIterator[Kube]:
    """An administrator's client of that cluster."""
    async with Kube.open(cluster.kubeconfig) as client:
        yield client


def run(cluster: Context, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm or kubectl against the cluster."""
    command = [binaries.ensure([program])[program], "--kubeconfig", cluster.kubeconfig, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)


def helm(cluster: Context, verb: str, release: str, *arguments: str) -> str:
    """Run a verb of helm on a release of the chart, and return what it printed."""
    chart = [] if verb == "uninstall" else [str(CHART), "--create-namespace"] if verb == "install" else [str(CHART)]
    done = run(cluster, "helm", verb, release, *chart, "--namespace", HOME, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def owner(kube: Kube) -> str:
    """The release that the job's CRD belongs to, empty where none claims it."""
    crd = await kube.get("CustomResourceDefinition", CRD)
    return crd["metadata"].get("annotations", {}).get(OWNER, "")


def as_account(cluster: Context, token: str, folder: Path) -> Path:
    """A kubeconfig that is the administrator's but for the user, who has this token."""
    config: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = folder / "account.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


async def test_an_operator_before_its_kinds_waits_for_them(cluster: Context, kube: Kube, tmp_path: Path) -> None:
    """Without the CRDs it is live but not ready and names what is missing; once they are served it leads."""
    operator = Operator(cluster.kubeconfig, tmp_path, "early", CARDPOOL_NAMESPACE="default")
    early = asyncio.create_task(operator.start())
    try:

        async def alive() -> str | None:
            return await asyncio.to_thread(operator.get, "/healthz")

        await rest.wait_for(alive, 30, "the operator is live")
        assert await asyncio.to_thread(operator.get, "/readyz") is None
        await kube.install(sorted((paths.ROOT / "crds").iterdir()))
        await asyncio.wait_for(early, 60)
    finally:
        early.cancel()
        await operator.stop()
    assert run(cluster, "kubectl", "delete", "-f", str(paths.ROOT / "crds")).returncode == 0


async def test_a_fresh_install_has_all_the_rights_it_needs(cluster: Context, kube: Kube, tmp_path: Path) -> None:
    """The operator under the chart's own ServiceAccount labels nodes, runs a gang, cleans up, and is never refused.

    A maker that only the values know is counted like the others.
    """
    helm(
        cluster,
        "install",
        "one",
        "--set",
        "vendors.acme.name=acme",
        "--set",
        "vendors.acme.resources={acme.example/npu}",
    )
    account = (await kube.get("Deployment", "one-cardpool", HOME))["spec"]["template"]["spec"]["serviceAccountName"]
    config = as_account(cluster, await kube.token(account, HOME), tmp_path)
    racks = (layouts.Rack("nvidia.com/gpu", 1, 2), layouts.Rack("acme.example/npu", 1, 1))
    await kube.make_nodes(layouts.nodes(racks, pool="chart", prefix="chart-"))
    operator = Operator(config, tmp_path, CARDPOOL_NAMESPACE=HOME)
    await operator.start()
    try:
        await kube.create(builders.pool("chart", vendors=("nvidia", "acme")))
        await kube.create(builders.job("gang", "default", "chart", pods=2, cards=8, ttlSecondsAfterFinished=1))
        await kube.until_true("TrainingJob", "gang", "default", "Running")
        for index in (0, 1):
            await kube.finish_pod(f"gang-worker-{index}", "default")
        await kube.until_gone("TrainingJob", "gang", "default", 30)
        profiles = (await kube.get("CardPool", "chart"))["status"]["profiles"]
        metrics = operator.get("/metrics") or ""
        events = await kube.list("Event", "default")
    finally:
        await operator.stop()

    assert {one["profile"]: one["cards"]["total"] for one in profiles} == {"nvidia": 16, "acme": 8}
    assert 'code="403"' not in metrics
    assert "orbidden" not in operator.log.read_text()
    assert {"Placed", "Running"} <= {event["reason"] for event in events if event["involvedObject"]["name"] == "gang"}
    assert (await kube.list("Supernode")) != []


async def test_the_kinds_join_the_common_roles(cluster: Context, kube: Kube) -> None:
    """Whoever may view or edit a namespace may view or edit its TrainingJobs."""

    async def verbs(role: str) -> set[str]:
        rules = (await kube.get("ClusterRole", role))["rules"]
        return {verb for rule in rules if "trainingjobs" in rule.get("resources", ()) for verb in rule["verbs"]}

    async def look() -> bool:
        return "create" in await verbs("edit")

    await rest.wait_for(look, 20, "the roles are aggregated")
    assert {"get", "list", "watch"} == await verbs("view")
    assert {"create", "delete", "update", "patch"} <= await verbs("admin")


async def test_an_uninstall_keeps_the_kinds_and_another_release_takes_them_over(cluster: Context, kube: Kube) -> None:
    """CRDs and objects stay; another name is refused with Helm's own words, and works with --take-ownership."""
    await kube.create(builders.pool("kept"))
    helm(cluster, "uninstall", "one")
    refused = run(cluster, "helm", "install", "two", str(CHART), "--namespace", HOME)
    helm(cluster, "install", "two", "--take-ownership")

    assert "invalid ownership metadata" in refused.stderr
    assert await owner(kube) == "two"
    assert (await kube.get("CardPool", "kept"))["metadata"]["name"] == "kept"
    assert await kube.find("Deployment", "two-cardpool", HOME)
    assert await kube.find("Deployment", "one-cardpool", HOME) is None


async def test_the_kinds_move_to_kubectl_and_back(cluster: Context, kube: Kube) -> None:
    """crds.enabled=false leaves them in place for kubectl; --take-ownership --force-conflicts brings them back."""
    uid = (await kube.get("CustomResourceDefinition", CRD))["metadata"]["uid"]
    helm(cluster, "upgrade", "two", "--set", "crds.enabled=false")
    applied = run(cluster, "kubectl", "apply", "--server-side", "--force-conflicts", "-f", str(paths.ROOT / "crds"))
    assert applied.returncode == 0, applied.stderr
    assert await kube.find("PriorityClass", "cardpool-gang")

    helm(cluster, "upgrade", "two", "--take-ownership", "--force-conflicts", "--set", "crds.enabled=true")

    crd = await kube.get("CustomResourceDefinition", CRD)
    assert (uid, "two") == (crd["metadata"]["uid"], crd["metadata"]["annotations"][OWNER])
    assert await kube.find("CardPool", "kept")


async def test_a_failed_install_never_costs_the_kinds(cluster: Context, kube: Kube) -> None:
    """A CRD that somebody else changed makes the install fail; going on without CRDs leaves them and their objects."""
    crd = await kube.get("CustomResourceDefinition", CRD)
    short = {"shortNames": ["tj"], "kind": "TrainingJob", "plural": "trainingjobs"}
    body = {"apiVersion": crd["apiVersion"], "kind": crd["kind"], "metadata": {"name": CRD}}
    await kube.apply(
        {**body, "spec": {"group": "cardpool.dev", "names": short, "scope": "Namespaced"}}, manager="other"
    )
    helm(cluster, "uninstall", "two")

    failed = run(cluster, "helm", "install", "five", str(CHART), "--namespace", HOME, "--take-ownership")
    helm(cluster, "upgrade", "five", "--set", "crds.enabled=false")
    helm(cluster, "uninstall", "five")

    assert "conflict" in failed.stderr
    assert crd["metadata"]["uid"] == (await kube.get("CustomResourceDefinition", CRD))["metadata"]["uid"]
    assert await kube.find("CardPool", "kept")


async def test_kubectl_first_then_the_chart(cluster: Context, kube: Kube) -> None:
    """With the kinds from the folder, the chart without CRDs installs as it is, with two replicas as well."""
    helm(cluster, "install", "three", "--set", "crds.enabled=false", "--set", "replicas=2")

    deployment = await kube.get("Deployment", "three-cardpool", HOME)
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]) == (2, "RollingUpdate")
    helm(cluster, "uninstall", "three")


async def test_the_pod_passes_the_restricted_profile(cluster: Context, kube: Kube) -> None:
    """In a namespace that enforces the restricted profile the Deployment's pods are made."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    await kube.patch("Namespace", HOME, {"metadata": {"labels": labels}})
    helm(cluster, "install", "four", "--set", "crds.enabled=false")

    async def look() -> list[Any]:
        return [pod for pod in await kube.list("Pod", HOME) if pod["metadata"]["name"].startswith("four-")]

    assert len(await rest.wait_for(look, 20, "the operator's pod")) == 1
    helm(cluster, "uninstall", "four")


WRONG = {
    "an unknown value": "nope=1",
    "no replica": "replicas=0",
    "an unknown level": "settings.logLevel=LOUD",
    "a maker without resources": "vendors.acme.name=acme",
}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG.keys())
def test_wrong_values_are_refused(cluster: Context, value: str) -> None:
    """The schema knows every value."""
    done = run(cluster, "helm", "template", "x", str(CHART), "--set", value)

    assert done.returncode != 0
    assert value.partition("=")[0].split(".")[0] in done.stderr


def test_the_chart_is_clean(cluster: Context) -> None:
    """Helm lint has nothing to say, and the server accepts everything that the chart can render."""
    lint = run(cluster, "helm", "lint", "--strict", str(CHART))
    everything = ["--set", "replicas=2", "--set", "podLabels.a=b", "--set", "podAnnotations.c=d"]
    dry = run(
        cluster, "helm", "install", "dry", str(CHART), "-n", HOME, "--take-ownership", "--dry-run=server", *everything
    )

    assert lint.returncode == 0, lint.stdout
    assert dry.returncode == 0, dry.stderr
