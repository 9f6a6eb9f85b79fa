"""A gang that cannot start, or not yet: no pod is made, the message counts, and it starts by itself when it can."""

from __future__ import annotations

import asyncio

import pytest

from e2e.cluster.context import Context
from tests.support import builders, decided
from tests.support.history import condition
from tests.support.scene import Scene
from tests.support.stage import paused

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

THIEVES = 5


async def test_one_card_short(scene: Scene) -> None:
    """A gang that lacks one card gets no pod at all and a message that counts; with the card it starts by itself."""
    await scene.add_nodes(2)
    await scene.add_nodes(1, cards=8)
    short = scene.nodes[-1]
    await scene.offer(short, 7, 7)
    await scene.add_pool()
    await scene.submit(pods=3)
    message = await scene.until_waiting("InsufficientCards")

    assert "2 of 3" in message
    assert scene.pod_events() == []
    assert scene.status()["phase"] == "Queued"
    assert scene.status()["attempt"] == 0
    await scene.offer(short, 8, 8)
    await scene.until_running()
    assert set(scene.nodes) == set(scene.nodes_of())
    await scene.verify()


async def test_the_message_names_what_excludes(scene: Scene) -> None:
    """Nodes that are cordoned or of another maker are counted with their cause."""
    await scene.add_nodes(2)
    await scene.kube.patch("Node", scene.nodes[0], {"spec": {"unschedulable": True}})
    await scene.add_pool()
    await scene.submit(pods=2)
    message = await scene.until_waiting("InsufficientCards")

    assert "1 of 2" in message
    assert "cordoned" in message
    await scene.kube.patch("Node", scene.nodes[0], {"spec": {"unschedulable": False}})
    await scene.until_running()
    await scene.verify()


async def test_the_required_domain_is_too_small(scene: Scene) -> None:
    """Room in two supernodes is no room for a gang that must sit in one; it starts when one of them grows."""
    await scene.add_nodes(2, supernode="SN_0")
    await scene.add_nodes(2, supernode="SN_1")
    await scene.add_pool()
    await scene.submit(pods=3, topology={"required": "supernode"})
    message = await scene.until_waiting("TopologyUnfit")

    assert "2 of 3" in message
    assert scene.pod_events() == []
    await scene.add_nodes(1, supernode="SN_1")
    await scene.until_running()
    assert set(scene.nodes[2:]) == set(scene.nodes_of())
    await scene.verify()


async def test_blocks_stay_together(scene: Scene) -> None:
    """Consecutive ranks of a block never straddle a supernode, in whatever order room lies."""
    await scene.add_nodes(3, supernode="SN_0")
    await scene.add_nodes(3, supernode="SN_1")
    await scene.add_pool()
    await scene.submit(pods=4, topology={"blocks": [{"pods": 2, "level": "supernode"}]})
    await scene.until_running()
    await scene.verify()


async def test_two_jobs_race_for_the_same_room(scene: Scene) -> None:
    """Of two gangs that fit alone but not together one runs and the other has no pod until the first has ended."""
    await scene.usual(2)
    await asyncio.gather(scene.submit("a"), scene.submit("b"))
    await scene.until(lambda: {"Running", "Queued"} == {scene.status(name).get("phase") for name in "ab"}, "one of two")
    first = next(name for name in "ab" if scene.status(name)["phase"] == "Running")
    second = "ab".replace(first, "")
    await scene.until_waiting("InsufficientCards", second)

    assert scene.pod_events(second) == []
    await scene.until_running(first)
    await scene.succeed(first)
    await scene.until_running(second)
    await scene.verify()


async def test_priority_then_age(scene: Scene) -> None:
    """When room appears the job of high priority starts before older ones of low priority."""
    high = await scene.priority("high", 1000)
    await scene.usual(1)
    await scene.submit("first", pods=1)
    await scene.until_running("first")
    await scene.submit("older", pods=1)
    await scene.until_waiting("InsufficientCards", "older")
    await scene.submit("higher", pods=1, priorityClassName=high)
    await scene.until_waiting("InsufficientCards", "higher")
    await scene.succeed("first")
    await scene.until_running("higher")

    assert scene.pod_events("older") == []
    await scene.succeed("higher")
    await scene.until_running("older")
    await scene.verify()


async def test_high_priority_at_a_full_node_takes_no_pod(scene: Scene) -> None:
    """A job of the highest priority waits for a full pool; no pod of the running gang is touched by anybody."""
    high = await scene.priority("high", 1_000_000)
    await scene.usual(2)
    await scene.submit("low")
    await scene.until_running("low")
    before = [pod["metadata"]["uid"] for pod in scene.pods("low")]
    await scene.submit("high", pods=1, priorityClassName=high)
    await scene.until_waiting("InsufficientCards", "high")
    await decided.on_everything(scene)

    assert before == [pod["metadata"]["uid"] for pod in scene.pods("low")]
    assert scene.pod_events("high") == []
    await scene.verify()


