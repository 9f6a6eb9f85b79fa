"""One TrainingJob, one cycle: a straight list of questions, the first that applies decides.

Level-triggered: everything is read from status and pods as they are now, so a crash, a missed event or a second
replica ends in the same place.
"""

from __future__ import annotations

from cardpool.api.cardpool import DeadNodeAction
from cardpool.api.jobstatus import PlacementState
from cardpool.api.trainingjob import Fencing, StallAction, SubHealth, TrainingJobSpec
from cardpool.domain.world import PodRecord
from cardpool.lifecycle import (
    finishing,
    membership,
    mixes,
    reserving,
    restart,
    running,
    shapes,
    sizes,
    starting,
    times,
    unmodelled,
    waiting,
)
from cardpool.lifecycle.draft import Draft
from cardpool.names import NODE_LEVEL, Condition, Reason


def judge(draft: Draft) -> None:
    """Decide what the job needs now; a gang that wants a place is left in ``draft.gang`` for the planner."""
    if finishing.terminal(draft):
        finishing.finish(draft)
        return
    if not _accepted(draft):
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


def _accepted(draft: Draft) -> bool:
    """Whether the spec can ever run on its pool as things are; says which field is wrong otherwise."""
    board = draft.board
    problem = _problem(draft)
    if problem is None:
        if not board.holds(Condition.ACCEPTED) or board.outdated(Condition.ACCEPTED):
            board.put(Condition.ACCEPTED, True, Reason.ACCEPTED, _notes(draft))
            board.put(Condition.RECONCILING, False, Reason.ACCEPTED, "")
            if board.reason(Condition.STALLED) in _SPEC_REASONS:
                board.drop(Condition.STALLED)
        return True
    reason, message = problem
    if draft.placement is not None or draft.live:
        board.put(Condition.ACCEPTED, False, reason, f"{message}; the pods that run are left alone")
        return draft.around.pool is not None
    if board.put(Condition.ACCEPTED, False, reason, message):
        draft.event(reason, message, warning=True)
    board.put(Condition.STALLED, True, reason, message)
    board.put(Condition.RECONCILING, False, reason, message)
    board.put(Condition.PODS_SCHEDULED, False, reason, message)
    return False


_SPEC_REASONS = frozenset(
    reason.value
    for reason in (
        Reason.INVALID_SPEC,
        Reason.UNKNOWN_POOL,
        Reason.UNKNOWN_PROFILE,
        Reason.UNKNOWN_LEVEL,
        Reason.UNKNOWN_PRIORITY_CLASS,
        Reason.NO_VARIANT,
        Reason.NOT_IMPLEMENTED,
    )
)


def _problem(draft: Draft) -> tuple[Reason, str] | None:
    spec, pool = draft.spec, draft.around.pool
    if pool is None:
        text = f"spec.pool: there is no CardPool {spec.pool}; create it or name another"
        return Reason.UNKNOWN_POOL, text
    wanted = spec.priority_class_name
    if wanted is not None and wanted not in draft.around.priorities:
        text = f"spec.priorityClassName: there is no PriorityClass {wanted}; create it or name another"
        return Reason.UNKNOWN_PRIORITY_CLASS, text
    known = [profile.name for profile in pool.spec.profiles]
    strange = [item.profile for item in spec.accept if item.profile not in known]
    if strange:
        text = f"spec.accept: pool {pool.name} has no profile {', '.join(strange)}; it has {', '.join(known)}"
        return Reason.UNKNOWN_PROFILE, text
    return _level_problem(draft, known) or _template_problem(draft)


def _level_problem(draft: Draft, known: list[str]) -> tuple[Reason, str] | None:
    pool = draft.around.pool
    if pool is None:
        return None
    candidates = [item.profile for item in draft.spec.accept] or known
    named = shapes.levels_named(draft.spec)
    trees = {name: set(membership.tree_of(pool.spec, name).names()) for name in candidates}
    if any(named <= levels for levels in trees.values()):
        return None
    levels = sorted({level for tree in trees.values() for level in tree} - {NODE_LEVEL})
    missing = sorted(named - {level for tree in trees.values() for level in tree}) or sorted(named)
    text = f"spec.topology: pool {pool.name} has no level {', '.join(missing)} for the profiles that the job accepts; "
    return Reason.UNKNOWN_LEVEL, f"{text}it has {', '.join([*levels, NODE_LEVEL])}"


def _template_problem(draft: Draft) -> tuple[Reason, str] | None:
    spec = draft.spec
    for place, group in enumerate(spec.groups):
        where = f"spec.groups[{place}].template"
        try:
            shapes.group_shape(group, "", tolerate_pool=False)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            return Reason.INVALID_SPEC, f"{where}: {type(error).__name__}: {error}"
    return None


def _notes(draft: Draft) -> str:
    beyond, idle = unmodelled.demands(draft.spec), _without_effect(draft.spec)
    notes = []
    if beyond:
        notes.append(f"the planner does not model {', '.join(beyond)}: kube-scheduler may refuse what it plans")
    pool, spec = draft.around.pool, draft.spec
    if pool is not None:
        names = [item.profile for item in spec.accept] or [profile.name for profile in pool.spec.profiles]
        notes += mixes.notes(spec, {name: membership.tree_of(pool.spec, name) for name in names})
    if idle:
        notes.append(f"without effect in this version: {', '.join(idle)}")
    if kept := sizes.kept_because(draft.spec):
        notes.append(kept)
    return "; ".join(notes) or "the job is in order"


def _without_effect(spec: TrainingJobSpec) -> list[str]:
    """Fields that the job sets and nothing reads yet: said aloud, never silently ignored."""
    named = {
        "spec.restart.subHealth": spec.restart.sub_health is not SubHealth.IGNORE,
        "spec.restart.stall": spec.restart.stall.action is not StallAction.REPORT,
    }
    return [name for name, asked in named.items() if asked]


def _settling(draft: Draft) -> bool:
    """After an attempt ended: the old pods have to go and the charge has to be decided before anything new."""
    settled = restart.settle(draft)
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
