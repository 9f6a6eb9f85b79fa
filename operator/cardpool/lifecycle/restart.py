"""Ending an attempt: restart, take back, fail, succeed; who is charged, and when the next try may come.

``attempt``, ``Restarting`` and ``lastFault`` are written together, before the first pod is deleted. The charge follows
once the attribution is decided, and before the next pods are made. Counters only grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cardpool.api.common import format_seconds
from cardpool.api.jobstatus import (
    Excluded,
    HistoryEntry,
    LastFault,
    Marks,
    RestartTime,
    Timings,
)
from cardpool.domain.world import Exit, PodRecord
from cardpool.faults import episodes
from cardpool.faults.cards import Policy
from cardpool.lifecycle import ranks, times
from cardpool.lifecycle.draft import Draft
from cardpool.names import LABEL_RANK, Attribution, Condition, Reason

BIND_BACKOFF_BASE = 5.0
BIND_BACKOFF_CAP = 300.0
SAID_MAX = 250
HISTORY = 10
OWN = frozenset({Attribution.PREEMPTION, Attribution.GROWTH})
MESSAGE_TAIL = 1000


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt ends. ``seen`` is the first signal's moment in epoch seconds; ``pod`` the one it began with."""

    reason: Reason
    message: str
    attribution: Attribution
    seen: float
    node: str = ""
    card: str = ""
    pod: PodRecord | None = None
    exit: Exit | None = None


def restart(draft: Draft, cause: Cause) -> None:
    """Take the whole gang down and let it come back: one restart for one episode."""
    status = draft.status
    _remember(draft, cause)
    draft.update(
        attempt=status.attempt + 1,
        execution_attempt=status.execution_attempt + 1,
        last_fault=_fault(draft, cause),
        marks=Marks(fault_seen=times.at(min(cause.seen, draft.now)), fault_signalled=times.at(draft.now)),
        timings=Timings(detect_seconds=format_seconds(draft.now - cause.seen)),
        retry_after=None,
        ready="",
    )
    draft.board.put(Condition.RESTARTING, True, cause.reason, cause.message)
    draft.board.put(Condition.RECONCILING, True, cause.reason, "the gang is being restarted")
    draft.board.put(Condition.RUNNING, False, cause.reason, cause.message)
    draft.board.put(Condition.PODS_SCHEDULED, False, Reason.WAITING_FOR_OLD_PODS, "the old pods are being removed")
    warning = cause.attribution is not Attribution.GROWTH
    draft.event(cause.reason, f"attempt {status.attempt} ends: {cause.message}", warning=warning)
    _take_down(draft)
    if cause.attribution is not Attribution.PENDING:
        _account(draft)


def take_back(
    draft: Draft, reason: Reason, message: str, avoid: dict[str, Reason], *, said: str = "", brief: bool = False
) -> None:
    """Undo an attempt that never ran as a whole: no charge, the nodes in ``avoid`` are left out for a while.

    That is for some tries, or ``brief``: for the next one. ``said`` are kube-scheduler's words on the last of them.
    """
    status = draft.status
    failures = status.bind_failures + 1
    wait = min(BIND_BACKOFF_CAP, BIND_BACKOFF_BASE * 2 ** (failures - 1))
    until = times.at(draft.now + (wait + BIND_BACKOFF_BASE if brief else 4 * wait))
    excluded = {item.node: item for item in status.excluded}
    last = next(reversed(avoid), "")
    for node, why in avoid.items():
        excluded.pop(node, None)
        words = said[:SAID_MAX] or None if node == last else None
        excluded[node] = Excluded(node=node, until=until, reason=why.value, message=words)
    draft.update(
        attempt=status.attempt + 1,
        execution_attempt=status.execution_attempt + 1,
        bind_failures=failures,
        retry_after=times.at(draft.now + wait),
        excluded=tuple(list(excluded.values())[-256:]),
        ready="",
    )
    text = f"{message}; the whole attempt was taken back, next try in {wait:.0f} s"
    draft.board.put(Condition.PODS_SCHEDULED, False, reason, text)
    draft.event(reason, text, warning=True)
    _take_down(draft)


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
    _account(draft)
    return True


def fail_by(draft: Draft, cause: Cause, message: str) -> None:
    """The job ends by the failure of one rank, which is remembered like that of any attempt."""
    _remember(draft, cause)
    draft.update(last_fault=_fault(draft, cause))
    fail(draft, cause.reason, message)


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


def _take_down(draft: Draft) -> None:
    for pod in (*draft.live.values(), *draft.old, *draft.resolvers):
        draft.delete(pod)


def _fault(draft: Draft, cause: Cause) -> LastFault:
    pod = cause.pod
    rank = int(pod.labels.get(LABEL_RANK, "0")) if pod is not None else None
    return LastFault(
        card=cause.card or None,
        node=cause.node or None,
        rank=rank,
        reason=cause.reason.value,
        attribution=cause.attribution,
        charged=False,
        exit_code=cause.exit.code if cause.exit is not None else None,
        message=cause.message[:4000],
        time=times.at(draft.now),
        episode=f"{cause.reason.value}/{cause.node}/{cause.card}/{int(cause.seen)}",
    )


def _remember(draft: Draft, cause: Cause) -> None:
    status, pod = draft.status, cause.pod
    tail = cause.exit.message[-MESSAGE_TAIL:] if cause.exit is not None and cause.exit.message else None
    entry = HistoryEntry(
        attempt=status.attempt,
        execution_attempt=status.execution_attempt,
        start_time=draft.marks.running or draft.marks.placed,
        end_time=times.at(draft.now),
        reason=cause.reason.value,
        profile=draft.profile or None,
        exit_code=cause.exit.code if cause.exit is not None else None,
        rank=int(pod.labels.get(LABEL_RANK, "0")) if pod is not None else None,
        node=cause.node or None,
        message=tail,
        step=status.checkpoint.step if status.checkpoint is not None else None,
    )
    draft.update(history=(*status.history, entry)[-HISTORY:])


def _account(draft: Draft) -> None:
    """See whether the budget or the lack of progress ends the job; count the restart where it does not.

    What cardpool itself caused counts nowhere.
    """
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
        fail(draft, reason, f"{fault.message}; spec.restart.{which} allows {budget} inside the window")
        return
    if charged and (stuck := _no_progress(draft)):
        fail(draft, Reason.NO_PROGRESS, stuck)
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


def previous_nodes(draft: Draft) -> dict[tuple[str, int], str]:
    """Group and index to node of the attempt before, ranks that succeeded left out."""
    place = draft.status.placement
    if place is None:
        return {}
    done = ranks.parse(draft.status.succeeded_ranks)
    pods = [
        ((segment.group, segment.from_index + at), node)
        for segment in place.segments
        for at, node in enumerate(segment.nodes)
    ]
    return {pod: node for rank, (pod, node) in enumerate(pods) if rank not in done}
