"""CardPool: one pool made of several makers' cards, with its queue, quotas and fault policy.

Defaults stand in the models and travel into the CRD, so a manifest says only what differs; spares, retention
and quota are None or empty where absent, because absent means none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cardpool.api import checks, common
from cardpool.names import NODE_LEVEL


class Profile(common.SpecModel):
    """One card model of one maker."""

    name: common.ProfileName = Field(description="Name that jobs, quotas and variants use.")
    vendor: common.Name = Field(description="Maker: the name of a vendor file, for example nvidia or ascend.")
    selector: common.LabelSelector | None = Field(
        default=None, description="Which of the maker's nodes. Absent: all that offer one of the maker's resources."
    )
    compute_percent: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        default=100, description="Normalised compute of one card, for quota across makers. Absent: 100."
    )


class Level(common.SpecModel):
    """One level of the topology."""

    name: common.LevelName = Field(
        description="Name of the level; supernode makes Supernode objects, node is reserved for the last level."
    )
    label: common.LabelKey = Field(description="Node label whose value names the domain.")

    @model_validator(mode="after")
    def _name_is_free(self) -> Self:
        if self.name == NODE_LEVEL:
            checks.refuse(iter([f"name: {NODE_LEVEL} is always the last level"]))
        return self


Levels = Annotated[tuple[Level, ...], common.keyed("name", most=16, doc="Levels from wide to narrow.")]


class LevelOverride(common.SpecModel):
    """Other levels for one profile."""

    profile: common.ProfileName = Field(description="Profile that has other levels.")
    levels: Levels = ()


class PoolTopology(common.SpecModel):
    """The tree of domains; the node is always the last level."""

    levels: Levels = ()
    overrides: Annotated[
        tuple[LevelOverride, ...], common.keyed("profile", most=32, doc="Profiles whose tree has other levels.")
    ] = ()


class DevicePlugin(common.SpecModel):
    """How the makers' device plug-ins are switched on."""

    manage_labels: bool = Field(default=True, description="Set the node labels that the maker's plug-in asks for.")


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


class Queue(common.SpecModel):
    """The order of starts."""

    strategy: Strategy = Field(
        default=Strategy.BACKFILL,
        description="Strict: nobody passes the head. BestEffort: whoever fits starts. Backfill: the head gets a "
        "reservation and others pass only without delaying it.",
    )
    preemption: Preemption = Field(default_factory=Preemption, description="Who may be preempted.")


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


class CleanPods(StrEnum):
    """Which pods of a finished job are removed."""

    NONE = "None"
    RUNNING = "Running"
    ALL = "All"


class Retention(common.SpecModel):
    """What is kept of finished jobs that have no TTL of their own."""

    finished_jobs_seconds: common.Count | None = Field(
        default=None, description="Age at which a finished job is deleted. Absent: never by age."
    )
    finished_jobs_per_namespace: common.Count | None = Field(
        default=None, description="Finished jobs kept in a namespace, the newest. Absent: all."
    )
    pods: CleanPods | None = Field(
        default=None, description="Pods removed of a finished job. Absent: as the job's cleanPodPolicy says."
    )


class CardPoolSpec(common.SpecModel):
    """Which nodes and cards, and the rules for them."""

    selector: common.LabelSelector = Field(
        description="Nodes of the pool. A node selected by two pools belongs to the older one."
    )
    profiles: Annotated[
        tuple[Profile, ...], common.keyed("name", most=32, least=1, doc="Card models, in order of preference.")
    ]
    topology: PoolTopology = Field(default_factory=PoolTopology, description="Levels of the topology.")
    device_plugin: DevicePlugin = Field(default_factory=DevicePlugin, description="The makers' device plug-ins.")
    taint_nodes: bool = Field(default=False, description="True: a taint keeps foreign card pods off the nodes.")
    pod_priority_class_name: common.ObjectName = Field(
        default="cardpool-gang",
        description="PriorityClass of the gangs' pods; it must have preemptionPolicy Never.",
    )
    teams: Annotated[
        tuple[Team, ...], common.keyed("name", most=256, doc="Teams. A namespace in none belongs to default.")
    ] = ()
    queue: Queue = Field(default_factory=Queue, description="Order of starts, and preemption.")
    faults: Faults = Field(default_factory=Faults, description="From signals to faults.")
    spares: Spares | None = Field(default=None, description="Nodes kept back. Absent: none.")
    retention: Retention | None = Field(default=None, description="Clean-up of finished jobs. Absent: keep all.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        checks.refuse(checks.pool(self))
        return self


class GangSlots(common.StatusModel):
    """How often a gang of a size would fit now."""

    gang: common.Positive = Field(description="Cards of the gang.")
    count: common.Count = Field(default=0, description="How many such gangs would fit now, one beside the other.")


class TeamUsage(common.StatusModel):
    """What a team used lately, decayed."""

    team: common.Name = Field(description="Team.")
    value: common.BigCount = Field(default=0, description="Decayed use in percent-card seconds.")
    at: common.Time = Field(description="When the value was computed.")


class BreakerScope(StrEnum):
    """Over which nodes a breaker counts."""

    POOL = "Pool"
    PROFILE = "Profile"
    SUPERNODE = "Supernode"


class BreakerState(common.StatusModel):
    """A breaker that is, or lately was, open."""

    scope: BreakerScope = Field(description="Over which nodes it counts.")
    name: common.Text = Field(description="Name of the pool, profile or supernode.")
    open: bool = Field(default=False, description="True: no restarts for faults inside this scope.")
    since: common.Time | None = Field(default=None, description="When it opened or closed.")


class CardPoolStatus(common.StatusModel):
    """What the operator sees of the pool."""

    observed_generation: common.BigCount = Field(default=0, description="Generation that this status belongs to.")
    nodes: common.Count = Field(default=0, description="Nodes of the pool.")
    supernodes: common.Count = Field(default=0, description="Supernodes of the pool.")
    profiles: Annotated[
        tuple[common.ProfileCards, ...], common.keyed("profile", most=32, doc="Nodes and cards of each profile.")
    ] = ()
    cards: common.CardCounts = Field(
        default_factory=common.CardCounts, description="Cards by state, over all profiles."
    )
    queued: common.Count = Field(default=0, description="Jobs that wait.")
    running: common.Count = Field(default=0, description="Jobs that hold cards.")
    utilisation_percent: common.Percent = Field(default=0, description="Allocated cards in percent of all cards.")
    slots: Annotated[
        tuple[GangSlots, ...], common.keyed("gang", most=16, doc="How many gangs of each size would fit now.")
    ] = ()
    usage: Annotated[
        tuple[TeamUsage, ...], common.keyed("team", most=257, doc="What each team used lately, decayed.")
    ] = ()
    breaker: Annotated[
        tuple[BreakerState, ...], common.keyed("scope", "name", most=256, doc="Breakers that opened.")
    ] = ()
    unhealthy: common.Text | None = Field(
        default=None, description="Cards out of service in short, for example: 3 Faulty, 1 Quarantined."
    )
    conditions: common.Conditions = ()


class CardPool(common.StatusModel):
    """One pool of accelerator cards of several makers."""

    api_version: Literal["cardpool.dev/v1alpha1"] = "cardpool.dev/v1alpha1"
    kind: Literal["CardPool"] = "CardPool"
    metadata: common.ObjectMeta = Field(default_factory=common.ObjectMeta)
    spec: CardPoolSpec = Field(description="Which nodes and cards, and the rules for them.")
    status: CardPoolStatus = Field(default_factory=CardPoolStatus, description="What the operator sees.")
