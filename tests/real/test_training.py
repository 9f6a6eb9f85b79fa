"""The training job in real containers: it trains, saves, and goes on exactly where a checkpoint stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from e2e.cluster import real_layout
from tests.support import realpods

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from tests.support.kubeclient import Kube

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
NODES = ("real-0", "real-1")


async def run(kube: Kube, namespace: str, attempt: int, steps: int, resume: str = "") -> None:
    """One attempt of a gang of two, to its end."""
    for rank, node in enumerate(NODES):
        env = {
            "CARDPOOL_JOB": "trained",
            "CARDPOOL_ATTEMPT": str(attempt),
            "CARDPOOL_CHECKPOINT_DIR": f"/ckpt/{namespace}/{attempt}",
            "CARDPOOL_RESUME_PATH": resume,
            "CARDPOOL_RESUME_STEP": resume.rpartition("/")[2],
            "JAX_COORDINATOR_ADDRESS": f"trained-0.trained.{namespace}.svc.cluster.local:29500",
            "JAX_NUM_PROCESSES": str(len(NODES)),
            "JAX_PROCESS_ID": str(rank),
            "STEPS": str(steps),
            "CHECKPOINT_EVERY": "4",
        }
        pod = realpods.pod(
            f"trained-{rank}",
            namespace,
            node=node,
            image="cardpool/train:dev",
            env=env,
            cards={"hygon.com/dcu": 4},
            subdomain="trained",
            shared=True,
        )
        await kube.create(pod)
    for rank in range(len(NODES)):
        await realpods.answer(kube, f"trained-{rank}", namespace, 120)
    for rank in range(len(NODES)):
        await kube.delete("Pod", f"trained-{rank}", namespace)
        await kube.until_gone("Pod", f"trained-{rank}", namespace)


def curve(ctx: Context, namespace: str) -> list[dict[str, Any]]:
    """Every line that rank 0 wrote, of all attempts."""
    file = real_layout.shared(ctx.state) / namespace / "loss.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def losses(lines: list[dict[str, Any]], event: str, attempt: int) -> dict[int, float]:
    """Step to loss of the lines of one kind and attempt."""
    return {one["step"]: one["loss"] for one in lines if one["event"] == event and one["attempt"] == attempt}


async def test_a_resumed_gang_computes_what_an_undisturbed_one_does(
    real_cluster: Context, kube: Kube, namespace: str
) -> None:
    """Attempt 0 runs 12 steps; attempt 1 resumes from its checkpoint of step 7 and repeats steps 8 to 11 exactly."""
    await kube.create(realpods.headless("trained", namespace))
    await run(kube, namespace, 0, steps=12)
    await run(kube, namespace, 1, steps=12, resume=f"/ckpt/{namespace}/0/7")

    lines = curve(real_cluster, namespace)
    whole, resumed = losses(lines, "step", 0), losses(lines, "step", 1)
    assert list(whole) == list(range(12))
    assert whole[11] < whole[0]
    assert losses(lines, "restored", 1) == {7: losses(lines, "checkpoint", 0)[7]}
    assert list(resumed) == [8, 9, 10, 11]
    assert resumed == {step: whole[step] for step in resumed}
