"""Elastic gangs on a real API server: a smaller start, and one uncharged restart when room appears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.test_fake_checkpoint import CHECKPOINT, answer, chosen, env_of, first_start, resolver_of
from tests.support import builders
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


async def submit(scene: Scene, **spec: Any) -> None:
    """A job that wants four nodes and can do with two."""
    template = builders.template(volumeMounts=[{"name": "ckpt", "mountPath": "/ckpt"}])
    template["spec"]["volumes"] = [{"name": "ckpt", "hostPath": {"path": "/ckpt"}}]
    await scene.submit(groups=[builders.group(4, 8, template=template, minReplicas=2)], **spec)


def of_size(pods: int) -> Any:
    """True for a status that says so many pods."""

    def look(status: Mapping[str, Any]) -> bool:
        return bool((status.get("size") or {}).get("pods") == pods and status.get("ready") == f"{pods}/{pods}")

    return look


async def test_it_starts_smaller_and_grows_when_room_appears(scene: Scene) -> None:
    """Three of four nodes are free; the fourth comes free: one restart from the checkpoint, counted nowhere."""
    await scene.usual(4, queue={"elastic": {"growAfterSeconds": 2}})
    foreign = builders.foreign_pod("foreign", scene.name, scene.nodes[3], cards=8)
    await scene.kube.create(foreign)
    await scene.seen("Pod", "foreign", scene.name, lambda body: body["status"].get("phase") == "Running", "running")
    await submit(scene, checkpoint={**CHECKPOINT, "reshardable": True})
    await first_start(scene)
    await scene.until_job(of_size(3), "running with three pods")
    before = dict(enumerate(scene.nodes_of()))

    assert len(scene.pods()) == 3
    assert {env_of(pod)["PET_NNODES"] for pod in scene.pods()} == {"3"}

    await scene.kube.delete("Pod", "foreign", scene.name, grace=0)
    await answer(scene, chosen(70))
    await scene.until_job(of_size(4), "running with four pods")
    status = await scene.until_running(attempt=1)

    assert {env_of(pod)["PET_NNODES"] for pod in scene.pods()} == {"4"}
    assert {env_of(pod)["CARDPOOL_RESUME_STEP"] for pod in scene.pods()} == {"70"}
    assert before.items() <= dict(enumerate(scene.nodes_of())).items()
    assert (status["lastFault"]["reason"], status["lastFault"]["attribution"]) == ("Growing", "Growth")
    assert scene.last_counts() == 0
    assert scene.events("Growing")
    assert resolver_of(scene) is None
    await scene.verify()


async def test_it_goes_on_smaller_after_a_fault(scene: Scene) -> None:
    """No spare and no other node: three ranks go on, two of them where they were, and the third on a healthy node."""
    await scene.usual(4)
    await submit(scene)
    await scene.until_running()
    bad = scene.pods()[1]
    await scene.break_card(bad)
    await scene.offer(bad["spec"]["nodeName"], 7)
    await scene.until_job(of_size(3), "running with three pods")
    await scene.until_running(attempt=1)

    assert bad["spec"]["nodeName"] not in scene.nodes_of()
    assert len(scene.nodes_of()) == 3
    await scene.verify({"llm": 1})
