"""Single objects become the records of one world; what a manifest need not say gets a stand-in.

Stand-ins follow the order of the input and nothing else: an object without a UID is told apart by its name, one
without a creation time is newer than every one that has it and than those before it. Equal input, equal world.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from cardpool import errors, names
from cardpool.api import checks
from cardpool.domain.world import (
    JobRecord,
    NodeRecord,
    PodRecord,
    PoolRecord,
    PriorityClassRecord,
    SupernodeRecord,
)
from cardpool.kube import convert, metadata, paths, wire
from cardpool.lifecycle.conditions import Board
from cardpool.names import Condition, Kind, Reason
from cardpool.planning import documents
from cardpool.planning.documents import Document, Place

STAND_IN: Final = "input:"
DEFAULT_NAMESPACE: Final = "default"
_KINDS: Final = {resource.kind: (kind, resource.api) for kind, resource in paths.RESOURCES.items()}
_AGED: Final = frozenset({Kind.JOB, Kind.POOL, Kind.SUPERNODE})
_FIELDS: Final = {Kind.NODE: "status", Kind.POD: "spec.containers"}
_STEP: Final = 0.001  # seconds between two stand-ins for a creation time
_READY: Final = wire.Condition(type="Ready", status="True")


@dataclass(slots=True)
class Inputs:
    """Everything that a plan is made from, by key; ``vendors`` are texts of vendor files by where they stand."""

    nodes: dict[str, NodeRecord] = field(default_factory=dict)
    pods: dict[str, PodRecord] = field(default_factory=dict)
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    pools: dict[str, PoolRecord] = field(default_factory=dict)
    supernodes: dict[str, SupernodeRecord] = field(default_factory=dict)
    priority_classes: dict[str, PriorityClassRecord] = field(default_factory=dict)
    namespaces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    vendors: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Reader:
    """Gathers objects. What a cluster has goes first; a manifest of the same name then stands for the cluster's."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._inputs = Inputs()
        self._converter = convert.Converter()
        self._uids: set[str] = set()
        self._seen: dict[tuple[Kind, str], Place] = {}
        self._ignored: Counter[str] = Counter()
        self._unsaid = 0

    def listed(self, kind: Kind, raw: msgspec.Raw) -> None:
        """Take an object as the API server has it; one that nobody can read is left out with a note."""
        try:
            obj: Any = wire.DECODERS[kind].decode(raw)
            self._hold(obj, self._record(kind, obj))
        except (msgspec.DecodeError, ValueError) as error:
            self._inputs.notes.append(f"a {kind} of the cluster is left out: {documents.told(error)}")

    def jobs(self) -> dict[str, JobRecord]:
        """The jobs taken so far."""
        return dict(self._inputs.jobs)

    def take(self, document: Document, *, instead: bool = False) -> str:
        """Take a manifest and return its key ("" for a kind that is not read); InputError where it is wrong.

        A second one of the same kind and name is wrong, unless it is to stand ``instead`` of the first.
        """
        kind, api = _KINDS.get(document.kind, (None, ""))
        if kind is None or api != document.api:
            if kind is not None and api.startswith(f"{names.GROUP}/") and document.api.startswith(names.GROUP):
                raise errors.InputError(f"{document.where()}: apiVersion: {document.api!r} is not {api!r}")
            self._ignored[document.kind] += 1
            return ""
        obj: Any = document.read
        if obj is None:
            try:
                obj = wire.DECODERS[kind].decode(document.raw)
            except msgspec.DecodeError as error:
                raise errors.InputError(f"{document.where()}: {documents.told(error)}") from None
        if not obj.metadata.name:
            raise errors.InputError(f"{document.where()}: metadata.name: is missing")
        self._complete(kind, obj)
        key = metadata.key(obj.metadata)
        twin = self._seen.setdefault((kind, key), document.place)
        if twin is not document.place and not instead:
            raise errors.InputError(f"{document.where()}: {kind} {key} stands in {documents.where(twin)} already")
        try:
            record = self._record(kind, obj)
        except ValueError as error:
            raise errors.InputError(f"{document.where()}: {_FIELDS.get(kind, 'metadata')}: {error}") from None
        if isinstance(record, PoolRecord | SupernodeRecord) and record.spec is None:
            raise errors.InputError(f"{document.where()}: {record.invalid}")
        self._hold(obj, record)
        return key

    def result(self) -> Inputs:
        """Everything taken, with notes on what was passed over or assumed."""
        notes = self._inputs.notes
        if self._ignored:
            ignored = ", ".join(f"{number} {kind}" for kind, number in sorted(self._ignored.items()))
            notes.append(f"kinds that a plan does not read: {ignored}")
        if self._unsaid:
            notes.append(f"{self._unsaid} nodes say nothing of being ready and count as ready")
        return self._inputs

    def _complete(self, kind: Kind, obj: Any) -> None:
        meta = obj.metadata
        if paths.RESOURCES[kind].namespaced and not meta.namespace:
            meta.namespace = DEFAULT_NAMESPACE
        key = metadata.key(meta)
        held = self._inputs.jobs.get(key) if kind is Kind.JOB else None
        if held is not None and not meta.uid:
            meta.uid, meta.creation_timestamp = held.uid, datetime.fromtimestamp(held.created, UTC)
        elif not meta.uid or meta.uid in self._uids:
            meta.uid = f"{STAND_IN}{kind}/{key}"
        self._uids.add(meta.uid)
        if kind in _AGED and meta.creation_timestamp is None:
            meta.creation_timestamp = datetime.fromtimestamp(self._now + _STEP * len(self._seen), UTC)
        if isinstance(obj, wire.Pod):
            _default_requests(obj.spec)
        if isinstance(obj, wire.Node):
            status = obj.status
            status.allocatable = status.allocatable or status.capacity
            status.capacity = status.capacity or status.allocatable
            if metadata.condition(status.conditions, _READY.type) is None:
                status.conditions = [_READY]
                self._unsaid += 1

    def _record(self, kind: Kind, obj: Any) -> convert.Record:
        record = self._converter.record(kind, obj)
        self._converter.forget(obj.metadata.uid)  # nothing here ever changes, and UIDs may repeat
        if isinstance(record, JobRecord):
            problem = next(checks.job_name(record.name), "")
            if problem:
                return replace(record, spec=None, invalid=problem)
            return _ended(record, self._now)
        return record

    def _hold(self, obj: Any, record: convert.Record) -> None:
        inputs, key = self._inputs, metadata.key(obj.metadata)
        match record:
            case NodeRecord():
                inputs.nodes[key] = record
            case PodRecord():
                inputs.pods[key] = record
            case JobRecord():
                held = inputs.jobs.get(key)
                bare = held is not None and bytes(obj.status) in {b"{}", b"null"}
                inputs.jobs[key] = replace(record, status=held.status) if held is not None and bare else record
            case PoolRecord():
                inputs.pools[key] = record
            case SupernodeRecord():
                inputs.supernodes[key] = record
            case PriorityClassRecord():
                inputs.priority_classes[key] = record
            case convert.NamespaceRecord():
                inputs.namespaces[key] = record.labels
            case convert.ConfigMapRecord():
                if names.LABEL_VENDORS in (obj.metadata.labels or {}):
                    inputs.vendors |= {f"configmap/{key}/{file}": text for file, text in record.data.items()}


def _default_requests(spec: wire.PodSpec) -> None:
    """A limit without a request is the request, as the API server would have it."""
    for one in (spec, *spec.containers, *(spec.init_containers or ())):
        if one.resources is not None and one.resources.limits:
            one.resources.requests = {**one.resources.limits, **(one.resources.requests or {})}


def _ended(job: JobRecord, now: float) -> JobRecord:
    """A job that has ended says how, even where its manifest gives the time alone."""
    status = job.status
    board = Board(status.conditions, job.generation, now)
    if status.completion_time is None or board.reason(Condition.SUCCEEDED):
        return job
    board.put(Condition.SUCCEEDED, True, Reason.SUCCEEDED, "the status does not say how it ended")
    return replace(job, status=status.model_copy(update={"conditions": board.result()}))
