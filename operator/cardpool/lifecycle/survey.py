"""The nodes of a pool as one cycle sees them, kept from cycle to cycle: only what changed is derived anew.

A view belongs to exactly the records that it was made of and is replaced as a whole when one of them is replaced, so
identity says "unchanged". The cost of a cycle grows with what changed, not with the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from types import MappingProxyType

from cardpool.api.common import GangSlots
from cardpool.api.supernode import SpareCounts
from cardpool.domain.cards import CardFault
from cardpool.domain.inventory import Cause
from cardpool.domain.world import NodeRecord, PodRecord, World
from cardpool.engine import fabrics
from cardpool.engine.build import NodeRow
from cardpool.faults import cards, signals
from cardpool.faults.signals import NodeFacts
from cardpool.lifecycle import rooms, slots, tally, times
from cardpool.lifecycle.membership import Member, Membership

Records = Mapping[str, CardFault]
CLEAN: Records = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One node: its planner row, its cards by state and what its fabrics hold, with everything they come from."""

    member: Member
    facts: NodeFacts
    records: Records
    promise: rooms.Promise | None
    cordoned: bool
    spare: bool
    cause: Cause
    row: NodeRow
    counts: Mapping[str, int]
    slots: Mapping[int, int] | None = None

    def same(
        self,
        member: Member,
        facts: NodeFacts,
        records: Records,
        promise: rooms.Promise | None,
        *,
        cordoned: bool,
        spare: bool,
    ) -> bool:
        """True where a new view of these would be equal."""
        return (
            self.member is member
            and self.facts is facts
            and self.cordoned == cordoned
            and self.spare == spare
            and (self.records is records or self.records == records)
            and self.promise == promise
        )


