"""The sizes that an elastic gang may have, and the largest of them that fits.

A gang gives up pods of its last elastic group first, then of the one before: ranks run through the groups in order, so
the ranks of the groups before stay what they were. A size is legal where every group lies between its least and its
full number of pods and every block divides what it has to divide. For one shape the count of a refusal tells the
largest size at once, exactly; for several shapes it is halved towards, after the least size has been seen to fit.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cardpool.domain.gangs import Gang, GroupShape, Option, Placement, Refusal
from cardpool.domain.topology import Block, TopologyRequest
from cardpool.engine import place
from cardpool.engine.ground import Ground

Place = Callable[[Ground, Gang, Option], Placement | Refusal | None]
Size = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """The legal numbers of pods of one option, ascending, and how each is spread over the groups."""

    full: Size
    least: Size
    totals: Sequence[int]

    def size(self, pods: int) -> Size:
        """Pods of each group when the gang has so many: the last groups give up theirs first."""
        left, found = sum(self.full) - pods, []
        for most, fewest in zip(reversed(self.full), reversed(self.least), strict=True):
            given = min(left, most - fewest)
            left -= given
            found.append(most - given)
        return tuple(reversed(found))

    def at_most(self, pods: int) -> int | None:
        """The largest legal number that is not above ``pods``, None below the least."""
        at = bisect.bisect_right(self.totals, pods)
        return self.totals[at - 1] if at else None

    @property
    def lowest(self) -> int:
        """The least number of pods."""
        return self.totals[0]


def scale(topology: TopologyRequest, option: Option) -> Scale | None:
    """The option's legal sizes; None where there is none below the full one."""
    if not any(0 < shape.min_replicas < shape.replicas for shape in option.groups):
        return None
    groups = tuple((shape.replicas, _fewest(shape), _largest(shape.topology.blocks)) for shape in option.groups)
    found = _scale(groups, _largest(topology.blocks))
    return found if found.totals and found.lowest < sum(found.full) else None


def _fewest(shape: GroupShape) -> int:
    return min(shape.min_replicas, shape.replicas) if shape.min_replicas > 0 else shape.replicas


def _largest(blocks: Iterable[Block]) -> int:
    """The largest block: those inside it divide it."""
    return max((block.pods for block in blocks), default=1)


@lru_cache(maxsize=64)
def _scale(groups: tuple[tuple[int, int, int], ...], block: int) -> Scale:
    """The scale of groups given as (full, least, largest block) under the gang's largest block."""
    full = tuple(most for most, _, _ in groups)
    least = tuple(fewest for _, fewest, _ in groups)
    if len(groups) == 1:
        step = max(block, groups[0][2])
        return Scale(full, least, range(-(-least[0] // step) * step, full[0] + 1, step))
    every = Scale(full, least, ())
    own = tuple(pods for _, _, pods in groups)
    first = -(-sum(least) // block) * block
    totals = [pods for pods in range(first, sum(full) + 1, block) if _even(every.size(pods), own, block)]
    return Scale(full, least, tuple(totals))


def _even(size: Size, own: tuple[int, ...], block: int) -> bool:
    """True where each group's block divides its pods and, under blocks of the gang, the rank at which it starts."""
    starts = (0, *itertools.accumulate(size))
    return all(
        pods % each == 0 and (block == 1 or start % each == 0)
        for pods, each, start in zip(size, own, starts, strict=False)
    )


def resized(gang: Gang, option: Option, pods: int) -> tuple[Gang, Option]:
    """The gang and its option with exactly so many pods, a legal number; every rank keeps its previous node."""
    found = scale(gang.topology, option)
    size = found.size(pods) if found is not None else tuple(shape.replicas for shape in option.groups)
    groups = tuple(
        dataclasses.replace(shape, replicas=number, min_replicas=0)
        for shape, number in zip(option.groups, size, strict=True)
    )
    other = Option(option.profile, groups)
    previous = {}
    old = new = 0
    for shape, number in zip(option.groups, size, strict=True) if gang.previous else ():
        for index in range(number):
            if old + index in gang.previous:
                previous[new + index] = gang.previous[old + index]
        old, new = old + shape.replicas, new + number
    options = tuple(other if one is option else one for one in gang.options)
    return dataclasses.replace(gang, options=options, previous=previous), other


def least(gang: Gang) -> Gang:
    """The gang as it asks when it can have no more: each option at its least size; itself where nothing is elastic.

    Nobody is taken down and nothing is kept for pods that the gang can do without.
    """
    if not _bends(gang):
        return gang
    found = tuple(
        one if (known := scale(gang.topology, one)) is None else resized(gang, one, known.lowest)[1]
        for one in gang.options
    )
    if all(one is other for one, other in zip(found, gang.options, strict=True)):
        return gang
    return dataclasses.replace(gang, options=found, previous={})


def _bends(gang: Gang) -> bool:
    """False for a gang of which no group may be smaller: asked of everybody who waits, so it has to be quick."""
    for option in gang.options:
        for shape in option.groups:
            if shape.min_replicas:
                return True
    return False


def allowed(found: Scale, option: Option, may: Callable[[int], bool]) -> int | None:
    """The largest legal number of pods whose cards ``may`` be used, None where even the least may not."""
    each = [shape.cards_per_pod for shape in option.groups]

    def stops(pods: int) -> bool:
        return not may(sum(number * cards for number, cards in zip(found.size(pods), each, strict=True)))

    at = bisect.bisect_left(found.totals, True, key=stops)
    return found.totals[at - 1] if at else None


def exactly(ground: Ground, gang: Gang, option: Option, pods: int) -> Placement | Refusal:
    """The gang with so many pods, a legal number: where it was as far as that can be, else from scratch."""
    return _settled(ground, *resized(gang, option, pods))


def largest(gang: Gang, option: Option, found: Scale, most: int) -> Place:
    """How to place this gang at its largest legal size of at most ``most`` pods; refused as its least size is."""

    def how(ground: Ground, _gang: Gang, _option: Option) -> Placement | Refusal:
        def tried(pods: int) -> Placement | Refusal:
            return _settled(ground, *resized(gang, option, pods))

        start = found.at_most(most)
        if start is None or start == found.lowest:
            return tried(found.lowest)
        if len(option.groups) == 1:
            return _of_one_shape(tried, found, start)
        return _of_several(tried, found, start, ground)

    return how


def _settled(ground: Ground, gang: Gang, option: Option) -> Placement | Refusal:
    """Where it was as far as that can be, else from scratch."""
    kept = place.keep(ground, gang, option) if gang.previous else None
    return kept if kept is not None else place.place(ground, gang, option)


def _of_one_shape(tried: Callable[[int], Placement | Refusal], found: Scale, start: int) -> Placement | Refusal:
    """What fits of equal pods is known from the refusal of more."""
    answer = tried(start)
    if isinstance(answer, Placement):
        return answer
    return tried(found.at_most(min(answer.fit, start - 1)) or found.lowest)


def _of_several(
    tried: Callable[[int], Placement | Refusal], found: Scale, start: int, ground: Ground
) -> Placement | Refusal:
    """Halve between the least size, which must fit, and the largest."""
    before = ground.snapshot()
    answer = tried(found.lowest)
    if isinstance(answer, Refusal):
        return answer
    low, high = 0, bisect.bisect_right(found.totals, start)
    while high - low > 1:
        ground.restore(before)
        middle = (low + high) // 2
        if isinstance(tried(found.totals[middle]), Placement):
            low = middle
        else:
            high = middle
    ground.restore(before)
    return tried(found.totals[low])
