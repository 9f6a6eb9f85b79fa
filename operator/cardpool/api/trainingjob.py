"""TrainingJob: one gang of groups, what a user writes of it.

This module is the face of the kind: the parts are defined in jobgroup, jobpolicy and jobstatus and can be had
here. Absent `checkpoint` means none.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from cardpool.api import checks, common
from cardpool.api.common import CleanPodPolicy
from cardpool.api.jobgroup import Block, Group, GroupTopology, JobTopology, Variant
from cardpool.api.jobpolicy import (
    Accept,
    Backoff,
    Checkpoint,
    CheckpointFormat,
    Deadlines,
    Fencing,
    Mixing,
    OnMissing,
    Rendezvous,
    RendezvousStyle,
    Restart,
    Stall,
    StallAction,
    SubHealth,
    Success,
    Verify,
)
from cardpool.api.jobstatus import TrainingJobStatus
from cardpool.names import OPERATOR

__all__ = [
    "Accept",
    "Backoff",
    "Block",
    "Checkpoint",
    "CheckpointFormat",
    "CleanPodPolicy",
    "Deadlines",
    "Fencing",
    "Group",
    "GroupTopology",
    "JobTopology",
    "Mixing",
    "OnMissing",
    "Rendezvous",
    "RendezvousStyle",
    "Restart",
    "Stall",
    "StallAction",
    "SubHealth",
    "Success",
    "TrainingJob",
    "TrainingJobSpec",
    "TrainingJobStatus",
    "Variant",
    "Verify",
]


class TrainingJobSpec(common.SpecModel):
    """What runs, on what, and what happens when it fails."""

    pool: common.Name = Field(description="CardPool whose cards are used.")
    managed_by: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        default=OPERATOR, description="Who runs the job; with another value this operator leaves it alone."
    )
    priority_class_name: common.ObjectName | None = Field(
        default=None, description="PriorityClass for the pool's queue and preemption; never put on the pods."
    )
    suspend: bool = Field(default=False, description="True: no pods; the job keeps its place in history.")
    accept: Annotated[
        tuple[Accept, ...],
        common.keyed("profile", most=16, doc="Profiles in order of preference. Absent: all that the pool offers."),
    ] = ()
    mixing: Mixing = Field(
        default=Mixing.NONE, description="None: one profile for the gang. PerGroup: one for each group. Any: any mix."
    )
    groups: Annotated[
        tuple[Group, ...],
        common.keyed("name", most=8, least=1, doc="Groups of one gang; ranks run through them in this order."),
    ]
    topology: JobTopology | None = Field(default=None, description="Where the pods sit. Absent: anywhere.")
    rendezvous: Rendezvous = Field(default_factory=Rendezvous, description="How the ranks find each other.")
    expected_runtime_seconds: common.Positive | None = Field(
        default=None, description="For backfill and for the estimate of starts."
    )
    checkpoint: Checkpoint | None = Field(default=None, description="Checkpoints to resume from. Absent: none.")
    restart: Restart = Field(default_factory=Restart, description="How often and how the gang comes back.")
    deadlines: Deadlines = Field(default_factory=Deadlines, description="Times after which something is given up.")
    success: Success = Field(default=Success.ALL, description="Which ranks must succeed.")
    clean_pod_policy: CleanPodPolicy = Field(
        default=CleanPodPolicy.RUNNING, description="Pods removed once the job is finished."
    )
    ttl_seconds_after_finished: common.Count | None = Field(
        default=None, description="The job is deleted so long after its end. Absent: kept."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        checks.refuse(checks.job(self))
        return self

    @property
    def pods(self) -> int:
        """Pods of the whole gang as the groups say, variants left aside."""
        return sum(group.replicas for group in self.groups)


class TrainingJob(common.StatusModel):
    """One gang of training pods that starts whole and comes back from its newest proved checkpoint."""

    api_version: Literal["cardpool.dev/v1alpha1"] = "cardpool.dev/v1alpha1"
    kind: Literal["TrainingJob"] = "TrainingJob"
    metadata: common.ObjectMeta = Field(default_factory=common.ObjectMeta)
    spec: TrainingJobSpec = Field(description="What runs, on what, and what happens when it fails.")
    status: TrainingJobStatus = Field(default_factory=TrainingJobStatus, description="What the operator sees.")

    @model_validator(mode="after")
    def _name_fits_pods(self) -> Self:
        checks.refuse(checks.job_name(self.metadata.name))
        return self
