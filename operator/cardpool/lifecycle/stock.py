"""What is free: every node's planner row, the spares of each supernode, and each pool's inventory.

Laid out anew each cycle from views that are kept as long as nothing of them changed; an inventory is updated in place
by the rows that are not the ones of the last cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cardpool.api.cardpool import CardPoolSpec
from cardpool.api.supernode import SpareCounts
from cardpool.domain.inventory import Cause, Inventory
from cardpool.domain.world import World
from cardpool.engine import build
from cardpool.engine.build import NodeRow
from cardpool.faults.signals import NodeFacts
from cardpool.lifecycle import membership, rooms, survey
from cardpool.lifecycle.membership import Membership

Shape = tuple[object, ...]
Kept = dict[str, tuple[dict[str, NodeRow], Shape, Inventory]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What the rooms of one cycle are laid out from."""

    world: World
    place: Membership
    facts: Mapping[str, NodeFacts]
    faults: Mapping[str, survey.Records]
    survey: survey.Survey


@dataclass(slots=True)
class Stock:
    """One cycle's rows by pool and node, and sums and spares by supernode."""

    rows: dict[str, dict[str, NodeRow]] = field(default_factory=dict)
    areas: dict[str, survey.Area] = field(default_factory=dict)
    spares: dict[str, SpareCounts] = field(default_factory=dict)


def lay_out(ground: Ground, promises: Mapping[str, rooms.Promises]) -> Stock:
    """The room of every node of every pool; ``promises`` go by job and hold what no pod shows yet."""
    total: rooms.Promises = {}
    for promised in promises.values():
        for node, promise in promised.items():
            total.setdefault(node, rooms.Promise()).join(promise)
    stock, members = Stock(), ground.place.members
    moved = {members[node].supernode for node in (*total, *ground.faults) if node in members}
    for name, nodes in ground.place.by_supernode.items():
        _supernode(ground, stock, name, nodes, total, plain=name not in moved)
    for pool, nodes in ground.place.by_pool.items():
        rows = stock.rows.setdefault(pool, {})
        for node in nodes:
            if node not in rows:
                rows[node] = _look(ground, node, total.get(node), cordoned=False, spare=False).row
    ground.survey.forget(ground.place)
    return stock


def _supernode(
    ground: Ground, stock: Stock, name: str, nodes: list[str], total: rooms.Promises, *, plain: bool
) -> None:
    """Lay out one supernode; a ``plain`` one, without faults and promises, as before where nothing changed."""
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
    rows = stock.rows.setdefault(pool, {})
    facts = [ground.facts[node] for node in nodes]
    kept = ground.survey.laid.get(name) if plain else None
    if kept is not None and kept.same(ground.place, nodes, facts, wanted, cordoned=cordoned):
        stock.spares[name], stock.areas[name] = kept.spares, kept.area
        rows.update(kept.rows)
        return
    spare = rooms.pick_spares(nodes, wanted, lambda node: _idle(ground, node, total, cordoned=cordoned))
    stock.spares[name] = SpareCounts(wanted=wanted, healthy=len(spare), used=wanted - len(spare))
    views = [_look(ground, node, total.get(node), cordoned=cordoned, spare=node in spare) for node in nodes]
    area = stock.areas[name] = ground.survey.area(name, views)
    own = {view.member.node.name: view.row for view in views}
    rows.update(own)
    if plain:
        members = [view.member for view in views]
        ground.survey.laid[name] = survey.Laid(area, own, members, facts, wanted, cordoned, stock.spares[name])
    else:
        ground.survey.laid.pop(name, None)


def _look(ground: Ground, node: str, promise: rooms.Promise | None, *, cordoned: bool, spare: bool) -> survey.View:
    member, records = ground.place.members[node], ground.faults.get(node, survey.CLEAN)
    return ground.survey.look(member, ground.facts[node], records, promise, cordoned=cordoned, spare=spare)


def _idle(ground: Ground, node: str, total: rooms.Promises, *, cordoned: bool) -> bool:
    member, facts = ground.place.members[node], ground.facts[node]
    cause = rooms.cause_of(member, ground.faults.get(node, survey.CLEAN), cordoned=cordoned)
    return cause is Cause.NONE and not facts.used.get(member.resource) and node not in total


def inventory(kept: Kept, pool: str, spec: CardPoolSpec, rows: dict[str, NodeRow]) -> Inventory:
    """The pool's arrays: those of the last cycle with what changed, or new ones where nodes or levels changed."""
    profiles = tuple(profile.name for profile in spec.profiles)
    shape: Shape = (profiles, trees := tuple(membership.tree_of(spec, name) for name in profiles))
    last = kept.get(pool)
    found = None
    if last is not None and last[1] == shape and last[0].keys() == rows.keys():
        old = last[0]
        found = build.update_rows(last[2], [row for name, row in rows.items() if row is not old[name]])
    if found is None:
        found = build.build_inventory(rows.values(), profiles, trees)
    kept[pool] = (rows, shape, found)
    return found
