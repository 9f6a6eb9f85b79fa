"""One job while a cycle judges it: what is known, what will be written, and nothing written yet.

Everything accumulates here and leaves once as a Step, so that a job's status is written once a cycle and always
belongs to one decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cardpool.api import common
from cardpool.api.cardpool import CardPoolSpec
from cardpool.api.jobstatus import Marks, Placement, TrainingJobStatus
from cardpool.api.trainingjob import TrainingJobSpec
from cardpool.domain.cards import CardFault
from cardpool.domain.gangs import Gang
from cardpool.domain.teams import DEFAULT_TEAM
from cardpool.domain.world import JobRecord, PodRecord, PriorityClassRecord, Refused, World
from cardpool.faults.cards import Policy
from cardpool.faults.signals import NodeFacts
from cardpool.lifecycle import ranks, times
from cardpool.lifecycle.actions import CreateObject, DeletePod, Event, Step
from cardpool.lifecycle.conditions import Board
from cardpool.lifecycle.membership import Member
from cardpool.names import (
    LABEL_ATTEMPT,
    LABEL_EXECUTION,
    LABEL_RANK,
    LABEL_ROLE,
    ROLE_RESOLVER,
    Condition,
    Kind,
    Reason,
)
from cardpool.names import Phase as PhaseName

QUIET_FIELDS = frozenset({"ready", "conditions", "progress", "queue"})


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool as its jobs see it. ``blocked`` says why no pod may be made (reason and message), else None.

    ``runtimes`` are learned run times by kind of job, in seconds.
    """

    name: str
    spec: CardPoolSpec
    policy: Policy
    members: Mapping[str, Member]
    usable: frozenset[str]
    faults: Mapping[str, Mapping[str, CardFault]]
    facts: Mapping[str, NodeFacts]
    dead: Mapping[str, float]
    blocked: tuple[Reason, str] | None = None
    teams: Mapping[str, str] = field(default_factory=dict)
    runtimes: Mapping[str, float] = field(default_factory=dict)

    def resources(self, node: str) -> str:
        """Under which name the node offers its cards; empty where it is no node of a pool any more."""
        return self.members[node].resource if node in self.members else ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a job is judged against."""

    world: World
    pool: PoolView | None
    priorities: Mapping[str, PriorityClassRecord]
    resolver_image: str
    refused: Refused | None = None
    status_seconds: float = 2.0


@dataclass(slots=True)
class Draft:
    """The job, its pods sorted by what they are, and what will be written of it."""

    job: JobRecord
    spec: TrainingJobSpec
    around: Surroundings
    board: Board
    status: TrainingJobStatus
    live: dict[int, PodRecord] = field(default_factory=dict)
    old: list[PodRecord] = field(default_factory=list)
    resolvers: list[PodRecord] = field(default_factory=list)
    deletions: dict[str, DeletePod] = field(default_factory=dict)
    prerequisites: list[CreateObject] = field(default_factory=list)
    pods: list[CreateObject] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    gang: Gang | None = None
    delete_self: bool = False
    wake: float | None = None

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.around.world.now

    @property
    def marks(self) -> Marks:
        """The points in time of the present episode."""
        return self.status.marks or Marks()

    @property
    def placement(self) -> Placement | None:
        """The placement of the present attempt; one of an earlier attempt is only a memory."""
        place = self.status.placement
        same = (
            place is not None
            and place.attempt == self.status.attempt
            and place.execution_attempt == self.status.execution_attempt
        )
        return place if same else None

    @property
    def team(self) -> str:
        """The team of the job's namespace."""
        pool = self.around.pool
        return pool.teams.get(self.job.namespace, DEFAULT_TEAM) if pool is not None else DEFAULT_TEAM

    @property
    def profile(self) -> str:
        """Profile of the present placement, empty without one."""
        place = self.placement
        return (place.segments[0].profile or "") if place is not None and place.segments else ""

    @property
    def succeeded(self) -> frozenset[int]:
        """Ranks that have done their work."""
        return ranks.parse(self.status.succeeded_ranks)

    def update(self, **fields: Any) -> None:
        """Replace status fields."""
        self.status = self.status.model_copy(update=fields)

    def mark(self, **moments: float) -> None:
        """Write points in time of the episode."""
        given = {name: times.at(moment) for name, moment in moments.items()}
        self.update(marks=self.marks.model_copy(update=given))

    def event(self, reason: Reason, message: str, *, warning: bool = False) -> None:
        """Tell people of one transition."""
        self.events.append(Event(reason, message[:1000], warning=warning))

    def again(self, moment: float | None) -> None:
        """Look at this job again at that moment (epoch seconds)."""
        self.wake = times.earliest(self.wake, moment)

    def delete(self, pod: PodRecord, grace: int | None = None) -> None:
        """Take one pod away, unless it is already going (a grace of 0 insists)."""
        if not pod.deleting or grace == 0:
            self.deletions[pod.uid] = DeletePod(pod.namespace, pod.name, pod.uid, grace)

    def step(self) -> Step | None:
        """Everything as one step, or None where nothing is to be written."""
        if self.status.queue is not None and (self.gang is None or self.placement is not None):
            self.update(queue=None)
        self.update(conditions=self.board.result(), observed_generation=self.job.generation, phase=_phase(self))
        changed = {
            name
            for name in TrainingJobStatus.model_fields
            if getattr(self.status, name) != getattr(self.job.status, name)
        }
        idle = not (self.deletions or self.prerequisites or self.pods or self.delete_self)
        if not changed and idle:
            return None
        quiet = idle and changed <= QUIET_FIELDS and not self.events and not _turned(self)
        return Step(
            kind=Kind.JOB,
            key=self.job.key,
            uid=self.job.uid,
            resource_version=self.job.resource_version,
            status=common.to_wire(self.status) if changed else None,
            urgent=not quiet,
            deletions=tuple(self.deletions.values()),
            prerequisites=tuple(self.prerequisites),
            pods=tuple(self.pods),
            events=tuple(self.events),
            delete_self=self.delete_self,
        )


