"""Supernodes: discovered from labels, counted, and the home of every card fault.

Discovery applies only pool and selector and never removes one that a person wrote fields on. Card faults survive a
restart of the operator here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cardpool.api import common
from cardpool.api.supernode import CardFault as FaultEntry
from cardpool.api.supernode import SpareCounts, SupernodeStatus
from cardpool.domain.cards import CardFault, CardId
from cardpool.domain.world import PoolRecord, SupernodeRecord
from cardpool.lifecycle import tally, times
from cardpool.lifecycle.actions import ApplySupernode, DeleteSupernode, Event, Step
from cardpool.lifecycle.conditions import Board
from cardpool.lifecycle.membership import Domain, Membership
from cardpool.names import CardState, Condition, Kind, Reason

FAULTS_MAX = 1024
Faults = dict[str, dict[str, CardFault]]
Remembered = dict[str, tuple[SupernodeRecord, Faults]]
Standing = dict[str, tuple[object, object]]
_REASONS = frozenset(reason.value for reason in Reason)


def known_faults(record: SupernodeRecord) -> Faults:
    """The faults that a Supernode's status remembers, by node and card."""
    found: Faults = {}
    for entry in record.status.faults:
        reason = Reason(entry.reason) if entry.reason in _REASONS else Reason.CARD_UNHEALTHY
        found.setdefault(entry.node, {})[entry.card] = CardFault(
            id=CardId(entry.node, entry.resource, entry.card),
            state=entry.state,
            reason=reason,
            since=times.epoch(entry.since),
            times=tuple(times.epoch(moment) for moment in entry.times),
            fell=entry.fell,
            cards=entry.cards,
            job=entry.job or "",
            pod=entry.pod or "",
            message=entry.message or "",
        )
    return found


def remembered(supernodes: Mapping[str, SupernodeRecord], kept: Remembered) -> Faults:
    """The faults that all Supernodes remember, by node and card; a status is read again only when it changed."""
    found: Faults = {}
    for name in kept.keys() - supernodes.keys():
        del kept[name]
    for name, record in supernodes.items():
        if name not in kept or kept[name][0] is not record:
            kept[name] = (record, known_faults(record))
        for node, faults in kept[name][1].items():
            found.setdefault(node, {}).update(faults)
    return found


def fault_entries(faults: Iterable[CardFault]) -> tuple[FaultEntry, ...]:
    """The faults as status carries them, worst known first where there are too many."""
    order = [CardState.QUARANTINED, CardState.FAULTY, CardState.UNKNOWN, CardState.SUSPECT, CardState.PROBATION]
    rank = {state: place for place, state in enumerate(order)}
    ordered = sorted(faults, key=lambda item: (rank.get(item.state, len(order)), item.id))[:FAULTS_MAX]
    return tuple(
        FaultEntry(
            node=item.id.node,
            resource=item.id.resource,
            card=item.id.card,
            state=item.state,
            reason=item.reason.value,
            since=times.at(item.since),
            times=tuple(times.at(moment) for moment in item.times),
            fell=item.fell,
            cards=item.cards,
            job=item.job or None,
            pod=item.pod or None,
            message=item.message[:1000] or None,
        )
        for item in sorted(ordered, key=lambda item: item.id)
    )


def discover(
    membership: Membership, supernodes: Mapping[str, SupernodeRecord], pools: Mapping[str, PoolRecord], kept: Standing
) -> list[ApplySupernode]:
    """The discovered Supernodes that are missing or differ in pool or selector."""
    found = []
    for domain in membership.domains.values():
        record = supernodes.get(domain.name)
        spec = record.spec if record is not None else None
        seen = kept.get(domain.name)
        if not domain.discovered or (seen is not None and seen[0] is domain and seen[1] is spec):
            continue
        if _stands(record, domain):
            kept[domain.name] = domain, spec
        else:
            kept.pop(domain.name, None)
            found.append(ApplySupernode(domain.name, domain.pool, pools[domain.pool].uid, domain.selector))
    return found


def _stands(record: SupernodeRecord | None, domain: Domain) -> bool:
    if record is None or record.spec is None:
        return False
    wanted = common.LabelSelector.model_validate(domain.selector)
    return record.spec.pool == domain.pool and record.spec.selector == wanted


