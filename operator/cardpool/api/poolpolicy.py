"""The rules of a CardPool: teams and quotas, the queue, faults, spares, what is kept of finished jobs.

Defaults are the documented ones; spares, retention and quotas that are absent are none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from cardpool.api import common


class Quota(common.SpecModel):
    """Limit for one profile, in cards or in percent-cards of compute."""

    profile: Annotated[str, Field(pattern=r"^(\*|[a-z0-9]([-.a-z0-9]*[a-z0-9])?)$", min_length=1, max_length=63)] = (
        Field(description="Profile, or * for all together.")
    )
    cards: common.BigCount | None = Field(default=None, description="Cards of this profile.")
    compute: common.BigCount | None = Field(
        default=None, description="Percent-cards: cards times the profile's computePercent."
    )
    borrow: common.BigCount | None = Field(
        default=None, description="How much may be borrowed from other teams. Absent: no limit."
    )
    lend: common.BigCount | None = Field(
        default=None, description="How much may be lent to other teams. Absent: no limit."
    )


class Team(common.SpecModel):
    """Namespaces that share a quota and a weight."""

    name: common.Name = Field(description="Name of the team; default is the team of all other namespaces.")
    namespaces: Annotated[tuple[common.Name, ...], common.atomic(most=256, doc="Namespaces of the team.")] = ()
    namespace_selector: common.LabelSelector | None = Field(
        default=None, description="Namespaces of the team by their labels."
    )
    weight: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=1, description="Share of the pool, relative to the other teams. Absent: 1."
    )
    quota: Annotated[
        tuple[Quota, ...], common.keyed("profile", most=33, doc="Limits by profile. Absent: no limit.")
    ] = ()


class Strategy(StrEnum):
    """What may start while the head of the queue waits."""

    STRICT = "Strict"
    BEST_EFFORT = "BestEffort"
    BACKFILL = "Backfill"


class WithinTeam(StrEnum):
    """Whose jobs of the same team may be preempted."""

    NEVER = "Never"
    LOWER_PRIORITY = "LowerPriority"


class ReclaimBorrowed(StrEnum):
    """Whose jobs of teams that borrow may be preempted."""

    NEVER = "Never"
    LOWER_PRIORITY = "LowerPriority"
    ANY = "Any"


class Preemption(common.SpecModel):
    """Which running gangs may be taken down for a waiting one, always as a whole."""

    within_team: WithinTeam = Field(default=WithinTeam.NEVER, description="Jobs of the same team.")
    reclaim_borrowed: ReclaimBorrowed = Field(
        default=ReclaimBorrowed.NEVER, description="Jobs of other teams that run on borrowed quota."
    )
    min_runtime_seconds: common.Count = Field(
        default=0, description="A gang that has run for less is not preempted. Absent: no such protection."
    )


class KeptGang(common.SpecModel):
    """A gang for which room is kept together though none waits for it."""

    pods: common.Positive = Field(description="Pods.")
    cards_per_pod: common.Positive = Field(description="Cards of each pod.")
    profile: common.ProfileName | None = Field(default=None, description="Profile. Absent: the pool's first.")
    level: common.LevelName | None = Field(
        default=None, description="Level of which one domain holds the gang. Absent: it may spread."
    )


class Defragmentation(common.SpecModel):
    """Running gangs are restarted elsewhere, whole, where enough cards are free for a gang but not together."""

    max_moves_per_hour: Annotated[int, Field(strict=True, ge=0, le=60)] = Field(
        default=4, description="Moves inside an hour; a gang that moved is left alone for an hour. 0: nobody moves."
    )
    max_lost_card_seconds: common.BigCount | None = Field(
        default=None,
        description="What one move may cost, in card-seconds since the gang's proved checkpoint or its start. Absent: "
        "any number, but only gangs with a proved checkpoint move.",
    )
    after_seconds: common.Count = Field(default=60, description="How long a gang waits before others move for it.")
    gang: KeptGang | None = Field(
        default=None, description="Keep room for such a gang while nobody waits. Absent: only who waits counts."
    )


class Elastic(common.SpecModel):
    """When a running gang with fewer pods than it wants is restarted to have more."""

    grow_after_seconds: common.Positive = Field(
        default=600, description="Only after so long a run; also taken as what a restart costs the gang."
    )
    min_gain_percent: common.Positive = Field(default=10, description="Only for so many more pods, in percent.")


class Queue(common.SpecModel):
    """The order of starts."""

    strategy: Strategy = Field(
        default=Strategy.BACKFILL,
        description="Strict: nobody passes the head. BestEffort: whoever fits starts. Backfill: the head gets a "
        "reservation and others pass only without delaying it.",
    )
    preemption: Preemption = Field(default_factory=Preemption, description="Who may be preempted.")
    defragmentation: Defragmentation | None = Field(
        default=None, description="Who may be moved to bring free cards together. Absent: nobody."
    )
    elastic: Elastic = Field(default_factory=Elastic, description="When elastic gangs grow.")


class Quarantine(common.SpecModel):
    """When a card that comes back is kept out all the same."""

    faults: common.Positive = Field(default=3, description="Faults of one card inside the window.")
    window_seconds: common.Positive = Field(default=86_400, description="Length of the window.")
    release_after_seconds: common.Positive = Field(default=172_800, description="Time in quarantine.")


class Breaker(common.SpecModel):
    """When so many nodes fail at once that restarts stop until a person or time has clarified it."""

    percent: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        default=20, description="Nodes with a new fault inside the window, in percent of the scope's nodes."
    )
    window_seconds: common.Positive = Field(default=300, description="Length of the window.")


class DeadNodeAction(StrEnum):
    """What happens to the pods of a node that no longer answers."""

    WAIT = "Wait"
    FORCE_DELETE = "ForceDelete"
    OUT_OF_SERVICE_TAINT = "OutOfServiceTaint"


class DeadNode(common.SpecModel):
    """Nodes that no longer answer."""

    grace_seconds: common.Count = Field(default=60, description="Silence after which the node counts as dead.")
    action: DeadNodeAction = Field(
        default=DeadNodeAction.WAIT,
        description="What happens to its pods; other values than Wait only for jobs whose checkpoint is fenced.",
    )


class UnknownPolicy(common.SpecModel):
    """When a fall of allocatable to 0 is a lost plug-in and not a fault."""

    nodes: common.Positive = Field(default=3, description="Nodes that fall to 0 together.")
    within_seconds: common.Positive = Field(default=5, description="How close together.")
    grace_seconds: common.Count = Field(default=300, description="How long the cards stay Unknown before a fault.")


class Faults(common.SpecModel):
    """How signals become faults, and what follows."""

    debounce_seconds: common.Count = Field(default=15, description="Age at which a suspicion becomes a fault.")
    attribution_seconds: common.Count = Field(
        default=12, description="How long after an exit a fault signal may still explain it."
    )
    quarantine: Quarantine = Field(default_factory=Quarantine, description="Cards that fail again and again.")
    breaker: Breaker = Field(default_factory=Breaker, description="Many nodes that fail at once.")
    dead_node: DeadNode = Field(default_factory=DeadNode, description="Nodes that no longer answer.")
    unknown: UnknownPolicy = Field(default_factory=UnknownPolicy, description="Device plug-ins that disappear.")


class Spares(common.SpecModel):
    """Nodes kept back."""

    per_supernode: common.NumberOrPercent = Field(
        description="Nodes of each supernode kept back for replacements: a number or a percentage, rounded up."
    )


class Retention(common.SpecModel):
    """What is kept of finished jobs that have no TTL of their own."""

    finished_jobs_seconds: common.Count | None = Field(
        default=None, description="Age at which a finished job is deleted. Absent: never by age."
    )
    finished_jobs_per_namespace: common.Count | None = Field(
        default=None, description="Finished jobs kept in a namespace, the newest. Absent: all."
    )
    pods: common.CleanPodPolicy | None = Field(
        default=None, description="Pods removed of a finished job. Absent: as the job's cleanPodPolicy says."
    )
