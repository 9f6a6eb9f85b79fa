"""CardPools: their counts, what is wrong with them, and whether they can hold gangs at all.

The status is a pure function of what the cycle found, written where anything in it changed; an event is told for each
condition that did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cardpool.api import common
from cardpool.api.cardpool import CardPoolSpec, Faults, MovedGang, TeamUsage
from cardpool.domain.world import PoolRecord, PriorityClassRecord
from cardpool.faults import cards
from cardpool.lifecycle import learning, slots, tally, teams
from cardpool.lifecycle.actions import Event, Step
from cardpool.lifecycle.conditions import Board
from cardpool.names import Condition, Kind, Reason
from cardpool.vendors.registry import Registry


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


def policy_of(pool: PoolRecord) -> cards.Policy:
    """The pool's fault settings as the fault pipeline takes them."""
    settings = pool.spec.faults if pool.spec is not None else Faults()
    return replace(
        cards.Policy(),
        debounce=float(settings.debounce_seconds),
        attribution=float(settings.attribution_seconds),
        quarantine_faults=settings.quarantine.faults,
        quarantine_window=float(settings.quarantine.window_seconds),
        quarantine_release=float(settings.quarantine.release_after_seconds),
        unknown_grace=float(settings.unknown.grace_seconds),
        dead_node=float(settings.dead_node.grace_seconds),
    )


def usable_profiles(spec: CardPoolSpec, registry: Registry) -> frozenset[str]:
    """The profiles whose maker is known."""
    return frozenset(profile.name for profile in spec.profiles if profile.vendor in registry.vendors)


@dataclass(frozen=True, slots=True)
class Findings:
    """What a cycle found of a pool; ``blocked`` and ``degraded`` are reason and message, or None.

    ``active``: some gang holds cards, or begins to.
    """

    total: tally.Total
    supernodes: int
    queued: int
    running: int
    blocked: tuple[Reason, str] | None
    degraded: tuple[Reason, str] | None
    usage: tuple[TeamUsage, ...] = ()
    active: bool = False
    runs: Sequence[learning.Run] = ()
    moves: tuple[MovedGang, ...] = ()


def step(pool: PoolRecord, found: Findings, now: float) -> Step | None:
    """The pool's status, written where anything in it changed."""
    cards, profiles = found.total.counts, found.total.by_profile()
    bad = [f"{cards[name]} {name}" for name in ("faulty", "quarantined", "unknown", "suspect") if cards[name]]
    update = {
        "observed_generation": pool.generation,
        "nodes": found.total.nodes,
        "supernodes": found.supernodes,
        "profiles": profiles,
        "cards": found.total.cards(),
        "queued": found.queued,
        "running": found.running,
        "utilisation_percent": min(100, 100 * cards["allocated"] // cards["total"]) if cards["total"] else 0,
        "slots": slots.summed(item.slots for item in profiles),
        "unhealthy": ", ".join(bad) or None,
    }
    if teams.worth_writing(pool.status.usage, found.usage, now, active=found.active):
        update["usage"] = found.usage
    if found.runs:
        update["runtimes"] = learning.learned(pool.status.runtimes, found.runs)
        update["learned_until"] = found.runs[-1].ended
    update["moves"] = found.moves
    board = Board(pool.status.conditions, pool.generation, now)
    _conditions(board, pool, found)
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


def _conditions(board: Board, pool: PoolRecord, found: Findings) -> None:
    cards, bad = found.total.counts, found.total.unwell()
    if found.blocked is not None:
        board.put(Condition.STALLED, True, *found.blocked)
        board.put(Condition.READY, False, *found.blocked)
    else:
        board.drop(Condition.STALLED)
        if not found.total.nodes:
            board.put(Condition.READY, False, Reason.NO_NODES, "spec.selector selects no node")
        else:
            text = f"{cards['free']} of {cards['total']} cards on {found.total.nodes} nodes are free"
            board.put(Condition.READY, True, Reason.READY, text)
    if found.degraded is not None:
        board.put(Condition.DEGRADED, True, *found.degraded)
    elif bad:
        reason = Reason.CARDS_UNKNOWN if set(bad) == {"unknown"} else Reason.CARDS_FAULTY
        text = ", ".join(f"{count} {name}" for name, count in bad.items())
        board.put(Condition.DEGRADED, True, reason, f"{text} of {cards['total']} cards")
    else:
        board.put(Condition.DEGRADED, False, Reason.HEALTHY, "no card is in doubt")
    board.put(Condition.RECONCILING, False, Reason.READY, "")


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
    clashes: list[str],
    lacking: list[str],
) -> tuple[Reason, str] | None:
    """What is wrong with the pool beside its cards: the first of makers, files, conflicts, labels and teams."""
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
    if clashes:
        return Reason.TEAM_CONFLICT, f"spec.teams: {'; '.join(clashes[:4])}"
    if lacking:
        text = f"spec.topology: {'; '.join(lacking[:4])}; jobs that demand the level do not run there"
        return Reason.LABELS_MISSING, text
    nobodys = teams.nobodys(spec) if spec is not None else []
    if nobodys:
        text = f"spec.teams: {', '.join(nobodys[:4])} without namespaces and namespaceSelector: no job belongs there"
        return Reason.TEAM_WITHOUT_NAMESPACES, text
    return None
