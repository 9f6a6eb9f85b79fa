"""Which checkpoint the gang starts from: a short pod looks, this module judges its report.

It runs after the old attempt is gone and before the gang takes cards. Nothing found where something was once verified
is never a fresh start.
"""

from __future__ import annotations

from cardpool.api.jobstatus import CheckpointStatus, SkippedCheckpoint
from cardpool.api.trainingjob import OnMissing
from cardpool.checkpoint import report
from cardpool.checkpoint.records import Result
from cardpool.domain.world import Exit, PodRecord
from cardpool.lifecycle import finishing, resolverpod, restart, starting, times
from cardpool.lifecycle.actions import CreateObject
from cardpool.lifecycle.draft import Draft
from cardpool.names import CHECKPOINT_CONTAINER, Condition, Reason

RETRY_VANISHED = 60.0


def needed(draft: Draft) -> bool:
    """True while this execution's checkpoint is not chosen yet."""
    status = draft.status
    chosen = status.checkpoint is not None and status.checkpoint.for_execution == status.execution_attempt
    return draft.spec.checkpoint is not None and not chosen


def go_on(draft: Draft) -> None:
    """Make, await or read the resolver pod of this execution; others go."""
    current = _current(draft)
    for other in draft.resolvers:
        if other is not current:
            draft.delete(other)
    if current is None:
        start(draft)
    elif current.finished or _exit(current) is not None:  # the pod's phase follows its container about a second later
        _resolved(draft, current)
    else:
        _await(draft, current)


def _current(draft: Draft) -> PodRecord | None:
    name = resolverpod.name(draft.job.name, draft.status.attempt, draft.status.execution_attempt)
    return next((item for item in draft.resolvers if item.name == name and not item.deleting), None)


def start(draft: Draft) -> None:
    """Make the resolver pod on the planned node of rank 0."""
    place = draft.placement
    if place is None:
        return
    manifest = resolverpod.manifest(starting.attempt(draft), place.segments[0].nodes[0], draft.around.resolver_image)
    if manifest is None:
        mount = draft.spec.checkpoint.volume_mount if draft.spec.checkpoint is not None else ""
        text = f"spec.checkpoint.volumeMount {mount} is no mount of the card container of the first group"
        finishing.fail(draft, Reason.INVALID_SPEC, text)
        return
    draft.pods.append(CreateObject(manifest, draft.status.attempt))
    text = "the newest complete checkpoint is being looked for"
    draft.board.put(Condition.CHECKPOINT_VERIFIED, None, Reason.RESOLVING_CHECKPOINT, text)
    draft.again(starting.bind_deadline(draft))


def _await(draft: Draft, pod: PodRecord) -> None:
    deadline = starting.bind_deadline(draft) if not pod.node or pod.waiting else None
    if deadline is not None and draft.now >= deadline:
        why = pod.scheduling or pod.waiting or "it did not start"
        restart.take_back(draft, Reason.RESOLVER_FAILED, f"resolver pod {pod.name}: {why}", {})
        return
    draft.again(deadline)
    if pod.scheduling or pod.waiting:
        text = f"resolver pod {pod.name}: {pod.scheduling or pod.waiting}"
        draft.board.put(Condition.CHECKPOINT_VERIFIED, None, Reason.RESOLVING_CHECKPOINT, text)


def _exit(pod: PodRecord) -> Exit | None:
    return next((item for item in pod.exits if item.container == CHECKPOINT_CONTAINER), None)


def _resolved(draft: Draft, pod: PodRecord) -> None:
    ended = _exit(pod)
    draft.delete(pod)
    if ended is None:
        text = f"resolver pod {pod.name} ended without a word: {pod.reason} {pod.message}".strip()
        restart.take_back(draft, Reason.RESOLVER_FAILED, text, {})
        return
    found = report.parse_report(ended.message, ended.code)
    draft.mark(resolved=draft.now)
    starting.timing(draft, resolve_seconds=times.gap(draft.marks.placed, draft.marks.resolved))
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
    starting.make_pods(draft)


def _ever_verified(draft: Draft) -> bool:
    return draft.status.checkpoint is not None and draft.status.checkpoint.step is not None


def _fresh(draft: Draft, reason: Reason, text: str, skipped: tuple[SkippedCheckpoint, ...] = ()) -> None:
    none = CheckpointStatus(time=times.at(draft.now), for_execution=draft.status.execution_attempt, skipped=skipped)
    draft.update(checkpoint=none)
    draft.board.put(Condition.CHECKPOINT_VERIFIED, False, reason, text)
    starting.make_pods(draft)


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
        finishing.fail(draft, Reason.CHECKPOINT_NONE, "no checkpoint was found and spec.checkpoint.onNone is Fail")
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
    finishing.fail(draft, Reason.CHECKPOINT_INVALID, f"{text} and spec.checkpoint.onAllInvalid is Fail")
