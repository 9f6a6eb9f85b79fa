"""The ways to spread a mixed gang over profiles, in the job's order of preference.

A way names a profile for every pod. Groups with cards stand on one profile each, by the least sum of their profiles'
places in the order of preference and then earlier groups first; groups without cards join a profile that the others
use before they take one of their own. Ways with everything on one profile are not among them: those are the options.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cardpool.domain.gangs import GroupShape, Mix
from cardpool.domain.topology import TopologyRequest


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive pods of one group on one profile: ``shape.replicas`` of them from index ``first`` on."""

    group: int
    first: int
    profile: str
    shape: GroupShape

    @property
    def pods(self) -> int:
        """Pods of the piece."""
        return self.shape.replicas


Way = tuple[Piece, ...]
Shares = tuple[tuple[str, int], ...]


def piece(mix: Mix, group: int, profile: int, first: int = 0, pods: int | None = None) -> Piece:
    """Some pods of a group on one of its profiles; all of them where no number is given. ValueError where none may."""
    shape = mix.groups[group][profile]
    if shape is None:
        raise ValueError(f"group {group} has no shape on profile {profile}")
    sized = shape if pods is None else dataclasses.replace(shape, replicas=pods)
    return Piece(group, first, mix.profiles[profile], sized)


def in_order(mix: Mix, alone: Sequence[str]) -> Iterator[Way]:
    """Every way in which each group has one profile, the best first; ``alone`` are profiles that need no mixing."""
    able = [[number for number, shape in enumerate(shapes) if shape is not None] for shapes in mix.groups]
    light = [_light(shapes) for shapes in mix.groups]
    heavy = [number for number in range(len(able)) if not light[number]]
    rest = [number for number in range(len(able)) if light[number]]
    for chosen in _by_sum([able[number] for number in heavy]):
        used = frozenset(chosen)
        others = [sorted(able[number], key=lambda at: (at not in used, at)) for number in rest]
        for more in itertools.product(*others):
            profiles = dict(zip((*heavy, *rest), (*chosen, *more), strict=True))
            names = {mix.profiles[at] for at in profiles.values()}
            if len(names) == 1 and names <= set(alone):
                continue
            yield tuple(piece(mix, number, profiles[number]) for number in range(len(able)))


def count(mix: Mix) -> int:
    """How many ways there are in which each group has one profile, those on one profile alone included."""
    return math.prod(sum(shape is not None for shape in shapes) for shapes in mix.groups)


def _light(shapes: Sequence[GroupShape | None]) -> bool:
    return all(shape is None or shape.cards_per_pod == 0 for shape in shapes)


def _by_sum(able: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """One number of each rising list: by their sum, then by the earlier lists."""
    if not all(able):
        return
    lowest = sum(numbers[0] for numbers in able)
    for total in range(lowest, sum(numbers[-1] for numbers in able) + 1):
        yield from _of_sum(able, total)


def _of_sum(able: Sequence[Sequence[int]], total: int) -> Iterator[tuple[int, ...]]:
    if not able:
        if not total:
            yield ()
        return
    rest = able[1:]
    least, most = sum(numbers[0] for numbers in rest), sum(numbers[-1] for numbers in rest)
    for number in able[0]:
        if least <= total - number <= most:
            for others in _of_sum(rest, total - number):
                yield (number, *others)


def by_profile(way: Way) -> dict[str, Way]:
    """The pieces of each profile, in rank order."""
    found: dict[str, list[Piece]] = {}
    for one in way:
        found.setdefault(one.profile, []).append(one)
    return {profile: tuple(pieces) for profile, pieces in found.items()}


def shares(way: Way) -> Shares:
    """Cards of each profile."""
    found: dict[str, int] = {}
    for one in way:
        found[one.profile] = found.get(one.profile, 0) + one.pods * one.shape.cards_per_pod
    return tuple(found.items())


def pods(way: Way) -> int:
    """Pods of all pieces."""
    return sum(one.pods for one in way)


def previous(way: Way, nodes: Mapping[int, str]) -> dict[str, dict[int, str]]:
    """The nodes of the gang's ranks by profile and the rank inside its part."""
    found: dict[str, dict[int, str]] = {profile: {} for profile in by_profile(way)}
    seen = dict.fromkeys(found, 0)
    for rank, profile in enumerate(one.profile for one in way for _ in range(one.pods)):
        if rank in nodes:
            found[profile][seen[profile]] = nodes[rank]
        seen[profile] += 1
    return found


def even(way: Way, topology: TopologyRequest) -> bool:
    """True where no block of consecutive ranks has pods of two profiles."""
    largest = max((block.pods for block in topology.blocks), default=1)
    rank = 0
    for one, after in itertools.pairwise(way):
        rank += one.pods
        if one.profile != after.profile and rank % largest:
            return False
    return True


def words(way: Way) -> str:
    """Which group runs where, for people."""
    several = {one.group for one, other in itertools.pairwise(way) if one.group == other.group}
    return ", ".join(
        f"{one.shape.name}{f' {one.first}-{one.first + one.pods - 1}' if one.group in several else ''} on {one.profile}"
        for one in way
    )


def before(mix: Mix, nodes: Mapping[int, str], profile_of: Mapping[str, str]) -> Way | None:
    """The way that the gang was spread by when it ran on these nodes, by rank; None where nothing tells."""
    found: list[Piece] = []
    start = 0
    for number, shapes in enumerate(mix.groups):
        at = [mix.profiles.index(name) if (name := profile_of.get(nodes.get(start, ""), "")) in mix.profiles else -1]
        first = shapes[at[0]] if at[0] >= 0 else None
        if first is None:
            return None
        for rank in range(start + 1, start + first.replicas):
            name = profile_of.get(nodes.get(rank, ""), "")
            known = name in mix.profiles and shapes[mix.profiles.index(name)] is not None
            at.append(mix.profiles.index(name) if known and mix.within else at[-1])
        for profile, run in itertools.groupby(range(len(at)), key=lambda index: at[index]):
            indexes = list(run)
            found.append(piece(mix, number, profile, indexes[0], len(indexes)))
        start += first.replicas
    return tuple(found)