def leftovers(membership: Membership, supernodes: Mapping[str, SupernodeRecord]) -> list[DeleteSupernode]:
    """Discovered Supernodes without nodes, without a person's fields and without a fault to remember."""
    return [
        DeleteSupernode(record.name, record.uid)
        for record in supernodes.values()
        if record.discovered
        and not record.user_fields
        and not record.deleting
        and not membership.by_supernode.get(record.name)
        and not any(entry.state is not CardState.HEALTHY for entry in record.status.faults)
    ]


def step(
    record: SupernodeRecord,
    total: tally.Total,
    faults: list[CardFault],
    spares: SpareCounts,
    conflicts: list[tuple[str, str]],
    now: float,
) -> Step | None:
    """The Supernode's status, and an Event for each card that changed for the worse or came back."""
    if record.spec is None:
        return _invalid(record, now)
    status = record.status.model_copy(
        update={
            "observed_generation": record.generation,
            "pool": record.spec.pool,
            "nodes": total.nodes,
            "ready_nodes": total.ready,
            "profiles": total.by_profile(),
            "cards": total.cards(),
            "largest_free_block": total.largest,
            "spares": spares,
            "faults": fault_entries(faults),
            "conditions": _conditions(record, total, conflicts, now),
        }
    )
    if status == record.status:
        return None
    events = _events(record.status, faults)
    moved = _essence(status) != _essence(record.status)
    return Step(
        kind=Kind.SUPERNODE,
        key=record.name,
        uid=record.uid,
        resource_version=record.resource_version,
        status=common.to_wire(status),
        urgent=moved or bool(events),
        events=events,
    )


def _invalid(record: SupernodeRecord, now: float) -> Step | None:
    board = Board(record.status.conditions, record.generation, now)
    board.put(Condition.STALLED, True, Reason.INVALID_SPEC, record.invalid)
    board.put(Condition.READY, False, Reason.INVALID_SPEC, record.invalid)
    update = {"conditions": board.result(), "observed_generation": record.generation}
    status = record.status.model_copy(update=update)
    if status == record.status:
        return None
    wire = common.to_wire(status)
    return Step(Kind.SUPERNODE, record.name, record.uid, record.resource_version, status=wire)


def _essence(status: SupernodeStatus) -> object:
    states = tuple((entry.node, entry.card, entry.state, entry.fell) for entry in status.faults)
    return states, tuple((item.type, item.status, item.reason) for item in status.conditions)


def _conditions(
    record: SupernodeRecord, total: tally.Total, conflicts: list[tuple[str, str]], now: float
) -> tuple[common.Condition, ...]:
    board = Board(record.status.conditions, record.generation, now)
    bad, cards = total.unwell(), total.counts
    text = ", ".join(f"{count} {name}" for name, count in bad.items())
    if conflicts:
        node, other = conflicts[0]
        clash = f"{len(conflicts)} nodes are claimed by another Supernode too, for example {node} by {other}"
        board.put(Condition.DEGRADED, True, Reason.NODE_CONFLICT, clash)
    elif bad:
        reason = Reason.CARDS_UNKNOWN if set(bad) == {"unknown"} else Reason.CARDS_FAULTY
        board.put(Condition.DEGRADED, True, reason, f"{text} of {cards['total']} cards")
    else:
        board.put(Condition.DEGRADED, False, Reason.HEALTHY, "no card is in doubt")
    cordoned = record.spec is not None and record.spec.cordoned
    if not total.nodes:
        board.put(Condition.READY, False, Reason.NO_NODES, "no node of the pool is selected")
    elif cordoned:
        board.put(Condition.READY, False, Reason.CORDONED, "spec.cordoned is true: no new gang starts here")
    else:
        board.put(Condition.READY, True, Reason.READY, f"{cards['free']} of {cards['total']} cards are free")
    board.put(Condition.RECONCILING, False, Reason.READY, "")
    board.drop(Condition.STALLED)
    return board.result()


def _events(before: SupernodeStatus, faults: list[CardFault]) -> tuple[Event, ...]:
    old = {(entry.node, entry.card): entry.state.value for entry in before.faults}
    found = []
    for fault in faults:
        state = old.get((fault.id.node, fault.id.card))
        if fault.confirmed and state not in {CardState.FAULTY.value, CardState.QUARANTINED.value}:
            where = f"card {fault.id.card} ({fault.id.resource}) of node {fault.id.node}"
            found.append(Event(fault.reason, f"{where} is {fault.state}: {fault.message}", warning=True))
        elif fault.state is CardState.HEALTHY and state not in {None, CardState.HEALTHY.value}:
            found.append(Event(Reason.HEALTHY, f"card {fault.id.card} of node {fault.id.node} is healthy again"))
    return tuple(found[:16])
