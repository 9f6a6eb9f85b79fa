"""What people ask the command line for: one job's story, and the pool at a glance; read from the API, never guessed.

Each view is plain data first (``-o json``) and a table made from that data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from cardpool import errors, names
from cardpool.kube import client as kube_client
from cardpool.kube import paths, reflector
from cardpool.names import Kind

PAGE: Final = 500
STORY: Final = ("Stalled", "Succeeded", "Running", "PodsScheduled", "QuotaReserved", "CheckpointVerified", "Accepted")


async def explain(api: kube_client.Client, namespace: str, name: str) -> dict[str, Any]:
    """One TrainingJob's state and reasons; InputError where it does not exist."""
    try:
        job = json.loads(await api.get(paths.item(Kind.JOB, name, namespace)))
    except errors.ApiError as error:
        if error.code == 404:
            raise errors.InputError(f"there is no TrainingJob {namespace}/{name}") from None
        raise
    status = job.get("status") or {}
    conditions = status.get("conditions") or []
    placement = status.get("placement") or {}
    return {
        "namespace": namespace,
        "name": name,
        "pool": (job.get("spec") or {}).get("pool", ""),
        "phase": status.get("phase") or "unseen",
        "attempt": status.get("attempt", 0),
        "restarts": status.get("restarts", 0),
        "faultRestarts": status.get("faultRestarts", 0),
        "ready": status.get("ready", ""),
        "size": status.get("size"),
        "queue": status.get("queue"),
        "why": why(conditions),
        "retryAfter": status.get("retryAfter"),
        "nodes": [node for segment in placement.get("segments") or () for node in segment.get("nodes") or ()],
        "checkpoint": status.get("checkpoint"),
        "lastFault": status.get("lastFault"),
        "excluded": status.get("excluded") or [],
        "timings": status.get("timings"),
        "history": status.get("history") or [],
        "conditions": conditions,
    }


def why(conditions: list[Mapping[str, Any]]) -> dict[str, str]:
    """The condition that tells most about the present state: what stalls, else what ended, runs or waits."""
    by_type = {condition["type"]: condition for condition in conditions}
    stalled = by_type.get("Stalled")
    if stalled is not None and stalled.get("status") == "True":
        return _said(stalled)
    for kind in STORY[1:]:
        condition = by_type.get(kind)
        if condition is not None and (condition.get("status") == "True" or kind not in {"Succeeded", "Running"}):
            return _said(condition)
    return {"condition": "", "reason": "", "message": "the operator has not looked at it yet"}


async def top(api: kube_client.Client) -> dict[str, Any]:
    """Pools, supernodes and unsettled jobs with the counts from their status."""
    pools = await _all(api, Kind.POOL)
    supernodes = await _all(api, Kind.SUPERNODE)
    jobs = await _all(api, Kind.JOB, {"fieldSelector": reflector.JOB_SELECTOR})
    return {
        "pools": [_pool(item) for item in pools],
        "supernodes": [_supernode(item) for item in supernodes],
        "jobs": [_job(item) for item in jobs],
    }


def explain_text(answer: Mapping[str, Any]) -> str:
    """The story of one job: what it does or waits for, what excludes nodes, its team's quota, what happened before."""
    cause = answer["why"]
    job = escape(f"{answer['namespace']}/{answer['name']}")
    state = f"pool {escape(answer['pool'])}, attempt {answer['attempt']}, ready {answer['ready'] or '-'}"
    lines = [
        f"[bold]{job}[/] is [bold]{answer['phase']}[/] ({state})",
        f"  {escape(cause['condition'])} [bold]{escape(cause['reason'])}[/]:",
        *(f"    {escape(part)}" for part in cause["message"].split("; ")),
        *_story(answer.get("story") or {}),
    ]
    if (size := answer["size"]) and size.get("pods") != size.get("wanted"):
        lines.append(f"  has {size.get('pods', 0)} of the {size.get('wanted', 0)} pods that it wants")
    if answer["retryAfter"]:
        lines.append(f"  nothing is tried before {answer['retryAfter']}")
    if fault := answer["lastFault"]:
        lines.append(f"  last fault: {escape(_fields(fault))}")
    if checkpoint := answer["checkpoint"]:
        lines.append(f"  checkpoint: {escape(str(checkpoint.get('path')))}, step {checkpoint.get('step')}")
    lines += [
        f"  avoids {escape(node['node'])} ({escape(node.get('reason', ''))}) until {node.get('until')}"
        for node in answer["excluded"]
    ]
    lines += [f"  before: {escape(_fields(entry))}" for entry in answer["history"]]
    told = {cause["message"]}
    for condition in answer["conditions"]:
        message = condition.get("message", "")
        said = f"{condition['type']}={condition['status']} {condition.get('reason', '')}"
        lines.append(f"  [dim]{escape(said if message in told else f'{said} {message}'.strip())}[/]")
    return "\n".join(lines)


