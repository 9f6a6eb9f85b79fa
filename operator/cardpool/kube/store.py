"""The mirror of the cluster: one writer, typed records, and immutable snapshots for the pure core.

Writers are the reflectors and the overlay of our own writes' answers, all on the event loop's thread. Invariants: of
one UID the newest resourceVersion wins, whoever brings it; a UID that is gone stays gone for older echoes; a state
that equals the held one changes nothing, so a heartbeat wakes nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cardpool import names
from cardpool.domain.changes import Table
from cardpool.domain.world import JobRecord, PodRecord, Refused, World
from cardpool.kube import convert, metadata, wire
from cardpool.names import Kind

_GRAVES: Final = 65_536
_FOREVER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Head:
    """Which incarnation of an object is held, and how new it is."""

    uid: str
    version: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A converted object, ready to be held."""

    key: str
    head: Head
    record: convert.Record


class Index:
    """Pods by some value, with tuples that are rebuilt only where something changed."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, PodRecord]] = {}
        self._tuples: Table[tuple[PodRecord, ...]] = Table({})
        self._dirty: set[str] = set()

    def put(self, value: str, record: PodRecord) -> None:
        """Hold a pod under a value; the empty value holds nothing."""
        if value:
            self._groups.setdefault(value, {})[record.key] = record
            self._dirty.add(value)

    def drop(self, value: str, record: PodRecord) -> None:
        """Hold it no longer."""
        group = self._groups.get(value)
        if group is not None:
            group.pop(record.key, None)
            self._dirty.add(value)
            if not group:
                del self._groups[value]

    def snapshot(self) -> Mapping[str, tuple[PodRecord, ...]]:
        """Return pods by value, each tuple in order of the pods' keys; never changed afterwards."""
        if self._dirty:
            held = {
                value: tuple(group[key] for key in sorted(group))
                for value in self._dirty
                if (group := self._groups.get(value))
            }
            self._tuples = self._tuples.replaced(held, self._dirty - held.keys())
            self._dirty.clear()
        return self._tuples


