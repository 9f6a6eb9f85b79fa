"""Invariants 7, 8 and 10: quiet when nothing changed, nothing left behind, status that follows its generation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.support.history import FIELD_MANAGER, PREFIX, Body, History, key_of, status_of
from tests.support.rules.verdict import Expectation, Violation

OPERATOR = "cardpool.dev/operator"
OWN_KINDS = ("TrainingJob", "CardPool", "Supernode")
OWNED_KINDS = ("Pod", "Service", "ConfigMap")


def quiet_when_nothing_changed(history: History, expected: Expectation) -> Iterator[Violation]:
    """7 and 10: in a quiet window nobody writes our objects, what they own, or labels of nodes."""
    for window in expected.quiet:
        for kind in (*OWN_KINDS, *OWNED_KINDS):
            before: dict[str, Body] = {}
            for seen in history.kind(kind):
                ours = kind in OWN_KINDS or _owner(seen.body)
                if ours and window.since < seen.at <= window.until:
                    parts = ", ".join(changes(before.get(seen.uid, {}), seen.body)[:8])
                    what = f"{seen.change} in a quiet window: {parts or 'nothing but its version'}"
                    yield Violation(window.why, f"{kind} {seen.key}", seen.at, what)
                before[seen.uid] = seen.body
        labels: dict[str, Mapping[str, str]] = {}
        for seen in history.kind("Node"):
            earlier = labels.get(seen.key, seen.labels)
            labels[seen.key] = seen.labels
            if earlier != seen.labels and window.since < seen.at <= window.until:
                yield Violation(window.why, f"Node {seen.key}", seen.at, "labels changed in a quiet window")


def nothing_left(history: History, expected: Expectation) -> Iterator[Violation]:
    """8: nothing owned by a deleted job exists at the end, and no label of ours on a node outside every pool."""
    deleted = {seen.uid: seen.key for seen in history.kind("TrainingJob") if seen.change == "DELETED"}
    for kind in OWNED_KINDS:
        for body in history.live(kind).values():
            owner = _owner(body)
            if owner in deleted:
                yield Violation(8, f"{kind} {key_of(body)}", history.end, f"outlived job {deleted[owner]}")
    pools = [body["spec"] for body in history.live("CardPool").values()]
    for node in history.live("Node").values():
        name = key_of(node)
        labels = node["metadata"].get("labels") or {}
        if any(selects(pool["selector"], labels) for pool in pools):
            continue
        ours = owned_labels(node) | {key for key in labels if key.startswith(PREFIX)}
        for key in sorted(ours - {key for where, key in expected.foreign_labels if where == name}):
            yield Violation(8, f"Node {name}", history.end, f"label {key} stayed outside every pool")


def status_follows(history: History, expected: Expectation) -> Iterator[Violation]:
    """10: observedGeneration never runs ahead, and has caught up at the end."""
    for kind in OWN_KINDS:
        for seen in history.kind(kind):
            generation = int(seen.body["metadata"].get("generation", 0))
            for where, observed in _observed(seen.body):
                if observed > generation:
                    yield Violation(
                        10, f"{kind} {seen.key}", seen.at, f"{where} {observed} is ahead of generation {generation}"
                    )
        for body in history.live(kind).values():
            generation = int(body["metadata"].get("generation", 0))
            observed = int(status_of(body).get("observedGeneration", 0))
            elsewhere = (body.get("spec") or {}).get("managedBy", OPERATOR) != OPERATOR
            if observed != generation and not elsewhere and not body["metadata"].get("deletionTimestamp"):
                yield Violation(
                    10, f"{kind} {key_of(body)}", history.end,
                    f"observedGeneration {observed} did not follow generation {generation}",
                )  # fmt: skip


def changes(before: object, after: object, path: str = "") -> list[str]:
    """Paths whose values differ, with both values; bookkeeping of the API server is left out."""
    if path in {".metadata.managedFields", ".metadata.resourceVersion"} or before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted({*before, *after})
        return [one for key in keys for one in changes(before.get(key), after.get(key), f"{path}.{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [one for index, (old, new) in pairs for one in changes(old, new, f"{path}[{index}]")]
    return [f"{path}: {before!r} → {after!r}"]


def owned_labels(node: Body) -> set[str]:
    """Label keys that cardpool's field manager holds on the node."""
    keys: set[str] = set()
    for entry in node["metadata"].get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER:
            fields = (entry.get("fieldsV1") or {}).get("f:metadata", {}).get("f:labels", {})
            keys |= {key.removeprefix("f:") for key in fields if key.startswith("f:")}
    return keys


def selects(selector: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches."""
    exact = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or ()
    assert isinstance(exact, dict)
    assert isinstance(expressions, (list, tuple))
    return all(labels.get(key) == value for key, value in exact.items()) and all(
        _meets(one, labels) for one in expressions
    )


def _meets(one: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    key, values = str(one["key"]), one.get("values") or ()
    assert isinstance(values, (list, tuple))
    match one["operator"]:
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise ValueError(f"unknown operator {other}")


def _owner(body: Body) -> str:
    """UID of the job that an object belongs to, by owner reference or by label."""
    meta = body["metadata"]
    jobs = [str(one["uid"]) for one in meta.get("ownerReferences") or () if one["kind"] == "TrainingJob"]
    return jobs[0] if jobs else str((meta.get("labels") or {}).get(f"{PREFIX}job-uid", ""))


def _observed(body: Body) -> Iterator[tuple[str, int]]:
    status = status_of(body)
    yield "observedGeneration", int(status.get("observedGeneration", 0))
    for one in status.get("conditions") or ():
        yield f"condition {one['type']} of generation", int(one.get("observedGeneration", 0))
