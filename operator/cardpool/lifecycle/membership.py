"""Which node belongs to which pool, profile and supernode.

A node selected by two pools belongs to the older one; the other reports it. A declared Supernode outranks a
discovered one. A node keeps its profile while its plug-in is gone, so that its cards turn Unknown and not to zero.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cardpool.api.cardpool import CardPoolSpec, Profile
from cardpool.api.common import LabelSelector
from cardpool.domain.topology import Level, Tree
from cardpool.domain.world import NodeRecord, PoolRecord, SupernodeRecord, World
from cardpool.names import LABEL_PROFILE, SUPERNODE_LEVEL
from cardpool.vendors.registry import Registry


@dataclass(frozen=True, slots=True)
class Member:
    """One node of a pool; ``capacity`` and ``allocatable`` count whole cards of ``resource`` (empty: none offered)."""

    node: NodeRecord
    pool: str
    profile: str
    vendor: str
    resource: str
    capacity: int
    allocatable: int
    supernode: str


@dataclass(frozen=True, slots=True)
class Domain:
    """One supernode as the pool sees it: ``selector`` is what a discovered object would carry (wire form)."""

    name: str
    pool: str
    selector: Mapping[str, object]
    discovered: bool


@dataclass(slots=True)
class Membership:
    """Every node's place. ``conflicts`` are (node, other owner) pairs per pool or declared supernode name."""

    members: dict[str, Member] = field(default_factory=dict)
    by_pool: dict[str, list[Member]] = field(default_factory=dict)
    by_supernode: dict[str, list[Member]] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    conflicts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    dra_only: dict[str, list[str]] = field(default_factory=dict)


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Kubernetes' label selector semantics; an empty selector matches everything."""
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    for requirement in selector.match_expressions:
        present = requirement.key in labels
        inside = present and labels[requirement.key] in requirement.values
        held = {"In": inside, "NotIn": not inside, "Exists": present, "DoesNotExist": not present}
        if not held[requirement.operator.value]:
            return False
    return True


def tree_of(spec: CardPoolSpec, profile: str) -> Tree:
    """The topology levels of one profile, wide to narrow, the node left out."""
    override = next((item for item in spec.topology.overrides if item.profile == profile), None)
    levels = override.levels if override is not None else spec.topology.levels
    return Tree(tuple(Level(level.name, level.label) for level in levels if level.name != "node"))


def supernode_name(pool: str, value: str, key: str) -> str:
    """``<pool>-<sanitized value>-<6 hex of key and value>``: two values that sanitize alike stay apart."""
    clean = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:40].strip("-")
    digest = hashlib.sha256(f"{key}={value}".encode()).hexdigest()[:6]
    return "-".join(part for part in (pool, clean, digest) if part)


def live_pools(world: World) -> list[PoolRecord]:
    """Pools that own nodes, the oldest first."""
    pools = [pool for pool in world.pools.values() if pool.spec is not None and not pool.deleting]
    return sorted(pools, key=lambda pool: (pool.created, pool.name))


def assign(world: World, registry: Registry) -> Membership:
    """Place every node; nodes in name order, pools by age."""
    result = Membership()
    pools = live_pools(world)
    for pool in pools:
        result.by_pool[pool.name] = []
    declared = sorted(
        (item for item in world.supernodes.values() if item.spec is not None and not item.deleting),
        key=lambda item: (item.discovered, item.created, item.name),
    )
    for name in sorted(world.nodes):
        node = world.nodes[name]
        owners = [pool for pool in pools if pool.spec is not None and matches(pool.spec.selector, node.labels)]
        for loser in owners[1:]:
            result.conflicts.setdefault(loser.name, []).append((name, owners[0].name))
        if owners:
            _place(result, owners[0], node, declared, registry)
    return result


def _place(
    result: Membership, pool: PoolRecord, node: NodeRecord, declared: Iterable[SupernodeRecord], registry: Registry
) -> None:
    spec = pool.spec
    if spec is None:
        return
    profile = _profile(spec, node, registry)
    vendor = profile.vendor if profile is not None else ""
    resource = registry.resource_of(vendor, {**node.allocatable, **node.capacity}) or ""
    domain = _declared(result, declared, pool.name, node) or _discovered(spec, pool.name, profile, node)
    if domain is not None:
        result.domains.setdefault(domain.name, domain)
    member = Member(
        node=node,
        pool=pool.name,
        profile=profile.name if profile is not None else "",
        vendor=vendor,
        resource=resource,
        capacity=node.capacity.get(resource, 0),
        allocatable=node.allocatable.get(resource, 0),
        supernode=domain.name if domain is not None else "",
    )
    result.members[node.name] = member
    result.by_pool[pool.name].append(member)
    if domain is not None:
        result.by_supernode.setdefault(domain.name, []).append(member)


def _profile(spec: CardPoolSpec, node: NodeRecord, registry: Registry) -> Profile | None:
    """The first profile that fits: by the maker's resource, by an explicit selector, by the maker's own labels."""
    offered = {**node.allocatable, **node.capacity}
    for profile in spec.profiles:
        if profile.selector is not None and not matches(profile.selector, node.labels):
            continue
        if registry.resource_of(profile.vendor, offered) or profile.selector is not None:
            return profile
        if _identified(registry, profile.vendor, node.labels):
            return profile
    if LABEL_PROFILE in node.owned:
        return next((item for item in spec.profiles if item.name == node.labels.get(LABEL_PROFILE)), None)
    return None


def _identified(registry: Registry, vendor: str, labels: Mapping[str, str]) -> bool:
    file = registry.vendors.get(vendor)
    if file is None:
        return False
    return any(key in labels and (value == "*" or labels[key] == value) for key, value in file.identify_labels.items())


def _declared(result: Membership, declared: Iterable[SupernodeRecord], pool: str, node: NodeRecord) -> Domain | None:
    """The first Supernode that a person declared (or wrote fields on) and that selects the node."""
    found: Domain | None = None
    for item in declared:
        if item.discovered or item.spec is None or item.spec.pool != pool:
            continue
        if not matches(item.spec.selector, node.labels):
            continue
        if found is None:
            found = Domain(item.name, pool, {}, discovered=False)
        else:
            result.conflicts.setdefault(item.name, []).append((node.name, found.name))
    return found


def _discovered(spec: CardPoolSpec, pool: str, profile: Profile | None, node: NodeRecord) -> Domain | None:
    if profile is None:
        return None
    level = next((item for item in tree_of(spec, profile.name).levels if item.name == SUPERNODE_LEVEL), None)
    value = node.labels.get(level.label, "") if level is not None else ""
    if level is not None and value:
        name = supernode_name(pool, value, level.label)
        return Domain(name, pool, {"matchLabels": {level.label: value}}, discovered=True)
    name = supernode_name(pool, f"{profile.name}-plain", level.label if level is not None else "")
    selector: dict[str, object] = {"matchLabels": {LABEL_PROFILE: profile.name}}
    if level is not None:
        selector["matchExpressions"] = [{"key": level.label, "operator": "DoesNotExist"}]
    return Domain(name, pool, selector, discovered=True)
