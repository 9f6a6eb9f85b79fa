"""The restart in parts: what the operator says of it (marks in status) beside what the API itself shows.

Whose time a part is decides what counts as the operator's own: not the declared debounce, not the old pods' time to
go, not the resolver's run. Times are epoch seconds: `watch` is when an independent watch received the event, `stamp`
the API server's or a component's own timestamp in the object, which is cut to whole seconds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.support.history import PREFIX, Body, History, Seen, condition, status_of

UNHEALTHY = "Unhealthy"
AGREE_SECONDS = 0.6  # a watch event may lag, and a stamp names a whole second


class Whose(StrEnum):
    """Who spends a part of the time."""

    PLUGIN = "plug-in and kubelet"
    DECLARED = "declared debounce"
    OPERATOR = "operator"
    OLD_PODS = "old pods"
    RESOLVER = "resolver"
    NEW_PODS = "new pods"
    TRAINING = "training"


@dataclass(frozen=True, slots=True)
class Moment:
    """One point of the restart, as three sources tell it; None where a source says nothing."""

    name: str
    mark: float | None
    watch: float | None
    stamp: float | None

    @property
    def apart(self) -> float:
        """Seconds by which status differs from what the API shows; inf where either is missing."""
        if self.mark is None or self.watch is None:
            return float("inf")
        from_stamp = 0.0
        if self.stamp is not None:
            from_stamp = max(self.stamp - self.mark, self.mark - (self.stamp + 1.0), 0.0)
        return max(abs(self.mark - self.watch), from_stamp)


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of the restart."""

    name: str
    whose: Whose
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Timeline:
    """The parts in order, without gaps, and the moments that both sources know."""

    parts: tuple[Part, ...]
    moments: tuple[Moment, ...]

    @property
    def own_seconds(self) -> float:
        """The operator's own gaps, from the signal in the API to the last replacement pod bound."""
        return sum(part.seconds for part in self.parts if part.whose is Whose.OPERATOR)

    @property
    def total_seconds(self) -> float:
        """From the first part's begin to the last one's end."""
        return self.parts[-1].end - self.parts[0].begin if self.parts else 0.0


@dataclass(frozen=True, slots=True)
class Broken:
    """The card, and when it was broken (epoch seconds)."""

    node: str
    card: str
    at: float
    pod: str = ""


def build(history: History, job: str, broken: Broken, debounce: float, first_step: float | None) -> Timeline:
    """The restart of the job (`namespace/name`) after that fault; ValueError names an event that never came."""
    watch = _Watch(history, job)
    status = status_of(watch.last("TrainingJob"))
    marks = {name: _epoch(text) for name, text in (status.get("marks") or {}).items()}
    old, new = watch.ranks(0), watch.ranks(status["attempt"])
    resolver = watch.resolver(status["attempt"]) if status.get("checkpoint") else ""
    signal = watch.first(old, lambda body: _says(body, broken.card), "a pod that calls the card Unhealthy")
    asked = watch.first(old, lambda body: "deletionTimestamp" in body["metadata"], "an old pod being deleted")
    gone = max(watch.gone(uid) for uid in old)
    created = max((watch.first([uid], bool, "a new pod") for uid in new), key=lambda seen: seen.at)
    bound = max((watch.first([uid], _bound, "a new pod bound") for uid in new), key=lambda seen: seen.at)
    runs = max((watch.first([uid], _ready, "a new pod ready") for uid in new), key=lambda seen: seen.at)
    due = min(signal.at + debounce, asked.at)
    parts = [
        Part("detect", Whose.PLUGIN, broken.at, signal.at),
        Part("debounce", Whose.DECLARED, signal.at, due),
        Part("decide", Whose.OPERATOR, due, asked.at),
        Part("teardown", Whose.OLD_PODS, asked.at, gone),
    ]
    moments = [
        Moment("signal seen", marks.get("faultSeen"), signal.at, _managed(signal.body)),
        Moment("restart decided", marks.get("faultSignalled"), asked.at, _asked(asked.body)),
        Moment("old pods gone", marks.get("tornDown"), gone, None),
    ]
    ready_to_create = gone
    if resolver:
        made = watch.first([resolver], bool, "the resolver pod")
        proved = watch.first([resolver], _ended, "the resolver's result")
        parts.append(Part("place", Whose.OPERATOR, gone, made.at))
        parts.append(Part("resolve", Whose.RESOLVER, made.at, proved.at))
        moments.append(Moment("placed", marks.get("placed"), made.at, _created(made.body)))
        moments.append(Moment("checkpoint proved", marks.get("resolved"), proved.at, None))
        ready_to_create = proved.at
    parts.append(Part("create and bind", Whose.OPERATOR, ready_to_create, bound.at))
    parts.append(Part("start", Whose.NEW_PODS, bound.at, runs.at))
    if first_step is not None:
        parts.append(Part("first step", Whose.TRAINING, runs.at, max(first_step, runs.at)))
    moments += [
        Moment("pods created", marks.get("created"), created.at, _created(created.body)),
        Moment("pods bound", marks.get("bound"), bound.at, _since(bound.body, "PodScheduled")),
        Moment("pods running", marks.get("running"), runs.at, _since(runs.body, "Ready")),
    ]
    return Timeline(tuple(parts), tuple(moments))


