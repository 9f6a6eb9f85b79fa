"""The life of one gang on fake nodes: starts whole, stops, comes back, goes at any moment, rests, and says so."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from e2e.cluster.context import Context
from tests.support import builders, decided
from tests.support.history import condition, status_of
from tests.support.operator_process import Operator
from tests.support.rules.verdict import Quiet
from tests.support.scene import STILL, Scene
from tests.support.stage import paused

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


def env_of(pod: Mapping[str, Any]) -> dict[str, str]:
    """Plain environment of the pod's first container."""
    return {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}


async def test_a_gang_starts_whole_and_carries_the_contract(scene: Scene) -> None:
    """Every pod runs on a node of its own with the labels, names, environment and class that API.md promises."""
    high = await scene.priority("high", 1000)
    await scene.usual(3)
    await scene.submit(pods=3, priorityClassName=high)
    status = await scene.until_running()
    pods = scene.pods()

    assert [pod["metadata"]["name"] for pod in pods] == ["llm-worker-0", "llm-worker-1", "llm-worker-2"]
    assert set(scene.nodes) == {pod["spec"]["nodeName"] for pod in pods}
    assert status["ready"] == "3/3"
    assert status["attempt"] == 0
    uid = scene.job()["metadata"]["uid"]
    for rank, pod in enumerate(pods):
        expected = {
            "cardpool.dev/job": "llm", "cardpool.dev/job-uid": uid, "cardpool.dev/group": "worker",
            "cardpool.dev/index": str(rank), "cardpool.dev/rank": str(rank), "cardpool.dev/attempt": "0",
            "cardpool.dev/profile": "nvidia",
        }  # fmt: skip
        assert expected.items() <= pod["metadata"]["labels"].items()
        assert pod["spec"]["priorityClassName"] == "cardpool-gang"
        assert pod["spec"]["restartPolicy"] == "Never"
        assert {
            key: value for key, value in pod["spec"]["containers"][0]["resources"]["limits"].items() if "/" in key
        } == {"nvidia.com/gpu": "8"}
        wanted = {
            "PET_NNODES": "3", "PET_NODE_RANK": str(rank), "PET_MASTER_PORT": "29500", "CARDPOOL_JOB": "llm",
            "CARDPOOL_RANK": str(rank), "CARDPOOL_ATTEMPT": "0", "CARDPOOL_WORLD_SIZE": "3",
        }  # fmt: skip
        assert wanted.items() <= env_of(pod).items()
        assert not {"RANK", "WORLD_SIZE"} & set(env_of(pod))
    services = [one for key, one in scene.recorder.now["Service"].items() if key.startswith(f"{scene.name}/")]
    assert [(one["spec"].get("publishNotReadyAddresses"), one["spec"]["clusterIP"]) for one in services] == [
        (True, "None")
    ]
    master = env_of(pods[2])["PET_MASTER_ADDR"]
    assert f"{pods[0]['spec']['hostname']}.{pods[0]['spec']['subdomain']}" in master
    assert services[0]["metadata"]["name"] == pods[0]["spec"]["subdomain"]
    await scene.verify()


async def test_conditions_and_columns_tell_the_story(scene: Scene) -> None:
    """A running job has the conditions of API.md, none of them about another generation, and its columns show it."""
    await scene.usual(2)
    await scene.submit()
    await scene.until_running()
    body = scene.job()
    conditions = {one["type"]: one["status"] for one in status_of(body)["conditions"]}
    table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    path = f"{scene.kube.server}/apis/cardpool.dev/v1alpha1/namespaces/{scene.name}/trainingjobs"
    async with scene.kube.session.get(path, headers=table) as answer:
        listed = await answer.json()
    row = dict(
        zip([one["name"].lower() for one in listed["columnDefinitions"]], listed["rows"][0]["cells"], strict=True)
    )

    for kind in ("Accepted", "QuotaReserved", "PodsScheduled", "Running"):
        assert conditions.get(kind) == "True", kind
    assert conditions.get("Succeeded", "Unknown") == "Unknown"
    for kind in ("Finished", "Stalled", "Reconciling", "Restarting", "Suspended"):
        assert conditions.get(kind, "False") == "False", kind
    assert all(one["observedGeneration"] == 1 for one in status_of(body)["conditions"])
    assert row["phase"] == "Running"
    assert row["ready"] == "2/2"
    await scene.until(lambda: scene.events("Running"), "an Event of the start")
    await scene.verify()


async def test_suspend_and_resume(scene: Scene) -> None:
    """A suspended job has no pod and says Suspended; resumed it runs again as another execution of the same attempt."""
    await scene.usual(2)
    await scene.submit()
    before = await scene.until_running()
    await scene.patch_job("llm", suspend=True)
    await scene.until_condition("Suspended", "True")

    await scene.until(lambda: not scene.pods(), "no pod is left")
    assert scene.status()["phase"] == "Suspended"
    await scene.patch_job("llm", suspend=False)
    after = await scene.until_running()
    assert before["attempt"] == after["attempt"]
    assert before["executionAttempt"] + 1 == after["executionAttempt"]
    assert condition(scene.job(), "Suspended")["status"] == "False"
    await scene.verify()


