"""Node labels and the pool's taint: compared every cycle through what our own field manager holds on each node.

So nothing of ours stays on a node that left. A label that somebody else owns with another value is left alone and
reported. A node that was found in order is not looked at again until its record, its membership or a pool changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import is_

from cardpool.api.cardpool import CardPoolSpec
from cardpool.domain import changes
from cardpool.domain.world import NodeRecord, World
from cardpool.lifecycle.actions import ApplyNodeLabels
from cardpool.lifecycle.membership import Member, Membership
from cardpool.names import LABEL_POOL, LABEL_PROFILE, TAINT_POOL
from cardpool.vendors.registry import Registry


def wanted_labels(member: Member, spec: CardPoolSpec, registry: Registry) -> dict[str, str]:
    """The labels that cardpool wants on a node of the pool."""
    labels = {LABEL_POOL: member.pool}
    if member.profile:
        labels[LABEL_PROFILE] = member.profile
        file = registry.vendors.get(member.vendor)
        if spec.device_plugin.manage_labels and file is not None:
            labels |= dict(file.enable_labels)
    return labels


@dataclass(slots=True)
class LabelMemory:
    """What was looked at last, by identity; the nodes that were not in order then, and labels that are somebody else's.

    ``theirs`` has by node its pool and such labels, ``lacking`` by pool the topology labels that nodes lack.
    """

    rules: tuple[object, ...] = ()
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    members: Mapping[str, Member] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    theirs: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    place: Membership | None = None
    lacking: dict[str, list[str]] = field(default_factory=dict)


def label_nodes(
    world: World, membership: Membership, registry: Registry, kept: LabelMemory
) -> tuple[list[ApplyNodeLabels], dict[str, list[str]]]:
    """What to apply on which node, and per pool the labels that somebody else owns, as ``node key=value``."""
    rules = (registry, *(pool.spec for pool in world.pools.values()))
    if len(rules) != len(kept.rules) or not all(map(is_, rules, kept.rules)):
        kept.rules, kept.nodes, kept.members, kept.theirs = rules, {}, {}, {}
    touched = {*changes.between(kept.nodes, world.nodes), *changes.between(kept.members, membership.members)}
    actions: list[ApplyNodeLabels] = []
    for name in sorted(touched | kept.open):
        kept.open.discard(name)
        kept.theirs.pop(name, None)
        node, member = world.nodes.get(name), membership.members.get(name)
        if node is None:
            continue
        action, theirs = _label_node(node, member, world, registry)
        if theirs and member is not None:
            kept.theirs[name] = member.pool, theirs
        if action is not None:
            kept.open.add(name)
            if node.uid not in world.busy:
                actions.append(action)
    kept.nodes, kept.members = world.nodes, membership.members
    foreign: dict[str, list[str]] = {}
    for pool, labels in kept.theirs.values():
        foreign.setdefault(pool, []).extend(labels)
    return actions, foreign


def _label_node(
    node: NodeRecord, member: Member | None, world: World, registry: Registry
) -> tuple[ApplyNodeLabels | None, tuple[str, ...]]:
    spec = world.pools[member.pool].spec if member is not None else None
    tainted = next((item.value for item in node.taints if item.key == TAINT_POOL), "")
    if member is None or spec is None:
        taint = "" if tainted else None
        return (ApplyNodeLabels(node.name, node.uid, {}, taint) if node.owned or tainted else None), ()
    wanted = wanted_labels(member, spec, registry)
    theirs = [key for key, value in wanted.items() if key not in node.owned and node.labels.get(key, value) != value]
    for key in theirs:
        del wanted[key]
    stands = node.owned == wanted.keys() and all(node.labels.get(key) == value for key, value in wanted.items())
    taint = member.pool if spec.taint_nodes else ""
    action = None
    if not stands or taint != tainted:
        action = ApplyNodeLabels(node.name, node.uid, wanted, taint if taint != tainted else None)
    return action, tuple(f"{node.name} {key}={node.labels[key]}" for key in theirs)
