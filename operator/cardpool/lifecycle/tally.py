"""Counting cards: of one node by state, summed over any scope. Every card is counted once, in exactly one state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from cardpool.api.common import CardCounts, ProfileCards
from cardpool.domain.cards import CardFault
from cardpool.faults.cards import GONE
from cardpool.lifecycle.membership import Member
from cardpool.lifecycle.slots import Slots, of_supernode
from cardpool.names import CardState

STATES = {
    CardState.SUSPECT: "suspect",
    CardState.FAULTY: "faulty",
    CardState.SUB_HEALTHY: "sub_healthy",
    CardState.UNKNOWN: "unknown",
    CardState.QUARANTINED: "quarantined",
    CardState.PROBATION: "probation",
}
_NOTHING = dict.fromkeys(("total", "healthy", "free", "allocated", *STATES.values()), 0)

Counts = dict[str, int]


def of_node(member: Member, records: Mapping[str, CardFault], used: int, *, open_: bool) -> Mapping[str, int]:
    """One node's cards; ``used`` counts cards held or promised, ``open_`` says whether its free cards may be given."""
    if not records:
        return _well(member.capacity, member.allocatable, used, member.node.ready, open_)
    total = max(member.capacity, records[GONE].cards) if GONE in records else member.capacity
    if GONE in records:
        return _well(total, member.allocatable, used, False, open_)
    counts = dict(_well(total, member.allocatable, used, member.node.ready, open_))
    if not member.node.ready:
        return counts
    bad = 0
    for record in records.values():
        if record.bad and bad < total:
            counts[STATES[record.state]] += 1
            bad += 1
    counts["healthy"] = total - bad
    if open_:
        counts["free"] = max(0, min(member.allocatable, total - bad) - used)
    return counts


@lru_cache(maxsize=4096)
def _well(total: int, allocatable: int, used: int, ready: bool, open_: bool) -> Mapping[str, int]:
    """The cards of a node of which no single one is known to be bad: held once for all nodes alike."""
    counts = _NOTHING.copy()
    counts["total"] = total
    counts["allocated"] = min(used, total) if total else used
    if not ready:
        counts["unknown"] = total
        return counts
    counts["healthy"] = total
    if open_:
        counts["free"] = max(0, min(allocatable, total) - used)
    return counts


@dataclass(slots=True)
class Share:
    """One profile's part of a sum."""

    vendor: str
    counts: Counts = field(default_factory=_NOTHING.copy)
    nodes: int = 0
    slots: Slots = field(default_factory=Slots)


@dataclass(slots=True)
class Total:
    """Sums over some nodes: cards by state, per profile too, and what gangs of each size would find.

    ``largest`` is the largest gang that fits one supernode now, in cards; it is not summed.
    """

    nodes: int = 0
    ready: int = 0
    counts: Counts = field(default_factory=_NOTHING.copy)
    profiles: dict[str, Share] = field(default_factory=dict)
    largest: int = 0

    def add(self, other: Total, sign: int = 1) -> None:
        """Sum in place (sign -1: take apart)."""
        self.nodes += sign * other.nodes
        self.ready += sign * other.ready
        for key, value in other.counts.items():
            self.counts[key] += sign * value
        for name, more in other.profiles.items():
            own = self.profiles.setdefault(name, Share(more.vendor))
            for key, value in more.counts.items():
                own.counts[key] += sign * value
            own.nodes += sign * more.nodes
            own.slots.add(more.slots, sign)
            if not own.nodes:
                del self.profiles[name]

    def cards(self) -> CardCounts:
        """The counts as they stand in status."""
        return CardCounts(**self.counts)

    def by_profile(self) -> tuple[ProfileCards, ...]:
        """One entry a profile, in name order."""
        return tuple(
            ProfileCards(
                profile=name,
                vendor=share.vendor or None,
                nodes=share.nodes,
                cards=CardCounts(**share.counts),
                slots=share.slots.listed(),
            )
            for name, share in sorted(self.profiles.items())
        )

    def unwell(self) -> dict[str, int]:
        """Cards out of service by state."""
        return {name: self.counts[name] for name in ("faulty", "quarantined", "unknown") if self.counts[name]}


def total(nodes: Iterable[tuple[Member, Mapping[str, int], bool, Mapping[int, int] | None]]) -> Total:
    """The sum over the nodes of one supernode.

    Of each its cards by state, whether it is kept as a spare, and what its fabrics hold of each size, if it has any.
    """
    sum_ = Total()
    alike: dict[tuple[str, int], Alike] = {}
    seen: dict[str, list[tuple[int, int, Mapping[int, int] | None]]] = {}
    for member, counts, spare, fabrics in nodes:
        sum_.nodes += 1
        sum_.ready += member.node.ready and not member.node.unschedulable
        profile = member.profile
        found = alike.get((profile, id(counts)))
        if found is None:
            found = alike[profile, id(counts)] = Alike(member.vendor, counts)
        found.nodes += 1
        if profile:
            seen.setdefault(profile, []).append((member.capacity, 0 if spare else counts["free"], fabrics))
    for (profile, _), found in alike.items():
        shares = [sum_.counts]
        if profile:
            share = sum_.profiles.setdefault(profile, Share(found.vendor))
            share.nodes += found.nodes
            shares.append(share.counts)
        for key, value in found.counts.items():
            for own in shares:
                own[key] += value * found.nodes
    for name, room in seen.items():
        slots = sum_.profiles[name].slots = of_supernode(room)
        sum_.largest = max(sum_.largest, slots.whole_cards(), *(free for _, free, _ in room))
    return sum_


@dataclass(slots=True)
class Alike:
    """Nodes of one profile with the very same counts."""

    vendor: str
    counts: Mapping[str, int]
    nodes: int = 0
