"""Status of a TrainingJob: enough to finish an attempt after a crash, and the story for people.

Counters only grow, a terminal state stays. `placement` is written before the first pod of an attempt, so a
restarted operator completes or takes back exactly that attempt.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from cardpool.api import common
from cardpool.names import GANG_PODS_MAX, Attribution, Phase

Rank = Annotated[int, Field(strict=True, ge=0, lt=GANG_PODS_MAX)]
ExitCode = Annotated[int, Field(strict=True, ge=-255, le=255)]
NodeName = common.ObjectName


class PlacementState(StrEnum):
    """How far a placement has come."""

    RESERVED = "Reserved"
    STARTING = "Starting"
    BOUND = "Bound"


class Segment(common.StatusModel):
    """Consecutive pods of one group on the nodes of one supernode, one node a pod."""

    group: Annotated[str, Field(max_length=15)] = Field(description="Group of the pods.")
    from_index: Rank = Field(default=0, description="Index of the first pod inside the group.")
    profile: common.ProfileName | None = Field(default=None, description="Profile of the cards.")
    supernode: common.Text | None = Field(default=None, description="Supernode of the nodes.")
    nodes: Annotated[tuple[NodeName, ...], common.atomic(most=GANG_PODS_MAX, doc="Node of each pod, in order.")] = ()


class Placement(common.StatusModel):
    """Where the pods of one attempt go."""

    attempt: common.Count = Field(default=0, description="Attempt that this placement is for.")
    execution_attempt: common.Count = Field(default=0, description="Execution that this placement is for.")
    time: common.Time | None = Field(default=None, description="When it was decided.")
    state: PlacementState = Field(default=PlacementState.RESERVED, description="How far it has come.")
    segments: Annotated[
        tuple[Segment, ...], common.atomic(most=GANG_PODS_MAX, doc="Runs of pods; together the whole gang.")
    ] = ()


class GroupSize(common.StatusModel):
    """Pods of one group."""

    name: Annotated[str, Field(max_length=15)] = Field(description="Group.")
    pods: common.Count = Field(default=0, description="Pods of the last placement.")


class Size(common.StatusModel):
    """The size of an elastic gang, as of its last placement."""

    pods: common.Count = Field(default=0, description="Pods of the whole gang.")
    wanted: common.Count = Field(default=0, description="Pods at full size on this profile.")
    groups: Annotated[tuple[GroupSize, ...], common.keyed("name", most=8, doc="Pods of each group.")] = ()
    fixed: bool = Field(
        default=False, description="True: checkpoints may have been saved that only as many ranks can load."
    )
    next: common.Count | None = Field(
        default=None, description="The next start takes at most so many pods: the gang made room for another."
    )


class RestartTime(common.StatusModel):
    """One restart that still counts in the window."""

    time: common.Time = Field(description="When it was decided.")
    charged: bool = Field(default=False, description="True: a failure of the application.")
    reason: common.Reason = Field(default="", description="Why.")


class SkippedCheckpoint(common.StatusModel):
    """A checkpoint that was not used."""

    path: common.PathText = Field(description="Folder, relative to the mount.")
    reason: common.Reason = Field(default="", description="Why it was not used.")


class CheckpointStatus(common.StatusModel):
    """The checkpoint that the present attempt started from."""

    step: common.BigCount | None = Field(default=None, description="Step that was saved.")
    path: common.PathText | None = Field(default=None, description="Folder, relative to the mount.")
    format: common.Text | None = Field(default=None, description="Layout found.")
    verified: common.Text | None = Field(default=None, description="How thoroughly it was checked.")
    time: common.Time | None = Field(default=None, description="When it was checked.")
    for_execution: common.Count | None = Field(default=None, description="Execution that it was chosen for.")
    skipped: Annotated[
        tuple[SkippedCheckpoint, ...], common.atomic(most=16, doc="Newer ones that failed their checks.")
    ] = ()


class Progress(common.StatusModel):
    """The last step that was reported."""

    step: common.BigCount = Field(default=0, description="Step.")
    percent: common.Percent | None = Field(default=None, description="Share of the whole training.")
    time: common.Time | None = Field(default=None, description="When it was reported.")


class LastFault(common.StatusModel):
    """The last failure, with what is known of it."""

    card: common.Text | None = Field(default=None, description="Device id.")
    node: common.Text | None = Field(default=None, description="Node.")
    rank: Rank | None = Field(default=None, description="Rank that failed or held the card.")
    reason: common.Reason = Field(default="", description="What was seen.")
    attribution: Attribution = Field(default=Attribution.PENDING, description="Whose fault it was.")
    charged: bool = Field(default=False, description="True: it counts against maxRestarts.")
    exit_code: ExitCode | None = Field(default=None, description="Exit code of the rank.")
    message: common.Message | None = Field(default=None, description="What was seen, for people.")
    time: common.Time | None = Field(default=None, description="When it was seen.")
    episode: common.Text | None = Field(default=None, description="Fault episode; one restart is made for each.")


class Excluded(common.StatusModel):
    """A node that this job avoids for a time."""

    node: NodeName = Field(description="Node.")
    until: common.Time | None = Field(default=None, description="Until when. Absent: for good.")
    reason: common.Reason = Field(default="", description="Why.")
    message: common.Text | None = Field(
        default=None, description="What kube-scheduler said of the pod there; with one node of each attempt."
    )


class Timings(common.StatusModel):
    """The last restart in seconds."""

    detect_seconds: common.Duration | None = Field(default=None, description="From the first signal to the decision.")
    teardown_seconds: common.Duration | None = Field(default=None, description="Until the old pods were gone.")
    resolve_seconds: common.Duration | None = Field(default=None, description="Until the checkpoint was proved.")
    place_seconds: common.Duration | None = Field(default=None, description="Until the new pods were placed.")
    start_seconds: common.Duration | None = Field(default=None, description="Until all of them ran.")


class Marks(common.StatusModel):
    """Points in time of the present episode, each written once."""

    fault_seen: common.Time | None = Field(default=None, description="First signal seen.")
    fault_signalled: common.Time | None = Field(default=None, description="The decision to restart.")
    torn_down: common.Time | None = Field(default=None, description="Last old pod gone.")
    resolved: common.Time | None = Field(default=None, description="Checkpoint proved.")
    placed: common.Time | None = Field(default=None, description="New placement written.")
    created: common.Time | None = Field(default=None, description="Last new pod created.")
    bound: common.Time | None = Field(default=None, description="Last new pod bound.")
    running: common.Time | None = Field(default=None, description="Last new pod running.")


class HistoryEntry(common.StatusModel):
    """One attempt that ended."""

    attempt: common.Count = Field(default=0, description="Attempt.")
    execution_attempt: common.Count = Field(default=0, description="Execution.")
    start_time: common.Time | None = Field(default=None, description="When all pods ran, or the placement.")
    end_time: common.Time | None = Field(default=None, description="When the end was decided.")
    reason: common.Reason = Field(default="", description="Why it ended.")
    profile: common.Text | None = Field(default=None, description="Profile or profiles of the cards.")
    exit_code: ExitCode | None = Field(default=None, description="Exit code of the failing rank.")
    rank: Rank | None = Field(default=None, description="The failing rank.")
    node: common.Text | None = Field(default=None, description="Node of the failing rank.")
    message: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="End of the failing rank's termination message."
    )
    step: common.BigCount | None = Field(default=None, description="Last step reported.")


class QueuePlace(common.StatusModel):
    """Where a waiting job stands in its pool's queue, as it was last told."""

    position: common.Positive = Field(description="Place among the jobs that wait for the pool, 1 is the first.")
    of: common.Positive = Field(description="How many waited.")
    time: common.Time = Field(description="When this, and the reason beside it, was last written.")


