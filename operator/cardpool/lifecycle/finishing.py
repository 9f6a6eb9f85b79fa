"""The ends of a job: failed or succeeded once and for good, suspended, cleaned up, expired.

``Succeeded`` tells the outcome at once, ``Finished`` follows when the pods that the clean-up takes are gone, and
``Suspended`` is True only when the last pod is gone.
"""

from __future__ import annotations

from cardpool.api import common
from cardpool.api.trainingjob import CleanPodPolicy
from cardpool.domain.world import JobRecord, World
from cardpool.lifecycle import times
from cardpool.lifecycle.actions import Step
from cardpool.lifecycle.draft import Draft
from cardpool.names import OPERATOR, Condition, Kind, Reason


def terminal(draft: Draft) -> bool:
    """True once the outcome is known: nothing brings the job back."""
    return draft.status.completion_time is not None


def fail(draft: Draft, reason: Reason, message: str) -> None:
    """The job ends without success; a terminal state stays."""
    draft.update(completion_time=times.at(draft.now), retry_after=None)
    draft.board.put(Condition.SUCCEEDED, False, reason, message)
    draft.board.put(Condition.STALLED, True, reason, message)
    _end(draft, reason, message)
    draft.event(reason, message, warning=True)


def succeed(draft: Draft, message: str) -> None:
    """The job has done its work."""
    draft.update(completion_time=times.at(draft.now), retry_after=None)
    draft.board.put(Condition.SUCCEEDED, True, Reason.SUCCEEDED, message)
    draft.board.drop(Condition.STALLED)
    _end(draft, Reason.SUCCEEDED, message)
    draft.event(Reason.SUCCEEDED, message)


def _end(draft: Draft, reason: Reason, message: str) -> None:
    for kind in (Condition.RUNNING, Condition.RESTARTING, Condition.RECONCILING):
        if draft.board.reason(kind):
            draft.board.put(kind, False, reason, message)
    draft.board.put(Condition.FINISHED, False, Reason.WAITING_FOR_CLEANUP, "pods are being removed")


def finish(draft: Draft) -> None:
    """Clean up as declared, then say Finished, then wait for the TTL."""
    policy = _clean_policy(draft)
    staying = []
    for pod in (*draft.live.values(), *draft.old):
        takes = policy == CleanPodPolicy.ALL or (policy == CleanPodPolicy.RUNNING and not pod.finished)
        if takes:
            draft.delete(pod)
            staying.append(pod)
    for pod in draft.resolvers:
        draft.delete(pod)
        staying.append(pod)
    if staying:
        text = f"{len(staying)} pods are being removed"
        draft.board.put(Condition.FINISHED, False, Reason.WAITING_FOR_CLEANUP, text)
        return
    if not draft.board.holds(Condition.FINISHED):
        good = draft.board.holds(Condition.SUCCEEDED)
        reason = Reason(draft.board.reason(Condition.SUCCEEDED) or Reason.FAILED)
        draft.board.put(Condition.FINISHED, True, reason, f"the job {'succeeded' if good else 'failed'}")
    _expire(draft)


def _clean_policy(draft: Draft) -> str:
    pool = draft.around.pool
    retention = pool.spec.retention if pool is not None else None
    if retention is not None and retention.pods is not None:
        return retention.pods.value
    return draft.spec.clean_pod_policy.value


def _expire(draft: Draft) -> None:
    pool = draft.around.pool
    ttl = draft.spec.ttl_seconds_after_finished
    kept = pool.spec.retention if pool is not None else None
    if ttl is None and kept is not None:
        ttl = kept.finished_jobs_seconds
    counted = kept is not None and kept.finished_jobs_per_namespace is not None
    if ttl is None:
        draft.update(settled=not counted)
        return
    due = times.epoch(draft.status.completion_time) + ttl
    if draft.now >= due:
        draft.delete_self = True
    else:
        draft.again(due)


def reopen(world: World) -> list[Step]:
    """Take back the word settled of jobs that were given a TTL after it: they are open again, and expire as any."""
    return [
        Step(
            Kind.JOB,
            job.key,
            job.uid,
            job.resource_version,
            status=common.to_wire(job.status.model_copy(update={"settled": False})),
        )
        for job in world.late.values()
        if not job.deleting and _ours(job) and not _seen(world, job)
    ]


def _ours(job: JobRecord) -> bool:
    return job.spec is not None and job.spec.managed_by == OPERATOR


def _seen(world: World, job: JobRecord) -> bool:
    """Whether the job is back among the open ones already; the watch that named it late has yet to say so."""
    held = world.jobs.get(job.key)
    return held is not None and held.uid == job.uid


def suspend(draft: Draft) -> None:
    """Take every pod away; the attempt stays, so a resume is no restart."""
    if draft.board.holds(Condition.SUSPENDED):
        return
    remaining = [*draft.live.values(), *draft.old, *draft.resolvers]
    for pod in remaining:
        draft.delete(pod)
    if remaining:
        text = f"{len(remaining)} pods are being removed"
        draft.board.put(Condition.SUSPENDED, False, Reason.SUSPENDED, text)
        draft.board.put(Condition.RUNNING, False, Reason.SUSPENDED, text)
        return
    draft.update(placement=None, ready="", retry_after=None, queued_time=None, start_time=None)
    text = "spec.suspend is true"
    draft.board.put(Condition.SUSPENDED, True, Reason.SUSPENDED, text)
    draft.board.put(Condition.RUNNING, False, Reason.SUSPENDED, text)
    draft.board.put(Condition.PODS_SCHEDULED, False, Reason.SUSPENDED, text)
    if draft.board.reason(Condition.RESTARTING):
        draft.board.put(Condition.RESTARTING, False, Reason.SUSPENDED, text)
    draft.board.put(Condition.RECONCILING, False, Reason.SUSPENDED, text)
    draft.event(Reason.SUSPENDED, text)


def resume(draft: Draft) -> None:
    """Queue again: the execution count grows, the attempt does not."""
    draft.update(execution_attempt=draft.status.execution_attempt + 1, queued_time=times.at(draft.now), marks=None)
    draft.board.put(Condition.SUSPENDED, False, Reason.RESUMED, "")
    draft.event(Reason.RESUMED, "spec.suspend is false")


def too_late(draft: Draft) -> bool:
    """End the job where one of its own deadlines has passed; True where it did."""
    limits = draft.spec.deadlines
    started, queued = times.epoch(draft.status.start_time), times.epoch(draft.status.queued_time)
    if limits.active_seconds is not None and started:
        if draft.now >= started + limits.active_seconds:
            text = f"spec.deadlines.activeSeconds ({limits.active_seconds} s) have passed since the first start"
            fail(draft, Reason.DEADLINE_EXCEEDED, text)
            return True
        draft.again(started + limits.active_seconds)
    if limits.pending_seconds is not None and queued and not started and draft.placement is None:
        if draft.now >= queued + limits.pending_seconds:
            text = f"spec.deadlines.pendingSeconds ({limits.pending_seconds} s) have passed in the queue"
            fail(draft, Reason.DEADLINE_EXCEEDED, text)
            return True
        draft.again(queued + limits.pending_seconds)
    return False
