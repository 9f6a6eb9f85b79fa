"""What a rule is told besides the history, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold: its number, the object, when (receive time, epoch seconds) and what was seen."""

    invariant: int
    object: str
    at: float
    message: str

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.object} at {self.at:.3f}: {self.message}"


@dataclass(frozen=True, slots=True)
class Quiet:
    """A window (epoch seconds) in which nothing may be written; ``why`` is the invariant: 7 replanning, 10 re-apply."""

    since: float
    until: float
    why: int = 7


@dataclass(frozen=True, slots=True)
class Expectation:
    """What only the scenario knows.

    ``restarts`` are the fault episodes injected for each job key (0 for jobs not named). ``knowledge_seconds`` is how
    late the operator may learn of a change made by others. ``bind_slack_seconds`` comes on top of the bind deadline.
    ``bad_checkpoints`` are paths that must never be resumed from. ``foreign_labels`` are (node, key) set by the test.
    """

    restarts: Mapping[str, int] = field(default_factory=dict)
    quiet: tuple[Quiet, ...] = ()
    bad_checkpoints: frozenset[str] = frozenset()
    foreign_labels: frozenset[tuple[str, str]] = frozenset()
    knowledge_seconds: float = 2.0
    bind_slack_seconds: float = 5.0
