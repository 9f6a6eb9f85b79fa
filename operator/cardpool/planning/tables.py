"""A plan for eyes and for programs: tables, and the JSON of the contract. Nothing is decided here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from cardpool.planning.answer import JobAnswer, Move, Plan, Room
from cardpool.planning.asking import Reply

HOMES_SHOWN: Final = 6
CHANGES_SHOWN: Final = 200


def as_json(reply: Reply) -> dict[str, Any]:
    """The plan as the contract has it; equal inputs differ in ``seconds`` alone."""
    plan = reply.plan
    return {
        "jobs": [_job(item) for item in plan.jobs],
        "evictions": [
            {"namespace": item.namespace, "name": item.name, "reason": item.reason, "by": item.by}
            for item in plan.evictions
        ],
        "reservations": [
            {
                "namespace": item.namespace,
                "name": item.name,
                "nodes": list(item.nodes),
                "expectedStart": item.expected_start,
            }
            for item in plan.reservations
        ],
        **({"moves": [_move(item) for item in plan.moves]} if plan.moves or plan.rooms else {}),
        **({"rooms": [_room(item) for item in plan.rooms]} if plan.rooms else {}),
        "pools": [
            {"name": item.name, "cards": {"total": item.total, "healthy": item.healthy, "free": item.free}}
            for item in plan.pools
        ],
        "seconds": {"load": round(reply.load, 6), "plan": round(reply.planned, 6)},
    }


def tables(reply: Reply) -> Iterator[Table]:
    """The plan as tables: jobs, what differs without what-if, evictions, reservations, room asked for, pools."""
    plan = reply.plan
    yield _jobs(plan)
    if reply.before is not None:
        yield _changes(reply.before, plan)
    if plan.evictions:
        evictions = _table("Evictions", "JOB", "FOR", "REASON")
        for item in plan.evictions:
            evictions.add_row(escape(f"{item.namespace}/{item.name}"), escape(item.by), item.reason)
        yield evictions
    if plan.reservations:
        held = _table("Reservations", "JOB", "NODES", "EXPECTED START")
        for one in plan.reservations:
            held.add_row(escape(f"{one.namespace}/{one.name}"), str(len(one.nodes)), one.expected_start or "unknown")
        yield held
    yield from _rooms(plan)
    pools = _table("Pools before", "POOL", "CARDS", "HEALTHY", "FREE")
    for pool in plan.pools:
        pools.add_row(escape(pool.name), str(pool.total), str(pool.healthy), str(pool.free))
    yield pools


def _jobs(plan: Plan) -> Table:
    table = _table("Jobs", "QUEUE", "JOB", "DECISION", "PODS", "WHERE", "REASON")
    for item in plan.jobs:
        reason = ": ".join(part for part in (item.reason, item.message) if part)
        table.add_row(
            str(item.position or ""),
            escape(item.key),
            str(item.decision),
            str(len(item.pods) or ""),
            escape(where(item, plan.homes)),
            escape(reason),
        )
    return table


def where(item: JobAnswer, homes: Mapping[str, str]) -> str:
    """Supernodes with the number of pods in each; a node that has none stands for itself."""
    return _homes([seat.node for seat in item.pods], homes)


def _homes(nodes: Iterable[str], homes: Mapping[str, str]) -> str:
    counts = Counter(homes.get(node) or node for node in nodes)
    shown = [f"{name} x{number}" for name, number in list(counts.items())[:HOMES_SHOWN]]
    more = len(counts) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])])


def _rooms(plan: Plan) -> Iterator[Table]:
    """Whether room can be made for what was asked, and the moves for that."""
    if plan.rooms:
        table = _table("Room for", "ASKED", "POSSIBLE", "MOVES", "LOSES CARD-SECONDS", "WHERE", "")
        for room in plan.rooms:
            possible, where_ = ("yes", _homes(room.nodes, plan.homes)) if room.possible else ("no", "")
            lost = str(room.lost) if room.possible else ""
            moves = str(room.moves) if room.possible else ""
            table.add_row(escape(room.asked), possible, moves, lost, escape(where_), escape(room.message))
        yield table
    if plan.moves:
        table = _table("Moves", "JOB", "FOR", "CARDS", "FROM", "TO", "LOSES CARD-SECONDS", "SINCE")
        for move in plan.moves:
            table.add_row(
                escape(f"{move.namespace}/{move.name}"),
                escape(move.by),
                str(move.cards),
                escape(_homes(move.before, plan.homes)),
                escape(_homes(move.after, plan.homes)),
                str(move.lost),
                "its checkpoint" if move.saved else "its start",
            )
        yield table


def _changes(before: Plan, after: Plan) -> Table:
    """Jobs whose decision or nodes differ."""
    table = _table("What changes", "JOB", "WITHOUT", "WITH", "")
    old = {item.key: item for item in before.jobs}
    new = {item.key: item for item in after.jobs}
    rows = [(key, old.get(key), new.get(key)) for key in dict.fromkeys((*new, *old))]
    changed = [(key, one, two) for key, one, two in rows if _essence(one) != _essence(two)]
    for key, one, two in changed[:CHANGES_SHOWN]:
        table.add_row(escape(key), _word(one), _word(two), escape(_moves(one, two)))
    if len(changed) > CHANGES_SHOWN:
        table.add_row(f"and {len(changed) - CHANGES_SHOWN} more", "", "", "")
    if not changed:
        table.add_row("nothing", "", "", "")
    return table


def _essence(item: JobAnswer | None) -> object:
    return None if item is None else (item.decision, item.reason, tuple(seat.node for seat in item.pods))


def _word(item: JobAnswer | None) -> str:
    if item is None:
        return "-"
    return f"{item.decision} ({item.reason})" if item.reason else str(item.decision)


def _moves(one: JobAnswer | None, two: JobAnswer | None) -> str:
    if one is None or two is None or not (one.pods and two.pods):
        return ""
    moved = sum(1 for left, right in zip(one.pods, two.pods, strict=False) if left.node != right.node)
    return f"{moved} of {len(two.pods)} pods on other nodes" if moved else ""


def _job(item: JobAnswer) -> dict[str, Any]:
    pods = [
        {"group": seat.group, "index": seat.index, "rank": seat.rank, "node": seat.node, "profile": seat.profile}
        for seat in item.pods
    ]
    return {
        "namespace": item.namespace,
        "name": item.name,
        "decision": str(item.decision),
        "pods": pods,
        "reason": str(item.reason),
        "message": item.message,
    }


def _move(item: Move) -> dict[str, Any]:
    return {
        "namespace": item.namespace,
        "name": item.name,
        "by": item.by,
        "pool": item.pool,
        "cards": item.cards,
        "from": list(item.before),
        "to": list(item.after),
        "lostCardSeconds": item.lost,
        "checkpoint": item.saved,
    }


def _room(item: Room) -> dict[str, Any]:
    return {
        "asked": item.asked,
        "possible": item.possible,
        "pool": item.pool,
        "profile": item.profile,
        "nodes": list(item.nodes),
        "moves": item.moves,
        "lostCardSeconds": item.lost,
        "message": item.message,
    }


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table
