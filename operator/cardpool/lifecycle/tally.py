"""Counting cards: of one node by state, summed over any scope. Every card is counted once, in exactly one state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cardpool.api.common import CardCounts, ProfileCards
from cardpool.domain.cards import CardFault
from cardpool.faults.cards import GONE
from cardpool.lifecycle.membership import Member
from cardpool.names import CardState

FIELDS = {
    CardState.SUSPECT: "suspect",
    CardState.FAULTY: "faulty",
    CardState.SUB_HEALTHY: "sub_healthy",
    CardState.UNKNOWN: "unknown",
    CardState.QUARANTINED: "quarantined",
    CardState.PROBATION: "probation",
}

Counts = dict[str, int]


def empty() -> Counts:
    """A tally of nothing."""
    return dict.fromkeys(("total", "healthy", "free", "allocated", *FIELDS.values()), 0)


def of_node(member: Member, records: Mapping[str, CardFault], used: int, *, open_: bool) -> Counts:
    """One node's cards; ``used`` counts cards held or promised, ``open_`` says whether its free cards may be given."""
    counts = empty()
    total = member.capacity
    counts["total"] = total
    counts["allocated"] = min(used, total) if total else used
    if GONE in records or not member.node.ready:
        counts["unknown"] = total
        return counts
    bad = 0
    for record in records.values():
        if record.bad and bad < total:
            counts[FIELDS[record.state]] += 1
            bad += 1
    counts["healthy"] = total - bad
    if open_:
        counts["free"] = max(0, min(member.allocatable, total - bad) - used)
    return counts


def add(total: Counts, part: Counts) -> None:
    """Sum in place."""
    for key, value in part.items():
        total[key] += value


def model(counts: Counts) -> CardCounts:
    """The counts as they stand in status."""
    return CardCounts(**counts)


def by_profile(members: Iterable[tuple[Member, Counts]], vendors: Mapping[str, str]) -> tuple[ProfileCards, ...]:
    """One entry a profile, in name order; nodes without a profile are left out."""
    sums: dict[str, tuple[Counts, list[int]]] = {}
    for member, counts in members:
        if member.profile:
            total, nodes = sums.setdefault(member.profile, (empty(), [0]))
            add(total, counts)
            nodes[0] += 1
    return tuple(
        ProfileCards(profile=name, vendor=vendors.get(name), nodes=nodes[0], cards=model(total))
        for name, (total, nodes) in sorted(sums.items())
    )
