"""CardPool and Supernode on fake nodes: labels, discovery, counts, conflicts, makers as data, and the pods' class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support import builders
from tests.support.history import Body, condition, status_of
from tests.support.rules.objects import owned_labels
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

GPU_LABEL = "nvidia.com/gpu.present"


def labels_of(scene: Scene, node: str) -> Mapping[str, str]:
    """Labels of a node as last seen."""
    body = scene.recorder.find("Node", node)
    assert body is not None
    labels: Mapping[str, str] = body["metadata"]["labels"]
    return labels


async def until_labels(scene: Scene, node: str, labels: Mapping[str, str]) -> None:
    """Return when the node carries these labels."""
    await scene.until(lambda: labels.items() <= labels_of(scene, node).items(), f"{dict(labels)} on {node}")


def supernodes_of(scene: Scene) -> dict[str, Body]:
    """The pool's Supernodes by the value of the supernode label."""
    return {
        one["spec"]["selector"].get("matchLabels", {}).get(builders.SUPERNODE_LABEL, ""): one
        for one in scene.recorder.now["Supernode"].values()
        if one["spec"]["pool"] == scene.name
    }


async def until_pool(scene: Scene, kind: str, value: str, reason: str = "", seconds: float = 20) -> Body:
    """The pool, once its condition has that value (and reason)."""

    def look(body: Body) -> bool:
        one = condition(body, kind)
        return one.get("status") == value and reason in {"", one.get("reason")}

    return await scene.seen("CardPool", scene.name, "", look, f"{kind}={value} {reason}", seconds)


async def test_nodes_become_one_counted_pool(scene: Scene) -> None:
    """Nodes of two makers in three supernodes are labelled for cardpool and for their plug-ins, found and counted."""
    await scene.add_nodes(2, supernode="SN_0")
    await scene.add_nodes(1, supernode="SN_1")
    await scene.add_nodes(2, supernode="sn.x_Y", vendor="ascend")
    pool = await scene.add_pool(vendors=["nvidia", "ascend"])
    status, ours = status_of(pool), {"cardpool.dev/pool": scene.name}
    await scene.until(lambda: len(supernodes_of(scene)) == 3, "three supernodes")

    for name in scene.nodes[:3]:
        await until_labels(scene, name, {**ours, "cardpool.dev/profile": "nvidia", GPU_LABEL: "true"})
    for name in scene.nodes[3:]:
        await until_labels(scene, name, {**ours, "cardpool.dev/profile": "ascend", "workerselector": "dls-worker-node"})
        assert GPU_LABEL not in labels_of(scene, name)
    assert {"SN_0", "SN_1", "sn.x_Y"} == set(supernodes_of(scene))
    for value, one in supernodes_of(scene).items():
        assert one["metadata"]["name"].startswith(f"{scene.name}-")
        assert one["metadata"]["labels"]["cardpool.dev/discovered"]
        assert pool["metadata"]["uid"] in {owner["uid"] for owner in one["metadata"]["ownerReferences"]}
        assert (1 if value == "SN_1" else 2) == (await scene.seen(
            "Supernode", one["metadata"]["name"], "", lambda body: status_of(body).get("nodes"), "counted"
        ))["status"]["nodes"]  # fmt: skip
    assert (status["cards"]["total"], status["cards"]["free"]) == (40, 40)
    assert {one["profile"]: one["cards"]["total"] for one in status["profiles"]} == {"nvidia": 24, "ascend": 16}
    await scene.verify()


async def test_counts_follow_the_gangs(scene: Scene) -> None:
    """Free, allocated, queued and running follow a gang that starts and one that waits."""
    await scene.usual(2)
    await scene.submit("runs", pods=1)
    await scene.until_running("runs")
    await scene.submit("waits", pods=2)

    def counted(body: Body) -> bool:
        status = status_of(body)
        return (status["cards"]["free"], status["cards"]["allocated"], status["queued"], status["running"]) == (
            8,
            8,
            1,
            1,
        )

    await scene.seen("CardPool", scene.name, "", counted, "counts 8 free, 8 allocated, 1 queued, 1 running")
    await scene.verify()


async def test_a_label_of_somebody_else_is_left_alone_and_reported(scene: Scene) -> None:
    """A plug-in label that a node already carries with another value stays, and the pool says so."""
    await scene.add_nodes(2)
    own = scene.nodes[0]
    labels = {GPU_LABEL: "false"}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": own, "labels": labels}}
    await scene.kube.apply(body, manager="somebody")
    await scene.add_pool(wait=False)
    pool = await until_pool(scene, "Degraded", "True", "LabelConflict")
    await scene.until(lambda: labels_of(scene, scene.nodes[1]).get(GPU_LABEL) == "true", "the other labelled")

    assert labels_of(scene, own)[GPU_LABEL] == "false"
    assert own in condition(pool, "Degraded")["message"]
    assert scene.name == labels_of(scene, own)["cardpool.dev/pool"]
    await scene.kube.apply({**body, "metadata": {"name": own, "labels": {}}}, manager="somebody")
    await scene.until(lambda: labels_of(scene, own).get(GPU_LABEL) == "true", "taken over once free")
    await until_pool(scene, "Degraded", "False")
    await scene.verify()


