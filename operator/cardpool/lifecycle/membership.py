"""Which node belongs to which pool, profile and supernode.

A node selected by two pools belongs to the older one; the other reports it. A declared Supernode outranks a
discovered one. A node keeps its profile while its plug-in is gone, so that its cards turn Unknown and not to zero.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import is_
from typing import Final, NamedTuple

from cardpool.api.cardpool import CardPoolSpec, Profile
from cardpool.api.common import LabelSelector
from cardpool.domain import changes
from cardpool.domain.changes import Table
from cardpool.domain.fabrics import FabricRule
from cardpool.domain.topology import Level, Tree
from cardpool.domain.world import NodeRecord, PoolRecord, SupernodeRecord, World
from cardpool.lifecycle import fabrics
from cardpool.names import LABEL_PROFILE, SUPERNODE_LEVEL
from cardpool.vendors.registry import Registry

POD_SLOTS: Final = 110  # what a kubelet takes where nothing says it


@dataclass(frozen=True, slots=True)
class Member:
    """One node of a pool; ``capacity`` and ``allocatable`` count whole cards of ``resource`` (empty: none offered).

    ``room`` is what else is allocatable, in canonical integers.
    """

    node: NodeRecord
    pool: str
    profile: str
    vendor: str
    resource: str
    capacity: int
    allocatable: int
    supernode: str
    room: Mapping[str, int]
    fabrics: FabricRule | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """One supernode as the pool sees it: ``selector`` is what a discovered object would carry (wire form)."""

    name: str
    pool: str
    selector: Mapping[str, object]
    discovered: bool


class Seated(NamedTuple):
    """What was decided of one node: its member record and domain (None: no pool), and who else claims it."""

    node: NodeRecord
    member: Member | None
    domain: Domain | None
    pools: tuple[str, ...] = ()
    clashes: tuple[tuple[str, str], ...] = ()

    def alike(self, other: Seated) -> bool:
        """True where both stand in the same pool and supernode, and nothing else claims one of them."""
        one, two = self.member, other.member
        if one is None or two is None:
            return one is two
        mine, its = (one.pool, one.supernode, self.domain), (two.pool, two.supernode, other.domain)
        return (*mine, self.pools, self.clashes) == (*its, other.pools, other.clashes)


def _nobody() -> Table[Member]:
    return Table({})


@dataclass(slots=True)
class Membership:
    """Every node's place, lists in node-name order; all but ``members`` are the very same while no node moves.

    ``conflicts`` are (node, other owner) pairs per pool or declared supernode name.
    """

    members: Table[Member] = field(default_factory=_nobody)
    by_pool: dict[str, list[str]] = field(default_factory=dict)
    by_supernode: dict[str, list[str]] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    conflicts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


@dataclass(slots=True)
class Seating:
    """What may be kept from cycle to cycle: each node's place, while pools, makers and Supernodes stay the same."""

    rules: tuple[object, ...] = ()
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    seated: dict[str, Seated] = field(default_factory=dict)
    place: Membership = field(default_factory=Membership)


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Kubernetes' label selector semantics; an empty selector matches everything."""
    for key, value in selector.match_labels.items():
        if labels.get(key) != value:
            return False
    for requirement in selector.match_expressions:
        present = requirement.key in labels
        inside = present and labels[requirement.key] in requirement.values
        held = {"In": inside, "NotIn": not inside, "Exists": present, "DoesNotExist": not present}
        if not held[requirement.operator.value]:
            return False
    return True


def tree_of(spec: CardPoolSpec, profile: str) -> Tree:
    """The topology levels of one profile, wide to narrow, the node level left out."""
    override = next((item for item in spec.topology.overrides if item.profile == profile), None)
    levels = override.levels if override is not None else spec.topology.levels
    return Tree(tuple(Level(level.name, level.label) for level in levels if level.name != "node"))


@lru_cache(maxsize=65_536)
def supernode_name(pool: str, value: str, key: str) -> str:
    """``<pool>-<sanitized value>-<6 hex of key and value>``: two values that sanitize alike stay apart."""
    clean = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256(f"{key}={value}".encode()).hexdigest()[:6]
    return "-".join(part for part in (pool, clean, digest) if part)


