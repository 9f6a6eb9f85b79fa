"""What surrounds the groups of a TrainingJob: rendezvous, checkpoints, restarts, deadlines, the end.

Defaults are the documented ones; a deadline that is absent is none, but for the bind deadline.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from cardpool.api import checks, common


class Accept(common.SpecModel):
    """A profile that the job takes."""

    profile: common.ProfileName = Field(description="Profile of the pool.")
    after_seconds: common.Count = Field(default=0, description="Only after a wait of so long. Absent: at once.")


class Mixing(StrEnum):
    """How many profiles one gang may hold."""

    NONE = "None"
    PER_GROUP = "PerGroup"
    ANY = "Any"


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
        default=None, description="Longest time from the first start, or from the last resume. Absent: no limit."
    )


class Success(StrEnum):
    """Which ranks must succeed."""

    ALL = "All"
    RANK0 = "Rank0"