async def test_labels_go_when_a_node_leaves(scene: Scene) -> None:
    """A node that leaves the pool loses our labels and keeps those of others."""
    await scene.add_nodes(2)
    left = scene.nodes[0]
    await scene.kube.patch("Node", left, {"metadata": {"labels": {"example.com/mine": "stays"}}})
    await scene.add_pool()
    await scene.until(lambda: labels_of(scene, left).get("cardpool.dev/pool") == scene.name, "labelled")
    await scene.kube.patch("Node", left, {"metadata": {"labels": {builders.POOL_LABEL: None}}})
    await scene.until(lambda: "cardpool.dev/pool" not in labels_of(scene, left), "label gone")

    assert {"cardpool.dev/pool", "cardpool.dev/profile", GPU_LABEL}.isdisjoint(labels_of(scene, left))
    assert labels_of(scene, left)["example.com/mine"] == "stays"
    assert set() == owned_labels(scene.recorder.find("Node", left) or {})
    await scene.seen("CardPool", scene.name, "", lambda body: status_of(body)["nodes"] == 1, "counts one node")
    await scene.verify()


async def test_everything_goes_with_the_pool(scene: Scene) -> None:
    """A deleted pool takes its labels and discovered supernodes along."""
    await scene.usual(2)
    await scene.until(lambda: supernodes_of(scene), "a supernode")
    await scene.kube.delete("CardPool", scene.name)
    await scene.until(lambda: not supernodes_of(scene), "supernodes gone")
    await scene.until(
        lambda: (
            not any(
                key.startswith("cardpool.dev/") or key == GPU_LABEL
                for name in scene.nodes
                for key in labels_of(scene, name)
            )
        ),
        "labels gone",
    )
    await scene.verify()


async def test_users_fields_of_a_supernode_stay(scene: Scene) -> None:
    """Spares and cordon that a person wrote on a discovered supernode are kept and obeyed."""
    await scene.usual(2)
    await scene.until(lambda: supernodes_of(scene), "a supernode")
    name = supernodes_of(scene)["SN_0"]["metadata"]["name"]
    await scene.kube.patch("Supernode", name, {"spec": {"cordoned": True}})
    await scene.seen("Supernode", name, "", lambda body: status_of(body).get("observedGeneration") == 2, "observed")
    await scene.submit(pods=1)
    message = await scene.until_waiting("InsufficientCards")

    assert "cordoned" in message
    assert supernodes_of(scene)["SN_0"]["spec"]["cordoned"]
    await scene.kube.patch("Supernode", name, {"spec": {"cordoned": False}})
    await scene.until_running()
    await scene.verify()


async def test_a_declared_supernode_takes_its_nodes(scene: Scene) -> None:
    """A Supernode that a user declares counts the nodes that it selects."""
    await scene.add_nodes(2, supernode="")
    await scene.kube.create(builders.supernode(f"{scene.name}-own", scene.name, {builders.POOL_LABEL: scene.name}))
    await scene.add_pool()
    body = await scene.seen(
        "Supernode", f"{scene.name}-own", "", lambda body: status_of(body).get("nodes") == 2, "counts two nodes"
    )

    assert status_of(body)["cards"]["total"] == 16
    await scene.kube.delete("Supernode", f"{scene.name}-own")
    await scene.verify(quiet=0)


async def test_a_node_of_two_pools_belongs_to_the_older(scene: Scene) -> None:
    """The younger of two pools over one node reports NodeConflict and leaves the node alone."""
    await scene.usual(1)
    other = f"{scene.name}-b"
    scene.pools.append(other)
    await scene.kube.create(builders.pool(other, labels={builders.POOL_LABEL: scene.name}))
    body = await scene.seen(
        "CardPool", other, "",
        lambda body: "NodeConflict" in {one.get("reason") for one in status_of(body).get("conditions") or ()}, "NodeConflict",
    )  # fmt: skip

    assert scene.nodes[0] in str(status_of(body)["conditions"])
    await until_labels(scene, scene.nodes[0], {"cardpool.dev/pool": scene.name})
    await scene.verify()


async def test_without_nodes_the_pool_says_so(scene: Scene) -> None:
    """A pool whose selector finds nothing is not Ready, with NoNodes, and becomes Ready with the first node."""
    await scene.add_pool(wait=False)
    await until_pool(scene, "Ready", "False", "NoNodes")
    await scene.add_nodes(1)
    await until_pool(scene, "Ready", "True")
    await scene.verify()


