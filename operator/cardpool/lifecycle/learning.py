"""Run times learned from jobs that succeeded, for those that come back: how long such a job held its cards.

A job is of a kind: its label ``cardpool.dev/runtime-key``, else the name of its controlling owner, else its own name,
both without what only numbers the run; with namespace, profile and the size of its gang. What is learned is a decayed
maximum: a longer run counts at once, a shorter one pulls it down by a quarter of the difference. It is used from the
third run on, a tenth added.

No run is learned twice: the pool's status has the moment up to which every success is in, which is written together
with what was learned. A run counts once its job's end is written, and not before those that ended earlier. A crash
before the pool's writing loses at most what that one would have told, and of this only the runs of jobs that settled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final

from cardpool.api.cardpool import LearnedRuntime
from cardpool.domain.gangs import Option
from cardpool.domain.world import JobRecord
from cardpool.lifecycle import ranks, times
from cardpool.lifecycle.draft import Draft
from cardpool.names import Condition

RUNS_LEAST: Final = 3
ENTRIES_MOST: Final = 200
PULL: Final = 0.25
MARGIN: Final = 1.1
HISTORY_FULL: Final = 10
_NUMBER: Final = re.compile(r"\d+(t\d+z?)?")  # a running number, or a part of a date
_HASH: Final = re.compile(r"(?=[a-f]*\d)[0-9a-f]{7,64}")
_GENERATED: Final = re.compile(r"[bcdfghjklmnpqrstvwxz2456789]{5}|(?=[a-z]*\d)[bcdfghjklmnpqrstvwxz2456789]{8,10}")


Estimates = dict[str, tuple[object, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class Run:
    """A job's whole run: seconds that its attempts ran, and when it succeeded."""

    uid: str
    key: str
    seconds: int
    ended: datetime


@dataclass(slots=True)
class Learner:
    """Runs that are not in their pool's status yet, by pool and UID; a restart finds those whose jobs are there."""

    waiting: dict[str, dict[str, Run]] = field(default_factory=dict)

    def watch(self, drafts: Iterable[Draft], until: Mapping[str, datetime | None]) -> None:
        """Take in the runs that ended; ``until`` is per pool the moment up to which all are learned (None: nothing)."""
        for pool, runs in self.waiting.items():
            known = until.get(pool)
            for uid in [uid for uid, run in runs.items() if pool not in until or (known and run.ended <= known)]:
                del runs[uid]
        for one in drafts:
            ended, pool = one.status.completion_time, one.spec.pool
            if ended is None or pool not in until:
                continue
            known = until[pool]
            run = run_of(one) if known is None or ended > known else None
            if run is not None:
                self.waiting.setdefault(pool, {})[run.uid] = run

    def due(self, pool: str, jobs: Iterable[JobRecord], busy: frozenset[str]) -> list[Run]:
        """The pool's runs whose jobs' ends are written, in order, as far as no earlier one is still being written."""
        runs = self.waiting.get(pool)
        if not runs:
            return []
        writing = {job.uid for job in jobs if job.uid in runs and job.status.completion_time is None} | busy
        first = min((run.ended for run in runs.values() if run.uid in writing), default=None)
        ready = (run for run in runs.values() if run.uid not in writing and (first is None or run.ended < first))
        return sorted(ready, key=lambda run: (run.ended, run.uid))


@lru_cache(maxsize=65_536)
def stem(name: str) -> str:
    """The name without the parts at its end that number a run: digits, dates, hashes, generated letters."""
    parts = name.split("-")
    while len(parts) > 1 and any(form.fullmatch(parts[-1]) for form in (_NUMBER, _HASH, _GENERATED)):
        parts.pop()
    return "-".join(parts)


def key_of(job: JobRecord, profile: str, cards: int) -> str:
    """What a job is of, running on so many cards of a profile; sizes count in powers of two."""
    family = job.runtime_key or stem(job.owner or job.name)
    size = 1 << max(0, cards - 1).bit_length()
    return f"{job.namespace}/{family}/{profile}/{size}"[:253]


