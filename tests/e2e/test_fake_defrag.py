"""Defragmentation on a real API server: what the dry run says is what the operator moves and kube-scheduler binds."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.history import status_of
from tests.support.operator_process import PROGRAM
from tests.support.scene import Scene

if TYPE_CHECKING:
    from e2e.cluster.context import Context

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


async def plan(cluster: Context, *arguments: str) -> dict[str, Any]:
    """The plan that the command prints of the cluster."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *("plan", "-o", "json", "--from-cluster", "--kubeconfig", str(cluster.kubeconfig)),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return json.loads(output)


async def scattered(scene: Scene) -> None:
    """Two supernodes, in each a gang of one node and a free node; the gang in the second is the younger."""
    await scene.add_nodes(2, supernode="SN_0")
    await scene.add_nodes(2, supernode="SN_1")
    await scene.add_pool()
    for name in ("old", "between", "young"):
        await scene.submit(name, pods=1)
        await scene.until_running(name)
    await scene.succeed("between")
    await scene.until_phase("Succeeded", "between")


async def test_a_gang_moves_for_one_that_waits(scene: Scene, fake_cluster: Context) -> None:
    """The dry run names the move; with the policy it happens, charged to nobody, and the head has its supernode."""
    await scattered(scene)
    await scene.submit("head", pods=2, topology={"required": "supernode"})
    await scene.until_waiting("TopologyUnfit", "head")
    asked = f"{scene.name}/head"
    found = await plan(fake_cluster, "--make-room", asked)

    (move,) = found["moves"]
    (old,), (young,) = scene.nodes_of("old"), scene.nodes_of("young")
    assert (move["name"], move["by"], move["from"]) == ("young", asked, [young])
    assert scene.events("Defragmented", "young") == []

    policy = {"maxMovesPerHour": 1, "maxLostCardSeconds": 1_000_000, "afterSeconds": 0}
    await scene.kube.patch("CardPool", scene.name, {"spec": {"queue": {"defragmentation": policy}}})
    await scene.until_running("head")
    await scene.until_running("young", attempt=1)
    status = scene.status("young")

    assert scene.nodes_of("young") == move["to"]
    assert scene.nodes_of("old") == [old]
    assert young in scene.nodes_of("head")
    assert (status["lastFault"]["reason"], status["lastFault"]["attribution"]) == ("Defragmented", "Preemption")
    assert (status.get("restarts", 0), status.get("faultRestarts", 0)) == (0, 0)
    assert len(scene.events("Defragmented", "young")) == 1

    def counted(body: dict[str, Any]) -> bool:
        return [item["job"] for item in status_of(body).get("moves", ())] == [f"{scene.name}/young"]

    await scene.seen("CardPool", scene.name, "", counted, "with the move in its status")
    await scene.verify()


async def test_the_budget_holds_over_a_restart_of_the_operator(scene: Scene) -> None:
    """One move an hour was made; the next operator makes no second one, though the head waits for it."""
    policy = {"maxMovesPerHour": 1, "maxLostCardSeconds": 1_000_000, "afterSeconds": 0}
    await scattered(scene)
    await scene.add_nodes(2, supernode="SN_2")
    await scene.pool_ready()
    await scene.submit("last", pods=2, topology={"required": "supernode"})
    await scene.until_running("last")
    await scene.kube.patch("CardPool", scene.name, {"spec": {"queue": {"defragmentation": policy}}})
    await scene.submit("first", pods=2, topology={"required": "supernode"})
    await scene.until_running("first")
    await scene.until_running("young", attempt=1)
    await scene.succeed("first")
    await scene.until_phase("Succeeded", "first")
    await scene.operator.stop()
    await scene.operator.start()
    for name in ("half", "rest"):
        await scene.submit(name, pods=1)
        await scene.until_running(name)
    await scene.succeed("half")
    await scene.until_phase("Succeeded", "half")
    await scene.succeed("old")
    await scene.until_phase("Succeeded", "old")
    await scene.submit("second", pods=2, topology={"required": "supernode"})

    await scene.until_waiting("TopologyUnfit", "second")
    await scene.verify()
    assert sum(len(scene.events("Defragmented", name)) for name in ("old", "young", "rest")) == 1