async def test_a_foreign_pod_of_high_priority_takes_the_whole_gang_or_nothing(scene: Scene) -> None:
    """kube-scheduler does not evict one pod of a gang for an ordinary pod, since the gang's class stands above it."""
    ordinary = await scene.priority("ordinary", 0)
    await scene.usual(2)
    await scene.submit()
    await scene.until_running()
    foreign = builders.foreign_pod("asks", scene.name, scene.nodes[0], cards=8, priorityClassName=ordinary)
    del foreign["spec"]["nodeName"]
    foreign["spec"]["nodeSelector"] = {builders.POOL_LABEL: scene.name}
    await scene.kube.create(foreign)
    asks = await scene.seen(
        "Pod", "asks", scene.name, lambda pod: condition(pod, "PodScheduled").get("reason"), "judged by kube-scheduler"
    )
    await decided.on_everything(scene)

    assert condition(asks, "PodScheduled")["reason"] == "Unschedulable"
    assert "No preemption victims found" in condition(asks, "PodScheduled")["message"]
    assert scene.status()["attempt"] == 0
    await scene.kube.delete("Pod", "asks", scene.name, grace=0)
    await scene.verify()


async def test_a_foreign_pod_takes_a_reserved_card(scene: Scene, fake_cluster: Context) -> None:
    """A card taken between placement and binding costs the attempt as a whole; the gang comes up on another node."""
    await scene.usual(3)
    for turn in range(THIEVES):
        with paused(fake_cluster, "kube-scheduler"):
            await scene.submit(pods=2, deadlines={"bindSeconds": 2})
            await scene.until(lambda: len(scene.pods()) == 2, "both pods made")
            taken = scene.status()["placement"]["segments"][0]["nodes"][0]
            await scene.kube.create(builders.foreign_pod(f"thief-{turn}", scene.name, taken, cards=1))
        status = await scene.until_running(seconds=40)
        if status["attempt"] >= 1:
            break
        # kube-scheduler looked at the gang before it saw the thief: nothing was taken, so once more
        await scene.kube.delete("Pod", f"thief-{turn}", scene.name, grace=0)
        await scene.clear()

    assert status["attempt"] >= 1
    assert taken not in scene.nodes_of()
    assert (status["restarts"], status["faultRestarts"]) == (0, 0)
    await scene.until(
        lambda: "BindTimeout" in str(scene.status()["history"]) or scene.events("BindTimeout"), "BindTimeout is said"
    )
    await scene.verify()


async def test_what_the_planner_does_not_see_costs_a_try_for_each_node(scene: Scene) -> None:
    """A host port that strangers hold: said at once, refused in kube-scheduler's words, and the free node is found."""
    await scene.usual(3)
    port = [{"containerPort": 8080, "hostPort": 8080}]
    for place, node in enumerate(scene.nodes[:2]):
        stranger = builders.foreign_pod(f"stranger-{place}", scene.name, node, cards=0)
        stranger["spec"]["containers"][0]["ports"] = port
        await scene.kube.create(stranger)
    wanted = builders.group(1, 8, template=builders.template(ports=port))
    await scene.submit(groups=[wanted], deadlines={"bindSeconds": 2})
    named = await scene.until_condition("Accepted", "True")
    assert "the planner does not model host ports" in named["message"]

    message = await scene.until_waiting("BindTimeout", seconds=30)
    assert "didn't have free ports" in message
    assert ["didn't have free ports" in item["message"] for item in scene.status()["excluded"]] == [True]
    status = await scene.until_running(seconds=60)
    assert scene.nodes_of() == [scene.nodes[2]]
    assert (status["attempt"], status["restarts"], status["faultRestarts"]) == (2, 0, 0)
    await scene.verify()


async def test_a_foreign_pod_has_the_name_of_a_rank(scene: Scene) -> None:
    """A stranger under a rank's name keeps the whole gang away and is left alone; once it is gone the gang starts."""
    await scene.usual(2)
    await scene.add_nodes(1, supernode="")
    await scene.kube.create(builders.foreign_pod("llm-worker-1", scene.name, scene.nodes[2], cards=0))
    await scene.submit(pods=2)
    message = await scene.until_waiting("NameTaken", seconds=30)

    assert "llm-worker-1" in message
    await scene.until(lambda: not scene.pods(), "nothing of the gang is left")
    assert scene.recorder.find("Pod", "llm-worker-1", scene.name)
    await scene.kube.delete("Pod", "llm-worker-1", scene.name, grace=0)
    status = await scene.until_running(seconds=60)
    assert (status["restarts"], status["faultRestarts"]) == (0, 0)
    await scene.verify()


