"""What all three kinds share: model bases, bounded scalars, metadata, conditions, card counts.

The models are the single source of the CRDs, so every field is described and every list, string and number
is bounded here. Invariant: a model read from the wire and dumped by `to_wire` gives an equal model again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**53 - 1  # what JSON readers keep exactly


class SpecModel(BaseModel):
    """Base of everything a user writes: an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class StatusModel(BaseModel):
    """Base of what the operator writes: fields of a newer version are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(microsecond=value.microsecond // 1000 * 1000)


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, for example 2026-01-01T00:00:00.123Z."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def format_seconds(value: float) -> str:
    """A duration in seconds as the decimal string used in status, to a tenth of a second, never below 0."""
    return f"{max(0.0, value):.1f}"


def to_wire(model: BaseModel) -> dict[str, Any]:
    """The JSON form of a model: camelCase names, absent fields left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


Time = Annotated[
    AwareDatetime,
    AfterValidator(_utc),
    PlainSerializer(format_time, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Duration = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$", max_length=20)]

Count = Annotated[int, Field(strict=True, ge=0, le=MAX_INT32)]
Positive = Annotated[int, Field(strict=True, ge=1, le=MAX_INT32)]
BigCount = Annotated[int, Field(strict=True, ge=0, le=MAX_INT64)]
Percent = Annotated[int, Field(strict=True, ge=0, le=100)]

# Label values and parts of host names: at most 63 characters.
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
ProfileName = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", min_length=1, max_length=63)]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", min_length=1, max_length=253)]
LevelName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=31)]
LabelKey = Annotated[
    str,
    Field(pattern=r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$", max_length=317),
]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$", max_length=63)]
Reason = Annotated[str, Field(pattern=r"^([A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?)?$", max_length=64)]
Text = Annotated[str, Field(max_length=253)]
Message = Annotated[str, Field(max_length=4096)]
PathText = Annotated[str, Field(max_length=1024)]
NumberOrPercent = Annotated[
    Annotated[int, Field(strict=True, ge=0, le=MAX_INT32)]
    | Annotated[str, Field(pattern=r"^(100|[0-9]{1,2})%$", max_length=4)],
    WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "maxLength": 4, "pattern": "^(100|[0-9]{1,2})%$", "minimum": 0}
    ),
]


def keyed(*keys: str, most: int, doc: str, least: int = 0) -> Any:
    """A list of named things (`listType: map`) of `least` to `most` items."""
    extra: JsonDict = {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [to_camel(key) for key in keys],
    }
    return Field(min_length=least or None, max_length=most, description=doc, json_schema_extra=extra)


def atomic(*, most: int, doc: str, least: int = 0) -> Any:
    """A list that is always replaced as a whole, of `least` to `most` items."""
    extra: JsonDict = {"x-kubernetes-list-type": "atomic"}
    return Field(min_length=least or None, max_length=most, description=doc, json_schema_extra=extra)


class SelectorOperator(StrEnum):
    """How a label requirement compares."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(SpecModel):
    """One requirement on a label."""

    key: LabelKey = Field(description="Key of the label.")
    operator: SelectorOperator = Field(description="How the label's value is compared with the values given.")
    values: Annotated[
        tuple[LabelValue, ...],
        atomic(most=64, doc="Values for In and NotIn; must be absent for Exists and DoesNotExist."),
    ] = ()

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if bool(self.values) != (self.operator in {SelectorOperator.IN, SelectorOperator.NOT_IN}):
            raise PydanticCustomError("cardpool", "values are needed for In and NotIn, and only for them")
        return self


class LabelSelector(SpecModel):
    """Selects objects by their labels; all parts must match, and an empty selector matches everything."""

    match_labels: Annotated[
        dict[LabelKey, LabelValue], Field(max_length=64, description="Labels that must have exactly these values.")
    ] = {}
    match_expressions: Annotated[
        tuple[LabelRequirement, ...], atomic(most=16, doc="Requirements that must all hold.")
    ] = ()


class OwnerReference(StatusModel):
    """The part of an owner reference that is read."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(StatusModel):
    """The part of an object's metadata that is read; a manifest that never met an API server may lack most of it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(StatusModel):
    """One aspect of an object's state, in the form that kubectl wait reads."""

    type: str = Field(min_length=1, max_length=63, pattern=r"^[A-Z][A-Za-z]*$", description="Name of the condition.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Reason = Field(default="", description="Why, in one CamelCase word from the documented list.")
    message: Message = Field(default="", description="Why, for people.")
    observed_generation: BigCount = Field(default=0, description="Generation of the object that this was judged on.")
    last_transition_time: Time | None = Field(default=None, description="When the status last changed.")


Conditions = Annotated[
    tuple[Condition, ...], keyed("type", most=32, doc="What holds for this object at present, one entry a type.")
]


class CleanPodPolicy(StrEnum):
    """Which pods are removed once the job is finished."""

    NONE = "None"
    RUNNING = "Running"
    ALL = "All"


class CardCounts(StatusModel):
    """Numbers of cards; free cards are healthy and held by no pod."""

    total: Count = Field(default=0, description="All cards.")
    healthy: Count = Field(default=0, description="Cards without any doubt.")
    free: Count = Field(default=0, description="Healthy cards that no pod holds and no gang was promised.")
    allocated: Count = Field(default=0, description="Cards held by pods.")
    suspect: Count = Field(default=0, description="Cards with a fault signal younger than the debounce time.")
    faulty: Count = Field(default=0, description="Cards with a confirmed fault.")
    sub_healthy: Count = Field(default=0, description="Cards that work but were reported degraded.")
    unknown: Count = Field(default=0, description="Cards whose plug-in or node does not report.")
    quarantined: Count = Field(default=0, description="Cards that failed too often and are kept out.")
    probation: Count = Field(default=0, description="Cards that came back from quarantine and are watched.")


class GangSlots(StatusModel):
    """How often a gang of a size would fit now: one pod up to a node's cards, else pods of whole nodes."""

    gang: Positive = Field(description="Cards of the gang.")
    count: Count = Field(default=0, description="How many such gangs fit, one beside the other, each in one supernode.")
    spread: Count | None = Field(default=None, description="How many fit where a gang may span supernodes.")


class ProfileCards(StatusModel):
    """Nodes and cards of one profile."""

    profile: ProfileName = Field(description="Profile of the pool.")
    vendor: Text | None = Field(default=None, description="Maker of the cards.")
    nodes: Count = Field(default=0, description="Nodes with this profile.")
    cards: CardCounts = Field(default_factory=CardCounts, description="Cards by state.")
    slots: Annotated[
        tuple[GangSlots, ...], keyed("gang", most=16, doc="How many gangs of each size would fit now, by cards alone.")
    ] = ()
