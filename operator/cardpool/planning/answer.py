"""The plan as it is told: a decision for each job, and what it costs others.

Made from the study of a world at rest. The order of jobs is that in which room is given: who holds it, who is asked
in the queue's order, who waits for something else, who is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Protocol

from cardpool.domain import gangs
from cardpool.domain.gangs import Placement, PlanResult, Refusal
from cardpool.domain.world import JobRecord
from cardpool.lifecycle import conditions, ranks, times
from cardpool.lifecycle.draft import Draft
from cardpool.lifecycle.membership import Membership
from cardpool.names import OPERATOR, Condition, Reason
from cardpool.planning.patience import Rest


class Decision(StrEnum):
    """What becomes of a job in this cycle."""

    PLACE = "Place"
    KEEP = "Keep"
    PREEMPT = "Preempt"
    WAIT = "Wait"
    REJECT = "Reject"


@dataclass(frozen=True, slots=True)
class Seat:
    """One pod and its node."""

    group: str
    index: int
    rank: int
    node: str
    profile: str


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """One job's decision; ``position`` counts those that wait in a pool's queue (0: not asked)."""

    namespace: str
    name: str
    decision: Decision
    pods: tuple[Seat, ...] = ()
    reason: str = ""
    message: str = ""
    position: int = 0

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Eviction:
    """A running gang that has to go, whole, and for whom (``namespace/name``)."""

    namespace: str
    name: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """Nodes held for a gang that waits; the start is in RFC 3339, empty where nothing is known."""

    namespace: str
    name: str
    nodes: tuple[str, ...]
    expected_start: str


@dataclass(frozen=True, slots=True)
class Move:
    """A running gang that would restart elsewhere, whole: its nodes by rank before and after, and for whom.

    ``lost`` are card-seconds since its newest proved checkpoint, which it has where ``saved``, else since its start.
    """

    namespace: str
    name: str
    by: str
    pool: str
    cards: int
    before: tuple[str, ...]
    after: tuple[str, ...]
    lost: int
    saved: bool


@dataclass(frozen=True, slots=True)
class Room:
    """Whether room can be made for what was asked: ``nodes`` are those that it would have, none where it cannot.

    ``moves`` counts the gangs that have to move for it; ``lost`` is what that costs in card-seconds.
    """

    asked: str
    possible: bool
    message: str
    pool: str = ""
    profile: str = ""
    nodes: tuple[str, ...] = ()
    moves: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class PoolCards:
    """A pool's cards before anything of this plan is placed."""

    name: str
    total: int
    healthy: int
    free: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One planning cycle; ``homes`` names the supernode of each node of a pool.

    ``moves`` make room: for those who wait where a pool's policy says so, and for each of ``rooms`` that was asked for.
    """

    jobs: tuple[JobAnswer, ...]
    evictions: tuple[Eviction, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    pools: tuple[PoolCards, ...] = ()
    homes: Mapping[str, str] = field(default_factory=dict)
    moves: tuple[Move, ...] = ()
    rooms: tuple[Room, ...] = ()


class _Segment(Protocol):
    """A run of pods, in the planner's answer or in a status."""

    @property
    def group(self) -> str: ...
    @property
    def from_index(self) -> int: ...
    @property
    def profile(self) -> str | None: ...
    @property
    def nodes(self) -> tuple[str, ...]: ...


# Where the planner's own reasons mean that the spec cannot be met as it is written: the field at fault.
_REJECTED: Final[Mapping[str, str]] = {
    Reason.UNKNOWN_PROFILE: "spec.accept",
    Reason.UNKNOWN_LEVEL: "spec.topology",
    Reason.INVALID_SPEC: "spec.topology.blocks",
    Reason.NO_VARIANT: "spec.groups[].variants",
    Reason.NOT_IMPLEMENTED: "spec",
}


