"""From waiting to bound: the queue's answer, the checkpoint's choice, the pods, the bind deadline.

The placement is in status before anything is made, so a crash at any moment is finished or taken back by whoever
reads it next. All or nothing: an attempt that is refused, displaced or late is taken back whole.
"""

from __future__ import annotations

from cardpool.api.common import format_seconds
from cardpool.api.jobstatus import CheckpointStatus, Placement, PlacementState, Segment, SkippedCheckpoint, Timings
from cardpool.api.trainingjob import OnMissing
from cardpool.checkpoint import report
from cardpool.checkpoint.records import Result
from cardpool.domain import gangs
from cardpool.domain.gangs import Gang, Option
from cardpool.domain.world import PodRecord
from cardpool.lifecycle import pods, ranks, restart, shapes, times
from cardpool.lifecycle.actions import CreateObject
from cardpool.lifecycle.draft import Draft
from cardpool.names import CHECKPOINT_CONTAINER, Condition, Reason

RETRY_VANISHED = 60.0


def options(draft: Draft) -> tuple[Option, ...]:
    """The profiles that the job takes now, in its order of preference; those whose wait is not over come later."""
    pool, spec = draft.around.pool, draft.spec
    if pool is None:
        return ()
    waited = draft.now - times.epoch(draft.status.queued_time)
    accepted = [(item.profile, item.after_seconds) for item in spec.accept]
    if not accepted:
        accepted = [(profile.name, 0) for profile in pool.spec.profiles]
    found = []
    for profile, after in accepted:
        if profile not in pool.usable or not _has_variant(draft, profile):
            continue
        if waited < after:
            draft.again(draft.now + after - waited)
            continue
        found.append(shapes.option(spec, profile, tolerate_pool=pool.spec.taint_nodes))
    return tuple(found)


def _has_variant(draft: Draft, profile: str) -> bool:
    """Without ``accept`` a group that has variants runs only on profiles that it has one for."""
    if draft.spec.accept:
        return True
    return all(not group.variants or ranks.variant_of(group, profile) for group in draft.spec.groups)


def ask(draft: Draft, priority: int) -> None:
    """Put the gang into this cycle's queue, unless it has to wait for something of its own."""
    retry = times.epoch(draft.status.retry_after)
    if draft.now < retry:
        draft.again(retry)
        return
    chosen = options(draft)
    if not chosen:
        _no_profile(draft)
        return
    excluded: dict[str, str] = {}
    for item in draft.status.excluded:
        until = times.epoch(item.until)
        if item.until is None or until > draft.now:
            excluded[item.node] = item.reason
            draft.again(until or None)
    previous = restart.previous_nodes(draft)
    repair = bool(previous) and draft.status.last_fault is not None
    draft.gang = Gang(
        key=draft.job.key,
        uid=draft.job.uid,
        priority=priority,
        created=draft.job.created,
        options=chosen,
        topology=shapes.topology_request(draft.spec.topology),
        previous=previous if repair else {},
        excluded=excluded,
        repair=repair,
        asked_first=draft.job.key in draft.around.world.first,
    )


def _no_profile(draft: Draft) -> None:
    pool = draft.around.pool
    if draft.wake is not None or pool is None:
        draft.board.put(Condition.PODS_SCHEDULED, False, Reason.PENDING, "waits for spec.accept[].afterSeconds")
        return
    text = f"pool {pool.name} has no profile that this job accepts and has a variant for"
    draft.board.put(Condition.PODS_SCHEDULED, False, Reason.NO_VARIANT, text)


def waits(draft: Draft, refusal: gangs.Refusal) -> None:
    """Keep the planner's reason where people look; an Event only when the reason changes."""
    moved = draft.board.reason(Condition.PODS_SCHEDULED) != refusal.reason
    draft.board.put(Condition.PODS_SCHEDULED, False, refusal.reason, refusal.message)
    if moved:
        draft.event(refusal.reason, refusal.message)


