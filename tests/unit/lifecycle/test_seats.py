"""Every pod follows the variant of its own profile: the one of the segment that it stands in."""

from __future__ import annotations

from cardpool.api.jobstatus import Segment
from cardpool.api.trainingjob import TrainingJobSpec
from cardpool.lifecycle import ranks, shapes
from tests.support.simworld import job_spec

VARIANT = {"profile": "npu", "cardsPerPod": 16, "resources": {"requests": {"cpu": "2"}}}
SEGMENTS = (
    Segment(group="w", profile="k100", nodes=("a", "b")),
    Segment(group="w", from_index=2, profile="npu", nodes=("c",)),
)


def spec_with_variant() -> TrainingJobSpec:
    """Three pods of one group with a variant for npu."""
    spec = job_spec(3)
    return spec.model_validate({**spec.model_dump(by_alias=True, exclude_none=True), "groups": [group(spec)]})


def group(spec: TrainingJobSpec) -> dict[str, object]:
    """The group as written, with the variant."""
    return {**spec.groups[0].model_dump(by_alias=True, exclude_none=True), "variants": [VARIANT]}


def test_a_rank_is_seated_on_the_profile_of_its_segment() -> None:
    """Ranks, indexes, cards and names run through the segments."""
    seats = ranks.placed(spec_with_variant(), SEGMENTS)

    told = [(seat.rank, seat.index, seat.profile, seat.cards, seat.pod_name("j")) for seat in seats]
    assert told == [(0, 0, "k100", 8, "j-w-0"), (1, 1, "k100", 8, "j-w-1"), (2, 2, "npu", 16, "j-w-2")]


def test_what_a_placement_needs_is_told_by_group_and_profile() -> None:
    """Cards and requests of a pod differ between the profiles of one group."""
    found = shapes.needs(spec_with_variant(), SEGMENTS)

    assert found == {("w", "k100"): (8, {}), ("w", "npu"): (16, {"cpu": 2000})}