async def test_the_api_refuses_a_pod_for_a_quota(scene: Scene) -> None:
    """When a ResourceQuota stops pod k of n the attempt is taken back whole and tried again until it fits."""
    await scene.usual(3)
    await scene.kube.create(builders.pod_quota("few", scene.name, 2))
    await scene.until_quota("few")
    await scene.submit(pods=3)
    message = await scene.until_waiting("PodRefused")
    assert "exceeded quota" in message
    await scene.until(lambda: not scene.pods(), "nothing of the gang is left")
    attempts = scene.status()["attempt"]
    await scene.until_job(lambda status: status["attempt"] > attempts, "tries again")
    await scene.kube.delete("ResourceQuota", "few", scene.name)
    status = await scene.until_running(seconds=60)

    assert (status["restarts"], status["faultRestarts"]) == (0, 0)
    await scene.verify()


async def test_the_api_refuses_pods_for_their_security(scene: Scene) -> None:
    """Pod security that forbids the template is said on the job; when it is lifted the gang starts."""
    await scene.usual(2)
    label = "pod-security.kubernetes.io/enforce"
    await scene.kube.patch("Namespace", scene.name, {"metadata": {"labels": {label: "restricted"}}})
    await scene.submit()
    message = await scene.until_waiting("PodRefused")

    assert "violates PodSecurity" in message
    await scene.until(lambda: not scene.pods(), "no pod is left")
    await scene.kube.patch("Namespace", scene.name, {"metadata": {"labels": {label: None}}})
    await scene.until_running(seconds=60)
    await scene.verify()


async def test_the_second_profile_only_after_its_wait(scene: Scene) -> None:
    """A job that prefers one maker takes the other only when its wait for the first is over, and never mixes."""
    await scene.add_nodes(1, vendor="nvidia")
    await scene.add_nodes(2, vendor="ascend", supernode="SN_1")
    await scene.add_pool(vendors=["nvidia", "ascend"])
    await scene.submit(accept=[{"profile": "nvidia"}, {"profile": "ascend", "afterSeconds": 3}])
    await scene.until_waiting("InsufficientCards")
    await scene.until_running()

    assert {"ascend"} == {pod["metadata"]["labels"]["cardpool.dev/profile"] for pod in scene.pods()}
    assert all("huawei.com/Ascend910" in pod["spec"]["containers"][0]["resources"]["limits"] for pod in scene.pods())
    waited = scene.pod_events()[0].at - next(
        seen.at for seen in scene.recorder.events if seen.key == f"{scene.name}/llm"
    )
    assert waited >= 2.5
    await scene.verify()


async def test_a_variant_changes_the_pods_of_its_profile(scene: Scene) -> None:
    """Image and environment of a group's variant reach the pods of that profile alone."""
    await scene.add_nodes(1, vendor="ascend")
    await scene.add_pool(vendors=["nvidia", "ascend"])
    variant = {"profile": "ascend", "image": "train-npu:1", "env": [{"name": "HCCL_CONNECT_TIMEOUT", "value": "1200"}]}
    await scene.submit(groups=[builders.group(1, 8, variants=[variant])], accept=[{"profile": "ascend"}])
    await scene.until_running()
    container = scene.pods()[0]["spec"]["containers"][0]

    assert container["image"] == "train-npu:1"
    assert {"name": "HCCL_CONNECT_TIMEOUT", "value": "1200"} in container["env"]
    await scene.verify()


async def test_other_resources_count_too(scene: Scene) -> None:
    """A node full of foreign CPU work is no room for a pod that asks for CPUs, though its cards are free."""
    await scene.usual(2)
    foreign = builders.foreign_pod("busy", scene.name, scene.nodes[0], cards=0)
    foreign["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "60"}}
    await scene.kube.create(foreign)
    template = builders.template(resources={"requests": {"cpu": "8"}})
    await scene.submit(groups=[builders.group(2, 8, template=template)])
    await scene.until_waiting("InsufficientCards")
    await scene.kube.delete("Pod", "busy", scene.name, grace=0)
    await scene.until_running()
    await scene.verify()


async def test_a_launcher_without_cards_and_ranks_through_groups(scene: Scene) -> None:
    """Groups are one gang: ranks run through them in order, and a group may hold no cards."""
    await scene.usual(2)
    groups = [builders.group(1, 0, "launcher"), builders.group(2, 8, "worker")]
    await scene.submit(groups=groups, rendezvous={"style": "mpi"})
    await scene.until_running()

    assert [pod["metadata"]["name"] for pod in scene.pods()] == ["llm-launcher-0", "llm-worker-0", "llm-worker-1"]
    await scene.verify()
