"""The development cluster is what the other tests take it for: real admission, scheduling, tokens, and a clean end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from e2e.cluster import lifecycle, paths, rest
from e2e.cluster.errors import ClusterError
from e2e.cluster.layouts import HYGON, Rack
from e2e.cluster.processes import Processes
from e2e.cluster.settings import Settings
from tests.support.kubeclient import Kube

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from tests.integration.conftest import MakeNodes

DCU = "hygon.com/dcu"


def _pod(name: str, namespace: str, cards: int, node: str) -> rest.JSON:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    container = {"name": "main", "image": "train:1", "resources": {"limits": {DCU: str(cards)}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [container], "affinity": affinity, "restartPolicy": "Never"},
    }


async def test_the_server_is_the_pinned_release(kube: Kube) -> None:
    """The API server reports the version that go.mod pins."""
    version = await kube.request("GET", "/version")
    assert version["gitVersion"] == "v1.36.3"


async def test_the_kinds_are_served(kube: Kube, crds: None) -> None:
    """All that lies in crds/ is accepted, the CRDs are established, and the priority class never preempts."""
    for kind in ("CardPool", "Supernode", "TrainingJob"):
        assert isinstance(await kube.list(kind), list)
    assert (await kube.get("PriorityClass", "cardpool-gang"))["preemptionPolicy"] == "Never"


async def test_a_pod_is_bound_where_its_cards_are(kube: Kube, namespace: str, make_nodes: MakeNodes) -> None:
    """kube-scheduler binds a pod to the node it names, KWOK runs it, and one more card than is free stays unbound."""
    first, _ = await make_nodes(Rack(DCU, supernodes=1, nodes=2, labels=HYGON))
    await kube.create(_pod("a", namespace, 8, first))
    assert (await kube.until_phase("a", namespace, "Running"))["spec"]["nodeName"] == first
    await kube.create(_pod("b", namespace, 1, first))

    async def refused() -> bool:
        conditions = (await kube.get("Pod", "b", namespace))["status"].get("conditions", [])
        return any(one.get("reason") == "Unschedulable" for one in conditions)

    await rest.wait_for(refused, 20, "pod b unschedulable")


async def test_what_a_test_writes_as_kubelet_stays(kube: Kube, namespace: str, make_nodes: MakeNodes) -> None:
    """KWOK leaves the status of a running pod alone: reported card health, then the exit code, are kept."""
    (node,) = await make_nodes(Rack(DCU, supernodes=1, nodes=1, labels=HYGON))
    await kube.create(_pod("a", namespace, 8, node))
    await kube.until_phase("a", namespace, "Running")
    await kube.report_cards("a", namespace, DCU, {"card-3": "Unhealthy", "card-4": "Healthy"})
    await kube.set_cards(node, DCU, 7)
    await kube.finish_pod("a", namespace, exit_code=134, message="card lost")
    # A pod made afterwards passes through KWOK, so KWOK has seen all that was written before.
    other = _pod("later", namespace, 0, node)
    await kube.create(other)
    await kube.until_phase("later", namespace, "Running")
    status = (await kube.get("Pod", "a", namespace))["status"]
    (container,) = status["containerStatuses"]
    health = {one["resourceID"]: one["health"] for one in container["allocatedResourcesStatus"][0]["resources"]}
    assert health == {"card-3": "Unhealthy", "card-4": "Healthy"}
    assert (status["phase"], container["state"]["terminated"]["exitCode"]) == ("Failed", 134)
    assert (await kube.get("Node", node))["status"]["allocatable"][DCU] == "7"


async def test_a_silenced_node_holds_its_pods(kube: Kube, namespace: str, make_nodes: MakeNodes) -> None:
    """Nobody ends the deleted pod of a silenced node; once woken, it goes."""
    node, other = await make_nodes(Rack(DCU, supernodes=1, nodes=2, labels=HYGON))
    for name, place in (("a", node), ("b", other)):
        await kube.create(_pod(name, namespace, 8, place))
        await kube.until_phase(name, namespace, "Running")
    await kube.silence(node)
    await kube.delete("Pod", "a", namespace)
    await kube.delete("Pod", "b", namespace)
    await kube.until_gone("Pod", "b", namespace)
    assert (await kube.get("Pod", "a", namespace))["metadata"]["deletionTimestamp"]
    await kube.wake(node)
    await kube.until_gone("Pod", "a", namespace)


async def test_a_service_account_gets_what_its_role_says(cluster: Context, kube: Kube, namespace: str) -> None:
    """A requested token authenticates, RBAC allows the listed verb and forbids another."""
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    token = await kube.service_account("reader", namespace, rules)
    async with Kube.open(cluster.kubeconfig, token=token) as reader:
        assert await reader.list("Pod", namespace) == []
        with pytest.raises(rest.ApiError) as refusal:
            await reader.list("Secret", namespace)
    assert refusal.value.status == 403


async def test_pod_security_and_quota_are_enforced(kube: Kube, namespace: str) -> None:
    """Admission refuses a root pod in a restricted namespace, and a pod over the namespace's quota."""
    pod = _pod("a", namespace, 0, "nowhere")
    await kube.patch(
        "Namespace", namespace, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    )
    with pytest.raises(rest.ApiError) as insecure:
        await kube.create(pod)
    assert "violates PodSecurity" in insecure.value.message
    await kube.patch("Namespace", namespace, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": None}}})
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": namespace}}
    await kube.create(quota | {"spec": {"hard": {"pods": "0"}}})

    async def over_quota() -> bool:
        try:
            await kube.create(pod, dry_run=True)
        except rest.ApiError as error:
            return "exceeded quota" in error.message
        return False

    await rest.wait_for(over_quota, 20, "the quota to be enforced")


def test_a_second_up_changes_nothing(cluster: Context) -> None:
    """`up` on a running cluster keeps every process and the kubeconfig."""
    before = [(one.name, one.pid) for one in cluster.processes.running()]
    again = lifecycle.up(cluster.name, Settings())
    assert [(one.name, one.pid) for one in again.processes.running()] == before


def test_down_leaves_nothing() -> None:
    """After `down` no process and no file of the cluster is left, and a second `down` is no error."""
    name = f"test-{os.getpid()}-down"
    ctx = lifecycle.up(name, Settings())
    pids = [one.pid for one in ctx.processes.running()]
    assert len(pids) == 5
    lifecycle.down(name)
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert not paths.state(name).exists()
    lifecycle.down(name)


def test_a_program_that_dies_at_start_is_named(tmp_path: Path) -> None:
    """The error has the program, the end of its log and the remedy."""
    processes = Processes(tmp_path)
    processes.ensure("broken", ["/bin/sh", "-c", "echo no such disk; exit 3"])
    with pytest.raises(ClusterError) as failure:
        processes.wait("broken", lambda: False, 10, "buy a disk")
    assert "broken ended while starting" in str(failure.value)
    assert "no such disk" in str(failure.value)
    assert "What to do: buy a disk" in str(failure.value)


def test_a_strangers_pid_is_never_hit(tmp_path: Path) -> None:
    """A pid file whose start time is not the process's own counts as dead, and `stop` sends nothing."""
    processes = Processes(tmp_path)
    (tmp_path / "run").mkdir()
    record = f'{{"name": "old", "pid": {os.getpid()}, "started": 1, "argv": []}}'
    (tmp_path / "run" / "old.json").write_text(record)
    assert processes.find("old") is None
    processes.stop("old")
    assert processes.running() == []
