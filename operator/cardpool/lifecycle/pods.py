"""The objects of one attempt: Service, host file and pods.

Names carry no attempt, so that the API server itself refuses a second live pod of a rank. Every pod is pinned to its
planned node inside every node selector term of its template (terms are ORed), and kube-scheduler still binds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from cardpool.api.jobstatus import CheckpointStatus
from cardpool.api.trainingjob import Checkpoint, Fencing, Group, RendezvousStyle, TrainingJobSpec
from cardpool.domain.world import JobRecord
from cardpool.lifecycle import ranks, shapes
from cardpool.names import (
    API_VERSION,
    LABEL_ATTEMPT,
    LABEL_EXECUTION,
    LABEL_GROUP,
    LABEL_INDEX,
    LABEL_JOB,
    LABEL_JOB_UID,
    LABEL_PROFILE,
    LABEL_RANK,
    TAINT_POOL,
    Env,
)

MPI_MOUNT = "/etc/cardpool/mpi"
LOST_NODE_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


@dataclass(frozen=True)
class Attempt:
    """What all pods of one attempt share; ``resume`` is the checkpoint chosen for it, if any.

    ``seats`` are all its ranks, each with the profile whose variant its pod follows.
    """

    job: JobRecord
    spec: TrainingJobSpec
    seats: tuple[ranks.Seat, ...]
    attempt: int
    execution: int
    priority_class: str
    dead_node_seconds: int
    tolerate_pool: bool
    resume: CheckpointStatus | None

    @cached_property
    def bases(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By group and profile the pod spec without what differs from rank to rank; parts are shared and only read."""
        kinds = {(seat.group.name, seat.profile): seat.group for seat in self.seats}
        return {(name, profile): _base(self, group, profile) for (name, profile), group in kinds.items()}


def owner(job: JobRecord) -> dict[str, Any]:
    """The controller reference that lets Kubernetes collect everything of a deleted job."""
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingJob",
        "name": job.name,
        "uid": job.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def needs_service(spec: TrainingJobSpec, pods: int) -> bool:
    """False for one-pod gangs and without a rendezvous."""
    return pods > 1 and spec.rendezvous.style is not RendezvousStyle.NONE


def service(attempt: Attempt) -> dict[str, Any]:
    """The headless Service of the ranks' host names; it publishes pods that are not ready yet."""
    job = attempt.job
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": job.name,
            "namespace": job.namespace,
            "labels": {LABEL_JOB: job.name, LABEL_JOB_UID: job.uid},
            "ownerReferences": [owner(job)],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {LABEL_JOB_UID: job.uid},
            "ports": [{"name": "rendezvous", "port": attempt.spec.rendezvous.port}],
        },
    }


def host_file(attempt: Attempt) -> dict[str, Any]:
    """The MPI host file as a ConfigMap: one line a rank with its slots."""
    job = attempt.job
    lines = [f"{seat.pod_name(job.name)}.{job.name} slots={max(1, seat.cards)}" for seat in attempt.seats]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{job.name}-mpi-hosts-{attempt.attempt}",
            "namespace": job.namespace,
            "labels": {LABEL_JOB: job.name, LABEL_JOB_UID: job.uid},
            "ownerReferences": [owner(job)],
        },
        "data": {"hostfile": "\n".join(lines) + "\n"},
    }


def _base(attempt: Attempt, group: Group, profile: str) -> dict[str, Any]:
    spec = dict(shapes.pod_spec(group, profile))
    spec["restartPolicy"] = "Never"
    spec["priorityClassName"] = attempt.priority_class
    if needs_service(attempt.spec, len(attempt.seats)):
        spec["subdomain"] = attempt.job.name
    spec["tolerations"] = tolerations(spec, attempt)
    if attempt.spec.rendezvous.style is RendezvousStyle.MPI:
        hosts = {"name": "cardpool-mpi", "configMap": {"name": f"{attempt.job.name}-mpi-hosts-{attempt.attempt}"}}
        spec["volumes"] = [*spec.get("volumes", []), hosts]
    return spec


def pod(attempt: Attempt, seat: ranks.Seat, node: str, resource: str) -> dict[str, Any]:
    """The pod of one rank, pinned to its node; its parts are shared with other ranks' pods and only read."""
    group, world_size = seat.group, len(attempt.seats)
    name = seat.pod_name(attempt.job.name)
    base = attempt.bases[group.name, seat.profile]
    place = shapes.card_container(group)
    container = dict(base["containers"][place])
    cards = seat.cards
    if cards and resource:
        given = container.get("resources", {})
        held = {kind: {**given.get(kind, {}), resource: str(cards)} for kind in ("requests", "limits")}
        container["resources"] = {**given, **held}
    container["env"] = [*container.get("env", []), *_env(attempt, seat, cards, world_size)]
    if attempt.spec.rendezvous.style is RendezvousStyle.MPI:
        mount = {"name": "cardpool-mpi", "mountPath": MPI_MOUNT, "readOnly": True}
        container["volumeMounts"] = [*container.get("volumeMounts", []), mount]
    containers = [*base["containers"][:place], container, *base["containers"][place + 1 :]]
    spec = {**base, "hostname": name, "affinity": pinned(base, node), "containers": containers}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(attempt, group, seat, name), "spec": spec}


