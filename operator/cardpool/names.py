"""Every name that leaves the process: labels, annotations, environment, conditions, reasons.

Names are the contract with users and dashboards, so they stand in one place and nowhere else. Reasons are one
closed enumeration: conditions, Events, metrics and ``cardpool plan`` all speak it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

GROUP: Final = "cardpool.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FIELD_MANAGER: Final = "cardpool"
OPERATOR: Final = f"{GROUP}/operator"
DEFAULT_PRIORITY_CLASS: Final = "cardpool-gang"
LEASE_NAME: Final = "cardpool-operator"
CHECKPOINT_CONTAINER: Final = "resolver"

LABEL_JOB: Final = f"{GROUP}/job"
LABEL_JOB_UID: Final = f"{GROUP}/job-uid"
LABEL_GROUP: Final = f"{GROUP}/group"
LABEL_INDEX: Final = f"{GROUP}/index"
LABEL_RANK: Final = f"{GROUP}/rank"
LABEL_ATTEMPT: Final = f"{GROUP}/attempt"
LABEL_EXECUTION: Final = f"{GROUP}/execution-attempt"
LABEL_PROFILE: Final = f"{GROUP}/profile"
LABEL_POOL: Final = f"{GROUP}/pool"
LABEL_ROLE: Final = f"{GROUP}/role"
LABEL_DISCOVERED: Final = f"{GROUP}/discovered"
LABEL_RUNTIME_KEY: Final = f"{GROUP}/runtime-key"
LABEL_VENDORS: Final = f"{GROUP}/vendors"
ROLE_RESOLVER: Final = "resolver"
TAINT_POOL: Final = f"{GROUP}/pool"

ENV_PREFIXES: Final = ("PET_", "JAX_", "CARDPOOL_")

NODE_LEVEL: Final = "node"
SUPERNODE_LEVEL: Final = "supernode"

JOB_NAME_MAX: Final = 40
GANG_PODS_MAX: Final = 16_384


class Kind(StrEnum):
    """The kinds that the operator mirrors."""

    NODE = "Node"
    POD = "Pod"
    JOB = "TrainingJob"
    POOL = "CardPool"
    SUPERNODE = "Supernode"
    PRIORITY_CLASS = "PriorityClass"
    CONFIG_MAP = "ConfigMap"
    NAMESPACE = "Namespace"


class Phase(StrEnum):
    """The computed one-word state of a TrainingJob."""

    SUSPENDED = "Suspended"
    QUEUED = "Queued"
    RESERVED = "Reserved"
    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Condition(StrEnum):
    """Condition types of the three kinds."""

    ACCEPTED = "Accepted"
    QUOTA_RESERVED = "QuotaReserved"
    PODS_SCHEDULED = "PodsScheduled"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    SUSPENDED = "Suspended"
    CHECKPOINT_VERIFIED = "CheckpointVerified"
    SUCCEEDED = "Succeeded"
    FINISHED = "Finished"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    READY = "Ready"
    DEGRADED = "Degraded"


class Reason(StrEnum):
    """Why: the closed list behind conditions, Events and metrics. docs/reasons.md explains each."""

    # accepting a job
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_POOL = "UnknownPool"
    UNKNOWN_PROFILE = "UnknownProfile"
    UNKNOWN_LEVEL = "UnknownLevel"
    UNKNOWN_PRIORITY_CLASS = "UnknownPriorityClass"
    NO_VARIANT = "NoVariant"
    MANAGED_ELSEWHERE = "ManagedElsewhere"
    POOL_NOT_READY = "PoolNotReady"
    # waiting
    INSUFFICIENT_CARDS = "InsufficientCards"
    TOPOLOGY_UNFIT = "TopologyUnfit"
    QUOTA_EXCEEDED = "QuotaExceeded"
    EXCLUDED = "Excluded"
    WAITING_FOR_PREEMPTION = "WaitingForPreemption"
    RESERVED_FOR_OTHER = "ReservedForOther"
    BREAKER_OPEN = "BreakerOpen"
    WAITING_BACKOFF = "WaitingBackoff"
    WAITING_FOR_OLD_PODS = "WaitingForOldPods"
    WAITING_FOR_ATTRIBUTION = "WaitingForAttribution"
    PENDING = "Pending"
    # starting
    QUOTA_RESERVED = "QuotaReserved"
    PLACED = "Placed"
    RESOLVING_CHECKPOINT = "ResolvingCheckpoint"
    STARTING = "Starting"
    PODS_SCHEDULED = "PodsScheduled"
    BIND_TIMEOUT = "BindTimeout"
    NAME_TAKEN = "NameTaken"
    POD_REFUSED = "PodRefused"
    POD_REJECTED = "PodRejected"
    CARDS_ACROSS_FABRICS = "CardsAcrossFabrics"
    # running and ending
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    CLEANED_UP = "CleanedUp"
    WAITING_FOR_CLEANUP = "WaitingForCleanup"
    # faults and restarts
    CARD_UNHEALTHY = "CardUnhealthy"
    CARDS_SHRUNK = "CardsShrunk"
    NODE_LOST = "NodeLost"
    NODE_TAINTED = "NodeTainted"
    POD_LOST = "PodLost"
    POD_FAILED = "PodFailed"
    POD_EVICTED = "PodEvicted"
    PREEMPTED = "Preempted"
    DEFRAGMENTED = "Defragmented"
    GROWING = "Growing"
    QUARANTINED_CARD = "QuarantinedCard"
    NON_RETRYABLE_EXIT = "NonRetryableExit"
    RESTARTS_EXHAUSTED = "RestartsExhausted"
    FAULT_RESTARTS_EXHAUSTED = "FaultRestartsExhausted"
    NO_PROGRESS = "NoProgress"
    RESTARTED = "Restarted"
    # checkpoints
    CHECKPOINT_VERIFIED = "CheckpointVerified"
    CHECKPOINT_FELL_BACK = "CheckpointFellBack"
    CHECKPOINT_NONE = "CheckpointNone"
    CHECKPOINT_VANISHED = "CheckpointVanished"
    CHECKPOINT_INVALID = "CheckpointInvalid"
    CHECKPOINT_UNREADABLE = "CheckpointUnreadable"
    RESOLVER_FAILED = "ResolverFailed"
    # pools and supernodes
    READY = "Ready"
    NO_NODES = "NoNodes"
    NODE_CONFLICT = "NodeConflict"
    LABEL_CONFLICT = "LabelConflict"
    TEAM_CONFLICT = "TeamConflict"
    TEAM_WITHOUT_NAMESPACES = "TeamWithoutNamespaces"
    CARDS_BEHIND_DRA = "CardsBehindDRA"
    UNKNOWN_VENDOR = "UnknownVendor"
    INVALID_VENDOR_FILE = "InvalidVendorFile"
    PRIORITY_CLASS_MISSING = "PriorityClassMissing"
    PRIORITY_CLASS_UNSAFE = "PriorityClassUnsafe"
    LABELS_MISSING = "LabelsMissing"
    CARDS_FAULTY = "CardsFaulty"
    CARDS_UNKNOWN = "CardsUnknown"
    CORDONED = "Cordoned"
    HEALTHY = "Healthy"
    NOT_IMPLEMENTED = "NotImplemented"


class CardState(StrEnum):
    """What the operator believes of one card."""

    HEALTHY = "Healthy"
    SUSPECT = "Suspect"
    FAULTY = "Faulty"
    SUB_HEALTHY = "SubHealthy"
    UNKNOWN = "Unknown"
    QUARANTINED = "Quarantined"
    PROBATION = "Probation"


class Attribution(StrEnum):
    """Whom an ended attempt is put down to."""

    PENDING = "Pending"
    HARDWARE = "Hardware"
    APPLICATION = "Application"
    EVICTION = "Eviction"
    PREEMPTION = "Preemption"
    GROWTH = "Growth"


class Env(StrEnum):
    """Environment that a gang's card container gets from cardpool."""

    JOB = "CARDPOOL_JOB"
    NAMESPACE = "CARDPOOL_NAMESPACE"
    GROUP = "CARDPOOL_GROUP"
    INDEX = "CARDPOOL_INDEX"
    RANK = "CARDPOOL_RANK"
    WORLD_SIZE = "CARDPOOL_WORLD_SIZE"
    ATTEMPT = "CARDPOOL_ATTEMPT"
    EXECUTION_ATTEMPT = "CARDPOOL_EXECUTION_ATTEMPT"
    PROFILE = "CARDPOOL_PROFILE"
    CARDS = "CARDPOOL_CARDS_PER_POD"
    CHECKPOINT_DIR = "CARDPOOL_CHECKPOINT_DIR"
    RESUME_PATH = "CARDPOOL_RESUME_PATH"
    RESUME_STEP = "CARDPOOL_RESUME_STEP"
    MASTER_ADDR = "CARDPOOL_MASTER_ADDR"