async def test_a_job_made_suspended_makes_nothing(scene: Scene) -> None:
    """A job that is created suspended gets no pod until it is resumed, and its groups may change meanwhile."""
    await scene.usual(2)
    await scene.submit(suspend=True)
    await scene.until_condition("Suspended", "True")
    await scene.patch_job("llm", groups=[builders.group(1, 8)])
    await scene.until_job(lambda status: status.get("observedGeneration") == 2, "observes the change")

    assert scene.pod_events() == []
    await scene.patch_job("llm", suspend=False)
    status = await scene.until_running()
    assert status["ready"] == "1/1"
    await scene.verify()


MOMENTS = ("queued", "reserved", "starting", "running", "finished")


@pytest.mark.parametrize("moment", MOMENTS)
async def test_deletion_at_any_moment(scene: Scene, moment: str) -> None:
    """Wherever a job stands when it is deleted, nothing of it is left."""
    await scene.usual(2)
    await scene.submit(pods=3 if moment == "queued" else 2)
    match moment:
        case "queued":
            await scene.until_waiting("InsufficientCards")
        case "reserved":
            await scene.until_job(lambda status: status.get("placement"), "placed")
        case "starting":
            await scene.until(scene.pods, "first pod")
        case "running":
            await scene.until_running()
        case _:
            await scene.until_running()
            await scene.succeed()
            await scene.until_condition("Finished", "True")
    await scene.kube.delete("TrainingJob", "llm", scene.name)
    await scene.until(lambda: not scene.owned(), "nothing left")
    await scene.verify()


async def test_deletion_while_no_operator_runs(scene: Scene, operator: Operator) -> None:
    """A job deleted while the operator is down leaves nothing, and the operator that comes back makes nothing of it."""
    await scene.usual(2)
    await scene.submit()
    await scene.until_running()
    await operator.stop()
    await scene.kube.delete("TrainingJob", "llm", scene.name)
    await scene.until(lambda: not scene.owned(), "nothing left")
    await operator.start()
    await scene.submit("next")
    await scene.until_running("next")
    await scene.verify()


async def test_deletion_by_hand_of_the_same_name_at_once(scene: Scene) -> None:
    """A job made again under the name of one deleted a moment ago starts with pods of its own."""
    await scene.usual(2)
    await scene.submit()
    await scene.until_running()
    first = scene.job()["metadata"]["uid"]
    await scene.kube.delete("TrainingJob", "llm", scene.name)
    await scene.submit()
    await scene.until(lambda: scene.job().get("metadata", {}).get("uid", first) != first, "the new job")
    await scene.until_running(seconds=30)

    second = scene.job()["metadata"]["uid"]
    assert {second} == {pod["metadata"]["labels"]["cardpool.dev/job-uid"] for pod in scene.pods()}
    await scene.verify()


async def test_applying_the_same_manifest_again_changes_nothing(scene: Scene) -> None:
    """A GitOps tool that applies what is there already causes no write at all."""
    await scene.usual(2)
    manifests = [builders.pool(scene.name), builders.job("llm", scene.name, scene.name)]
    for manifest in manifests:
        await scene.kube.apply(manifest, manager="gitops")
    await scene.until_running()
    await scene.recorder.settled(scene.ours, STILL, 20)
    since = time.time()
    for manifest in manifests:
        await scene.kube.apply(manifest, manager="gitops")
    await decided.on_everything(scene)
    windows = [Quiet(since, time.time(), 10)]

    assert scene.job()["metadata"]["generation"] == 1
    await scene.verify(windows=windows)


async def test_a_job_of_another_manager_is_left_alone(scene: Scene) -> None:
    """With managedBy naming somebody else the operator neither writes to the job nor makes pods."""
    await scene.usual(2)
    await scene.submit("theirs", managedBy="example.com/other")
    await scene.submit("ours", pods=1)
    await scene.until_running("ours")

    assert dict(scene.status("theirs")) == {}
    assert scene.pod_events("theirs") == []
    await scene.verify()


async def test_a_long_rest_is_without_a_write(scene: Scene) -> None:
    """Seven seconds of nothing happening hold no write of the operator at all."""
    await scene.usual(3)
    await scene.submit("runs")
    await scene.submit("waits", pods=5)
    await scene.until_running("runs")
    await scene.until_waiting("InsufficientCards", "waits")
    await scene.verify(quiet=7)


async def test_pods_that_are_bound_and_never_run(scene: Scene, fake_cluster: Context) -> None:
    """A gang that does not come up within startupSeconds is taken down and tried again, and the job says why."""
    await scene.usual(2)
    with paused(fake_cluster, "kwok"):
        await scene.submit(deadlines={"startupSeconds": 2}, restart={"maxRestarts": 1})
        status = await scene.until_job(lambda status: status.get("attempt") == 1, "next attempt decided")
    await scene.until_running(attempt=1)

    assert status["lastFault"]["reason"] == "DeadlineExceeded"
    await scene.verify({"llm": 1})
