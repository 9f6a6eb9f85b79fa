"""Whether a spec can ever run on its pool as things are, and what its user has to know of it.

The first thing that is wrong is told with the field that it stands in. A job whose pods run already is told as well,
and left alone. What is valid but does less than it says is a note on the acceptance, never silence.
"""

from __future__ import annotations

from cardpool.api.trainingjob import StallAction, SubHealth, TrainingJobSpec
from cardpool.lifecycle import membership, mixes, shapes, sizes, unmodelled
from cardpool.lifecycle.draft import Draft
from cardpool.names import NODE_LEVEL, Condition, Reason

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


def accepted(draft: Draft) -> bool:
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
