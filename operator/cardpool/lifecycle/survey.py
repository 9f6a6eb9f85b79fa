"""The nodes of a pool as one cycle sees them, kept from cycle to cycle: only what changed is derived anew.

A view belongs to exactly the records that it was made of and is replaced as a whole when one of them is replaced, so
identity says "unchanged". The cost of a cycle grows with what changed, not with the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import is_
from types import MappingProxyType
from typing import NamedTuple

from cardpool.api.common import GangSlots
from cardpool.api.supernode import SpareCounts
from cardpool.domain import changes
from cardpool.domain.cards import CardFault
from cardpool.domain.changes import Table
from cardpool.domain.inventory import Cause
from cardpool.domain.world import NodeRecord, PodRecord, World
from cardpool.engine import fabrics
from cardpool.engine.build import NodeRow
from cardpool.faults import cards, signals
from cardpool.faults.signals import NodeFacts
from cardpool.lifecycle import rooms, slots, tally, times
from cardpool.lifecycle.membership import Domain, Member, Membership

Records = Mapping[str, CardFault]
Pods = Mapping[str, tuple[PodRecord, ...]]
Labels = tuple[tuple[str, str], ...]
CLEAN: Records = MappingProxyType({})


class View(NamedTuple):
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

    ``loud`` are the nodes whose facts alone give the fault pipeline something to judge. ``seen`` and ``silent`` are
    what the last cycle looked at, by identity, and what it found.
    """

    views: dict[str, View] = field(default_factory=dict)
    areas: dict[str, Area] = field(default_factory=dict)
    sums: dict[str, tuple[object, Mapping[str, Area], tally.Total]] = field(default_factory=dict)
    stray: tuple[object, dict[str, list[str]]] = field(default_factory=lambda: (None, {}))
    gauge: tuple[object, object, dict[Labels, float]] = field(default_factory=lambda: (None, None, {}))
    laid: dict[str, Laid] = field(default_factory=dict)
    loud: set[str] = field(default_factory=set)
    seen: tuple[Mapping[str, Member], Pods, Table[NodeFacts]] = field(default_factory=lambda: ({}, {}, Table({})))
    silent: tuple[Mapping[str, NodeRecord], Pods, set[str]] = field(default_factory=lambda: ({}, {}, set()))
    tidy: object = None

    def observe(self, world: World, place: Membership) -> Table[NodeFacts]:
        """What each node holds and says; the very mapping of the last cycle where no node and no pod changed."""
        before, pods, found = self.seen
        fresh: dict[str, NodeFacts] = {}
        touched = {*changes.between(before, place.members), *changes.between(pods, world.pods_by_node)}
        for name in touched & place.members.keys():
            member = place.members[name]
            facts = signals.facts(member.node, member.resource, world.pods_by_node.get(name, ()))
            fresh[name] = facts
            (self.loud.discard if cards.quiet(facts) else self.loud.add)(name)
        gone = touched & found.keys() - place.members.keys()
        self.loud -= gone
        self.seen = (place.members, world.pods_by_node, found.replaced(fresh, gone))
        return self.seen[2]

    def dead(self, world: World, grace: float) -> tuple[dict[str, float], float | None]:
        """Nodes with pods that are gone or silent for over ``grace`` seconds, and since when; then the next due."""
        nodes, pods, silent = self.silent
        for name in {*changes.between(nodes, world.nodes), *changes.between(pods, world.pods_by_node)}:
            node = world.nodes.get(name)
            speaks = name not in world.pods_by_node or (node is not None and node.ready)
            (silent.discard if speaks else silent.add)(name)
        self.silent = (world.nodes, world.pods_by_node, silent)
        return dead(world, grace, sorted(silent))

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

    def sum_up(self, pool: str, areas: Mapping[str, Area], domains: Mapping[str, Domain]) -> tally.Total:
        """The sum of a pool's supernodes: that of the last cycle, with what changed taken out and put in."""
        seen, known, sum_ = self.sums.get(pool, (None, {}, tally.Total()))
        if seen is areas:
            return sum_
        own = {name: area for name, area in areas.items() if domains[name].pool == pool}
        for name, old in known.items():
            if own.get(name) is not old:
                sum_.add(old.total, -1)
        for name, area in own.items():
            if known.get(name) is not area:
                sum_.add(area.total)
        self.sums[pool] = (areas, own, sum_)
        return sum_

    def strays(self, pool: str, place: Membership) -> list[str]:
        """The pool's nodes that are in no supernode."""
        if self.stray[0] is not place.by_pool:
            members = place.members
            alone = {
                name: [one for one in nodes if not members[one].supernode] for name, nodes in place.by_pool.items()
            }
            self.stray = place.by_pool, alone
        return self.stray[1].get(pool, [])

    def slot_gauges(self, areas: Mapping[str, Area], domains: Mapping[str, Domain]) -> dict[Labels, float]:
        """What gangs of each size would find in each supernode, as a gauge; never to be changed."""
        if self.gauge[0] is not areas or self.gauge[1] is not domains:
            found: dict[Labels, float] = {}
            for name, area in areas.items():
                where = (("pool", domains[name].pool), ("supernode", name))
                for slot in area.slots:
                    found[*where, ("gang_cards", str(slot.gang))] = slot.count
            self.gauge = areas, domains, found
        return self.gauge[2]

    def forget(self, place: Membership) -> None:
        """Drop what belongs to nodes and supernodes that are gone."""
        if self.tidy is place.by_pool:
            return
        self.tidy = place.by_pool
        for name in self.views.keys() - place.members.keys():
            del self.views[name]
        for kept in (self.areas, self.laid):
            for name in kept.keys() - place.by_supernode.keys():
                del kept[name]
        for pool in self.sums.keys() - place.by_pool.keys():
            del self.sums[pool]


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