class TrainingJobStatus(common.StatusModel):
    """What the operator sees of the job, and what it must remember."""

    phase: Phase | None = Field(default=None, description="State in one word.")
    observed_generation: common.BigCount = Field(default=0, description="Generation that this status belongs to.")
    attempt: common.Count = Field(default=0, description="Grows with every restart; 0 is the first.")
    execution_attempt: common.Count = Field(
        default=0, description="Grows with every restart and with every resume after a suspension."
    )
    restarts: common.Count = Field(default=0, description="Restarts charged to the application.")
    fault_restarts: common.Count = Field(default=0, description="Restarts for hardware, evictions and lost pods.")
    restart_times: Annotated[
        tuple[RestartTime, ...], common.atomic(most=100, doc="Restarts that may still count in the window.")
    ] = ()
    placement: Placement | None = Field(default=None, description="Where the pods of the present attempt go.")
    size: Size | None = Field(default=None, description="Pods that an elastic gang has, and wants.")
    succeeded_ranks: Annotated[str, Field(pattern=r"^[-0-9,]*$", max_length=65_536)] = Field(
        default="", description="Ranks that succeeded, as ranges such as 0-3,7."
    )
    ready: Annotated[str, Field(max_length=15)] = Field(default="", description="Running pods of all pods.")
    checkpoint: CheckpointStatus | None = Field(default=None, description="Checkpoint of the present attempt.")
    progress: Progress | None = Field(default=None, description="Last step that was reported.")
    last_fault: LastFault | None = Field(default=None, description="Last failure.")
    excluded: Annotated[
        tuple[Excluded, ...], common.keyed("node", most=256, doc="Nodes that this job avoids for a time.")
    ] = ()
    bind_failures: common.Count = Field(default=0, description="Attempts in a row that were taken back.")
    retry_after: common.Time | None = Field(default=None, description="Nothing is tried before this time.")
    timings: Timings | None = Field(default=None, description="The last restart in seconds.")
    marks: Marks | None = Field(default=None, description="Points in time of the present episode.")
    lost_steps: common.BigCount | None = Field(default=None, description="Steps done again after the last restart.")
    effective_time_percent: common.Percent | None = Field(
        default=None, description="Time spent on steps that were kept, since the first start."
    )
    history: Annotated[tuple[HistoryEntry, ...], common.atomic(most=10, doc="The last attempts.")] = ()
    settled: bool = Field(default=False, description="True: finished and cleaned, nothing is left to do but the TTL.")
    queue: QueuePlace | None = Field(default=None, description="Place in the queue while the job waits for room.")
    queued_time: common.Time | None = Field(default=None, description="When the job entered the queue.")
    start_time: common.Time | None = Field(default=None, description="When all pods ran, first or after a suspension.")
    completion_time: common.Time | None = Field(default=None, description="When the outcome was known.")
    conditions: common.Conditions = ()
