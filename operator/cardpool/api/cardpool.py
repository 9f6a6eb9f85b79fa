"""CardPool: one pool made of several makers' cards, with its queue, quotas and fault policy.

Defaults stand in the models and travel into the CRD, so a manifest says only what differs; spares, retention
and quota are None or empty where absent, because absent means none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from cardpool.api import checks, common
from cardpool.api.poolpolicy import (
    Breaker,
    DeadNode,
    DeadNodeAction,
    Defragmentation,
    Elastic,
    Faults,
    KeptGang,
    Preemption,
    Quarantine,
    Queue,
    Quota,
    ReclaimBorrowed,
    Retention,
    Spares,
    Strategy,
    Team,
    UnknownPolicy,
    WithinTeam,
)
from cardpool.names import NODE_LEVEL

__all__ = [
    "Breaker",
    "BreakerScope",
    "BreakerState",
    "CardPool",
    "CardPoolSpec",
    "CardPoolStatus",
    "DeadNode",
    "DeadNodeAction",
    "Defragmentation",
    "DevicePlugin",
    "Elastic",
    "Faults",
    "KeptGang",
    "LearnedRuntime",
    "Level",
    "LevelOverride",
    "MovedGang",
    "PoolTopology",
    "Preemption",
    "Profile",
    "Quarantine",
    "Queue",
    "Quota",
    "ReclaimBorrowed",
    "Retention",
    "Spares",
    "Strategy",
    "Team",
    "TeamUsage",
    "UnknownPolicy",
    "WithinTeam",
]


CARD_IDS: Final = r"^([^#*]*\*)?[^#*]*#[^#*]*(\*[^#*]*)?$"


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
    fabric_cards: Annotated[int, Field(strict=True, ge=1, le=4_096)] | None = Field(
        default=None,
        description="Cards of a node that reach each other directly: a pod of no more gets them from one such fabric, "
        "a larger pod takes whole ones. The cards of a node, or more: one fabric. Absent: as the maker's file says.",
    )
    die_pairs: bool | None = Field(
        default=None,
        description="The cards are dies, two a module: a pod gets whole modules. Absent: as the maker's file says.",
    )
    card_ids: Annotated[str, Field(min_length=1, max_length=128, pattern=CARD_IDS)] | None = Field(
        default=None,
        description="Shape of the plug-in's card ids: # stands for the card's index in its node, from 0 on, * for any "
        "text, for example npu-#-*. Absent: the number at the end of the id.",
    )

    @model_validator(mode="after")
    def _modules_are_whole(self) -> Self:
        if self.die_pairs and self.fabric_cards is not None and self.fabric_cards % 2:
            checks.refuse(iter(["fabricCards must be even with diePairs"]))
        return self


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


class TeamUsage(common.StatusModel):
    """What a team used lately, decayed."""

    team: common.Name = Field(description="Team.")
    value: common.BigCount = Field(default=0, description="Decayed use in percent-card seconds.")
    at: common.Time = Field(description="When the value was computed.")


class LearnedRuntime(common.StatusModel):
    """How long jobs of one kind ran that succeeded."""

    key: common.Text = Field(description="Namespace, name without its run number, profile and size in cards.")
    seconds: common.BigCount = Field(default=0, description="Decayed maximum of their run times.")
    count: common.Count = Field(default=0, description="How many there were.")
    time: common.Time = Field(description="When the last of them ended.")


class MovedGang(common.StatusModel):
    """A gang that was restarted elsewhere within the last hour."""

    uid: common.Text = Field(description="UID of the job.")
    job: common.Text = Field(description="Namespace and name of the job.")
    time: common.Time = Field(description="When it was moved.")


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
        tuple[common.GangSlots, ...], common.keyed("gang", most=16, doc="Slots of all profiles together.")
    ] = ()
    usage: Annotated[
        tuple[TeamUsage, ...], common.keyed("team", most=257, doc="What each team used lately, decayed.")
    ] = ()
    runtimes: Annotated[
        tuple[LearnedRuntime, ...], common.keyed("key", most=200, doc="Run times learned from jobs that succeeded.")
    ] = ()
    learned_until: common.Time | None = Field(
        default=None, description="Every success up to here is in the learned run times."
    )
    moves: Annotated[
        tuple[MovedGang, ...], common.keyed("uid", most=128, doc="Gangs that defragmentation moved in the last hour.")
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