def place(draft: Draft, placement: gangs.Placement) -> None:
    """Reserve: write the whole map, then either resolve the checkpoint or make the pods."""
    status = draft.status
    segments = tuple(
        Segment(
            group=item.group,
            from_index=item.from_index,
            profile=item.profile or None,
            supernode=item.supernode or None,
            nodes=item.nodes,
        )
        for item in placement.segments
    )
    draft.update(
        placement=Placement(
            attempt=status.attempt,
            execution_attempt=status.execution_attempt,
            time=times.at(draft.now),
            state=PlacementState.RESERVED,
            segments=segments,
        ),
        retry_after=None,
    )
    draft.mark(placed=draft.now)
    timing(draft, place_seconds=times.gap(draft.marks.torn_down, draft.marks.placed))
    draft.board.put(Condition.QUOTA_RESERVED, True, Reason.QUOTA_RESERVED, "no quota stands in the way")
    where = sorted({item.supernode for item in placement.segments if item.supernode})
    text = (
        f"{len(placement.nodes())} pods on {placement.profile}: {', '.join(where[:4])}{' …' if len(where) > 4 else ''}"
    )
    draft.board.put(Condition.PODS_SCHEDULED, False, Reason.PLACED, f"placed, not bound yet: {text}")
    draft.event(Reason.PLACED, f"placed {text}")
    if needs_checkpoint(draft):
        _make_resolver(draft)
    else:
        make_pods(draft)


def needs_checkpoint(draft: Draft) -> bool:
    """True while this execution's checkpoint is not chosen yet."""
    status = draft.status
    chosen = status.checkpoint is not None and status.checkpoint.for_execution == status.execution_attempt
    return draft.spec.checkpoint is not None and not chosen


def reserved(draft: Draft) -> None:
    """A placement without pods: go on with the checkpoint, or with the pods; leave a place that went bad."""
    if _place_went_bad(draft):
        return
    if not needs_checkpoint(draft):
        make_pods(draft)
        return
    current = _current_resolver(draft)
    for other in draft.resolvers:
        if other is not current:
            draft.delete(other)
    if current is None:
        _make_resolver(draft)
    elif current.finished:
        _resolved(draft, current)
    else:
        _await_resolver(draft, current)


def _place_went_bad(draft: Draft) -> bool:
    """Between the promise and the pods a node may be lost; then the promise is off, at no cost."""
    place, pool = draft.placement, draft.around.pool
    if place is None or pool is None:
        return False
    for node in dict.fromkeys(node for segment in place.segments for node in segment.nodes):
        record = draft.around.world.nodes.get(node)
        if record is None or not record.ready or record.unschedulable or node in pool.dead:
            restart.take_back(draft, Reason.EXCLUDED, f"planned node {node} went away", {node: Reason.NODE_LOST})
            return True
    return False


def _attempt(draft: Draft) -> pods.Attempt:
    pool = draft.around.pool
    if pool is None:
        raise ValueError("an attempt needs a pool")
    return pods.Attempt(
        job=draft.job,
        spec=draft.spec,
        profile=draft.profile,
        attempt=draft.status.attempt,
        execution=draft.status.execution_attempt,
        priority_class=pool.spec.pod_priority_class_name,
        dead_node_seconds=pool.spec.faults.dead_node.grace_seconds,
        tolerate_pool=pool.spec.taint_nodes,
        resume=draft.status.checkpoint,
    )


def _current_resolver(draft: Draft) -> PodRecord | None:
    name = pods.resolver_name(draft.job.name, draft.status.attempt, draft.status.execution_attempt)
    return next((item for item in draft.resolvers if item.name == name and not item.deleting), None)


def _make_resolver(draft: Draft) -> None:
    place = draft.placement
    if place is None:
        return
    manifest = pods.resolver(_attempt(draft), place.segments[0].nodes[0], draft.around.resolver_image)
    if manifest is None:
        mount = draft.spec.checkpoint.volume_mount if draft.spec.checkpoint is not None else ""
        text = f"spec.checkpoint.volumeMount {mount} is no mount of the card container of the first group"
        restart.fail(draft, Reason.INVALID_SPEC, text)
        return
    draft.pods.append(CreateObject(manifest, draft.status.attempt))
    text = "the newest complete checkpoint is being looked for"
    draft.board.put(Condition.CHECKPOINT_VERIFIED, None, Reason.RESOLVING_CHECKPOINT, text)
    draft.again(_bind_deadline(draft))


