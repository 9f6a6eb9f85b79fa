"""How long a cycle's answer stands: until when the same questions, in the same pool, get the same answers and words.

Only refusals and what is kept for those refused can stand; whoever placed, evicted, moved or grew somebody changed the
pool. Every moment at which the time alone may change something ends it: an end that passes says nothing any more, an
age grants what it did not before, and a head's start comes so near that nobody can be done before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cardpool.domain.gangs import Gang, PlanResult
from cardpool.engine.cycle import Cycle


def until(one: Cycle, gangs: Sequence[Gang], result: PlanResult) -> float:
    """The first moment (seconds since the epoch) at which the answer may be another; ``now`` where nobody can tell."""
    done = result.placements or result.evictions or result.growing or result.moves or result.preempting or result.vain
    if done or one.fickle or one.rules.moving is not None:
        return one.now
    if any(kept.start is not None and kept.start <= one.now for kept in result.reservations):
        return one.now
    return min((moment for moment in _moments(one, gangs, result) if moment > one.now), default=float("inf"))


def _moments(one: Cycle, gangs: Sequence[Gang], result: PlanResult) -> Iterator[float]:
    """Everything that the passing of time alone may change."""
    if result.wake is not None:
        yield result.wake
    for gang in one.running:
        if gang.ends is not None:
            yield gang.ends
        if gang.elastic is not None and gang.elastic.grows is not None:
            yield gang.elastic.grows
        yield gang.started + one.rules.min_runtime
    starts = [kept.start for kept in result.reservations if kept.start is not None]
    yield from (start - 1.0 for start in starts)
    for asked in gangs:
        yield (asked.queued or asked.created) + one.rules.patience
        if asked.runtime is not None:
            yield from (start - asked.runtime for start in starts)