class _Watch:
    """The events of one job's pods, found by what they show."""

    def __init__(self, history: History, job: str) -> None:
        self._history = history
        self._job = job
        namespace, _, name = job.partition("/")
        self._pods = [
            seen
            for seen in history.kind("Pod")
            if seen.body["metadata"]["namespace"] == namespace and seen.labels.get(f"{PREFIX}job") == name
        ]

    def last(self, kind: str) -> Body:
        return next(seen.body for seen in reversed(self._history.kind(kind)) if seen.key == self._job)

    def ranks(self, attempt: int) -> list[str]:
        """UIDs of the pods of one attempt."""
        found = dict.fromkeys(
            seen.uid
            for seen in self._pods
            if f"{PREFIX}rank" in seen.labels and seen.labels.get(f"{PREFIX}attempt") == str(attempt)
        )
        if not found:
            raise ValueError(f"the watch never showed a pod of attempt {attempt}")
        return list(found)

    def resolver(self, attempt: int) -> str:
        found = [
            seen.uid
            for seen in self._pods
            if seen.labels.get(f"{PREFIX}role") == "resolver" and f"-a{attempt}e" in seen.body["metadata"]["name"]
        ]
        if not found:
            raise ValueError(f"the watch never showed a resolver pod of attempt {attempt}")
        return found[0]

    def first(self, uids: Iterable[str], look: Callable[[Body], object], what: str) -> Seen:
        wanted = set(uids)
        for seen in self._pods:
            if seen.uid in wanted and look(seen.body):
                return seen
        raise ValueError(f"the watch never showed {what}")

    def gone(self, uid: str) -> float:
        """When the pod was deleted, or had ended."""
        for seen in self._pods:
            if seen.uid == uid and seen.change == "DELETED":
                return seen.at
        raise ValueError(f"the watch never showed the end of pod {uid}")


def _says(body: Body, card: str) -> bool:
    statuses = status_of(body).get("containerStatuses") or ()
    entries = [entry for status in statuses for entry in status.get("allocatedResourcesStatus") or ()]
    cards = [one for entry in entries for one in entry.get("resources") or ()]
    return any(one["resourceID"] == card and one.get("health") == UNHEALTHY for one in cards)


def _bound(body: Body) -> bool:
    return bool((body.get("spec") or {}).get("nodeName"))


def _ready(body: Body) -> bool:
    return condition(body, "Ready").get("status") == "True"


def _ended(body: Body) -> bool:
    statuses = status_of(body).get("containerStatuses") or ()
    return any("terminated" in (status.get("state") or {}) for status in statuses)


def _created(body: Body) -> float | None:
    return _epoch(body["metadata"].get("creationTimestamp"))


def _asked(body: Body) -> float | None:
    """When deletion was asked for: the stamp says when the grace period ends."""
    meta: Any = body["metadata"]
    end = _epoch(meta.get("deletionTimestamp"))
    return None if end is None else end - float(meta.get("deletionGracePeriodSeconds") or 0)


def _since(body: Body, kind: str) -> float | None:
    return _epoch(condition(body, kind).get("lastTransitionTime"))


def _managed(body: Body) -> float | None:
    """When kubelet last wrote the status."""
    meta: Any = body["metadata"]
    times = [
        one.get("time")
        for one in meta.get("managedFields") or ()
        if one.get("subresource") == "status" and one.get("manager") == "kubelet"
    ]
    return _epoch(times[0]) if times else None


def _epoch(text: str | None) -> float | None:
    return None if not text else dt.datetime.fromisoformat(text).timestamp()