def _await_resolver(draft: Draft, pod: PodRecord) -> None:
    deadline = _bind_deadline(draft) if not pod.node or pod.waiting else None
    if deadline is not None and draft.now >= deadline:
        why = pod.scheduling or pod.waiting or "it did not start"
        restart.take_back(draft, Reason.RESOLVER_FAILED, f"resolver pod {pod.name}: {why}", {})
        return
    draft.again(deadline)
    if pod.scheduling or pod.waiting:
        text = f"resolver pod {pod.name}: {pod.scheduling or pod.waiting}"
        draft.board.put(Condition.CHECKPOINT_VERIFIED, None, Reason.RESOLVING_CHECKPOINT, text)


def _resolved(draft: Draft, pod: PodRecord) -> None:
    ended = next((item for item in pod.exits if item.container == CHECKPOINT_CONTAINER), None)
    draft.delete(pod)
    if ended is None:
        text = f"resolver pod {pod.name} ended without a word: {pod.reason} {pod.message}".strip()
        restart.take_back(draft, Reason.RESOLVER_FAILED, text, {})
        return
    found = report.parse_report(ended.message, ended.code)
    draft.mark(resolved=draft.now)
    timing(draft, resolve_seconds=times.gap(draft.marks.placed, draft.marks.resolved))
    match found.result:
        case Result.CHOSEN:
            _chosen(draft, found)
        case Result.NONE_FOUND:
            _none_found(draft)
        case Result.ALL_INVALID:
            _all_invalid(draft, found)
        case Result.ERROR:
            text = f"the checkpoint could not be read: {found.message}"
            draft.board.put(Condition.CHECKPOINT_VERIFIED, False, Reason.CHECKPOINT_UNREADABLE, text)
            restart.take_back(draft, Reason.CHECKPOINT_UNREADABLE, text, {})


def _skipped(found: report.Report) -> tuple[SkippedCheckpoint, ...]:
    return tuple(SkippedCheckpoint(path=item.path, reason=item.reason.value) for item in found.skipped[:16])


def _chosen(draft: Draft, found: report.Report) -> None:
    checkpoint = draft.spec.checkpoint
    skipped = _skipped(found)
    draft.update(
        checkpoint=CheckpointStatus(
            step=found.step,
            path=found.path,
            format=checkpoint.format.value if checkpoint is not None else None,
            verified=found.verified.value if found.verified is not None else None,
            time=times.at(draft.now),
            for_execution=draft.status.execution_attempt,
            skipped=skipped,
        )
    )
    reason = Reason.CHECKPOINT_FELL_BACK if skipped else Reason.CHECKPOINT_VERIFIED
    text = f"resumes from {found.path} (step {found.step}, verified {found.verified})"
    if skipped:
        text += "; skipped " + ", ".join(f"{item.path}: {item.reason}" for item in skipped)
    if found.note:
        text += f"; {found.note}"
    draft.board.put(Condition.CHECKPOINT_VERIFIED, True, reason, text)
    draft.event(reason, text, warning=bool(skipped))
    make_pods(draft)


def _ever_verified(draft: Draft) -> bool:
    return draft.status.checkpoint is not None and draft.status.checkpoint.step is not None


def _fresh(draft: Draft, reason: Reason, text: str, skipped: tuple[SkippedCheckpoint, ...] = ()) -> None:
    none = CheckpointStatus(time=times.at(draft.now), for_execution=draft.status.execution_attempt, skipped=skipped)
    draft.update(checkpoint=none)
    draft.board.put(Condition.CHECKPOINT_VERIFIED, False, reason, text)
    make_pods(draft)


