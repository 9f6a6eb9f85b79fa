"""What ``cardpool plan`` says of a cluster is what its files say, what the operator does, and what kube-scheduler binds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2e.cluster import layouts, rest
from tests.support import builders
from tests.support.operator_process import PROGRAM, Operator

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from tests.integration.conftest import MakeNodes
    from tests.support.kubeclient import Kube

KINDS = ("CardPool", "ConfigMap", "Namespace", "Node", "Pod", "PriorityClass", "Supernode", "TrainingJob")
SUPERNODE = {"name": "supernode", "label": "example.com/supernode"}
LEVELS = [{"name": "zone", "label": "example.com/zone"}, SUPERNODE]


async def plan(cluster: Context, *arguments: object) -> dict[str, Any]:
    """The plan that the command prints."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        "plan",
        "-o",
        "json",
        *(str(one) for one in arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return json.loads(output)


def jobs_of(found: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The answers for the jobs of a namespace by name."""
    return {item["name"]: item for item in found["jobs"] if item["namespace"] == namespace}


async def dump(kube: Kube, folder: Path) -> Path:
    """Every object that a plan reads, one list a file, as the API server answers it."""
    listed = {kind: await kube.list(kind) for kind in KINDS}

    def write() -> None:
        folder.mkdir()
        for kind, items in listed.items():
            body = {"apiVersion": rest.KINDS[kind][0], "kind": f"{kind}List", "items": items}
            (folder / f"{kind}.json").write_text(json.dumps(body))

    await asyncio.to_thread(write)
    return folder


@pytest.fixture
async def operator(cluster: Context, crds: None, namespace: str, tmp_path: Path) -> AsyncIterator[Operator]:
    """An operator that the test starts, with a lease of its own."""
    made = Operator(cluster.kubeconfig, tmp_path, CARDPOOL_NAMESPACE=namespace)
    yield made
    if made.alive:
        await made.stop()


def made(namespace: str, pool: str) -> list[dict[str, Any]]:
    """A sample of each family: levels, blocks, several groups, other resources, no room, and a spec that is wrong."""
    group, job = builders.group, builders.job
    launcher = group(1, 0, "launcher")
    hungry = group(1, 1)
    hungry["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100"}}
    return [
        job("a-level", namespace, pool, pods=3, cards=8, topology={"required": "supernode"}),
        job("b-blocks", namespace, pool, pods=4, cards=4, topology={"blocks": [{"pods": 2, "level": "supernode"}]}),
        job("c-groups", namespace, pool, groups=[launcher, group(2, 4)], topology={"required": "zone"}),
        job("d-cpu", namespace, pool, groups=[hungry]),
        job("e-large", namespace, pool, pods=9, cards=8),
        job("f-wrong", namespace, pool, pods=1, cards=8, topology={"required": "planet"}),
    ]


@pytest.mark.timeout(180)
async def test_the_plan_is_what_comes_true(
    cluster: Context, kube: Kube, operator: Operator, namespace: str, make_nodes: MakeNodes, tmp_path: Path
) -> None:
    """Before the operator starts, by cluster and by files alike; then pod by pod, and nothing moves afterwards."""
    pool = f"pool-{namespace}"
    names = await make_nodes(layouts.Rack(builders.RESOURCES["hygon"], supernodes=2, nodes=4), pool=pool)
    await kube.patch("Node", names[0], {"spec": {"unschedulable": True}})
    await kube.create(builders.foreign_pod("other", namespace, names[5], cards=6, vendor="hygon"))
    spec = {"selector": {"matchLabels": {"example.com/pool": pool}}, "topology": {"levels": LEVELS}}
    manifest = builders.with_spec(builders.pool(pool, vendors=("hygon",)), **spec)
    await kube.create(manifest)
    for job in made(namespace, pool):
        await kube.create(job)
    try:
        live = await plan(cluster, "--from-cluster", "--kubeconfig", cluster.kubeconfig)
        files = await plan(cluster, "-f", await dump(kube, tmp_path / "before"))
        before = jobs_of(live, namespace)

        assert before == jobs_of(files, namespace)
        assert {name: item["decision"] for name, item in before.items()} == {
            "a-level": "Place",
            "b-blocks": "Place",
            "c-groups": "Place",
            "d-cpu": "Place",
            "e-large": "Wait",
            "f-wrong": "Reject",
        }

        await operator.start()
        placed = {name: item for name, item in before.items() if item["decision"] == "Place"}
        for name in placed:
            await until_running(kube, name, namespace)
        bound = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in await kube.list("Pod", namespace)}
        planned = {
            f"{name}-{pod['group']}-{pod['index']}": pod["node"]
            for name, item in placed.items()
            for pod in item["pods"]
        }
        assert {**planned, "other": names[5]} == bound
        waiting = (await kube.get("TrainingJob", "f-wrong", namespace))["status"]["conditions"]
        assert before["f-wrong"]["message"] == next(one["message"] for one in waiting if one["type"] == "Accepted")

        after = await plan(cluster, "--from-cluster", "--kubeconfig", cluster.kubeconfig)
        again = await plan(cluster, "-f", await dump(kube, tmp_path / "after"))
        assert jobs_of(after, namespace) == jobs_of(again, namespace)
        assert {name: ("Keep", item["pods"]) for name, item in placed.items()} == {
            name: (item["decision"], item["pods"]) for name, item in jobs_of(after, namespace).items() if name in placed
        }
        large = (await kube.get("TrainingJob", "e-large", namespace))["status"]["conditions"]
        said = next(one for one in large if one["type"] == "PodsScheduled")
        told = jobs_of(after, namespace)["e-large"]
        place = "; position 1 of 1 in the queue"  # the plan tells it beside, as the order of its answers
        assert ("Wait", said["reason"], said["message"]) == (told["decision"], told["reason"], told["message"] + place)

        lost = placed["a-level"]["pods"][0]["node"]
        supposed = await plan(cluster, "--from-cluster", "--kubeconfig", cluster.kubeconfig, "--lose", lost)
        assert lost not in {pod["node"] for pod in jobs_of(supposed, namespace)["a-level"]["pods"]}
        assert bound == {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in await kube.list("Pod", namespace)}
    finally:
        await kube.delete("CardPool", pool)


async def until_running(kube: Kube, name: str, namespace: str) -> None:
    """Return when the job's phase is Running."""

    async def look() -> bool:
        job = await kube.get("TrainingJob", name, namespace)
        return job.get("status", {}).get("phase") == "Running"

    await rest.wait_for(look, 60.0, f"{name} runs")
