"""The groups of a TrainingJob: pods of one kind, their template, their variants, their place in the topology.

The pod template and the parts of a variant that are Kubernetes' own types stay raw dictionaries: the API server
checks them against Kubernetes' schema, and they reach the pods as written.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from cardpool.api import checks, common
from cardpool.names import GANG_PODS_MAX

Pods = Annotated[int, Field(strict=True, ge=1, le=GANG_PODS_MAX)]
Cards = Annotated[int, Field(strict=True, ge=0, le=1024)]
Argument = Annotated[str, Field(max_length=65_536)]
Raw = dict[str, Any]


def _pod_part(part: str) -> Any:
    """Marks a field as a part of Kubernetes' pod template; the schema of that part is put in its place."""
    return {"x-cardpool-pod-part": part}


class Block(common.SpecModel):
    """A run of consecutive ranks that stays inside one domain."""

    pods: Pods = Field(description="Length of the run in pods.")
    level: common.LevelName = Field(description="Level whose domains a run never straddles.")


class Packing(StrEnum):
    """How pods are divided among the domains of a level where one does not hold them all."""

    TIGHT = "Tight"
    BALANCED = "Balanced"


class GroupTopology(common.SpecModel):
    """Where pods sit relative to each other."""

    required: common.LevelName | None = Field(
        default=None, description="All pods must sit in one domain of this level."
    )
    preferred: common.LevelName | None = Field(
        default=None, description="All pods should sit in one domain of this level."
    )
    blocks: Annotated[
        tuple[Block, ...],
        common.atomic(most=3, doc="Runs of ranks, wide to narrow, each dividing the one before and the gang."),
    ] = ()
    packing: Packing | None = Field(
        default=None,
        description="Tight fills domains one after the other, Balanced divides pods into equal parts. "
        "Absent: the job's, else Tight.",
    )


class JobTopology(GroupTopology):
    """Where the pods of the whole gang sit."""

    exclusive: common.LevelName | None = Field(
        default=None, description="No other job may sit in the same domain of this level."
    )


class Variant(common.SpecModel):
    """What differs on the cards of one profile; absent fields stay as the template says."""

    profile: common.ProfileName = Field(description="Profile that this variant is for.")
    replicas: Pods | None = Field(default=None, description="Pods of the group on this profile.")
    cards_per_pod: Cards | None = Field(default=None, description="Cards of each pod on this profile.")
    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="Image of the card container."
    )
    command: Annotated[tuple[Argument, ...], common.atomic(most=256, doc="Command of the card container.")] | None = (
        None
    )
    args: Annotated[tuple[Argument, ...], common.atomic(most=1024, doc="Arguments of the card container.")] | None = (
        None
    )
    env: tuple[Raw, ...] = Field(
        default=(),
        description="Environment of the card container, merged by name over the template's.",
        json_schema_extra=_pod_part("env"),
    )
    resources: Raw | None = Field(
        default=None,
        description="Resources of the card container, without cards.",
        json_schema_extra=_pod_part("resources"),
    )
    runtime_class_name: common.ObjectName | None = Field(default=None, description="RuntimeClass of the pods.")
    volumes: tuple[Raw, ...] = Field(
        default=(),
        description="Volumes of the pod, merged by name over the template's.",
        json_schema_extra=_pod_part("volumes"),
    )
    volume_mounts: tuple[Raw, ...] = Field(
        default=(),
        description="Mounts of the card container, merged by path over the template's.",
        json_schema_extra=_pod_part("volumeMounts"),
    )
    node_selector: Annotated[
        dict[common.LabelKey, common.LabelValue], Field(max_length=64, description="Node labels that are needed too.")
    ] = Field(default_factory=dict)
    tolerations: tuple[Raw, ...] = Field(
        default=(),
        description="Tolerations, added to the template's.",
        json_schema_extra=_pod_part("tolerations"),
    )
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]],
        Field(max_length=64, description="Annotations of the pods, merged over the template's."),
    ] = Field(default_factory=dict)
    security_context: Raw | None = Field(
        default=None,
        description="Security context of the card container.",
        json_schema_extra=_pod_part("securityContext"),
    )


class Group(common.SpecModel):
    """Pods of one kind inside the gang."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,14}$", max_length=15)] = Field(
        description="Name of the group, part of the pods' names."
    )
    replicas: Pods = Field(description="Pods of this group.")
    min_replicas: Pods | None = Field(
        default=None, description="The group may start and go on with as few pods as this. Absent: not elastic."
    )
    cards_per_pod: Cards = Field(description="Cards of each pod; 0 for a launcher without cards.")
    container: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        default=None, description="Container that gets the cards. Absent: the first."
    )
    template: Raw = Field(description="Pod template, as in a Kubernetes Job.", json_schema_extra=_pod_part("template"))
    topology: GroupTopology | None = Field(
        default=None, description="Topology of this group alone, inside what the job's topology allows."
    )
    variants: Annotated[
        tuple[Variant, ...], common.keyed("profile", most=16, doc="What differs on the cards of a profile.")
    ] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        checks.refuse(checks.group(self))
        return self