def open_draft(job: JobRecord, spec: TrainingJobSpec, around: Surroundings, pods: tuple[PodRecord, ...]) -> Draft:
    """The job with its pods sorted: of the present attempt by rank, older ones, resolvers."""
    draft = Draft(
        job=job,
        spec=spec,
        around=around,
        board=Board(job.status.conditions, job.generation, around.world.now),
        status=job.status,
    )
    present = (str(job.status.attempt), str(job.status.execution_attempt))
    for pod in pods:
        if pod.labels.get(LABEL_ROLE) == ROLE_RESOLVER:
            draft.resolvers.append(pod)
        elif (pod.labels.get(LABEL_ATTEMPT), pod.labels.get(LABEL_EXECUTION)) == present:
            draft.live[int(pod.labels.get(LABEL_RANK, "-1"))] = pod
        else:
            draft.old.append(pod)
    return draft


def _turned(draft: Draft) -> bool:
    """True where a condition's status or reason moved; a new message alone may wait."""
    before = {item.type: (item.status, item.reason) for item in draft.job.status.conditions}
    return before != {item.type: (item.status, item.reason) for item in draft.status.conditions}


def _phase(draft: Draft) -> PhaseName:
    board, status = draft.board, draft.status
    if board.reason(Condition.SUCCEEDED) and status.completion_time is not None:
        return PhaseName.SUCCEEDED if board.holds(Condition.SUCCEEDED) else PhaseName.FAILED
    if board.holds(Condition.SUSPENDED):
        return PhaseName.SUSPENDED
    if board.holds(Condition.RESTARTING):
        return PhaseName.RESTARTING
    if board.holds(Condition.RUNNING):
        return PhaseName.RUNNING
    place = draft.placement
    if place is None:
        return PhaseName.QUEUED
    return PhaseName.RESERVED if place.state == "Reserved" else PhaseName.STARTING
