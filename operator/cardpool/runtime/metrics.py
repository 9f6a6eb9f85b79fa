"""Every metric of the process, prefix ``cardpool_``; labels come from closed lists, so the series stay few.

Gauges of jobs, cards and pools are not kept here: they are the last decision's own counts, shown as they stand, and
a series that the decision no longer names is gone at the next scrape.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cardpool import __version__, names

PREFIX: Final = "cardpool_"
SERIES_LIMIT: Final = 2_000
FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
TIMINGS: Final = ("detect", "teardown", "resolve", "place", "start")

Gauges = Mapping[str, Mapping[tuple[tuple[str, str], ...], float]]

ABOUT: Final = {
    "jobs": "TrainingJobs by phase and pool.",
    "cards": "Cards by pool, profile and state.",
    "team_cards": "Cards that each team's gangs hold, by pool and profile.",
    "slots": "Gangs of so many cards that would fit now, in one supernode each or (scope pool) anywhere.",
    "supernode_slots": "The same inside one supernode, over its profiles.",
    "jobs_waiting": "Jobs in the queue by pool and the reason why they wait.",
}


@dataclass(frozen=True, slots=True)
class Count:
    """Numbers that another part keeps: by the values of one label, or under the empty text where ``label`` is empty."""

    name: str
    about: str
    label: str
    values: Mapping[str, float]
    total: bool = False


class _Decided(Collector):
    """The gauges of the last decision and the ages read at the moment of the scrape."""

    def __init__(self) -> None:
        self.gauges: Gauges = {}
        self.ages: Callable[[], Mapping[str, float]] = dict
        self.counts: Callable[[], Iterable[Count]] = tuple
        self.dropped = 0

    def collect(self) -> Iterator[Metric]:
        for name, series in self.gauges.items():
            yield from self._family(name, series)
        watches = GaugeMetricFamily(
            f"{PREFIX}watch_age_seconds", "Time since a watch last said anything.", None, ["kind"]
        )
        for kind, age in self.ages().items():
            watches.add_metric([kind], age)
        yield watches
        for count in self.counts():
            make = CounterMetricFamily if count.total else GaugeMetricFamily
            family = make(f"{PREFIX}{count.name}", count.about, None, [count.label] if count.label else [])
            for value, number in count.values.items():
                family.add_metric([value] if count.label else [], number)
            yield family

    def _family(self, name: str, series: Mapping[tuple[tuple[str, str], ...], float]) -> Iterator[Metric]:
        if not series:
            return
        labels = [label for label, _ in next(iter(series))]
        bare = name.removeprefix(PREFIX)
        family = GaugeMetricFamily(f"{PREFIX}{bare}", ABOUT.get(bare, "Counted by the last cycle."), None, labels)
        for key, value in list(series.items())[:SERIES_LIMIT]:
            family.add_metric([text for _, text in key], value)
        self.dropped += max(0, len(series) - SERIES_LIMIT)
        yield family


class Metrics:
    """One registry and the instruments in it; no module-level state, so two operators fit in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._decided = _Decided()
        self.registry.register(self._decided)
        registry = self.registry
        info = Gauge(f"{PREFIX}build_info", "Always 1; the label says the version.", ["version"], registry=registry)
        info.labels(version=__version__).set(1)
        self.cycles = Counter(f"{PREFIX}cycles", "Cycles by outcome (ok, error).", ["outcome"], registry=registry)
        self.phases = Histogram(
            f"{PREFIX}cycle_seconds",
            "Time of a cycle's phases (freeze, decide, commit).",
            ["phase"],
            buckets=FAST,
            registry=registry,
        )
        self.requests = Counter(
            f"{PREFIX}commit_requests",
            "Writes by verb, kind and HTTP code (0: no answer).",
            ["verb", "kind", "code"],
            registry=registry,
        )
        self.retries = Counter(
            f"{PREFIX}commit_retries", "Writes that were looked up or tried again.", ["kind"], registry=registry
        )
        self.refusals = Counter(
            f"{PREFIX}refusals", "Objects that the API server refused, by HTTP code.", ["code"], registry=registry
        )
        self.transitions = Counter(f"{PREFIX}transitions", "Changes of phase of a job.", ["phase"], registry=registry)
        self.restarts = Counter(f"{PREFIX}restarts", "Gang restarts by cause.", ["cause"], registry=registry)
        self.timings = Histogram(
            f"{PREFIX}restart_seconds",
            "Parts of a restart, from status.timings.",
            ["part"],
            buckets=SLOW,
            registry=registry,
        )
        self.leading = Gauge(f"{PREFIX}lease_held", "1 while this process holds the Lease.", registry=registry)
        self.in_flight = Gauge(f"{PREFIX}steps_in_flight", "Objects whose writes are under way.", registry=registry)
        self.lag = Gauge(f"{PREFIX}loop_lag_seconds", "How late the event loop last ran a timer.", registry=registry)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the body as one phase of a cycle."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases.labels(phase=name).observe(time.perf_counter() - start)

    def watch_ages(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Where a scrape reads the ages of the watches from."""
        self._decided.ages = read

    def counted(self, read: Callable[[], Iterable[Count]]) -> None:
        """Where a scrape reads what other parts of the process count themselves."""
        self._decided.counts = read

    def decided(self, gauges: Gauges | None) -> None:
        """Show these counts from now on; None keeps the last ones."""
        if gauges is not None:
            self._decided.gauges = gauges

    def transition(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """Count what a job's new status says against the one that it replaced."""
        if after.get("phase") != before.get("phase") and after.get("phase") in set(names.Phase):
            self.transitions.labels(phase=after["phase"]).inc()
        if int(after.get("attempt") or 0) > int(before.get("attempt") or 0):
            cause = str((after.get("lastFault") or {}).get("reason", ""))
            self.restarts.labels(cause=cause if cause in set(names.Reason) else "Other").inc()
        old, new = before.get("timings") or {}, after.get("timings") or {}
        for part in TIMINGS:
            value = new.get(f"{part}Seconds")
            if value is not None and value != old.get(f"{part}Seconds"):
                with contextlib.suppress(ValueError):
                    self.timings.labels(part=part).observe(float(value))

    def expose(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