def live_pools(world: World) -> list[PoolRecord]:
    """Pools that own nodes, the oldest first."""
    pools = [pool for pool in world.pools.values() if pool.spec is not None and not pool.deleting]
    return sorted(pools, key=lambda pool: (pool.created, pool.name))


def assign(world: World, registry: Registry, kept: Seating) -> Membership:
    """Place every node; nodes in name order, pools by age. Only nodes that changed are judged anew."""
    pools = live_pools(world)
    declared = sorted(
        (item for item in world.supernodes.values() if item.spec is not None and not item.deleting),
        key=lambda item: (item.created, item.name),
    )
    declared = [item for item in declared if not item.discovered]
    rules: tuple[object, ...] = (registry, *(pool.spec for pool in pools), None, *(item.spec for item in declared))
    moved = len(rules) != len(kept.rules) or not all(map(is_, rules, kept.rules))
    touched = {*kept.seated, *world.nodes} if moved else changes.between(kept.nodes, world.nodes)
    found, seats = dict[str, Seated](), Seats(pools, declared, registry)
    for name in touched:
        node, old = world.nodes.get(name), kept.seated.get(name)
        new = seats.of(node) if node is not None else None
        moved = moved or old is None or new is None or not old.alike(new)
        if new is not None:
            found[name] = new
    for name in touched:
        kept.seated.pop(name, None)
    kept.seated |= found
    kept.rules, kept.nodes = rules, world.nodes
    if moved:
        kept.place = _gather(pools, kept.seated, kept.place.members, touched)
    elif found:
        members = {name: one.member for name, one in found.items() if one.member is not None}
        kept.place = replace(kept.place, members=kept.place.members.replaced(members))
    return kept.place


def _gather(
    pools: Iterable[PoolRecord], seated: Mapping[str, Seated], before: Table[Member], touched: Iterable[str]
) -> Membership:
    result, members = Membership(by_pool={pool.name: [] for pool in pools}), dict[str, Member]()
    for name in sorted(seated):
        one = seated[name]
        member = one.member
        if member is None:
            continue
        members[name] = member
        result.by_pool[member.pool].append(name)
        for loser in one.pools[1:]:
            result.conflicts.setdefault(loser, []).append((name, one.pools[0]))
        for supernode, winner in one.clashes:
            result.conflicts.setdefault(supernode, []).append((name, winner))
        if one.domain is not None:
            result.domains.setdefault(one.domain.name, one.domain)
            result.by_supernode.setdefault(one.domain.name, []).append(name)
    result.members = before.followed(members, touched)
    return result


