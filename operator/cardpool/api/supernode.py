"""Supernode: one scale-up domain of nodes.

Discovery writes only pool and selector; spares and cordoned belong to users. Card faults live in status, one
entry a card, so that a restarted operator knows every card it had doubts about.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cardpool.api import common
from cardpool.names import CardState


class SupernodeSpec(common.SpecModel):
    """Which nodes form the domain, and what people decided about it."""

    pool: common.Name = Field(description="CardPool that this supernode belongs to.")
    selector: common.LabelSelector = Field(description="Nodes of the pool that form this domain.")
    spares: common.NumberOrPercent | None = Field(
        default=None,
        description="Nodes kept back for the replacement of failed ones: a number or a percentage, rounded up. "
        "Absent: the pool's setting.",
    )
    cordoned: bool = Field(default=False, description="True: no new gang starts here; running ones stay.")


class SpareCounts(common.StatusModel):
    """Spare nodes."""

    wanted: common.Count = Field(default=0, description="Spare nodes asked for.")
    healthy: common.Count = Field(default=0, description="Spare nodes ready to replace a failed one.")
    used: common.Count = Field(default=0, description="Spare nodes that replace a failed one at present.")


class CardFault(common.StatusModel):
    """A card that is, or recently was, not healthy."""

    node: common.ObjectName = Field(description="Node of the card.")
    resource: common.Text = Field(description="Resource name under which the card is offered.")
    card: common.Text = Field(description="Device id; empty where only the number of cards is known.")
    state: CardState = Field(description="Present state.")
    reason: common.Reason = Field(default="", description="What was seen.")
    since: common.Time = Field(description="When the present state began.")
    times: Annotated[
        tuple[common.Time, ...], common.atomic(most=3, doc="The last times a fault was confirmed, oldest first.")
    ] = ()
    fell: bool = Field(
        default=False, description="True once the node's allocatable was seen to fall; recovery means it came back."
    )
    cards: common.Positive = Field(
        default=1, description="How many cards the entry stands for; more than one where the node's plug-in is gone."
    )
    pod: common.Text | None = Field(default=None, description="Pod that held the card, as namespace/name.")
    job: common.Text | None = Field(default=None, description="TrainingJob that held the card, as namespace/name.")
    message: common.Message | None = Field(default=None, description="What was seen, for people.")


class SupernodeStatus(common.StatusModel):
    """What the operator sees of the domain."""

    observed_generation: common.BigCount = Field(default=0, description="Generation that this status belongs to.")
    pool: common.Text | None = Field(default=None, description="CardPool that counts this supernode.")
    nodes: common.Count = Field(default=0, description="Nodes selected.")
    ready_nodes: common.Count = Field(default=0, description="Nodes that are Ready and schedulable.")
    profiles: Annotated[
        tuple[common.ProfileCards, ...], common.keyed("profile", most=32, doc="Nodes and cards of each profile.")
    ] = ()
    cards: common.CardCounts = Field(
        default_factory=common.CardCounts, description="Cards by state, over all profiles."
    )
    largest_free_block: common.Count = Field(
        default=0, description="Cards of the largest gang that could start here now."
    )
    spares: SpareCounts = Field(default_factory=SpareCounts, description="Spare nodes.")
    faults: Annotated[
        tuple[CardFault, ...],
        common.keyed("node", "resource", "card", most=1024, doc="Cards that are not healthy, one entry a card."),
    ] = ()
    conditions: common.Conditions = ()


class Supernode(common.StatusModel):
    """A scale-up domain: nodes whose cards reach each other over the fast fabric."""

    api_version: Literal["cardpool.dev/v1alpha1"] = "cardpool.dev/v1alpha1"
    kind: Literal["Supernode"] = "Supernode"
    metadata: common.ObjectMeta = Field(default_factory=common.ObjectMeta)
    spec: SupernodeSpec = Field(description="Which nodes, and what people decided about them.")
    status: SupernodeStatus = Field(default_factory=SupernodeStatus, description="What the operator sees.")
