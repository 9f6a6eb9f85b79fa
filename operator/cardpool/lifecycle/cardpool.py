"""CardPools: node labels, counts, and whether the pool can hold gangs at all.

Labels are compared every cycle through what our own field manager holds on each node, so that nothing of ours stays
on a node that left. A label that somebody else owns with another value is left alone and reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cardpool.api import common
from cardpool.api.cardpool import CardPoolSpec, GangSlots
from cardpool.domain.world import NodeRecord, PoolRecord, PriorityClassRecord
from cardpool.lifecycle import tally
from cardpool.lifecycle.actions import ApplyNodeLabels, Event, Step
from cardpool.lifecycle.conditions import Board
from cardpool.lifecycle.membership import Member, Membership
from cardpool.names import LABEL_POOL, LABEL_PROFILE, Condition, Kind, Reason
from cardpool.vendors.registry import Registry

SLOT_SIZES = (1, 8, 64, 512, 4096)


def wanted_labels(member: Member, spec: CardPoolSpec, registry: Registry) -> dict[str, str]:
    """The labels that cardpool wants on a node of the pool."""
    labels = {LABEL_POOL: member.pool}
    if member.profile:
        labels[LABEL_PROFILE] = member.profile
        file = registry.vendors.get(member.vendor)
        if spec.device_plugin.manage_labels and file is not None:
            labels |= dict(file.enable_labels)
    return labels


def label_nodes(
    nodes: Mapping[str, NodeRecord],
    membership: Membership,
    pools: Mapping[str, PoolRecord],
    registry: Registry,
    busy: frozenset[str],
) -> tuple[list[ApplyNodeLabels], dict[str, list[str]]]:
    """What to apply on which node, and per pool the ``node key`` pairs that somebody else owns."""
    actions: list[ApplyNodeLabels] = []
    foreign: dict[str, list[str]] = {}
    for node in nodes.values():
        member = membership.members.get(node.name)
        if member is None:
            if node.owned and node.uid not in busy:
                actions.append(ApplyNodeLabels(node.name, node.uid, {}))
            continue
        spec = pools[member.pool].spec
        if spec is None:
            continue
        wanted = wanted_labels(member, spec, registry)
        theirs = [
            key for key, value in wanted.items() if key not in node.owned and node.labels.get(key, value) != value
        ]
        for key in theirs:
            foreign.setdefault(member.pool, []).append(f"{node.name} {key}={node.labels[key]}")
            del wanted[key]
        stands = all(node.labels.get(key) == value for key, value in wanted.items()) and node.owned == wanted.keys()
        if not stands and node.uid not in busy:
            actions.append(ApplyNodeLabels(node.name, node.uid, wanted))
    return actions, foreign


def blocked(
    pool: PoolRecord, registry: Registry, priorities: Mapping[str, PriorityClassRecord]
) -> tuple[Reason, str] | None:
    """Why no pod of this pool may be made, or None."""
    spec = pool.spec
    if spec is None:
        return Reason.INVALID_SPEC, pool.invalid
    name = spec.pod_priority_class_name
    given = priorities.get(name)
    if given is None:
        return Reason.PRIORITY_CLASS_MISSING, f"there is no PriorityClass {name}; apply crds/priorityclass.yaml"
    if given.preemption_policy != "Never":
        text = f"PriorityClass {name} has preemptionPolicy {given.preemption_policy or 'PreemptLowerPriority'}: "
        return Reason.PRIORITY_CLASS_UNSAFE, f"{text}kube-scheduler would preempt single pods of gangs; use Never"
    return None


def usable_profiles(spec: CardPoolSpec, registry: Registry) -> frozenset[str]:
    """The profiles whose maker is known."""
    return frozenset(profile.name for profile in spec.profiles if profile.vendor in registry.vendors)


def step(
    pool: PoolRecord,
    members: list[tuple[Member, tally.Counts]],
    facts: Mapping[str, object],
    now: float,
) -> Step | None:
    """The pool's status. ``facts`` are keyword facts of the cycle: see ``conditions``."""
    total = tally.empty()
    for _, counts in members:
        tally.add(total, counts)
    vendors = {profile.name: profile.vendor for profile in pool.spec.profiles} if pool.spec is not None else {}
    bad = [f"{total[name]} {name}" for name in ("faulty", "quarantined", "unknown", "suspect") if total[name]]
    update = {
        "observed_generation": pool.generation,
        "nodes": len(members),
        "supernodes": len({member.supernode for member, _ in members if member.supernode}),
        "profiles": tally.by_profile(members, vendors),
        "cards": tally.model(total),
        "queued": facts.get("queued", 0),
        "running": facts.get("running", 0),
        "utilisation_percent": min(100, 100 * total["allocated"] // total["total"]) if total["total"] else 0,
        "slots": _slots(members),
        "unhealthy": ", ".join(bad) or None,
    }
    board = Board(pool.status.conditions, pool.generation, now)
    _conditions(board, pool, members, total, facts)
    status = pool.status.model_copy(update={**update, "conditions": board.result()})
    if status == pool.status:
        return None
    before = {item.type: (item.status, item.reason) for item in pool.status.conditions}
    after = {item.type: (item.status, item.reason) for item in status.conditions}
    return Step(
        kind=Kind.POOL,
        key=pool.name,
        uid=pool.uid,
        resource_version=pool.resource_version,
        status=common.to_wire(status),
        urgent=before != after,
        events=_events(pool, status.conditions),
    )


def _slots(members: Iterable[tuple[Member, tally.Counts]]) -> tuple[GangSlots, ...]:
    """How many gangs of each size fit now: inside one node up to a node's cards, inside one supernode above."""
    free = [(member.supernode, counts["free"], member.capacity) for member, counts in members]
    widest = max((capacity for _, _, capacity in free), default=0)
    by_supernode: dict[str, int] = {}
    for name, cards, capacity in free:
        if capacity and cards == capacity:
            by_supernode[name] = by_supernode.get(name, 0) + cards
    return tuple(
        GangSlots(
            gang=size,
            count=sum(cards // size for _, cards, _ in free)
            if size <= widest
            else sum(cards // size for cards in by_supernode.values()),
        )
        for size in SLOT_SIZES
    )


def _conditions(
    board: Board,
    pool: PoolRecord,
    members: list[tuple[Member, tally.Counts]],
    total: tally.Counts,
    facts: Mapping[str, object],
) -> None:
    stop = facts.get("blocked")
    if isinstance(stop, tuple):
        board.put(Condition.STALLED, True, stop[0], stop[1])
        board.put(Condition.READY, False, stop[0], stop[1])
    else:
        board.drop(Condition.STALLED)
        if not members:
            board.put(Condition.READY, False, Reason.NO_NODES, "spec.selector selects no node")
        else:
            text = f"{total['free']} of {total['total']} cards on {len(members)} nodes are free{_later(pool.spec)}"
            board.put(Condition.READY, True, Reason.READY, text)
    degraded = facts.get("degraded")
    bad = {name: total[name] for name in ("faulty", "quarantined", "unknown") if total[name]}
    if isinstance(degraded, tuple):
        board.put(Condition.DEGRADED, True, degraded[0], degraded[1])
    elif bad:
        reason = Reason.CARDS_UNKNOWN if set(bad) == {"unknown"} else Reason.CARDS_FAULTY
        text = ", ".join(f"{count} {name}" for name, count in bad.items())
        board.put(Condition.DEGRADED, True, reason, f"{text} of {total['total']} cards")
    else:
        board.put(Condition.DEGRADED, False, Reason.HEALTHY, "no card is in doubt")
    board.put(Condition.RECONCILING, False, Reason.READY, "")


def _later(spec: CardPoolSpec | None) -> str:
    """What the spec asks for and this version does not enforce: said aloud, never silently ignored."""
    if spec is None:
        return ""
    asked = []
    if any(team.quota for team in spec.teams):
        asked.append("spec.teams[].quota")
    preemption = spec.queue.preemption
    if preemption.within_team != "Never" or preemption.reclaim_borrowed != "Never":
        asked.append("spec.queue.preemption")
    if spec.taint_nodes:
        asked.append("spec.taintNodes")
    return f"; not enforced in this version: {', '.join(asked)}" if asked else ""


def _events(pool: PoolRecord, conditions: Iterable[common.Condition]) -> tuple[Event, ...]:
    before = {item.type: (item.status, item.reason) for item in pool.status.conditions}
    found = []
    for item in conditions:
        if item.type == Condition.RECONCILING or before.get(item.type) == (item.status, item.reason):
            continue
        good = (item.type == Condition.READY) == (item.status == "True")
        if good and item.type not in before and item.type != Condition.READY:
            continue
        found.append(Event(Reason(item.reason), item.message[:1000], warning=not good))
    return tuple(found)


def degradation(
    pool: PoolRecord,
    registry: Registry,
    conflicts: list[tuple[str, str]],
    foreign: list[str],
) -> tuple[Reason, str] | None:
    """What is wrong with the pool beside its cards: the first of unknown makers, bad files, conflicts, labels."""
    spec = pool.spec
    if spec is not None:
        strange = sorted({item.vendor for item in spec.profiles if item.vendor not in registry.vendors})
        if strange:
            broken = [str(error) for error in registry.errors]
            if broken:
                text = f"spec.profiles: unknown vendor {', '.join(strange)}; bad vendor files: {'; '.join(broken[:3])}"
                return Reason.INVALID_VENDOR_FILE, text
            text = f"spec.profiles: there is no vendor file {', '.join(strange)}; known: {', '.join(registry.vendors)}"
            return Reason.UNKNOWN_VENDOR, text
    if registry.errors:
        return Reason.INVALID_VENDOR_FILE, "; ".join(str(error) for error in registry.errors[:3])
    if conflicts:
        node, other = conflicts[0]
        text = f"{len(conflicts)} selected nodes belong to an older pool, for example {node} to {other}"
        return Reason.NODE_CONFLICT, text
    if foreign:
        text = f"{len(foreign)} labels belong to somebody else and were left alone: {'; '.join(sorted(foreign)[:4])}"
        return Reason.LABEL_CONFLICT, text
    return None