@dataclass(frozen=True, slots=True, eq=False)
class Area:
    """One supernode's views, their sum, and its slots over all profiles."""

    views: tuple[View, ...]
    total: tally.Total
    slots: tuple[GangSlots, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """How a supernode without faults and promises was laid out, and what else that came from."""

    area: Area
    rows: Mapping[str, NodeRow]
    members: list[Member]
    facts: list[NodeFacts]
    wanted: int
    cordoned: bool
    spares: SpareCounts

    def same(
        self, place: Membership, nodes: Sequence[str], facts: Sequence[NodeFacts], wanted: int, *, cordoned: bool
    ) -> bool:
        """True where laying it out again would come to the same."""
        if (self.wanted, self.cordoned, len(self.facts)) != (wanted, cordoned, len(facts)):
            return False
        members = map(place.members.__getitem__, nodes)
        return all(map(is_, self.facts, facts)) and all(map(is_, self.members, members))


@dataclass(slots=True)
class Survey:
    """What is kept between cycles.

    ``loud`` are the nodes whose facts alone give the fault pipeline something to judge. ``seen``, ``still`` and
    ``silent`` are what the last cycle looked at, by identity, and what it found.
    """

    facts: dict[str, tuple[NodeRecord, str, tuple[PodRecord, ...], NodeFacts]] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    areas: dict[str, Area] = field(default_factory=dict)
    sums: dict[str, tuple[Mapping[str, Area], tally.Total]] = field(default_factory=dict)
    laid: dict[str, Laid] = field(default_factory=dict)
    loud: set[str] = field(default_factory=set)
    seen: tuple[Membership, object, dict[str, NodeFacts]] | None = None
    silent: tuple[object, object, tuple[str, ...]] | None = None
    tidy: Membership | None = None

    def observe(self, world: World, place: Membership) -> dict[str, NodeFacts]:
        """What each node holds and says; the very dictionary of the last cycle where no node and no pod changed."""
        if self.seen is not None and self.seen[0] is place and self.seen[1] is world.pods_by_node:
            return self.seen[2]
        kept = self.facts
        for name, member in place.members.items():
            pods = world.pods_by_node.get(name, ())
            old = kept.get(name)
            if old is None or old[0] is not member.node or old[1] != member.resource or old[2] is not pods:
                facts = signals.facts(member.node, member.resource, pods)
                kept[name] = (member.node, member.resource, pods, facts)
                (self.loud.discard if cards.quiet(facts) else self.loud.add)(name)
        for name in kept.keys() - place.members.keys():
            del kept[name]
            self.loud.discard(name)
        found = {name: entry[3] for name, entry in kept.items()}
        self.seen = (place, world.pods_by_node, found)
        return found

    def dead(self, world: World, grace: float) -> tuple[dict[str, float], float | None]:
        """Nodes with pods that are gone or silent for over ``grace`` seconds, and since when; then the next due."""
        kept = self.silent
        if kept is None or kept[0] is not world.nodes or kept[1] is not world.pods_by_node:
            kept = self.silent = (world.nodes, world.pods_by_node, tuple(_silent(world)))
        return dead(world, grace, kept[2])

    def look(
        self,
        member: Member,
        facts: NodeFacts,
        records: Records,
        promise: rooms.Promise | None,
        *,
        cordoned: bool,
        spare: bool,
    ) -> View:
        """The node's view, the one of the last cycle where nothing changed."""
        name = member.node.name
        old = self.views.get(name)
        if old is not None and old.same(member, facts, records, promise, cordoned=cordoned, spare=spare):
            return old
        cause = rooms.cause_of(member, records, cordoned=cordoned)
        row = rooms.row(member, facts, records, promise, cause, spare=spare)
        counts = tally.of_node(member, records, row.used_cards, open_=cause is Cause.NONE)
        if old is not None and old.row == row:
            row = old.row  # an inventory changes where rows do
        in_fabrics = fabrics.slots(row.fabrics, slots.SIZES) if row.fabrics is not None else None
        view = View(member, facts, records, promise, cordoned, spare, cause, row, counts, in_fabrics)
        self.views[name] = view
        return view

    def area(self, name: str, views: Iterable[View]) -> Area:
        """The supernode's sum, the one of the last cycle where no view changed."""
        seen = tuple(views)
        old = self.areas.get(name)
        if old is not None and len(old.views) == len(seen) and all(map(is_, old.views, seen)):
            return old
        total = tally.total((view.member, view.counts, view.spare, view.slots) for view in seen)
        area = Area(seen, total, slots.summed(share.slots.listed() for share in total.profiles.values()))
        self.areas[name] = area
        return area

    def sum_up(self, pool: str, areas: Mapping[str, Area]) -> tally.Total:
        """The sum of a pool's supernodes: that of the last cycle, with what changed taken out and put in."""
        known, sum_ = self.sums.get(pool, ({}, tally.Total()))
        for name, old in known.items():
            if areas.get(name) is not old:
                sum_.add(old.total, -1)
        for name, area in areas.items():
            if known.get(name) is not area:
                sum_.add(area.total)
        self.sums[pool] = (areas, sum_)
        return sum_

    def forget(self, place: Membership) -> None:
        """Drop what belongs to nodes and supernodes that are gone."""
        if self.tidy is place:
            return
        self.tidy = place
        for name in self.views.keys() - place.members.keys():
            del self.views[name]
        for kept in (self.areas, self.laid):
            for name in kept.keys() - place.by_supernode.keys():
                del kept[name]
        for pool in self.sums.keys() - place.by_pool.keys():
            del self.sums[pool]


def _silent(world: World) -> Iterator[str]:
    """Nodes with pods that are gone or not ready."""
    for name in world.pods_by_node:
        node = world.nodes.get(name)
        if node is None or not node.ready:
            yield name


def dead(world: World, grace: float, silent: Iterable[str]) -> tuple[dict[str, float], float | None]:
    """Those of the ``silent`` nodes that are gone, or silent for over ``grace`` seconds; then the next due."""
    found, wake = {}, None
    for name in silent:
        node = world.nodes.get(name)
        if node is None:
            found[name] = world.now
        elif not node.ready:
            due = node.ready_since + grace
            if world.now >= due:
                found[name] = node.ready_since
            else:
                wake = times.earliest(wake, due)
    return found, wake
