"""Counting cards: of one node by state, summed over any scope. Every card is counted once, in exactly one state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cardpool.api.cardpool import GangSlots
from cardpool.api.common import CardCounts, ProfileCards
from cardpool.domain.cards import CardFault
from cardpool.faults.cards import GONE
from cardpool.lifecycle.membership import Member
from cardpool.names import CardState

STATES = {
    CardState.SUSPECT: "suspect",
    CardState.FAULTY: "faulty",
    CardState.SUB_HEALTHY: "sub_healthy",
    CardState.UNKNOWN: "unknown",
    CardState.QUARANTINED: "quarantined",
    CardState.PROBATION: "probation",
}
SLOT_SIZES = (1, 8, 64, 512, 4096)
_NOTHING = dict.fromkeys(("total", "healthy", "free", "allocated", *STATES.values()), 0)

Counts = dict[str, int]


def of_node(member: Member, records: Mapping[str, CardFault], used: int, *, open_: bool) -> Counts:
    """One node's cards; ``used`` counts cards held or promised, ``open_`` says whether its free cards may be given."""
    counts = _NOTHING.copy()
    total = max(member.capacity, records[GONE].cards) if GONE in records else member.capacity
    counts["total"] = total
    counts["allocated"] = min(used, total) if total else used
    if GONE in records or not member.node.ready:
        counts["unknown"] = total
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


@dataclass(slots=True)
class Total:
    """Sums over some nodes: cards by state, per profile too, and what gangs of each slot size would find.

    ``whole`` counts the free cards of entirely free nodes, ``fits[size]`` the gangs of that size inside single nodes.
    """

    nodes: int = 0
    ready: int = 0
    counts: Counts = field(default_factory=_NOTHING.copy)
    profiles: dict[str, tuple[str, Counts, int]] = field(default_factory=dict)
    whole: int = 0
    widest: int = 0
    fits: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOT_SIZES, 0))
    above: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOT_SIZES, 0))

    def add(self, other: Total) -> None:
        """Sum in place."""
        self.nodes += other.nodes
        self.ready += other.ready
        self.widest = max(self.widest, other.widest)
        for key, value in other.counts.items():
            self.counts[key] += value
        for name, (vendor, counts, nodes) in other.profiles.items():
            _, own, known = self.profiles.get(name, (vendor, _NOTHING.copy(), 0))
            for key, value in counts.items():
                own[key] += value
            self.profiles[name] = (vendor, own, known + nodes)
        for size in SLOT_SIZES:
            self.fits[size] += other.fits[size]
            self.above[size] += other.above[size]

    def cards(self) -> CardCounts:
        """The counts as they stand in status."""
        return CardCounts(**self.counts)

    def by_profile(self) -> tuple[ProfileCards, ...]:
        """One entry a profile, in name order."""
        return tuple(
            ProfileCards(profile=name, vendor=vendor or None, nodes=nodes, cards=CardCounts(**counts))
            for name, (vendor, counts, nodes) in sorted(self.profiles.items())
        )

    def slots(self) -> tuple[GangSlots, ...]:
        """Gangs of each size that fit now: inside one node up to a node's cards, inside one supernode above."""
        return tuple(
            GangSlots(gang=size, count=self.fits[size] if size <= self.widest else self.above[size])
            for size in SLOT_SIZES
        )

    def unwell(self) -> dict[str, int]:
        """Cards out of service by state."""
        return {name: self.counts[name] for name in ("faulty", "quarantined", "unknown") if self.counts[name]}


def total(nodes: Iterable[tuple[Member, Counts, Mapping[int, int] | None]]) -> Total:
    """The sum over the nodes of one supernode; the last of each is what its fabrics hold of each size, if any."""
    sum_ = Total()
    for member, counts, fabrics in nodes:
        sum_.nodes += 1
        sum_.ready += member.node.ready and not member.node.unschedulable
        sum_.widest = max(sum_.widest, member.capacity)
        own = sum_.counts
        for key, value in counts.items():
            if value:
                own[key] += value
        if member.profile:
            vendor, parts, number = sum_.profiles.get(member.profile, (member.vendor, _NOTHING.copy(), 0))
            for key, value in counts.items():
                if value:
                    parts[key] += value
            sum_.profiles[member.profile] = (vendor, parts, number + 1)
        free = counts["free"]
        if free:
            if free == member.capacity:
                sum_.whole += free
            for size in SLOT_SIZES:
                sum_.fits[size] += free // size if fabrics is None else min(free // size, fabrics[size])
    sum_.above = {size: sum_.whole // size for size in SLOT_SIZES}
    return sum_
