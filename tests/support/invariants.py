"""The one checker of the design's invariants; it reads only what the API showed.

``check`` judges a recorded history. A scenario that ran on any cluster ends with it, so a rule stands in one place
and each rule has a history in tests/unit/test_invariants.py that breaks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.support.history import History
from tests.support.rules import capacity, checkpoints, counters, gangs, objects
from tests.support.rules.verdict import Expectation, Quiet, Violation

Rule = Callable[[History, Expectation], Iterator[Violation]]

RULES: tuple[Rule, ...] = (
    capacity.promised_once,
    gangs.all_or_nothing,
    gangs.one_live_pod_per_rank,
    counters.only_grow,
    counters.one_restart_per_episode,
    gangs.where_the_job_allows,
    objects.quiet_when_nothing_changed,
    objects.nothing_left,
    checkpoints.resumes_from_the_proved,
    objects.status_follows,
    capacity.never_preempted_alone,
)


def check(history: History, expected: Expectation | None = None) -> list[Violation]:
    """Every violation of invariants 1 to 11 that the history shows, in the order of the rules."""
    given = expected or Expectation()
    return [violation for rule in RULES for violation in rule(history, given)]


def report(violations: list[Violation]) -> str:
    """The violations as lines, for an assertion's message."""
    return "\n".join(str(violation) for violation in violations)


__all__ = ["RULES", "Expectation", "Quiet", "Violation", "check", "report"]