def _metadata(attempt: Attempt, group: Group, seat: ranks.Seat, name: str) -> dict[str, Any]:
    job = attempt.job
    given = group.template.get("metadata", {})
    variant = ranks.variant_of(group, seat.profile)
    annotations = {**given.get("annotations", {}), **(dict(variant.annotations) if variant is not None else {})}
    labels = {
        **given.get("labels", {}),
        LABEL_JOB: job.name,
        LABEL_JOB_UID: job.uid,
        LABEL_GROUP: group.name,
        LABEL_INDEX: str(seat.index),
        LABEL_RANK: str(seat.rank),
        LABEL_ATTEMPT: str(attempt.attempt),
        LABEL_EXECUTION: str(attempt.execution),
        LABEL_PROFILE: seat.profile,
    }
    metadata = {
        "name": name,
        "namespace": job.namespace,
        "labels": labels,
        "ownerReferences": [owner(job)],
    }
    return {**metadata, "annotations": annotations} if annotations else metadata


def _env(attempt: Attempt, seat: ranks.Seat, cards: int, world_size: int) -> list[dict[str, str]]:
    spec, job = attempt.spec, attempt.job
    first = attempt.seats[0].pod_name(job.name)
    address = f"{first}.{job.name}" if needs_service(spec, world_size) else "localhost"
    port = str(spec.rendezvous.port)
    values: dict[str, str] = {
        Env.JOB: job.name,
        Env.NAMESPACE: job.namespace,
        Env.GROUP: seat.group.name,
        Env.INDEX: str(seat.index),
        Env.RANK: str(seat.rank),
        Env.WORLD_SIZE: str(world_size),
        Env.ATTEMPT: str(attempt.attempt),
        Env.EXECUTION_ATTEMPT: str(attempt.execution),
        Env.PROFILE: seat.profile,
        Env.CARDS: str(cards),
        Env.MASTER_ADDR: address,
    }
    match spec.rendezvous.style:
        case RendezvousStyle.TORCH:
            values |= {
                "PET_NNODES": str(world_size),
                "PET_NPROC_PER_NODE": str(max(1, cards)),
                "PET_NODE_RANK": str(seat.rank),
                "PET_MASTER_ADDR": address,
                "PET_MASTER_PORT": port,
            }
        case RendezvousStyle.JAX:
            values |= {
                "JAX_COORDINATOR_ADDRESS": f"{address}:{port}",
                "JAX_NUM_PROCESSES": str(world_size),
                "JAX_PROCESS_ID": str(seat.rank),
            }
        case RendezvousStyle.MPI:
            values |= {"CARDPOOL_MPI_HOSTFILE": f"{MPI_MOUNT}/hostfile"}
        case RendezvousStyle.NONE:
            pass
    if spec.checkpoint is not None:
        values[Env.CHECKPOINT_DIR] = checkpoint_dir(spec.checkpoint, attempt.attempt)
        resume = attempt.resume
        found = resume is not None and resume.step is not None
        values[Env.RESUME_PATH] = (
            f"{spec.checkpoint.volume_mount.rstrip('/')}/{resume.path}" if found and resume else ""
        )
        values[Env.RESUME_STEP] = str(resume.step) if found and resume else ""
    return [{"name": name, "value": value} for name, value in values.items()]


def checkpoint_dir(checkpoint: Checkpoint, attempt: int) -> str:
    """Where this attempt saves: its own folder under AttemptPath fencing."""
    root = PurePosixPath(checkpoint.volume_mount) / checkpoint.path
    return str(root / str(attempt) if checkpoint.fencing is Fencing.ATTEMPT_PATH else root)


def pinned(spec: Mapping[str, Any], node: str) -> dict[str, Any]:
    """The affinity with the node's name ANDed into every term; without a term one is made."""
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    affinity = spec.get("affinity", {})
    nodes = affinity.get("nodeAffinity", {})
    required = nodes.get("requiredDuringSchedulingIgnoredDuringExecution", {})
    terms = required.get("nodeSelectorTerms") or [{}]
    pinned = [{**term, "matchFields": [*term.get("matchFields", []), field]} for term in terms]
    required = {**required, "nodeSelectorTerms": pinned}
    return {**affinity, "nodeAffinity": {**nodes, "requiredDuringSchedulingIgnoredDuringExecution": required}}


def tolerations(spec: Mapping[str, Any], attempt: Attempt) -> list[dict[str, Any]]:
    """The template's tolerations, the pool's taint, and short ones of our own for nodes that are lost."""
    given = list(spec.get("tolerations", []))
    keys = {item.get("key") for item in given}
    if attempt.tolerate_pool:
        given.append({"key": TAINT_POOL, "operator": "Exists"})
    seconds = attempt.dead_node_seconds
    return given + [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
        for key in LOST_NODE_TAINTS
        if key not in keys
    ]
