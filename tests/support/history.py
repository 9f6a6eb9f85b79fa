"""What the API showed during a scenario: every event of every kind, kept, in the order of resource versions.

One etcd gives out all versions, so they order events of different kinds; receive times serve for durations alone.
Invariant: a History is never thinned; whatever a rule judges was really shown by the API.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PREFIX = "cardpool.dev/"
FIELD_MANAGER = "cardpool"
TERMINAL = frozenset({"Succeeded", "Failed"})

Body = Mapping[str, Any]
Change = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One watch event: ``at`` is the receive time (epoch seconds)."""

    at: float
    kind: str
    change: Change
    body: Body

    @property
    def uid(self) -> str:
        """UID of the object."""
        return str(self.body["metadata"].get("uid", ""))

    @property
    def version(self) -> int:
        """Resource version as a number."""
        return int(self.body["metadata"].get("resourceVersion", 0))

    @property
    def key(self) -> str:
        """``namespace/name``, or the name of a cluster-scoped object."""
        return key_of(self.body)

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the object."""
        return self.body["metadata"].get("labels") or {}


@dataclass(slots=True)
class PodLife:
    """One pod from creation to its end, as far as it was seen. Times are receive times, versions order events."""

    uid: str
    key: str
    labels: Mapping[str, str]
    owner: str
    node: str
    cards: Mapping[str, int]
    env: Mapping[str, str]
    created: float
    created_version: int
    bound: float | None = None
    ended: float | None = None
    ended_version: int | None = None
    preempted: str = ""

    @property
    def job(self) -> str:
        """UID of the job, empty for foreign pods."""
        return self.labels.get(f"{PREFIX}job-uid", "") or (self.owner if f"{PREFIX}job" in self.labels else "")

    @property
    def is_rank(self) -> bool:
        """True for a pod of a gang, resolver and foreign pods excluded."""
        return f"{PREFIX}rank" in self.labels and bool(self.job)

    @property
    def rank(self) -> int:
        """Rank in the gang."""
        return int(self.labels[f"{PREFIX}rank"])

    @property
    def attempt(self) -> int:
        """Attempt that the pod belongs to."""
        return int(self.labels.get(f"{PREFIX}attempt", "0"))

    @property
    def execution(self) -> str:
        """Execution attempt, empty where the label is absent."""
        return self.labels.get(f"{PREFIX}execution-attempt", "")

    def lives_at(self, version: int) -> bool:
        """True where the pod exists unfinished right after that version."""
        return self.created_version <= version and (self.ended_version is None or self.ended_version > version)


@dataclass(frozen=True)
class History:
    """All events of one scenario; ``end`` is when recording stopped (epoch seconds)."""

    events: tuple[Seen, ...]
    end: float
    start: float = field(default=0.0)

    @classmethod
    def of(cls, events: Iterable[Seen], end: float | None = None) -> History:
        """Order events by version; ``end`` defaults to the last receive time."""
        ordered = tuple(sorted(events, key=lambda seen: seen.version))
        times = [seen.at for seen in ordered]
        return cls(ordered, end if end is not None else max(times, default=0.0), min(times, default=0.0))

    def only(self, keep: Callable[[Seen], bool]) -> History:
        """The part of the history that concerns one scenario on a shared cluster."""
        return History(tuple(seen for seen in self.events if keep(seen)), self.end, self.start)

    @functools.cached_property
    def by_kind(self) -> Mapping[str, tuple[Seen, ...]]:
        """Events per kind, in order."""
        kinds: dict[str, list[Seen]] = {}
        for seen in self.events:
            kinds.setdefault(seen.kind, []).append(seen)
        return {kind: tuple(events) for kind, events in kinds.items()}

    def kind(self, kind: str) -> tuple[Seen, ...]:
        """Events of one kind, in order."""
        return self.by_kind.get(kind, ())

    def live(self, kind: str) -> dict[str, Body]:
        """Objects of that kind that exist at the end, by UID."""
        found: dict[str, Body] = {}
        for seen in self.kind(kind):
            if seen.change == "DELETED":
                found.pop(seen.uid, None)
            else:
                found[seen.uid] = seen.body
        return found

    def last(self, kind: str) -> dict[str, Body]:
        """The last body of every object of that kind, deleted ones too, by key."""
        return {seen.key: seen.body for seen in self.kind(kind)}

    @functools.cached_property
    def pods(self) -> tuple[PodLife, ...]:
        """Every pod that was seen, in order of creation."""
        lives: dict[str, PodLife] = {}
        for seen in self.kind("Pod"):
            life = lives.get(seen.uid)
            if life is None:
                life = lives[seen.uid] = _begin(seen)
            _advance(life, seen)
        return tuple(lives.values())


def key_of(body: Body) -> str:
    """``namespace/name``, or the name of a cluster-scoped object."""
    meta = body["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])


def status_of(body: Body) -> Mapping[str, Any]:
    """The status, empty where nothing was written yet."""
    return body.get("status") or {}


def condition(body: Body, kind: str) -> Mapping[str, Any]:
    """One condition, empty where it is absent."""
    return next((one for one in status_of(body).get("conditions") or () if one["type"] == kind), {})


def controller(body: Body) -> str:
    """UID of the controlling owner, empty where there is none."""
    owners = body["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def planned_node(spec: Mapping[str, Any]) -> str:
    """The node that a pod spec is bound or pinned to, empty where neither."""
    if spec.get("nodeName"):
        return str(spec["nodeName"])
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    for term in required.get("nodeSelectorTerms") or ():
        for match in term.get("matchFields") or ():
            if match["key"] == "metadata.name" and match["operator"] == "In" and len(match["values"]) == 1:
                return str(match["values"][0])
    return ""


def cards_of(spec: Mapping[str, Any]) -> dict[str, int]:
    """Extended resources that the containers of a pod ask for."""
    cards: dict[str, int] = {}
    for container in spec.get("containers") or ():
        resources = container.get("resources") or {}
        wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        for name, amount in wanted.items():
            if "/" in name and not name.startswith("kubernetes.io/"):
                cards[name] = cards.get(name, 0) + int(amount)
    return cards


def _begin(seen: Seen) -> PodLife:
    spec = seen.body.get("spec") or {}
    env = {
        str(entry["name"]): str(entry.get("value", ""))
        for container in spec.get("containers") or ()
        for entry in container.get("env") or ()
    }
    return PodLife(
        uid=seen.uid, key=seen.key, labels=dict(seen.labels), owner=controller(seen.body), node=planned_node(spec),
        cards=cards_of(spec), env=env, created=seen.at, created_version=seen.version,
    )  # fmt: skip


def _advance(life: PodLife, seen: Seen) -> None:
    spec = seen.body.get("spec") or {}
    if spec.get("nodeName"):
        life.node = str(spec["nodeName"])
        life.bound = life.bound if life.bound is not None else seen.at
    target = condition(seen.body, "DisruptionTarget")
    if target.get("status") == "True" and target.get("reason") == "PreemptionByScheduler":
        life.preempted = str(target.get("message", "")) or "PreemptionByScheduler"
    over = seen.change == "DELETED" or status_of(seen.body).get("phase") in TERMINAL
    if over and life.ended is None:
        life.ended, life.ended_version = seen.at, seen.version