def answers(rest: Rest, ended: frozenset[str]) -> Plan:
    """The plan; ``ended`` are the jobs that had ended before and are not told of."""
    study, world = rest.study, rest.world
    results = [result for _, result in sorted(study.answers.items())]
    placements = {item.gang: item for result in results for item in result.placements}
    preempting = {item.gang: item for result in results for item in result.preempting}
    refusals = {item.gang: _in_full(item, result) for result in results for item in result.refusals}
    changes = {item.gang: (Reason.GROWING, item.message) for result in results for item in result.growing}
    shrinking = (item for result in results for item in result.evictions if item.size is not None)
    changes |= {item.gang: (item.reason, item.message) for item in shrinking}
    told: dict[str, JobAnswer] = {}
    for key, job in sorted(world.jobs.items()):
        if job.deleting or key in ended:
            continue
        draft = study.drafts.get(key)
        if draft is None or job.spec is None:
            told[key] = _unjudged(job)
        elif key in placements:
            told[key] = _placed(draft, placements[key], rest)
        elif key in preempting:
            told[key] = _preempts(draft, preempting[key], refusals.get(key), study.place)
        elif key in refusals:
            told[key] = _refused(draft, refusals[key])
        else:
            told[key] = _standing(draft, study.place)
            if key in changes and told[key].decision is Decision.KEEP:
                reason, message = changes[key]
                told[key] = replace(told[key], reason=reason.value, message=message)
    evictions = tuple(
        Eviction(*_names(item.gang), item.reason.value, item.by) for result in results for item in result.evictions
    )
    reservations = tuple(
        Reservation(*_names(item.gang), item.nodes, _time(item.start))
        for result in results
        for item in result.reservations
    )
    pools = tuple(
        PoolCards(name, total.counts["total"], total.counts["healthy"], total.counts["free"])
        for name, total in sorted(study.totals.items())
    )
    moves = tuple(
        _moved(item, study.drafts[item.gang])
        for result in results
        for item in result.moves
        if item.gang in study.drafts
    )
    homes = {name: member.supernode for name, member in study.place.members.items()}
    queue = dict.fromkeys((*placements, *refusals))
    asked = [told.pop(key) for key in queue if key in told]
    return Plan(tuple(in_order([*asked, *told.values()])), evictions, reservations, pools, homes, moves)


def _moved(item: gangs.Move, draft: Draft) -> Move:
    """A move that the pool's policy would make; where nobody waits, for what room is kept."""
    place, checkpoint = draft.placement, draft.status.checkpoint
    before = tuple(node for segment in place.segments for node in segment.nodes) if place is not None else ()
    cards = sum(
        ranks.cards_per_pod(group, draft.profile) * ranks.replicas(group, draft.profile) for group in draft.spec.groups
    )
    saved = checkpoint is not None and bool(checkpoint.path)
    namespace, name = _names(item.gang)
    by = item.by or "spec.queue.defragmentation.gang"
    return Move(namespace, name, by, draft.spec.pool, cards, before, item.placement.nodes(), item.lost, saved)


def _in_full(refusal: Refusal, result: PlanResult) -> Refusal:
    """The refusal with what would free the gang; its place in the queue is told beside."""
    advice = result.advice.of(refusal.gang) if result.advice is not None else ""
    return replace(refusal, message=f"{refusal.message}; {advice}") if advice else refusal


def in_order(told: Iterable[JobAnswer]) -> list[JobAnswer]:
    """Who runs first and who is refused last; in between those with a place, the queue, and who is not in it."""

    def order(item: JobAnswer) -> int:
        if item.decision is Decision.WAIT and not item.position:
            return 3
        return {Decision.KEEP: 0, Decision.PLACE: 1, Decision.REJECT: 4}.get(item.decision, 2)

    return sorted(told, key=order)


