"""The checkpoint is chosen after the old attempt is gone and before the gang takes cards."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from cardpool.checkpoint import records, report
from tests.support.simworld import SimCluster, job_spec

CHECKPOINT = {"format": "orbax", "volumeMount": "/ckpt", "path": "llm"}


def answer(cluster: SimCluster, key: str, found: report.Report) -> None:
    """Let the resolver pod end with a report."""
    pod = cluster.resolver_of(key)
    assert pod is not None
    cluster.end(pod.key, report.EXIT_CODES[found.result], report.render(found))


def chosen(step: int, path: str, *skipped: records.Skipped) -> report.Report:
    """A report that picked a checkpoint."""
    return report.Report(
        records.Result.CHOSEN, step=step, path=path, verified=records.Level.LIGHT, skipped=tuple(skipped)
    )


def env_of(cluster: SimCluster, pod: str) -> dict[str, str]:
    """The environment of a pod's card container."""
    manifest: dict[str, Any] = json.loads(json.dumps(cluster.manifest[pod]))
    return {item["name"]: item["value"] for item in manifest["spec"]["containers"][0]["env"]}


def waiting(**fields: Any) -> tuple[SimCluster, str]:
    """A job whose resolver pod is running."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(2, checkpoint=CHECKPOINT | fields))
    cluster.settle()
    assert cluster.pods_of(key) == []
    assert cluster.resolver_of(key) is not None
    assert cluster.jobs[key].status.phase == "Reserved"
    return cluster, key


def test_nothing_found_starts_fresh() -> None:
    """The first start of all: no checkpoint, onNone Fresh."""
    cluster, key = waiting()
    answer(cluster, key, report.Report(records.Result.NONE_FOUND))
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"
    assert env_of(cluster, "default/a-w-0")["CARDPOOL_RESUME_STEP"] == ""
    assert env_of(cluster, "default/a-w-0")["CARDPOOL_CHECKPOINT_DIR"] == "/ckpt/llm/0"
    assert cluster.resolver_of(key) is None


def test_resume_hands_path_and_step_over() -> None:
    """After a fault the new pods get the verified checkpoint."""
    cluster, key = waiting()
    answer(cluster, key, report.Report(records.Result.NONE_FOUND))
    cluster.settle()
    cluster.health("default/a-w-0", "card-3", "Unhealthy")
    cluster.step(0.1)
    cluster.step(5.1)
    cluster.allocatable("n-0", 7)
    cluster.settle()
    assert cluster.pods_of(key) == []
    skipped = records.Skipped("llm/0/4300", records.Reason.TRUNCATED)
    answer(cluster, key, chosen(4200, "llm/0/4200", skipped))
    cluster.settle()

    status = cluster.jobs[key].status
    env = env_of(cluster, "default/a-w-1")
    assert (
        env["CARDPOOL_RESUME_PATH"],
        env["CARDPOOL_RESUME_STEP"],
        env["CARDPOOL_CHECKPOINT_DIR"],
    ) == ("/ckpt/llm/0/4200", "4200", "/ckpt/llm/1")
    assert (status.checkpoint.step, status.checkpoint.path, status.checkpoint.verified) == (4200, "llm/0/4200", "Light")
    assert [(item.path, item.reason) for item in status.checkpoint.skipped] == [("llm/0/4300", "Truncated")]
    assert cluster.condition(key, "CheckpointVerified") == ("True", "CheckpointFellBack")
    assert status.timings.resolve_seconds is not None


def test_the_result_counts_before_the_phase_of_the_pod_says_so() -> None:
    """Kubelet reports the container's exit about a second before the pod's phase: the gang does not wait for that."""
    cluster, key = waiting()
    answer(cluster, key, chosen(4200, "llm/0/4200"))
    pod = cluster.resolver_of(key)
    assert pod is not None
    cluster.pod[pod.key] = dataclasses.replace(pod, phase="Running")
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"
    assert env_of(cluster, "default/a-w-0")["CARDPOOL_RESUME_STEP"] == "4200"


def test_all_invalid_fails_by_default() -> None:
    """OnAllInvalid Fail: the job ends and names the damage."""
    cluster, key = waiting()
    damaged = (records.Skipped("llm/0/10", records.Reason.CHECKSUM_MISMATCH),)
    answer(cluster, key, report.Report(records.Result.ALL_INVALID, skipped=damaged))
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Failed"
    assert cluster.condition(key, "Succeeded") == ("False", "CheckpointInvalid")


def test_vanished_checkpoint_is_never_a_fresh_start() -> None:
    """Once verified, later nothing there: Stalled, no pods, tried again later."""
    cluster, key = waiting()
    answer(cluster, key, chosen(10, "llm/0/10"))
    cluster.settle()
    del cluster.pod["default/a-w-0"]
    cluster.settle()
    answer(cluster, key, report.Report(records.Result.NONE_FOUND))
    cluster.settle()

    assert cluster.condition(key, "Stalled") == ("True", "CheckpointVanished")
    assert cluster.pods_of(key) == []


def test_resolver_error_is_tried_again() -> None:
    """A volume that cannot be read: the place is given back, the reason kept, the next try comes by itself."""
    cluster, key = waiting()
    answer(cluster, key, report.of_error("Unreadable", "/ckpt/llm: permission denied"))
    for _ in range(5):
        cluster.step(0.1)
    assert cluster.condition(key, "CheckpointVerified") == ("False", "CheckpointUnreadable")
    assert cluster.pods_of(key) == []

    cluster.step(10)
    cluster.settle()
    answer(cluster, key, chosen(10, "llm/0/10"))
    cluster.settle()
    assert cluster.jobs[key].status.phase == "Running"


def test_mount_that_does_not_exist_is_said() -> None:
    """spec.checkpoint.volumeMount must be a mount of the card container."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(2, checkpoint=CHECKPOINT | {"volumeMount": "/elsewhere"}))
    cluster.settle()

    assert cluster.condition(key, "Succeeded") == ("False", "InvalidSpec")


def test_resolver_holds_no_cards_and_is_restricted() -> None:
    """The resolver pod: read-only mount, no cards, no privileges, rank 0's planned node."""
    cluster, key = waiting()
    pod = cluster.resolver_of(key)
    assert pod is not None
    manifest = cluster.manifest[pod.key]
    container = manifest["spec"]["containers"][0]

    assert not any("dcu" in name for name in container["resources"]["limits"])
    assert container["volumeMounts"][0]["readOnly"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert cluster.jobs[key].status.placement.segments[0].nodes[0] == pod.node
    assert manifest["metadata"]["labels"] == {"cardpool.dev/job": "a", "cardpool.dev/role": "resolver"}