async def test_without_its_priority_class_no_pod_is_made(scene: Scene) -> None:
    """A pool whose class is missing is Stalled and its jobs wait; the class made later starts them by itself."""
    name = f"{scene.name}-gang"
    await scene.add_nodes(2)
    await scene.add_pool(wait=False, podPriorityClassName=name)
    await until_pool(scene, "Stalled", "True", "PriorityClassMissing")
    await scene.submit()
    said = await scene.until_condition("PodsScheduled", "False")

    assert name in said["message"] or "PriorityClassMissing" in str(said) or said["reason"] == "PoolNotReady"
    assert scene.pod_events() == []
    await scene.priority("gang", 1000, "Never")
    await scene.until_running()
    assert {name} == {pod["spec"]["priorityClassName"] for pod in scene.pods()}
    await scene.seen("CardPool", scene.name, "", lambda body: condition(body, "Stalled").get("status") != "True")
    await scene.verify()


async def test_a_priority_class_that_preempts_is_refused(scene: Scene) -> None:
    """A class for the pods that could preempt single pods of other gangs is a condition, and no pod is made."""
    name = await scene.priority("gang", 1000, "PreemptLowerPriority")
    await scene.add_nodes(2)
    await scene.add_pool(wait=False, podPriorityClassName=name)
    await until_pool(scene, "Stalled", "True", "PriorityClassUnsafe")
    await scene.submit()
    await scene.until_condition("PodsScheduled", "False")

    assert scene.pod_events() == []
    await scene.verify()


async def test_an_unknown_vendor_is_said(scene: Scene) -> None:
    """A profile of a maker that no file describes is a condition on the pool that names it."""
    await scene.add_nodes(1)
    await scene.add_pool(wait=False, profiles=[{"name": "x", "vendor": "nobody"}])
    body = await scene.seen(
        "CardPool", scene.name, "",
        lambda body: "UnknownVendor" in {one.get("reason") for one in status_of(body).get("conditions") or ()}, "UnknownVendor",
    )  # fmt: skip

    assert "nobody" in str(status_of(body)["conditions"])
    await scene.verify()


def vendor_map(scene: Scene, text: str) -> dict[str, Any]:
    """A ConfigMap with one vendor file, where the operator looks for them."""
    labels = {"cardpool.dev/vendors": "true"}
    return {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{scene.name}-vendors", "namespace": "default", "labels": labels},
        "data": {"acme.yaml": text},
    }  # fmt: skip


async def test_a_new_maker_is_a_config_map(scene: Scene) -> None:
    """A vendor file in a ConfigMap makes another maker's cards usable at once, without a restart."""
    builders.RESOURCES["acme"] = "acme.example/card"
    await scene.add_nodes(1, vendor="acme")
    await scene.add_pool(wait=False, vendors=["acme"])
    text = "name: acme\nresources: [acme.example/card]\nenableLabels: {acme.example/plugin: 'on'}\n"
    try:
        await scene.kube.create(vendor_map(scene, text))
        await until_pool(scene, "Ready", "True")
        await scene.submit(pods=1)
        await scene.until_running()
        await until_labels(scene, scene.nodes[0], {"acme.example/plugin": "on"})
        await scene.clear()
    finally:
        await scene.kube.delete("ConfigMap", f"{scene.name}-vendors", "default")
    await until_pool(scene, "Degraded", "True", "UnknownVendor")
    await scene.verify()


async def test_a_bad_vendor_file_is_said_and_harms_nobody(scene: Scene) -> None:
    """A ConfigMap that is no vendor file ends in a condition that names it; gangs go on as before."""
    await scene.usual(2)
    try:
        await scene.kube.create(vendor_map(scene, "name: acme\nresources: 7\n"))
        body = await until_pool(scene, "Degraded", "True", "InvalidVendorFile")
        await scene.submit()
        await scene.until_running()
    finally:
        await scene.kube.delete("ConfigMap", f"{scene.name}-vendors", "default")

    assert "acme.yaml" in condition(body, "Degraded")["message"]
    await until_pool(scene, "Degraded", "False")
    await scene.verify()


async def test_a_tainted_pool_is_for_gangs_alone(scene: Scene) -> None:
    """With taintNodes the nodes carry the pool's taint, gangs tolerate it, it goes with the pool, and others' stay."""
    await scene.add_nodes(3)
    theirs = {"key": "example.com/mine", "effect": "NoSchedule"}
    await scene.kube.patch("Node", scene.nodes[2], {"spec": {"taints": [theirs]}})
    await scene.add_pool(taintNodes=True)

    def taints(name: str) -> set[str]:
        return {one["key"] for one in (scene.recorder.find("Node", name) or {})["spec"].get("taints") or ()}

    await scene.until(lambda: all("cardpool.dev/pool" in taints(name) for name in scene.nodes), "tainted")
    await scene.submit()
    await scene.until_running()
    await scene.clear()
    await scene.kube.delete("CardPool", scene.name)
    await scene.until(lambda: not any("cardpool.dev/pool" in taints(name) for name in scene.nodes), "taints gone")

    assert taints(scene.nodes[2]) == {"example.com/mine"}
    await scene.verify()