class Seats:
    """Judges nodes one by one; what pools and makers say of many nodes alike is found once, equal domains are one."""

    def __init__(self, pools: Sequence[PoolRecord], declared: Sequence[SupernodeRecord], registry: Registry) -> None:
        self._pools, self._registry = pools, registry
        self._declared = [(item.name, item.spec) for item in declared if item.spec is not None]
        self._resources: dict[tuple[str, int, int], str] = {}
        self._rooms: dict[tuple[str, int], Mapping[str, int]] = {}
        self._rules: dict[tuple[str, str], FabricRule | None] = {}
        self._labels: dict[tuple[str, str], str] = {}
        self._domains: dict[tuple[str, str, str], Domain] = {}

    def of(self, node: NodeRecord) -> Seated:
        """What is decided of this node; it has to stay in memory while others are judged."""
        owners = [pool for pool in self._pools if pool.spec is not None and matches(pool.spec.selector, node.labels)]
        spec = owners[0].spec if owners else None
        if spec is None:
            return Seated(node, None, None)
        pool = owners[0].name
        profile = self._profile(spec, node)
        vendor = profile.vendor if profile is not None else ""
        resource = self._resource(vendor, node) or _usual(self._registry, vendor)
        claims = (
            [name for name, item in self._declared if item.pool == pool and matches(item.selector, node.labels)]
            if self._declared
            else []
        )
        domain: Domain | None = None
        if claims:
            domain = Domain(claims[0], pool, {}, discovered=False)
        elif profile is not None:
            domain = self._discovered(spec, pool, profile.name, node)
        member = Member(
            node=node,
            pool=pool,
            profile=profile.name if profile is not None else "",
            vendor=vendor,
            resource=resource,
            capacity=node.capacity.get(resource, 0),
            allocatable=node.allocatable.get(resource, 0),
            supernode=domain.name if domain is not None else "",
            room=self._room(resource, node),
            fabrics=self._rule(pool, profile) if profile is not None else None,
        )
        clashes = tuple((other, claims[0]) for other in claims[1:])
        return Seated(node, member, domain, tuple([owner.name for owner in owners]), clashes)

    def _profile(self, spec: CardPoolSpec, node: NodeRecord) -> Profile | None:
        """The first profile that fits: by the maker's resource, by an explicit selector, by the maker's own labels."""
        for profile in spec.profiles:
            selector = profile.selector
            if selector is not None and not matches(selector, node.labels):
                continue
            if selector is not None or self._resource(profile.vendor, node):
                return profile
            if _identified(self._registry, profile.vendor, node.labels):
                return profile
        if LABEL_PROFILE in node.owned:
            return next((item for item in spec.profiles if item.name == node.labels.get(LABEL_PROFILE)), None)
        return None

    def _resource(self, vendor: str, node: NodeRecord) -> str:
        """Under which name the node offers the maker's cards; many nodes share one and the same list of amounts."""
        key = vendor, id(node.allocatable), id(node.capacity)
        found = self._resources.get(key)
        if found is None:
            offered = {**node.allocatable, **node.capacity}
            found = self._resources[key] = self._registry.resource_of(vendor, offered) or ""
        return found

    def _room(self, resource: str, node: NodeRecord) -> Mapping[str, int]:
        key = resource, id(node.allocatable)
        found = self._rooms.get(key)
        if found is None:
            room = {name: amount for name, amount in node.allocatable.items() if name != resource}
            found = self._rooms[key] = {**room, "pods": room.get("pods", POD_SLOTS)}
        return found

    def _rule(self, pool: str, profile: Profile) -> FabricRule | None:
        key = pool, profile.name
        if key not in self._rules:
            self._rules[key] = fabrics.rule_of(profile, self._registry.vendors.get(profile.vendor))
        return self._rules[key]

    def _discovered(self, spec: CardPoolSpec, pool: str, profile: str, node: NodeRecord) -> Domain:
        label = self._labels.get((pool, profile))
        if label is None:
            levels = tree_of(spec, profile).levels
            label = next((item.label for item in levels if item.name == SUPERNODE_LEVEL), "")
            self._labels[pool, profile] = label
        value = node.labels.get(label, "") if label else ""
        key = pool, profile, value
        found = self._domains.get(key)
        if found is None:
            found = self._domains[key] = _domain(pool, profile, label, value)
        return found


def _usual(registry: Registry, vendor: str) -> str:
    """The name under which a maker's cards were offered, most likely, while no node says it."""
    file = registry.vendors.get(vendor)
    return file.resources[0] if file is not None else ""


def _identified(registry: Registry, vendor: str, labels: Mapping[str, str]) -> bool:
    file = registry.vendors.get(vendor)
    if file is None:
        return False
    return any(key in labels and (value == "*" or labels[key] == value) for key, value in file.identify_labels.items())


def _domain(pool: str, profile: str, label: str, value: str) -> Domain:
    """The supernode of the nodes with this value, or of those of the profile without one."""
    if value:
        return Domain(supernode_name(pool, value, label), pool, {"matchLabels": {label: value}}, discovered=True)
    selector: dict[str, object] = {"matchLabels": {LABEL_PROFILE: profile}}
    if label:
        selector["matchExpressions"] = [{"key": label, "operator": "DoesNotExist"}]
    return Domain(supernode_name(pool, f"{profile}-plain", label), pool, selector, discovered=True)