def _story(story: Mapping[str, Any]) -> list[str]:
    """What a plan of the whole queue knows of a job that waits."""
    lines = []
    if before := story.get("before"):
        lines.append(f"  {story['position'] - 1} before it in the queue, the last of them {escape(', '.join(before))}")
    for entry in story.get("nodes", ()):
        more = " …" if entry["nodes"] > len(entry["examples"]) else ""
        lines.append(f"  {entry['nodes']} nodes {escape(entry['cause'])}: {escape(', '.join(entry['examples']))}{more}")
    if kept := story.get("keptNodes"):
        lines.append(f"  kept for it: {escape(', '.join(kept[:4]))}{' …' if len(kept) > 4 else ''}")
    lines += [f"  quota of team {escape(story['team'])}: {escape(words)}" for words in story.get("quota", ())]
    return lines


def _fields(entry: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in entry.items() if value not in {"", None})


def top_tables(answer: Mapping[str, Any]) -> list[Table]:
    """The pool at a glance as tables."""
    return [_table(title.capitalize(), rows) for title, rows in answer.items()]


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    if not rows:
        table.add_column("none")
        return table
    for column in rows[0]:
        table.add_column(column.upper())
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    return table


def _pool(item: Mapping[str, Any]) -> dict[str, Any]:
    status = item.get("status") or {}
    return {
        "name": item["metadata"]["name"],
        "nodes": status.get("nodes", 0),
        **_cards(status),
        "slots": _slots(status.get("slots")),
        "queued": status.get("queued", 0),
        "running": status.get("running", 0),
        "state": _state(status),
    }


def _supernode(item: Mapping[str, Any]) -> dict[str, Any]:
    status, spec = item.get("status") or {}, item.get("spec") or {}
    return {
        "name": item["metadata"]["name"],
        "pool": spec.get("pool", ""),
        "nodes": status.get("nodes", 0),
        **_cards(status),
        "largest": status.get("largestFreeBlock", 0),
        "slots": _slots(slot for profile in status.get("profiles") or () for slot in profile.get("slots") or ()),
        "state": _state(status),
    }


def _job(item: Mapping[str, Any]) -> dict[str, Any]:
    status = item.get("status") or {}
    return {
        "namespace": item["metadata"]["namespace"],
        "name": item["metadata"]["name"],
        "phase": status.get("phase") or "unseen",
        "ready": status.get("ready", ""),
        "wanted": (status.get("size") or {}).get("wanted", ""),
        "attempt": status.get("attempt", 0),
        "step": (status.get("progress") or {}).get("step", ""),
        "reason": why(status.get("conditions") or [])["reason"],
    }


def _cards(status: Mapping[str, Any]) -> dict[str, Any]:
    cards = status.get("cards") or {}
    return {key: cards.get(key, 0) for key in ("total", "healthy", "free", "faulty", "quarantined")}


def _slots(found: Iterable[Mapping[str, Any]] | None) -> str:
    """Gangs of each size in cards that would fit now, each in one supernode: ``8:12 64:1``."""
    sums: dict[int, int] = {}
    for slot in found or ():
        sums[slot["gang"]] = sums.get(slot["gang"], 0) + slot.get("count", 0)
    return " ".join(f"{size}:{count}" for size, count in sorted(sums.items()) if size > 1)


def _state(status: Mapping[str, Any]) -> str:
    by_type = {condition["type"]: condition for condition in status.get("conditions") or ()}
    for kind in (names.Condition.STALLED, names.Condition.DEGRADED):
        if by_type.get(kind, {}).get("status") == "True":
            return f"{kind}: {by_type[kind].get('reason', '')}"
    return "Ready" if by_type.get(names.Condition.READY, {}).get("status") == "True" else "unseen"


def _said(condition: Mapping[str, Any]) -> dict[str, str]:
    return {
        "condition": f"{condition['type']}={condition['status']}",
        "reason": str(condition.get("reason", "")),
        "message": str(condition.get("message", "")),
    }


async def _all(api: kube_client.Client, kind: Kind, params: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    token = ""
    while True:
        page = json.loads(await api.list_page(paths.collection(kind), limit=PAGE, token=token, params=params))
        items.extend(page.get("items") or ())
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return items
