"""TrainingJob: one gang of groups, what a user writes of it.

The pod template and the parts of a variant that are Kubernetes' own types stay raw dictionaries: the API server
checks them against Kubernetes' schema, and they reach the pods as written. Absent `checkpoint` means none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cardpool.api import checks, common
from cardpool.api.jobstatus import TrainingJobStatus
from cardpool.names import GANG_PODS_MAX, OPERATOR

Pods = Annotated[int, Field(strict=True, ge=1, le=GANG_PODS_MAX)]
Cards = Annotated[int, Field(strict=True, ge=0, le=1024)]
Argument = Annotated[str, Field(max_length=65_536)]
Raw = dict[str, Any]


def _pod_part(part: str) -> Any:
    """Marks a field as a part of Kubernetes' pod template; the schema of that part is put in its place."""
    return {"x-cardpool-pod-part": part}


class Accept(common.SpecModel):
    """A profile that the job takes."""

    profile: common.ProfileName = Field(description="Profile of the pool.")
    after_seconds: common.Count = Field(default=0, description="Only after a wait of so long. Absent: at once.")


class Mixing(StrEnum):
    """How many profiles one gang may hold."""

    NONE = "None"
    PER_GROUP = "PerGroup"
    ANY = "Any"


class Block(common.SpecModel):
    """A run of consecutive ranks that stays inside one domain."""

    pods: Pods = Field(description="Length of the run in pods.")
    level: common.LevelName = Field(description="Level whose domains a run never straddles.")


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
        default=None, description="With fewer pods the group may start or go on too. Absent: not elastic."
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


class RendezvousStyle(StrEnum):
    """Which framework's environment the pods get."""

    TORCH = "torch"
    JAX = "jax"
    MPI = "mpi"
    NONE = "none"


class Rendezvous(common.SpecModel):
    """How the ranks find each other."""

    style: RendezvousStyle = Field(
        default=RendezvousStyle.TORCH, description="torch: PET_*; jax: JAX_*; mpi: a host file; none: nothing."
    )
    port: Annotated[int, Field(strict=True, ge=1, le=65_535)] = Field(
        default=29_500, description="Port of rank 0 for the rendezvous."
    )


class CheckpointFormat(StrEnum):
    """Layout of checkpoints on disk."""

    CARDPOOL = "cardpool"
    DCP = "dcp"
    MEGATRON = "megatron"
    DEEPSPEED = "deepspeed"
    HUGGINGFACE = "huggingface"
    NEMO = "nemo"
    ORBAX = "orbax"
    SAFETENSORS = "safetensors"


class Verify(StrEnum):
    """How thoroughly a checkpoint is checked before a gang starts from it."""

    MARKER = "Marker"
    LIGHT = "Light"
    MANIFEST = "Manifest"


class Fencing(StrEnum):
    """What keeps an old attempt's late writes out of the checkpoints."""

    NONE = "None"
    ATTEMPT_PATH = "AttemptPath"
    MANIFEST = "Manifest"


class OnMissing(StrEnum):
    """What to do without a checkpoint to start from."""

    FRESH = "Fresh"
    FAIL = "Fail"


class Checkpoint(common.SpecModel):
    """Where the training saves, and how a checkpoint is chosen and proved before a restart."""

    format: CheckpointFormat = Field(description="Layout of the checkpoints.")
    volume_mount: Annotated[str, Field(pattern=r"^/", max_length=512)] = Field(
        description="Mount path in the card container under which checkpoints lie."
    )
    path: Annotated[str, Field(pattern=r"^([^/].*)?$", max_length=1024)] = Field(
        default="", description="Folder of this job's checkpoints, relative to the mount. Absent: the mount itself."
    )
    verify: Verify = Field(
        default=Verify.LIGHT,
        description="Marker: the commit marker. Light: files and sizes too. Manifest: checksums too.",
    )
    candidates: Annotated[int, Field(strict=True, ge=1, le=100)] = Field(
        default=3, description="How many checkpoints are tried, newest first."
    )
    fencing: Fencing = Field(
        default=Fencing.ATTEMPT_PATH,
        description="AttemptPath: each attempt saves under its own folder. Manifest: the manifest names the attempt.",
    )
    on_none: OnMissing = Field(
        default=OnMissing.FRESH, description="No checkpoint, and none was ever verified for this job."
    )
    on_all_invalid: OnMissing = Field(default=OnMissing.FAIL, description="No candidate passes its checks.")
    reshardable: bool = Field(
        default=False, description="True: another number of ranks, or another maker's cards, can load it."
    )

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        checks.refuse(checks.relative(self.path))
        return self


class Backoff(common.SpecModel):
    """Wait before a restart, doubled each time."""

    base_seconds: common.Count = Field(default=10, description="First wait.")
    cap_seconds: common.Count = Field(default=600, description="Longest wait.")

    @model_validator(mode="after")
    def _cap_is_longest(self) -> Self:
        if self.cap_seconds < self.base_seconds:
            checks.refuse(iter(["capSeconds must not be less than baseSeconds"]))
        return self


class SubHealth(StrEnum):
    """What to do on a degraded card."""

    IGNORE = "Ignore"
    CHECKPOINT_THEN_MOVE = "CheckpointThenMove"
    MOVE_NOW = "MoveNow"


class StallAction(StrEnum):
    """What to do when steps stop."""

    REPORT = "Report"
    RESTART = "Restart"


class Stall(common.SpecModel):
    """When a running job counts as stuck."""

    factor: Annotated[int, Field(strict=True, ge=2, le=1000)] = Field(
        default=10, description="No step for so many times the usual time of a step."
    )
    action: StallAction = Field(default=StallAction.REPORT, description="What then happens.")


class Restart(common.SpecModel):
    """How often and how the gang comes back."""

    max_restarts: common.Count = Field(
        default=3, description="Restarts inside the window for failures of the application."
    )
    max_fault_restarts: common.Count = Field(
        default=100, description="Restarts inside the window for hardware, evictions and lost pods."
    )
    window_seconds: common.Positive = Field(default=86_400, description="Length of the window.")
    backoff: Backoff = Field(default_factory=Backoff, description="Wait before a restart for the application.")
    non_retryable_exit_codes: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, le=255)], ...],
        common.atomic(most=64, doc="Exit codes that end the job at once."),
    ] = (42,)
    no_progress_limit: common.Positive = Field(
        default=3, description="Restarts in a row without a new step, while a step is known."
    )
    sub_health: SubHealth = Field(default=SubHealth.IGNORE, description="What to do on a degraded card.")
    stall: Stall = Field(default_factory=Stall, description="When a running job counts as stuck.")


class Deadlines(common.SpecModel):
    """Times after which something is given up."""

    bind_seconds: common.Positive | None = Field(
        default=None, description="All pods bound, or the attempt is taken back. Absent: max(60, pods / 20)."
    )
    pending_seconds: common.Positive | None = Field(
        default=None, description="Longest wait in the queue. Absent: no limit."
    )
    startup_seconds: common.Positive | None = Field(
        default=None, description="From all bound to all running. Absent: no limit."
    )
    active_seconds: common.Positive | None = Field(
        default=None, description="Longest time from the first start, suspensions excluded. Absent: no limit."
    )


class Success(StrEnum):
    """Which ranks must succeed."""

    ALL = "All"
    RANK0 = "Rank0"


class CleanPodPolicy(StrEnum):
    """Which pods are removed once the job is finished."""

    NONE = "None"
    RUNNING = "Running"
    ALL = "All"


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
