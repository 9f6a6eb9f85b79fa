"""The short pod that picks the checkpoint: the job's volume and identity, no cards, bounded time and memory."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import PurePosixPath
from typing import Any

from cardpool.checkpoint import report
from cardpool.lifecycle import pods, shapes
from cardpool.names import CHECKPOINT_CONTAINER, LABEL_JOB, LABEL_ROLE, ROLE_RESOLVER

RESOLVER_SECONDS = 300


def name(job: str, attempt: int, execution: int) -> str:
    """The resolver pod's name: its last part is no number, so it never meets a rank's name."""
    return f"{job}-resolver-a{attempt}e{execution}"


def manifest(attempt: pods.Attempt, node: str, image: str) -> dict[str, Any] | None:
    """The short pod that picks the checkpoint on rank 0's planned node, or None where the mount does not exist.

    It has the job's volume, service account, security context and tolerations, no cards, bounded time and memory.
    """
    job, spec = attempt.job, attempt.spec
    checkpoint = spec.checkpoint
    if checkpoint is None:
        return None
    group = spec.groups[0]
    template = shapes.pod_spec(group, attempt.seats[0].profile)
    container = template["containers"][shapes.card_container(group)]
    mount = next(
        (
            item
            for item in container.get("volumeMounts", [])
            if _same_path(item.get("mountPath"), checkpoint.volume_mount)
        ),
        None,
    )
    if mount is None:
        return None
    volumes = [item for item in template.get("volumes", []) if item.get("name") == mount.get("name")]
    pod_spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 2 * RESOLVER_SECONDS,
        "terminationGracePeriodSeconds": 1,
        "priorityClassName": attempt.priority_class,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "volumes": volumes,
        "containers": [
            {
                "name": CHECKPOINT_CONTAINER,
                "image": image,
                "command": report.command(
                    mount=checkpoint.volume_mount,
                    path=checkpoint.path,
                    format_name=checkpoint.format.value,
                    level=checkpoint.verify.value,
                    candidates=checkpoint.candidates,
                    fencing=checkpoint.fencing.value,
                    timeout_seconds=RESOLVER_SECONDS,
                ),
                "resources": {
                    "requests": {"cpu": "50m", "memory": "64Mi"},
                    "limits": {"cpu": "1", "memory": "512Mi"},
                },
                "securityContext": {
                    **_RESTRICTED,
                    **deepcopy(container.get("securityContext", {})),
                },
                "volumeMounts": [{**mount, "readOnly": True}],
                "terminationMessagePolicy": "File",
            }
        ],
        **{
            key: deepcopy(template[key])
            for key in ("serviceAccountName", "securityContext", "tolerations", "imagePullSecrets", "runtimeClassName")
            if key in template
        },
    }
    pod_spec["affinity"] = pods.pinned(pod_spec, node)
    pod_spec["tolerations"] = pods.tolerations(pod_spec, attempt)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name(job.name, attempt.attempt, attempt.execution),
            "namespace": job.namespace,
            "labels": {LABEL_JOB: job.name, LABEL_ROLE: ROLE_RESOLVER},
            "ownerReferences": [pods.owner(job)],
        },
        "spec": pod_spec,
    }


_RESTRICTED: Mapping[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _same_path(one: str | None, other: str) -> bool:
    return one is not None and PurePosixPath(one) == PurePosixPath(other)
