"""What client, reflectors and recorder count themselves, as metrics: read at the scrape, kept nowhere twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cardpool.kube import client, recorder, reflector, window
from cardpool.runtime.metrics import Count


def read(
    api: client.Client, watches: Mapping[str, reflector.Reflector], events: recorder.Recorder
) -> tuple[Count, ...]:
    """The counts of this moment; a watch is known by the name that it has here."""
    kinds = {name: watch.counters for name, watch in watches.items()}
    outcomes = {"posted": events.posted, "merged": events.merged, "dropped": events.dropped}

    def by_lane(name: str, about: str, pick: Callable[[window.Window], int], *, total: bool = False) -> Count:
        return Count(name, about, "lane", {str(lane): pick(found) for lane, found in api.stats.items()}, total=total)

    def by_kind(name: str, about: str, pick: Callable[[reflector.Counters], int]) -> Count:
        return Count(name, about, "kind", {kind: pick(counters) for kind, counters in kinds.items()}, total=True)

    return (
        by_lane("requests_in_flight", "Requests under way.", lambda found: found.in_flight),
        by_lane("requests_waiting", "Requests that wait for their lane.", lambda found: found.waiting),
        by_lane("requests_throttled", "Answers with 429.", lambda found: found.throttled, total=True),
        by_kind("watch_relists", "Lists that had to be made again.", lambda found: found.relists),
        by_kind("watch_errors", "Errors of lists and watches.", lambda found: found.errors),
        by_kind("watch_unreadable", "Objects that could not be read.", lambda found: found.malformed),
        Count("events", "Events by what became of them.", "outcome", outcomes, total=True),
    )
