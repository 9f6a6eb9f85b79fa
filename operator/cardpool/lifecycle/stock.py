"""What is free: every node's planner row, the spares of each supernode, and each pool's inventory.

Only supernodes are laid out anew of which a node, its pods, a fault, a promise or the object itself changed since the
last cycle; all others stand as they were laid out. An inventory is updated by the rows that are not those of before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from operator import is_

from cardpool.api.cardpool import CardPoolSpec
from cardpool.api.supernode import SpareCounts
from cardpool.domain import changes
from cardpool.domain.changes import Table
from cardpool.domain.inventory import Cause, Inventory
from cardpool.domain.world import World
from cardpool.engine import build
from cardpool.engine.build import NodeRow
from cardpool.faults.signals import NodeFacts
from cardpool.lifecycle import membership, rooms, survey
from cardpool.lifecycle.membership import Membership

Shape = tuple[object, ...]
Kept = dict[str, tuple[Table[NodeRow], Shape, Inventory]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What the rooms of one cycle are laid out from."""

    world: World
    place: Membership
    facts: Table[NodeFacts]
    faults: Mapping[str, survey.Records]
    survey: survey.Survey


@dataclass(slots=True)
class Stock:
    """One cycle's rows by pool and node, and sums and spares by supernode."""

    rows: dict[str, Table[NodeRow]] = field(default_factory=dict)
    areas: dict[str, survey.Area] = field(default_factory=dict)
    spares: dict[str, SpareCounts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a cycle laid out, and from what; ``moved`` are the nodes with faults or promises then."""

    ground: Ground
    specs: tuple[object, ...]
    moved: frozenset[str]
    stock: Stock

    def dirty(self, ground: Ground, specs: tuple[object, ...], moved: frozenset[str]) -> set[str] | None:
        """Nodes whose room may be another by now, None for all; some node of each supernode that changed itself."""
        before, now = self.ground, ground.place
        same = len(specs) == len(self.specs) and all(map(is_, specs, self.specs))
        if not same or before.place.by_pool is not now.by_pool:
            return None
        found = {*changes.between(before.place.members, now.members), *changes.between(before.facts, ground.facts)}
        for name in changes.between(before.world.supernodes, ground.world.supernodes):
            found.update(now.by_supernode.get(name, ())[:1])
        return (found | self.moved | moved) & now.members.keys()


@dataclass(slots=True)
class LayoutMemory:
    """The layout of the last cycle, if there was one."""

    last: Layout | None = None


def lay_out(ground: Ground, promises: Mapping[str, rooms.Promises], kept: LayoutMemory) -> Stock:
    """The room of every node of every pool; ``promises`` go by job and hold what no pod shows yet."""
    total: rooms.Promises = {}
    for promised in promises.values():
        for node, promise in promised.items():
            total.setdefault(node, rooms.Promise()).join(promise)
    place, members = ground.place, ground.place.members
    moved = frozenset(node for node in (*total, *ground.faults) if node in members)
    specs = tuple(ground.world.pools[pool].spec for pool in place.by_pool)
    dirty = kept.last.dirty(ground, specs, moved) if kept.last is not None else None
    old = kept.last.stock if kept.last is not None and dirty is not None else Stock()
    nodes = members.keys() if dirty is None else dirty
    if not nodes and dirty is not None:
        stock = old
    else:
        stock = Stock(areas=dict(old.areas), spares=dict(old.spares))
        _lay(ground, stock, old, nodes, total)
    kept.last = Layout(ground, specs, moved, stock)
    ground.survey.forget(place)
    return stock


def _lay(ground: Ground, stock: Stock, old: Stock, nodes: Collection[str], total: rooms.Promises) -> None:
    """Lay out the supernodes of these nodes, and those of them that are in none."""
    place, members = ground.place, ground.place.members
    moved = {members[node].supernode for node in (*total, *ground.faults) if node in members}
    fresh: dict[str, dict[str, NodeRow]] = {pool: {} for pool in place.by_pool}
    for name in dict.fromkeys(members[node].supernode for node in sorted(nodes)):
        if name:
            fresh[place.domains[name].pool] |= _supernode(ground, stock, name, total, plain=name not in moved)
    for node in nodes:
        if not members[node].supernode:
            view = _look(ground, node, total.get(node), cordoned=False, spare=False)
            fresh[members[node].pool][node] = view.row
    for pool, rows in fresh.items():
        known = old.rows.get(pool)
        if known is None:
            stock.rows[pool] = Table(rows)
        else:
            stock.rows[pool] = known.replaced({name: row for name, row in rows.items() if known.get(name) is not row})


def _supernode(ground: Ground, stock: Stock, name: str, total: rooms.Promises, *, plain: bool) -> Mapping[str, NodeRow]:
    """Lay out one supernode; a ``plain`` one, without faults and promises, as before where nothing changed."""
    nodes = ground.place.by_supernode[name]
    record = ground.world.supernodes.get(name)
    spec = record.spec if record is not None else None
    pool = ground.place.members[nodes[0]].pool
    setting = spec.spares if spec is not None else None
    owner = ground.world.pools[pool].spec
    declared = owner.spares if owner is not None else None
    if setting is None and declared is not None:
        setting = declared.per_supernode
    cordoned = spec is not None and spec.cordoned
    wanted = rooms.spares_wanted(setting, len(nodes))
    facts = [ground.facts[node] for node in nodes]
    kept = ground.survey.laid.get(name) if plain else None
    if kept is not None and kept.same(ground.place, nodes, facts, wanted, cordoned=cordoned):
        stock.spares[name], stock.areas[name] = kept.spares, kept.area
        return kept.rows
    spare = rooms.pick_spares(nodes, wanted, lambda node: _idle(ground, node, total, cordoned=cordoned))
    stock.spares[name] = SpareCounts(wanted=wanted, healthy=len(spare), used=wanted - len(spare))
    views = [_look(ground, node, total.get(node), cordoned=cordoned, spare=node in spare) for node in nodes]
    area = stock.areas[name] = ground.survey.area(name, views)
    own = {view.member.node.name: view.row for view in views}
    if plain:
        members = [view.member for view in views]
        ground.survey.laid[name] = survey.Laid(area, own, members, facts, wanted, cordoned, stock.spares[name])
    else:
        ground.survey.laid.pop(name, None)
    return own


def _look(ground: Ground, node: str, promise: rooms.Promise | None, *, cordoned: bool, spare: bool) -> survey.View:
    member, records = ground.place.members[node], ground.faults.get(node, survey.CLEAN)
    return ground.survey.look(member, ground.facts[node], records, promise, cordoned=cordoned, spare=spare)


def _idle(ground: Ground, node: str, total: rooms.Promises, *, cordoned: bool) -> bool:
    member, facts = ground.place.members[node], ground.facts[node]
    cause = rooms.cause_of(member, ground.faults.get(node, survey.CLEAN), cordoned=cordoned)
    return cause is Cause.NONE and not facts.used.get(member.resource) and node not in total


def inventory(kept: Kept, pool: str, spec: CardPoolSpec, rows: Table[NodeRow]) -> Inventory:
    """The pool's arrays: those of the last cycle with what changed, or new ones where nodes or levels changed."""
    profiles = tuple(profile.name for profile in spec.profiles)
    shape: Shape = (profiles, trees := tuple(membership.tree_of(spec, name) for name in profiles))
    last = kept.get(pool)
    found = None
    if last is not None and last[1] == shape and len(last[0]) == len(rows):
        changed = [name for name in changes.between(last[0], rows) if last[0].get(name) is not rows.get(name)]
        if all(name in last[0] and name in rows for name in changed):
            found = build.update_rows(last[2], [rows[name] for name in sorted(changed)])
    if found is None:
        found = build.build_inventory(rows.values(), profiles, trees)
    kept[pool] = (rows, shape, found)
    return found
