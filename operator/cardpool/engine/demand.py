"""What a job and its groups demand of the topology, as level numbers of one profile's tree.

Nothing is silently unconstrained: a level that the tree does not have, or blocks that do not divide each other and the
gang, are errors in words, found before anything is placed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

from cardpool.domain.gangs import GroupShape
from cardpool.domain.topology import Block, TopologyRequest, Tree
from cardpool.names import Reason

BALANCED: Final = "Balanced"
_PLAIN: Final = TopologyRequest()


@dataclass(frozen=True, slots=True)
class Demand:
    """Level numbers, -1 for none; ``blocks`` are (pods, level), the larger first, each dividing the one before.

    ``balanced`` asks for equal parts wherever pods are divided.
    """

    required: int = -1
    preferred: int = -1
    blocks: tuple[tuple[int, int], ...] = ()
    balanced: bool = False

    def grains(self, levels: int) -> tuple[int, ...]:
        """Per level the multiple of pods that a domain holds: the largest block that may not straddle it."""
        if not self.blocks:
            return (1,) * levels
        return tuple(max((pods for pods, at in self.blocks if at >= level), default=1) for level in range(levels))

    def levels(self) -> set[int]:
        """The levels that are demanded."""
        return {level for level in (self.required, *(at for _, at in self.blocks)) if level >= 0}


@dataclass(frozen=True, slots=True)
class Fault:
    """A demand that cannot be meant: the reason and the words for it."""

    reason: Reason
    message: str


def check(tree: Tree, job: TopologyRequest, groups: tuple[GroupShape, ...]) -> Fault | None:
    """What is wrong with these demands on this tree, or None."""
    if job == _PLAIN and all(group.topology == _PLAIN for group in groups):
        return None
    known = tree.names()
    for request in (job, *(group.topology for group in groups)):
        for level in (
            request.required,
            request.preferred,
            request.exclusive,
            *(block.level for block in request.blocks),
        ):
            if level and level not in known:
                return Fault(Reason.UNKNOWN_LEVEL, f"unknown topology level {level!r}; there are {', '.join(known)}")
    fault = _divides(job.blocks, sum(group.replicas for group in groups), "the gang")
    for group in groups:
        fault = fault or _divides(group.topology.blocks, group.replicas, f"group {group.name}")
    start = 0
    for group in groups:
        fault = fault or _aligned(job.blocks, group, start)
        start += group.replicas
    return fault


@functools.lru_cache(maxsize=4096)
def resolve(tree: Tree, job: TopologyRequest, group: TopologyRequest | None = None) -> Demand:
    """The demands of a job, and of one group inside it, as one; they have passed ``check``."""
    known = {name: number for number, name in enumerate(tree.names())}
    own = group or TopologyRequest()
    required = max(known.get(job.required, -1), known.get(own.required, -1))
    preferred = known.get(own.preferred or job.preferred, -1)
    blocks = tuple((block.pods, known[block.level]) for block in _union(job.blocks, own.blocks))
    return Demand(required, preferred, blocks, balanced=(own.packing or job.packing) == BALANCED)


@functools.lru_cache(maxsize=4096)
def labelled(tree: Tree, job: TopologyRequest, group: TopologyRequest) -> tuple[int, ...]:
    """Every level that the job or the group demands: a node needs their labels."""
    own = {tree.names().index(job.exclusive)} if job.exclusive else set()
    return tuple(sorted(resolve(tree, job).levels() | resolve(tree, TopologyRequest(), group).levels() | own))


def _aligned(blocks: tuple[Block, ...], group: GroupShape, start: int) -> Fault | None:
    """A fault where the blocks of the gang and those of a group that starts at rank ``start`` cut across each other."""
    own = max((block.pods for block in group.topology.blocks), default=0)
    if not own or not blocks:
        return None
    if start % own:
        return Fault(
            Reason.INVALID_SPEC, f"group {group.name} starts at rank {start}, which its block of {own} does not divide"
        )
    return _divides(_union(blocks, group.topology.blocks), 0, "the gang")


def _union(one: tuple[Block, ...], other: tuple[Block, ...]) -> tuple[Block, ...]:
    return tuple(sorted({*one, *other}, key=lambda block: (-block.pods, block.level)))


def _divides(blocks: tuple[Block, ...], pods: int, whole: str) -> Fault | None:
    """A fault where a block does not divide the next larger one or the whole (0 pods: every block divides it)."""
    above, name = pods, f"{whole} of {pods} pods"
    for block in sorted(blocks, key=lambda block: -block.pods):
        if block.pods < 1 or above % block.pods:
            return Fault(Reason.INVALID_SPEC, f"a block of {block.pods} pods does not divide {name}")
        above, name = block.pods, f"the block of {block.pods} pods"
    return None