def _unjudged(job: JobRecord) -> JobAnswer:
    """A job that does not parse, or that somebody else runs."""
    if job.spec is None:
        return JobAnswer(job.namespace, job.name, Decision.REJECT, (), Reason.INVALID_SPEC, job.invalid)
    text = f"spec.managedBy is {job.spec.managed_by}, not {OPERATOR}: cardpool leaves the job alone"
    return JobAnswer(job.namespace, job.name, Decision.WAIT, (), Reason.MANAGED_ELSEWHERE, text)


def _placed(draft: Draft, placement: Placement, rest: Rest) -> JobAnswer:
    job, fault = draft.job, draft.status.last_fault
    reason = message = ""
    if job.key in rest.struck:
        reason = fault.reason if fault is not None else Reason.EXCLUDED.value
        message = f"starts again: {fault.message}" if fault is not None else "starts again on other nodes"
    pods = tuple(_seats(placement.segments, rest.study.place))
    return JobAnswer(job.namespace, job.name, Decision.PLACE, pods, reason, message)


def _preempts(draft: Draft, placement: Placement, refusal: Refusal | None, place: Membership) -> JobAnswer:
    """The places that the job gets once the evictions are done."""
    reason, message, position = Reason.WAITING_FOR_PREEMPTION.value, "", 0
    if refusal is not None:
        reason, message, position = refusal.reason.value, refusal.message, refusal.position
    pods = tuple(_seats(placement.segments, place))
    return JobAnswer(draft.job.namespace, draft.job.name, Decision.PREEMPT, pods, reason, message, position)


def _refused(draft: Draft, refusal: Refusal) -> JobAnswer:
    job = draft.job
    field_ = _REJECTED.get(refusal.reason)
    if field_ is not None:
        return JobAnswer(
            job.namespace, job.name, Decision.REJECT, (), refusal.reason.value, f"{field_}: {refusal.message}"
        )
    return JobAnswer(
        job.namespace, job.name, Decision.WAIT, (), refusal.reason.value, refusal.message, refusal.position
    )


def _standing(draft: Draft, place: Membership) -> JobAnswer:
    """A job that the planner was not asked for: it runs, is refused, or waits for something of its own."""
    job, board = draft.job, draft.board.result()
    if draft.status.completion_time is not None:
        return _said(job, board, Condition.SUCCEEDED, Decision.WAIT)
    if draft.placement is not None:
        return JobAnswer(job.namespace, job.name, Decision.KEEP, tuple(_seats(draft.placement.segments, place)))
    if draft.board.reason(Condition.ACCEPTED) and not draft.board.holds(Condition.ACCEPTED):
        return _said(job, board, Condition.ACCEPTED, Decision.REJECT)
    reason = draft.board.reason(Condition.PODS_SCHEDULED)
    told = _said(job, board, Condition.PODS_SCHEDULED, Decision.REJECT if reason in _REJECTED else Decision.WAIT)
    if told.decision is Decision.REJECT:
        text = f"{_REJECTED[reason]}: {told.message}"
        return JobAnswer(told.namespace, told.name, told.decision, (), told.reason, text)
    return told


def _said(job: JobRecord, board: Iterable[Any], kind: Condition, decision: Decision) -> JobAnswer:
    condition = conditions.find(board, kind)
    reason, message = (condition.reason, condition.message) if condition is not None else (Reason.PENDING.value, "")
    return JobAnswer(job.namespace, job.name, decision, (), reason, message)


def _names(key: str) -> tuple[str, str]:
    namespace, _, name = key.rpartition("/")
    return namespace, name


def _time(epoch: float | None) -> str:
    return times.at(epoch).strftime("%Y-%m-%dT%H:%M:%SZ") if epoch is not None else ""


def _seats(segments: Iterable[_Segment], place: Membership) -> Iterator[Seat]:
    """Every pod in rank order; a status that names no profile is told by the node."""
    rank = 0
    for segment in segments:
        for at, node in enumerate(segment.nodes):
            profile = segment.profile or (place.members[node].profile if node in place.members else "")
            yield Seat(segment.group, segment.from_index + at, rank, node, profile)
            rank += 1
