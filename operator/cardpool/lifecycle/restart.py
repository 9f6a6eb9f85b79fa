"""Ending an attempt: restarted, taken back as if it had not been, or the last of its job.

``attempt``, ``Restarting`` and ``lastFault`` are written together, before the first pod is deleted. The charge follows
once the attribution is decided, and before the next pods are made.
"""

from __future__ import annotations

from dataclasses import dataclass

from cardpool.api.common import format_seconds
from cardpool.api.jobstatus import (
    Excluded,
    HistoryEntry,
    LastFault,
    Marks,
    Timings,
)
from cardpool.domain.world import Exit, PodRecord
from cardpool.lifecycle import charging, finishing, ranks, times
from cardpool.lifecycle.draft import Draft
from cardpool.names import LABEL_RANK, Attribution, Condition, Reason

BIND_BACKOFF_BASE = 5.0
BIND_BACKOFF_CAP = 300.0
SAID_MAX = 250
HISTORY = 10
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
        charging.account(draft)


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


def fail_by(draft: Draft, cause: Cause, message: str) -> None:
    """The job ends by the failure of one rank, which is remembered like that of any attempt."""
    _remember(draft, cause)
    draft.update(last_fault=_fault(draft, cause))
    finishing.fail(draft, cause.reason, message)


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
