"""Slots: how many gangs of a size in cards would find room now, one beside the other, counted profile by profile.

A gang of at most a node's cards is one pod on one node; a larger one has pods of whole nodes, entirely free ones, all
in one supernode (``count``) or anywhere in the pool (``spread``). Cards alone are counted: spares and nodes that take
no pod have none; cpu and taints are left aside. Sums can be taken apart again, so a pool's slots
cost what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cardpool.api.common import GangSlots

SIZES: Final = (1, 8, 64, 512, 4096, 32_768, 262_144)


@dataclass(slots=True)
class Slots:
    """Of some nodes of one profile.

    ``inside`` counts the gangs of each size that sit in one supernode, ``single`` those that sit on one node;
    ``whole`` and ``nodes`` count entirely free nodes and all nodes by their cards.
    """

    inside: dict[int, int] = field(default_factory=dict)
    single: dict[int, int] = field(default_factory=dict)
    whole: dict[int, int] = field(default_factory=dict)
    nodes: dict[int, int] = field(default_factory=dict)

    def add(self, other: Slots, sign: int = 1) -> None:
        """Sum in place (sign -1: take apart)."""
        for own, more in (
            (self.inside, other.inside),
            (self.single, other.single),
            (self.whole, other.whole),
            (self.nodes, other.nodes),
        ):
            for key, value in more.items():
                found = own.get(key, 0) + sign * value
                if found:
                    own[key] = found
                else:
                    own.pop(key, None)

    def cards(self) -> int:
        """All cards of the nodes."""
        return sum(cards * number for cards, number in self.nodes.items())

    def whole_cards(self) -> int:
        """Cards of entirely free nodes."""
        return sum(cards * number for cards, number in self.whole.items())

    def listed(self) -> tuple[GangSlots, ...]:
        """One entry a size, up to the cards that there are."""
        widest, most = max(self.nodes, default=0), self.cards()
        return tuple(
            GangSlots(
                gang=size,
                count=self.inside.get(size, 0),
                spread=self.single.get(size, 0) if size <= widest else _of_whole(self.whole, widest, size),
            )
            for size in SIZES
            if size <= most
        )


def of_supernode(nodes: Iterable[tuple[int, int, Mapping[int, int] | None]]) -> Slots:
    """The slots of one supernode's nodes of one profile.

    Each node as its cards, the free ones that a gang may have, and the pods of each size that its fabrics hold, if any.
    """
    found = Slots()
    for cards, free, fabrics in nodes:
        if not cards:
            continue
        found.nodes[cards] = found.nodes.get(cards, 0) + 1
        if free == cards:
            found.whole[cards] = found.whole.get(cards, 0) + 1
        for size in SIZES:
            if size > free:
                break
            number = free // size if fabrics is None else min(free // size, fabrics[size])
            found.single[size] = found.single.get(size, 0) + number
    widest = max(found.nodes, default=0)
    for size in SIZES:
        number = found.single.get(size, 0) if size <= widest else _of_whole(found.whole, widest, size)
        if number:
            found.inside[size] = number
    return found


def summed(parts: Iterable[tuple[GangSlots, ...]]) -> tuple[GangSlots, ...]:
    """Over profiles; no gang is on two of them."""
    found: dict[int, tuple[int, int]] = {}
    for part in parts:
        for one in part:
            count, spread = found.get(one.gang, (0, 0))
            found[one.gang] = count + one.count, spread + (one.spread or 0)
    return tuple(GangSlots(gang=size, count=count, spread=spread) for size, (count, spread) in sorted(found.items()))


def _of_whole(whole: dict[int, int], widest: int, size: int) -> int:
    """Gangs of pods that each take a whole node of the widest sort."""
    return whole.get(widest, 0) // -(-size // widest) if widest else 0