@dataclass(slots=True)
class Shelf:
    """Everything held of one kind."""

    records: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    graves: dict[str, int] = field(default_factory=dict)
    version: int = 0
    seen: int = 0
    listed: int = 0
    touched: set[str] = field(default_factory=set)
    frozen: Table[Any] = field(default_factory=lambda: Table({}))

    def snapshot(self) -> Mapping[str, Any]:
        """Return records by key; copied only where the kind changed since the last time."""
        if self.touched:
            self.frozen = self.frozen.followed(self.records, self.touched)
            self.touched.clear()
        return self.frozen

    def bury(self, uid: str, version: int) -> None:
        """Remember that this UID is gone as of a version."""
        self.graves[uid] = max(version, self.graves.pop(uid, 0))
        if len(self.graves) > _GRAVES:
            for old in list(self.graves)[: _GRAVES // 4]:
                del self.graves[old]

    def is_stale(self, key: str, head: Head, floor: int) -> bool:
        """Whether something at least as new is held, or the UID is gone.

        Gone is also what is not held and no newer than ``floor``, the version of a list that did not have it.
        """
        if self.graves.get(head.uid, -1) >= head.version:
            return True
        held = self.heads.get(key)
        if held is not None and held.uid == head.uid:
            return head.version <= held.version
        return head.version <= floor or (held is not None and head.version < held.version)


class Mirror:
    """Records of every mirrored kind. ``changed`` is set at each visible change; who waits for it clears it.

    Of jobs it holds the unsettled ones alone, or with ``settled`` the settled alone. ``late`` is a mirror of the second
    sort whose jobs the world names apart; both ring the same bell.
    """

    def __init__(self, late: Mirror | None = None, *, settled: bool = False) -> None:
        self.changed: asyncio.Event = asyncio.Event() if late is None else late.changed
        self._late = late
        self._settled = settled
        self._shelves = {kind: Shelf() for kind in Kind}
        self._converter = convert.Converter()
        self._by_owner = Index()
        self._by_node = Index()
        self._namespaces: tuple[int, Mapping[str, Mapping[str, str]]] = (0, {})

    def version(self, kind: Kind) -> int:
        """Return a number that grows with every visible change of the kind."""
        return self._shelves[kind].version

    def size(self, kind: Kind) -> int:
        """Return how many objects of the kind are held."""
        return len(self._shelves[kind].records)

    def get(self, kind: Kind, key: str) -> Any | None:
        """Return the record under a key, None where there is none."""
        return self._shelves[kind].records.get(key)

    def uid(self, kind: Kind, key: str) -> str:
        """Return the UID under a key, empty where there is none."""
        head = self._shelves[kind].heads.get(key)
        return head.uid if head is not None else ""

    def resource_version(self, kind: Kind, key: str) -> str:
        """Return the newest resourceVersion known under a key, empty where there is none."""
        head = self._shelves[kind].heads.get(key)
        return str(head.version) if head is not None else ""

    def config_maps(self) -> Mapping[str, convert.ConfigMapRecord]:
        """Return the ConfigMaps with vendor files by ``namespace/name``."""
        return self._shelves[Kind.CONFIG_MAP].snapshot()

    def jobs(self) -> Mapping[str, JobRecord]:
        """Return the jobs by ``namespace/name``."""
        return self._shelves[Kind.JOB].snapshot()

    def prepare(self, kind: Kind, obj: Any) -> Prepared:
        """Convert a decoded object; ValueError where it cannot be a record."""
        return Prepared(metadata.key(obj.metadata), _head(obj.metadata), self._converter.record(kind, obj))

    def apply(self, kind: Kind, event: str, obj: Any) -> None:
        """Take a watch's event (ADDED, MODIFIED or DELETED); ValueError where the object cannot be a record."""
        shelf, key, head = self._shelves[kind], metadata.key(obj.metadata), _head(obj.metadata)
        shelf.seen = max(shelf.seen, head.version)
        if event == "DELETED":
            self._remove(kind, key, head)
        elif not shelf.is_stale(key, head, shelf.listed):
            self._hold(kind, self.prepare(kind, obj))

    def replace(
        self, kind: Kind, objects: Iterable[Prepared], resource_version: str, present: Collection[str] = ()
    ) -> None:
        """Swap in a whole list: what it lacks is gone, unless it was written after the list was taken.

        ``present`` are UIDs that the list had but nobody could read: what is held of them stays. A list older than
        what was seen before means that the server's history was set back: then the list alone is true.
        """
        shelf, taken = self._shelves[kind], int(resource_version or 0)
        if taken < shelf.seen:
            shelf.heads = {key: Head(head.uid, 0) for key, head in shelf.heads.items()}
            shelf.graves.clear()
        shelf.seen = shelf.listed = taken
        listed = set(present)
        for item in objects:
            listed.add(item.head.uid)
            if not shelf.is_stale(item.key, item.head, 0):
                self._hold(kind, item)
        for key, head in list(shelf.heads.items()):
            if head.uid not in listed:
                self._remove(kind, key, Head(head.uid, taken))

    def overlay(self, kind: Kind, raw: bytes) -> Any | None:
        """Take the answer to one of our writes as news, and return the record then held.

        An answer that is a Status (an object deleted at once) changes nothing; ValueError or msgspec.DecodeError
        where it is no object of this kind.
        """
        if wire.KINDED.decode(raw).kind == "Status":
            return None
        obj: Any = wire.DECODERS[kind].decode(raw)
        if kind is Kind.CONFIG_MAP and names.LABEL_VENDORS not in (obj.metadata.labels or {}):
            return None  # outside the reflector's selection: nobody would ever correct it
        shelf, key, head = self._shelves[kind], metadata.key(obj.metadata), _head(obj.metadata)
        held = shelf.heads.get(key)
        # A delete that ends an object at once answers with the version that was held, now marked as deleted.
        marked = held == head and obj.metadata.deletion_timestamp is not None
        if marked or not shelf.is_stale(key, head, shelf.listed):
            self._hold(kind, self.prepare(kind, obj))
        return self.get(kind, key) if self.uid(kind, key) == head.uid else None

    def forget(self, kind: Kind, key: str, uid: str) -> None:
        """Take note that this UID is surely gone: the server said 404, or has another UID under the name."""
        self._remove(kind, key, Head(uid, _FOREVER))

    def freeze(
        self,
        now: float,
        refused: Mapping[str, Refused] | None = None,
        busy: frozenset[str] = frozenset(),
        first: frozenset[str] = frozenset(),
    ) -> World:
        """Return the world of one cycle at ``now`` (epoch seconds); costs only what changed since the last one."""
        return World(
            now=now,
            nodes=self._shelves[Kind.NODE].snapshot(),
            pods=self._shelves[Kind.POD].snapshot(),
            pods_by_owner=self._by_owner.snapshot(),
            pods_by_node=self._by_node.snapshot(),
            jobs=self._shelves[Kind.JOB].snapshot(),
            pools=self._shelves[Kind.POOL].snapshot(),
            supernodes=self._shelves[Kind.SUPERNODE].snapshot(),
            priority_classes=self._shelves[Kind.PRIORITY_CLASS].snapshot(),
            namespaces=self._namespace_labels(),
            late=self._late.jobs() if self._late is not None else {},
            refused=refused or {},
            busy=busy,
            first=first,
        )

    def _namespace_labels(self) -> Mapping[str, Mapping[str, str]]:
        shelf = self._shelves[Kind.NAMESPACE]
        if self._namespaces[0] != shelf.version:
            self._namespaces = (shelf.version, {name: record.labels for name, record in shelf.records.items()})
        return self._namespaces[1]

    def _hold(self, kind: Kind, item: Prepared) -> None:
        shelf = self._shelves[kind]
        if not self._selected(item.record):
            self._remove(kind, item.key, item.head)
            return
        held = shelf.heads.get(item.key)
        if held is not None and held.uid != item.head.uid:
            shelf.bury(held.uid, _FOREVER)
            self._converter.forget(held.uid)
        shelf.graves.pop(item.head.uid, None)
        shelf.heads[item.key] = item.head
        old = shelf.records.get(item.key)
        if old == item.record:
            return
        shelf.records[item.key] = item.record
        self._reindex(old, item.record)
        self._touch(shelf, item.key)

    def _remove(self, kind: Kind, key: str, head: Head) -> None:
        shelf = self._shelves[kind]
        held = shelf.heads.get(key)
        ours = held is not None and held.uid == head.uid
        if held is not None and ours and head.version < held.version:
            return
        shelf.bury(head.uid, head.version)
        self._converter.forget(head.uid)
        if ours:
            del shelf.heads[key]
            self._reindex(shelf.records.pop(key), None)
            self._touch(shelf, key)

    def _reindex(self, old: Any, new: Any) -> None:
        if isinstance(old, PodRecord):
            self._by_owner.drop(old.owner, old)
            self._by_node.drop(old.holds, old)
        if isinstance(new, PodRecord):
            self._by_owner.put(new.owner, new)
            self._by_node.put(new.holds, new)

    def _selected(self, record: Any) -> bool:
        """Whether the reflector's own selection would show the object: settled jobs are nobody's business any more."""
        return not isinstance(record, JobRecord) or record.status.settled is self._settled

    def _touch(self, shelf: Shelf, key: str) -> None:
        shelf.version += 1
        shelf.touched.add(key)
        self.changed.set()


def _head(meta: wire.Meta) -> Head:
    if not meta.uid or not meta.name:
        raise ValueError(f"an object without name or uid: {meta.name!r} {meta.uid!r}")
    return Head(meta.uid, int(meta.resource_version or 0))
