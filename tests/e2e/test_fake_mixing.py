"""Gangs of two makers on a real API server: what the planner said is what kube-scheduler bound, and it comes back so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support import builders
from tests.support.history import Body
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

ACCEPT = [{"profile": "nvidia"}, {"profile": "ascend"}]
VARIANT = {"profile": "ascend", "image": "train-npu:1", "env": [{"name": "HCCL_CONNECT_TIMEOUT", "value": "1200"}]}


async def two_makers(scene: Scene, nvidia: int, ascend: int, **pool: Any) -> None:
    """A pool of nodes of both, in one supernode."""
    await scene.add_nodes(nvidia)
    await scene.add_nodes(ascend, vendor="ascend")
    await scene.add_pool(vendors=("nvidia", "ascend"), **pool)


def group(name: str, replicas: int) -> Mapping[str, Any]:
    """A group of whole nodes with a variant for the second maker."""
    return builders.group(replicas, 8, name, variants=[VARIANT])


def told(pod: Body) -> tuple[str, str, str, str]:
    """A pod's name, profile by its label, image, and the resource of its cards."""
    main = pod["spec"]["containers"][0]
    cards = next(iter(set(main["resources"]["limits"])))
    return pod["metadata"]["name"], pod["metadata"]["labels"]["cardpool.dev/profile"], main["image"], cards


def planned(scene: Scene, name: str = "llm") -> list[str]:
    """The nodes that status promised, by rank."""
    segments = scene.status(name)["placement"]["segments"]
    return [node for part in segments for node in part["nodes"]]


async def test_groups_on_two_makers(scene: Scene) -> None:
    """Each group on its maker with that maker's image and resource; a fault on one moves one rank and nobody else."""
    await two_makers(scene, 2, 3)
    await scene.submit(groups=[group("train", 2), group("judge", 2)], mixing="PerGroup", accept=ACCEPT)
    await scene.until_running()

    assert sorted(map(told, scene.pods())) == [
        ("llm-judge-0", "ascend", "train-npu:1", "huawei.com/Ascend910"),
        ("llm-judge-1", "ascend", "train-npu:1", "huawei.com/Ascend910"),
        ("llm-train-0", "nvidia", "train:1", "nvidia.com/gpu"),
        ("llm-train-1", "nvidia", "train:1", "nvidia.com/gpu"),
    ]
    before = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in scene.pods()}
    ranked = sorted(scene.pods(), key=lambda pod: int(pod["metadata"]["labels"]["cardpool.dev/rank"]))
    assert [pod["spec"]["nodeName"] for pod in ranked] == planned(scene)

    bad = next(pod for pod in scene.pods() if pod["metadata"]["name"] == "llm-judge-0")
    resource = builders.RESOURCES["ascend"]
    await scene.break_card(bad, resource=resource)
    await scene.offer(bad["spec"]["nodeName"], 7, resource=resource)
    await scene.until_running(attempt=1)

    after = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in scene.pods()}
    assert {name for name in after if after[name] != before[name]} == {"llm-judge-0"}
    await scene.verify({"llm": 1})


async def test_pods_of_one_group_on_two_makers(scene: Scene) -> None:
    """``Any``: the preferred maker full, the rest on the other; without mixing the same job waits."""
    await two_makers(scene, 2, 2)
    await scene.submit("none", groups=[group("train", 3)], accept=ACCEPT)
    message = await scene.until_waiting("InsufficientCards", "none")
    assert "profile nvidia: 2 of 3 pods fit" in message
    await scene.submit("any", groups=[group("train", 3)], accept=ACCEPT, mixing="Any")
    await scene.until_running("any")

    assert [item[:2] for item in sorted(map(told, scene.pods("any")))] == [
        ("any-train-0", "nvidia"),
        ("any-train-1", "nvidia"),
        ("any-train-2", "ascend"),
    ]
    assert scene.pod_events("none") == []
    await scene.verify()


async def test_a_mixed_gang_draws_on_both_quotas(scene: Scene) -> None:
    """The team has eight cards of one maker: one pod a group fits, two do not; the mixed gang goes whole when preempted."""
    team = {"name": "a", "namespaces": [scene.name], "quota": [{"profile": "ascend", "cards": 8}]}
    queue = {"preemption": {"withinTeam": "LowerPriority"}}
    high, low = await scene.priority("high", 100), await scene.priority("low", 1)
    await two_makers(scene, 1, 2, teams=[team], queue=queue)
    own = [{**group("train", 1), "variants": [{"profile": "nvidia"}]}]
    judge = {**group("judge", 1), "variants": [VARIANT]}
    await scene.submit("old", groups=[*own, judge], mixing="PerGroup", priorityClassName=low)
    await scene.until_running("old")
    await scene.submit("more", groups=[group("train", 1)], accept=[{"profile": "ascend"}], priorityClassName=low)
    assert "uses 8 of 8 ascend cards" in await scene.until_waiting("QuotaExceeded", "more")

    await scene.submit("new", groups=[group("train", 1)], accept=[{"profile": "nvidia"}], priorityClassName=high)
    await scene.until_running("new")
    status = await scene.until_job(lambda status: status.get("attempt") == 1, "in its second attempt", "old")

    assert status["lastFault"]["attribution"] == "Preemption"
    await scene.until(lambda: scene.last_counts("old") == 0, "no pod of the old gang")
    await scene.verify()
