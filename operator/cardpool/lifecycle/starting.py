"""The pods of one attempt, from made to bound.

All or nothing: an attempt that is refused, displaced or late is taken back whole.
"""

from __future__ import annotations

from cardpool.api.common import format_seconds
from cardpool.api.jobstatus import PlacementState, Timings
from cardpool.domain.world import PodRecord
from cardpool.lifecycle import pods, ranks, restart, times
from cardpool.lifecycle.actions import CreateObject
from cardpool.lifecycle.draft import Draft
from cardpool.names import Condition, Reason


def attempt(draft: Draft) -> pods.Attempt:
    """What the pods of the present attempt share; ValueError without a pool or a placement."""
    pool = draft.around.pool
    place = draft.placement
    if pool is None or place is None:
        raise ValueError("an attempt needs a pool and a placement")
    return pods.Attempt(
        job=draft.job,
        spec=draft.spec,
        seats=ranks.placed(draft.spec, place.segments),
        attempt=draft.status.attempt,
        execution=draft.status.execution_attempt,
        priority_class=pool.spec.pod_priority_class_name,
        dead_node_seconds=pool.spec.faults.dead_node.grace_seconds,
        tolerate_pool=pool.spec.taint_nodes,
        resume=draft.status.checkpoint,
    )


def nodes_by_rank(draft: Draft) -> list[str]:
    """The planned node of each rank of the present attempt."""
    place = draft.placement
    return [node for segment in place.segments for node in segment.nodes] if place is not None else []


def make_pods(draft: Draft) -> None:
    """Everything of the attempt that is not there yet: Service, host file, and all missing pods at once."""
    shared, nodes, pool = attempt(draft), nodes_by_rank(draft), draft.around.pool
    if pool is None:
        return
    seats, done = shared.seats, draft.succeeded
    if pods.needs_service(draft.spec, len(seats)):
        draft.prerequisites.append(CreateObject(pods.service(shared), shared.attempt))
    if draft.spec.rendezvous.style == "mpi":
        draft.prerequisites.append(CreateObject(pods.host_file(shared), shared.attempt))
    for seat, node in zip(seats, nodes, strict=True):
        if seat.rank in done or seat.rank in draft.live:
            continue
        manifest = pods.pod(shared, seat, node, pool.resources(node))
        draft.pods.append(CreateObject(manifest, shared.attempt))
    place = draft.placement
    if place is not None and place.state is PlacementState.RESERVED:
        draft.update(placement=place.model_copy(update={"state": PlacementState.STARTING}))
        draft.mark(created=draft.now)
        draft.update(ready=f"0/{len(seats)}")
    draft.again(bind_deadline(draft))


def bind_seconds(draft: Draft) -> float:
    """The bind deadline in seconds after the pods were ordered: declared, or max(60, pods / 20)."""
    declared = draft.spec.deadlines.bind_seconds
    return float(declared) if declared is not None else max(60.0, len(nodes_by_rank(draft)) / 20)


def bind_deadline(draft: Draft) -> float:
    """When the attempt is taken back if its pods are not bound, in epoch seconds."""
    began = draft.marks.resolved or draft.marks.placed
    return times.epoch(began) + bind_seconds(draft)


def binding(draft: Draft) -> bool:
    """Judge an attempt whose pods are made but not all bound; True once all are bound."""
    nodes, done = nodes_by_rank(draft), draft.succeeded
    refused = draft.around.refused
    if refused is not None and refused.attempt == draft.status.attempt:
        reason = Reason.NAME_TAKEN if refused.taken else Reason.POD_REFUSED
        restart.take_back(draft, reason, f"{refused.object}: {refused.message}", {})
        return False
    missing = [rank for rank in range(len(nodes)) if rank not in done and rank not in draft.live]
    unbound = [pod for pod in draft.live.values() if not pod.node and not pod.finished]
    if not missing and not unbound:
        return True
    deadline = bind_deadline(draft)
    if draft.now >= deadline:
        _too_late(draft, unbound, missing, nodes)
        return False
    draft.again(deadline)
    if missing:
        make_pods(draft)
    word = next((pod.scheduling for pod in unbound if pod.scheduling), "")
    total = len(nodes)
    text = f"{total - len(unbound) - len(missing)} of {total} pods bound{'; ' + word if word else ''}"
    draft.board.put(Condition.PODS_SCHEDULED, False, Reason.STARTING, text)
    return False


def _too_late(draft: Draft, unbound: list[PodRecord], missing: list[int], nodes: list[str]) -> None:
    """Take the attempt back. Nodes of refused pods are avoided for some tries.

    Where nobody was refused kube-scheduler may not be there at all: then the nodes are left out of the next try alone.
    """
    late = {rank: pod for rank, pod in draft.live.items() if not pod.node and not pod.finished}
    refused = {rank: pod for rank, pod in late.items() if pod.scheduling}
    first = min((refused or late).values(), key=lambda pod: pod.name, default=None)
    said = first.scheduling if first is not None else ""
    why = f"; {first.name}: {said or 'kube-scheduler has not said why'}" if first is not None else ""
    text = f"{len(unbound) + len(missing)} of {len(nodes)} pods not bound after {bind_seconds(draft):.0f} s{why}"
    chosen = sorted(refused or late, key=lambda rank: (late[rank] is first, rank))
    avoid = {nodes[rank]: Reason.BIND_TIMEOUT for rank in chosen}
    restart.take_back(draft, Reason.BIND_TIMEOUT, text, avoid, said=said, brief=not refused)


def timing(draft: Draft, **seconds: float | None) -> None:
    """Write durations of the present episode; a first start has none."""
    given = {name: format_seconds(value) for name, value in seconds.items() if value is not None}
    if given and draft.marks.fault_signalled is not None:
        draft.update(timings=(draft.status.timings or Timings()).model_copy(update=given))