def run_of(draft: Draft) -> Run | None:
    """The run of a job that succeeded; None where not all of it is known: a suspension, too many attempts."""
    status, place = draft.status, draft.placement
    begun = draft.marks.running or draft.marks.placed
    known = status.execution_attempt == status.attempt and len(status.history) < HISTORY_FULL
    ended = status.completion_time
    if not (draft.board.holds(Condition.SUCCEEDED) and known) or place is None or begun is None or ended is None:
        return None
    spans = [(times.epoch(item.start_time), times.epoch(item.end_time)) for item in status.history if item.start_time]
    spans.append((times.epoch(begun), times.epoch(ended)))
    seconds = math.ceil(sum(max(0.0, end - start) for start, end in spans))
    return Run(draft.job.uid, key_of(draft.job, draft.profile, _cards(draft)), seconds, ended)


def _cards(draft: Draft) -> int:
    """Cards of the present placement."""
    place = draft.placement
    return sum(seat.cards for seat in ranks.placed(draft.spec, place.segments)) if place is not None else 0


def learned(entries: Iterable[LearnedRuntime], runs: Iterable[Run]) -> tuple[LearnedRuntime, ...]:
    """The entries after these runs; of too many those go that no run came to for longest."""
    known = {item.key: item for item in entries}
    for run in runs:
        old = known.get(run.key)
        seconds, count = run.seconds, 1
        if old is not None:
            count = min(old.count + 1, 1_000_000)
            seconds = max(seconds, old.seconds - int((old.seconds - seconds) * PULL))
        known[run.key] = LearnedRuntime(key=run.key, seconds=seconds, count=count, time=run.ended)
    newest = sorted(known.values(), key=lambda item: (-times.epoch(item.time), item.key))[:ENTRIES_MOST]
    return tuple(sorted(newest, key=lambda item: item.key))


def estimates(entries: Iterable[LearnedRuntime]) -> dict[str, float]:
    """How long a job of each kind is taken to run, in seconds: of those kinds that have run often enough."""
    return {item.key: math.ceil(item.seconds * MARGIN) for item in entries if item.count >= RUNS_LEAST}


def kept(known: Estimates, pool: str, entries: tuple[LearnedRuntime, ...]) -> Mapping[str, float]:
    """The pool's estimates, the very ones of the last cycle where its entries are."""
    old = known.get(pool)
    if old is None or old[0] is not entries:
        old = known[pool] = (entries, estimates(entries))
    return old[1]


def placed(draft: Draft) -> float | None:
    """How long the running gang is taken to run in all; None where nobody knows."""
    pool = draft.around.pool
    if pool is None or not pool.runtimes:
        return None
    return pool.runtimes.get(key_of(draft.job, draft.profile, _cards(draft)))


def asked(draft: Draft, options: Iterable[Option]) -> float | None:
    """How long the waiting gang is taken to run wherever it starts; None where nobody knows of one of its options."""
    pool = draft.around.pool
    if pool is None or not pool.runtimes:
        return None
    found = []
    for option in options:
        cards = sum(group.replicas * group.cards_per_pod for group in option.groups)
        seconds = pool.runtimes.get(key_of(draft.job, option.profile, cards))
        if seconds is None:
            return None
        found.append(seconds)
    return max(found, default=None)


def looked_up(draft: Draft) -> tuple[tuple[str, float | None], ...]:
    """The kinds of run that the job's judgement asked for, and what was known of each."""
    pool, gang, job = draft.around.pool, draft.gang, draft.job
    if pool is None or draft.spec.expected_runtime_seconds is not None:
        return ()
    if gang is None:
        kinds = [key_of(job, draft.profile, _cards(draft))]
    else:
        kinds = [
            key_of(job, one.profile, sum(group.replicas * group.cards_per_pod for group in one.groups))
            for one in gang.options
        ]
    return tuple((kind, pool.runtimes.get(kind)) for kind in kinds)
