"""Ranks: they run through the groups in order; sets of them travel as ranges such as ``0-3,7``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from cardpool.api.jobstatus import Segment
from cardpool.api.trainingjob import Group, TrainingJobSpec, Variant


@dataclass(frozen=True, slots=True)
class Seat:
    """One rank of a gang: its group, the index inside it, and the profile of its cards."""

    rank: int
    group: Group
    index: int
    profile: str = ""

    def pod_name(self, job: str) -> str:
        """The pod's name: without the attempt, so that the API server refuses a second live pod of a rank."""
        return f"{job}-{self.group.name}-{self.index}"

    @property
    def cards(self) -> int:
        """Cards of the pod."""
        return cards_per_pod(self.group, self.profile)


def variant_of(group: Group, profile: str) -> Variant | None:
    """What differs for the group on the cards of a profile."""
    return next((variant for variant in group.variants if variant.profile == profile), None)


def replicas(group: Group, profile: str) -> int:
    """Pods of the group on a profile."""
    variant = variant_of(group, profile)
    return variant.replicas if variant is not None and variant.replicas is not None else group.replicas


def cards_per_pod(group: Group, profile: str) -> int:
    """Cards of each pod of the group on a profile."""
    variant = variant_of(group, profile)
    return variant.cards_per_pod if variant is not None and variant.cards_per_pod is not None else group.cards_per_pod


def seats(spec: TrainingJobSpec, profile: str, sizes: Mapping[str, int] | None = None) -> tuple[Seat, ...]:
    """Every rank of the gang on a profile, in rank order; ``sizes`` are the pods of groups that have another number."""
    pods = {group.name: replicas(group, profile) for group in spec.groups} | dict(sizes or {})
    flat = [(group, index) for group in spec.groups for index in range(pods[group.name])]
    return tuple(Seat(rank, group, index, profile) for rank, (group, index) in enumerate(flat))


def placed(spec: TrainingJobSpec, segments: Iterable[Segment]) -> tuple[Seat, ...]:
    """Every rank of a placement, in rank order, each on the profile of its segment."""
    groups = {group.name: group for group in spec.groups}
    flat = [(part, part.from_index + at) for part in segments for at in range(len(part.nodes))]
    return tuple(Seat(rank, groups[part.group], index, part.profile or "") for rank, (part, index) in enumerate(flat))


def nodes(segments: Iterable[Segment]) -> Iterator[tuple[str, str, str]]:
    """Node, group and profile of each rank of a placement, in rank order."""
    for part in segments:
        for node in part.nodes:
            yield node, part.group, part.profile or ""


def parse(text: str) -> frozenset[int]:
    """The ranks that a text of ranges names."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def render(ranks: Iterable[int]) -> str:
    """The shortest text of ranges for the ranks."""
    runs: list[tuple[int, int]] = []
    for rank in sorted(set(ranks)):
        if runs and runs[-1][1] == rank - 1:
            runs[-1] = (runs[-1][0], rank)
        else:
            runs.append((rank, rank))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