def _none_found(draft: Draft) -> None:
    checkpoint = draft.spec.checkpoint
    if _ever_verified(draft):
        last = draft.status.checkpoint
        text = f"{last.path if last is not None else ''} was verified once and no checkpoint is there any more"
        draft.board.put(Condition.CHECKPOINT_VERIFIED, False, Reason.CHECKPOINT_VANISHED, text)
        draft.board.put(Condition.STALLED, True, Reason.CHECKPOINT_VANISHED, text)
        restart.take_back(draft, Reason.CHECKPOINT_VANISHED, text, {})
        draft.update(retry_after=times.at(draft.now + RETRY_VANISHED))
    elif checkpoint is not None and checkpoint.on_none is OnMissing.FAIL:
        restart.fail(draft, Reason.CHECKPOINT_NONE, "no checkpoint was found and spec.checkpoint.onNone is Fail")
    else:
        _fresh(draft, Reason.CHECKPOINT_NONE, "no checkpoint was found: the training starts from the beginning")


def _all_invalid(draft: Draft, found: report.Report) -> None:
    checkpoint = draft.spec.checkpoint
    names = ", ".join(f"{item.path}: {item.reason}" for item in found.skipped[:8])
    text = f"no checkpoint passes its checks ({names})"
    if checkpoint is not None and checkpoint.on_all_invalid is OnMissing.FRESH:
        _fresh(draft, Reason.CHECKPOINT_INVALID, f"{text}: the training starts from the beginning", _skipped(found))
        return
    draft.board.put(Condition.CHECKPOINT_VERIFIED, False, Reason.CHECKPOINT_INVALID, text)
    restart.fail(draft, Reason.CHECKPOINT_INVALID, f"{text} and spec.checkpoint.onAllInvalid is Fail")


def nodes_by_rank(draft: Draft) -> list[str]:
    """The planned node of each rank of the present attempt."""
    place = draft.placement
    return [node for segment in place.segments for node in segment.nodes] if place is not None else []


def make_pods(draft: Draft) -> None:
    """Everything of the attempt that is not there yet: Service, host file, and all missing pods at once."""
    attempt, nodes, pool = _attempt(draft), nodes_by_rank(draft), draft.around.pool
    if pool is None:
        return
    seats, done = attempt.seats, draft.succeeded
    if pods.needs_service(draft.spec, len(seats)):
        draft.prerequisites.append(CreateObject(pods.service(attempt), attempt.attempt))
    if draft.spec.rendezvous.style == "mpi":
        draft.prerequisites.append(CreateObject(pods.host_file(attempt), attempt.attempt))
    for seat, node in zip(seats, nodes, strict=True):
        if seat.rank in done or seat.rank in draft.live:
            continue
        manifest = pods.pod(attempt, seat, node, pool.resources(node))
        draft.pods.append(CreateObject(manifest, attempt.attempt))
    place = draft.placement
    if place is not None and place.state is PlacementState.RESERVED:
        draft.update(placement=place.model_copy(update={"state": PlacementState.STARTING}))
        draft.mark(created=draft.now)
        draft.update(ready=f"0/{len(seats)}")
    draft.again(_bind_deadline(draft))


def bind_seconds(draft: Draft) -> float:
    """The bind deadline in seconds after the pods were ordered: declared, or max(60, pods / 20)."""
    declared = draft.spec.deadlines.bind_seconds
    return float(declared) if declared is not None else max(60.0, draft.spec.pods / 20)


def _bind_deadline(draft: Draft) -> float:
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
    deadline = _bind_deadline(draft)
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
    avoid = {nodes[rank]: Reason.BIND_TIMEOUT for rank, pod in draft.live.items() if pod in unbound}
    first = min(unbound, key=lambda pod: pod.name, default=None)
    why = f"; {first.name}: {first.scheduling or 'kube-scheduler has not said why'}" if first is not None else ""
    text = f"{len(unbound) + len(missing)} of {len(nodes)} pods not bound after {bind_seconds(draft):.0f} s{why}"
    restart.take_back(draft, Reason.BIND_TIMEOUT, text, avoid)


def timing(draft: Draft, **seconds: float | None) -> None:
    """Write durations of the present episode; a first start has none."""
    given = {name: format_seconds(value) for name, value in seconds.items() if value is not None}
    if given and draft.marks.fault_signalled is not None:
        draft.update(timings=(draft.status.timings or Timings()).model_copy(update=given))
