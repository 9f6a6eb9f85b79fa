"""One TrainingJob, one cycle: a straight list of questions, the first that applies decides.

Level-triggered: everything is read from status and pods as they are now, so a crash, a missed event or a second
replica ends in the same place.
"""

from __future__ import annotations

from cardpool.api.cardpool import DeadNodeAction
from cardpool.api.jobstatus import PlacementState
from cardpool.api.trainingjob import Fencing
from cardpool.domain.world import PodRecord
from cardpool.lifecycle import (
    acceptance,
    charging,
    finishing,
    reserving,
    restart,
    running,
    starting,
    times,
    waiting,
)
from cardpool.lifecycle.draft import Draft
from cardpool.names import Condition, Reason


def judge(draft: Draft) -> None:
    """Decide what the job needs now; a gang that wants a place is left in ``draft.gang`` for the planner."""
    if finishing.terminal(draft):
        finishing.finish(draft)
        return
    if not acceptance.accepted(draft):
        return
    if draft.spec.suspend:
        finishing.suspend(draft)
        return
    _greet(draft)
    if finishing.too_late(draft) or _settling(draft):
        conclude(draft)
        return
    place = draft.placement
    if place is None:
        _queue(draft)
    elif place.state is PlacementState.RESERVED:
        _reserved(draft)
    elif not running.struck(draft) and starting.binding(draft):
        running.bound(draft)
        running.progress(draft)
    conclude(draft)


def conclude(draft: Draft) -> None:
    """A job that ended in this very cycle begins its clean-up at once."""
    if finishing.terminal(draft):
        draft.gang = None
        draft.pods.clear()
        draft.prerequisites.clear()
        finishing.finish(draft)


def _greet(draft: Draft) -> None:
    board = draft.board
    if board.holds(Condition.SUSPENDED):
        finishing.resume(draft)
    if draft.status.queued_time is None:
        draft.update(queued_time=times.at(draft.now))
    for kind in (Condition.SUCCEEDED, Condition.FINISHED):
        if not board.reason(kind):
            unknown = None if kind is Condition.SUCCEEDED else False
            board.put(kind, unknown, Reason.PENDING, "the job has not ended")
    if not board.reason(Condition.QUOTA_RESERVED):
        board.put(Condition.QUOTA_RESERVED, None, Reason.PENDING, "not judged yet")
    if not board.reason(Condition.RUNNING):
        board.put(Condition.RUNNING, False, Reason.PENDING, "no pods yet")
    if not board.reason(Condition.SUSPENDED):
        board.put(Condition.SUSPENDED, False, Reason.PENDING, "")


def _settling(draft: Draft) -> bool:
    """After an attempt ended: the old pods have to go and the charge has to be decided before anything new."""
    settled = charging.settle(draft)
    if finishing.terminal(draft):
        return True
    if draft.old:
        _remove_old(draft)
        return True
    if draft.marks.fault_signalled is not None and draft.marks.torn_down is None:
        draft.mark(torn_down=draft.now)
        if draft.placement is not None:  # it moved with its next place, whose time begins now
            draft.mark(placed=draft.now)
        gap = times.gap(draft.marks.fault_signalled, draft.marks.torn_down)
        starting.timing(draft, teardown_seconds=gap)
        draft.board.drop(Condition.STALLED)
    if not settled:
        text = "the old pods are gone; a card fault may still explain the exit"
        draft.board.put(Condition.PODS_SCHEDULED, False, Reason.WAITING_FOR_ATTRIBUTION, text)
        return True
    return False


def _remove_old(draft: Draft) -> None:
    for pod in (*draft.old, *draft.resolvers):
        draft.delete(pod)
    text = f"{len(draft.old)} pods of the attempt before are still there"
    if draft.status.retry_after is None:  # else the reason of the attempt that was taken back stays readable
        draft.board.put(Condition.PODS_SCHEDULED, False, Reason.WAITING_FOR_OLD_PODS, text)
    stuck = _stuck_on_dead_node(draft)
    if stuck is None:
        return
    pool, checkpoint = draft.around.pool, draft.spec.checkpoint
    action = pool.spec.faults.dead_node.action if pool is not None else DeadNodeAction.WAIT
    fenced = checkpoint is not None and checkpoint.fencing is not Fencing.NONE
    if action is DeadNodeAction.FORCE_DELETE and fenced:
        draft.delete(stuck, grace=0)
        return
    text = f"pod {stuck.name} cannot be removed from the silent node {stuck.node}; remove the node or the pod by hand"
    if draft.board.put(Condition.STALLED, True, Reason.NODE_LOST, text):
        draft.event(Reason.NODE_LOST, text, warning=True)


def _stuck_on_dead_node(draft: Draft) -> PodRecord | None:
    pool = draft.around.pool
    dead = pool.dead if pool is not None else {}
    return next((pod for pod in draft.old if pod.deleting and pod.node in dead), None)


def _queue(draft: Draft) -> None:
    pool = draft.around.pool
    for pod in draft.resolvers:
        draft.delete(pod)
    if draft.resolvers or pool is None:
        return
    if pool.blocked is not None:
        reason, message = pool.blocked
        if draft.board.put(Condition.PODS_SCHEDULED, False, Reason.POOL_NOT_READY, f"{reason.value}: {message}"):
            draft.event(Reason.POOL_NOT_READY, message, warning=True)
        return
    waiting.ask(draft, priority(draft))


def priority(draft: Draft) -> int:
    """The job's priority in the queue: of its class, else of the default class, else 0."""
    wanted = draft.around.priorities.get(draft.spec.priority_class_name or "")
    if wanted is not None:
        return wanted.value
    defaults = [item.value for item in draft.around.priorities.values() if item.global_default]
    return max(defaults, default=0)


def _reserved(draft: Draft) -> None:
    refused = draft.around.refused
    if refused is not None and refused.attempt == draft.status.attempt:
        reason = Reason.NAME_TAKEN if refused.taken else Reason.POD_REFUSED
        restart.take_back(draft, reason, f"{refused.object}: {refused.message}", {})
        return
    reserving.reserved(draft)
