"""Odd inputs on a real API server: each is refused or says why, on the object at fault; nothing is unconstrained."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.cluster import rest
from tests.support import builders
from tests.support.history import Body, condition
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


async def until(scene: Scene, kind: str, name: str, type_: str, status: str, reason: str) -> str:
    """The message of a condition of the scene, once it has this status and reason."""

    def look(body: Body) -> bool:
        one = condition(body, type_)
        return (one.get("status"), one.get("reason")) == (status, reason)

    namespace = scene.name if kind == "TrainingJob" else ""
    body = await scene.seen(kind, name, namespace, look, f"{type_}={status} {reason}", 20)
    return str(condition(body, type_)["message"])


async def test_a_label_that_one_node_lacks(scene: Scene) -> None:
    """The pool is degraded by name; a gang that needs that node in its supernode waits and is told what would do."""
    await scene.add_nodes(2, supernode="SN_0")
    await scene.add_nodes(1, supernode="")
    await scene.add_pool()
    bare = scene.nodes[-1]
    message = await until(scene, "CardPool", scene.name, "Degraded", "True", "LabelsMissing")
    assert f"1 of 3 nodes of nvidia have no label {builders.SUPERNODE_LABEL}" in message
    assert bare in message
    await scene.submit(pods=3, topology={"required": "supernode"})
    told = await scene.until_waiting("TopologyUnfit")
    assert "1 topology label missing" in told
    assert "would fit without topology.required supernode" in told
    assert told.endswith("position 1 of 1 in the queue")

    body = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": bare, "labels": {builders.SUPERNODE_LABEL: "SN_0"}},
    }
    await scene.kube.apply(body, manager="somebody")
    await scene.until_running()
    await until(scene, "CardPool", scene.name, "Degraded", "False", "Healthy")
    await scene.verify()


async def test_an_unknown_level_and_a_gang_for_a_team_without_enough_quota(scene: Scene) -> None:
    """A level that nobody knows stalls the job; a quota that can never do says how much more it takes."""
    await scene.add_nodes(2)
    quota = [{"profile": "nvidia", "cards": 8}]
    await scene.add_pool(teams=[{"name": "a", "namespaces": [scene.name], "quota": quota}])
    await scene.submit("strange", pods=1, topology={"preferred": "row"})
    message = await until(scene, "TrainingJob", "strange", "Stalled", "True", "UnknownLevel")
    assert "no level row" in message
    await scene.submit("big", pods=2)
    told = await until(scene, "TrainingJob", "big", "QuotaReserved", "False", "QuotaExceeded")
    assert "fits with a quota of 8 nvidia cards more for team a" in told
    assert scene.pod_events() == []
    await scene.verify()


ODD_POOLS: dict[str, dict[str, Any]] = {
    "an override of an unknown profile": {"topology": {"overrides": [{"profile": "mlu", "levels": []}]}},
    "two overrides of one profile": {
        "topology": {"overrides": [{"profile": "nvidia", "levels": []}, {"profile": "nvidia", "levels": []}]}
    },
    "a level twice": {"topology": {"levels": [{"name": "r", "label": "a/a"}, {"name": "r", "label": "a/b"}]}},
    "a level called node": {"topology": {"levels": [{"name": "node", "label": "a/a"}]}},
    "a quota of an unknown profile": {"teams": [{"name": "a", "quota": [{"profile": "mlu", "cards": 1}]}]},
}


@pytest.mark.parametrize("spec", ODD_POOLS.values(), ids=ODD_POOLS)
async def test_pools_that_cannot_be_meant(scene: Scene, spec: dict[str, Any]) -> None:
    """The API server refuses them: no operator has to guess."""
    with pytest.raises(rest.ApiError) as refusal:
        await scene.kube.create(builders.pool(scene.name, **spec))
    assert refusal.value.status == 422
    await scene.verify(quiet=0)
