"""A gang of several groups cut into parts that can be placed one by one.

Ranks run through the groups in order, so a block of consecutive ranks may hold pods of two groups. Such a mixed block
becomes a Bundle that must sit in one domain of the block's level; everything between is a Run of equal pods.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cardpool.domain.gangs import GroupShape
from cardpool.domain.topology import TopologyRequest, Tree
from cardpool.engine import demand
from cardpool.engine.demand import Demand


@dataclass(frozen=True, slots=True)
class Run:
    """``pods`` of one group from index ``first`` on, with what they demand among themselves."""

    group: int
    first: int
    pods: int
    demand: Demand


@dataclass(frozen=True, slots=True)
class Bundle:
    """Parts that sit together in one domain of ``required`` (-1: where they like), in rank order."""

    parts: tuple[Part, ...]
    required: int = -1

    def runs(self) -> Iterator[Run]:
        """The runs inside, in rank order."""
        for part in self.parts:
            if isinstance(part, Run):
                yield part
            else:
                yield from part.runs()


Part = Run | Bundle
Blocks = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """The ranks from ``lo`` to ``hi`` that belong to one group, whose own ranks start at ``start``."""

    group: int
    start: int
    lo: int
    hi: int


def cut(tree: Tree, job: TopologyRequest, groups: tuple[GroupShape, ...]) -> Part:
    """The parts of a gang whose demands have passed ``demand.check``."""
    if len(groups) == 1:
        return Run(0, 0, groups[0].replicas, demand.resolve(tree, job, groups[0].topology))
    whole = demand.resolve(tree, job)
    pieces, start = [], 0
    for number, group in enumerate(groups):
        pieces.append(_Piece(number, start, start, start + group.replicas))
        start += group.replicas
    own = [
        demand.resolve(tree, TopologyRequest(preferred=job.preferred, packing=job.packing), group.topology)
        for group in groups
    ]
    return Bundle(tuple(_split(pieces, whole.blocks, own)), whole.required)


def _split(pieces: list[_Piece], blocks: Blocks, own: list[Demand]) -> list[Part]:
    """Parts of neighbouring pieces under these blocks of ranks, in rank order."""
    pieces = [piece for piece in pieces if piece.hi > piece.lo]
    if not blocks:
        return [_run(piece, (), own) for piece in pieces]
    pods, level = blocks[0]
    parts: list[Part] = []
    at = pieces[0].lo if pieces else 0
    for piece in pieces:
        if piece.hi <= at:
            continue
        even = piece.hi - (piece.hi - at) % pods
        if even > at:
            parts.append(_run(_Piece(piece.group, piece.start, at, even), blocks, own))
            at = even
        if piece.hi > at:
            mixed = [_Piece(other.group, other.start, max(other.lo, at), min(other.hi, at + pods)) for other in pieces]
            parts.append(Bundle(tuple(_split(mixed, blocks[1:], own)), level))
            at += pods
    return parts


def _run(piece: _Piece, blocks: Blocks, own: list[Demand]) -> Run:
    wants = own[piece.group]
    union = tuple(sorted({*blocks, *wants.blocks}, key=lambda block: (-block[0], block[1])))
    demands = Demand(wants.required, wants.preferred, union, wants.balanced)
    return Run(piece.group, piece.lo - piece.start, piece.hi - piece.lo, demands)
