"""Who is charged for an attempt that ended, and whether the job may try again.

A failure waits for its attribution until a card fault has had its time to show; then it is charged once. Each of the
two budgets counts the restarts inside the window; what cardpool itself caused counts nowhere. Counters only grow.
"""

from __future__ import annotations

from typing import Any

from cardpool.api.jobstatus import RestartTime
from cardpool.faults import episodes
from cardpool.faults.cards import Policy
from cardpool.lifecycle import finishing, times
from cardpool.lifecycle.draft import Draft
from cardpool.names import Attribution, Reason

OWN = frozenset({Attribution.PREEMPTION, Attribution.GROWTH})


def settle(draft: Draft) -> bool:
    """Decide a pending attribution; False while it is still open."""
    fault = draft.status.last_fault
    if fault is None or fault.attribution is not Attribution.PENDING:
        return True
    pool = draft.around.pool
    policy = pool.policy if pool is not None else Policy()
    faults = pool.faults if pool is not None else {}
    ended = times.epoch(fault.time)
    since = ended - policy.debounce - policy.attribution
    found = episodes.explains(draft.job.key, _nodes_of_last(draft, fault.node or ""), faults, since)
    if found is not None and found.confirmed:
        text = f"{fault.message}; card {found.id.card} of node {found.id.node}: {found.message}"
        decided: dict[str, Any] = {"attribution": Attribution.HARDWARE, "message": text[:4000]}
        decided |= {"card": found.id.card, "node": found.id.node}
    elif found is not None:
        draft.again(found.since + policy.debounce)
        return False
    elif draft.now < ended + policy.attribution:
        draft.again(ended + policy.attribution)
        return False
    else:
        decided = {"attribution": Attribution.APPLICATION, "charged": True}
    draft.update(last_fault=fault.model_copy(update=decided))
    account(draft)
    return True


def account(draft: Draft) -> None:
    """See whether the budget or the lack of progress ends the job; count the restart where it does not."""
    fault, status, policy = draft.status.last_fault, draft.status, draft.spec.restart
    if fault is None or fault.attribution in OWN:
        return
    charged = fault.attribution is Attribution.APPLICATION
    entry = RestartTime(time=times.at(draft.now), charged=charged, reason=fault.reason)
    inside = [
        item for item in (*status.restart_times, entry) if draft.now - times.epoch(item.time) <= policy.window_seconds
    ]
    spent = sum(1 for item in inside if item.charged == charged)
    budget = policy.max_restarts if charged else policy.max_fault_restarts
    if spent > budget:
        which = "maxRestarts" if charged else "maxFaultRestarts"
        reason = Reason.RESTARTS_EXHAUSTED if charged else Reason.FAULT_RESTARTS_EXHAUSTED
        finishing.fail(draft, reason, f"{fault.message}; spec.restart.{which} allows {budget} inside the window")
        return
    if charged and (stuck := _no_progress(draft)):
        finishing.fail(draft, Reason.NO_PROGRESS, stuck)
        return
    draft.update(
        restarts=status.restarts + charged,
        fault_restarts=status.fault_restarts + (not charged),
        restart_times=tuple(inside[-100:]),
    )
    if charged:
        wait = min(policy.backoff.cap_seconds, policy.backoff.base_seconds * 2 ** min(30, spent - 1))
        draft.update(retry_after=times.at(draft.now + wait))


def _no_progress(draft: Draft) -> str:
    limit = draft.spec.restart.no_progress_limit
    last = draft.status.history[-limit:]
    steps = {entry.step for entry in last}
    reasons = {entry.reason for entry in last}
    if len(last) < limit or len(steps) != 1 or None in steps or reasons != {Reason.POD_FAILED.value}:
        return ""
    step = next(iter(steps))
    return f"{limit} attempts in a row started from step {step} and failed without a newer checkpoint"


def _nodes_of_last(draft: Draft, first: str) -> list[str]:
    place = draft.status.placement
    nodes = [node for segment in place.segments for node in segment.nodes] if place is not None else []
    return list(dict.fromkeys([*([first] if first else []), *nodes]))
