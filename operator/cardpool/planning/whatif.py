"""Other worlds than the one that was read: more nodes, or some lost.

A new node is a copy of one that is there as it was when it was new: the same cards, labels and domains, every card
healthy, and no taint that tells of trouble. A lost one falls silent with everything on it, as a dead machine does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cardpool import errors
from cardpool.domain.world import NodeRecord, World
from cardpool.lifecycle.membership import Membership

HOSTNAME: Final = "kubernetes.io/hostname"
NODES_MAX: Final = 1_000_000
TROUBLE: Final = "node.kubernetes.io/"  # taints that Kubernetes itself sets while something is wrong


def add_nodes(world: World, place: Membership, request: str) -> World:
    """The world with N copies of a node; ``request`` is ``profile=N`` or ``node=N``. InputError where it is neither.

    Of a profile the first node in name order is copied that is ready and not cordoned, one with all its cards if any.
    """
    wanted, _, text = request.rpartition("=")
    if not wanted or not text.isdecimal() or not 0 < int(text) <= NODES_MAX:
        raise errors.InputError(f"--add-nodes {request}: give a profile or a node and a number, such as k100=8")
    model = _new(_model(world, place, wanted), place)
    nodes = dict(world.nodes)
    for number in range(1, int(text) + 1):
        name = f"added-{wanted}-{number:04d}"
        if name in nodes:
            raise errors.InputError(f"--add-nodes {request}: there is a node {name} already")
        labels = {**model.labels, HOSTNAME: name} if HOSTNAME in model.labels else model.labels
        nodes[name] = replace(
            model, name=name, uid=f"{name}-uid", labels=labels, ready=True, unschedulable=False, deleting=False
        )
    return replace(world, nodes=nodes)


def lose(world: World, place: Membership, name: str) -> World:
    """The world in which a node, or every node of a supernode, is silent; InputError where there is none such.

    A supernode goes by the name of its object or by the value of its label.
    """
    lost = [name] if name in world.nodes else _of_supernode(place, name)
    if not lost:
        known = ", ".join(sorted(place.by_supernode)[:8]) or "none"
        raise errors.InputError(f"--lose {name}: there is no such node or supernode; supernodes: {known}")
    nodes = dict(world.nodes)
    for node in lost:
        nodes[node] = replace(nodes[node], ready=False, ready_since=0.0)
    return replace(world, nodes=nodes)


def _model(world: World, place: Membership, wanted: str) -> NodeRecord:
    if wanted in world.nodes:
        return world.nodes[wanted]
    members = [member for _, member in sorted(place.members.items()) if member.profile == wanted]
    fine = [member for member in members if member.node.ready and not member.node.unschedulable]
    if fine or members:
        return max(fine or members, key=lambda member: member.allocatable >= member.capacity).node
    known = ", ".join(sorted({member.profile for member in place.members.values()} - {""})) or "none"
    raise errors.InputError(
        f"--add-nodes {wanted}: no node has this profile, to be copied; there are nodes of: {known}"
    )


def _new(node: NodeRecord, place: Membership) -> NodeRecord:
    """The node before anything happened to it."""
    member = place.members.get(node.name)
    offered = dict(node.allocatable)
    if member is not None and member.resource in node.capacity:
        offered[member.resource] = node.capacity[member.resource]
    taints = tuple(taint for taint in node.taints if not taint.key.startswith(TROUBLE))
    return replace(node, allocatable=offered, taints=taints)


def _of_supernode(place: Membership, name: str) -> list[str]:
    if name in place.by_supernode:
        return place.by_supernode[name]
    found: list[str] = []
    for domain, nodes in place.by_supernode.items():
        labels = place.domains[domain].selector.get("matchLabels")
        if place.domains[domain].discovered and isinstance(labels, dict) and name in labels.values():
            found += nodes
    return found
