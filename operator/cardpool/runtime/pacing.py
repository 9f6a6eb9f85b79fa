"""Who must wait: objects whose last writes failed, and objects whose unimportant status was written a moment ago.

A failure never makes the loop spin: the object counts as busy until its delay is over, and the delay doubles with each
failure in a row. Times are readings of a monotonic clock, in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Pacing:
    """Delays by key (a UID, or a name where there is no UID yet)."""

    base: float = 0.25
    cap: float = 30.0
    quiet: float = 2.0
    _failures: dict[str, int] = field(default_factory=dict)
    _until: dict[str, float] = field(default_factory=dict)
    _written: dict[str, float] = field(default_factory=dict)
    _asked: dict[str, float] = field(default_factory=dict)

    def failed(self, key: str, now: float, *, soft: bool = False) -> float:
        """Hold the key back; ``soft`` for a conflict, which is usually over at once. Returns the delay in seconds."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay: float = min(self.cap, (0.02 if soft else self.base) * 2.0 ** min(count, 12))
        self._until[key] = now + delay
        return delay

    def succeeded(self, key: str) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)
        self._until.pop(key, None)

    def held(self, now: float) -> frozenset[str]:
        """Keys whose delay is not over."""
        for key in [key for key, until in self._until.items() if until <= now]:
            del self._until[key]
        return frozenset(self._until)

    def holds(self, key: str, now: float) -> bool:
        """Whether this key's delay is not over."""
        return self._until.get(key, 0.0) > now

    def wrote(self, key: str, now: float) -> None:
        """A status of this key was written now."""
        self._written[key] = now
        self._asked.pop(key, None)

    def too_soon(self, key: str, now: float) -> bool:
        """True where a non-urgent status must wait; it is then asked for again once its time has come."""
        due = self._written.get(key, float("-inf")) + self.quiet
        if due <= now:
            return False
        self._asked[key] = due
        return True

    def next_due(self, now: float) -> float | None:
        """Seconds until the first delay is over, or None; 0 for one that is over and has not been looked at since."""
        times = [*self._until.values(), *self._asked.values()]
        return max(0.0, min(times) - now) if times else None

    def looked(self, now: float) -> None:
        """A cycle decides anew: what it still wants of the keys whose time has come it asks for again."""
        for key in [key for key, due in self._asked.items() if due <= now]:
            del self._asked[key]

    def forget(self, gone: frozenset[str]) -> None:
        """Drop what is kept for objects that exist no more."""
        for table in (self._failures, self._until, self._written, self._asked):
            for key in gone & table.keys():
                del table[key]

    def keys(self) -> frozenset[str]:
        """Every key that something is kept for."""
        return frozenset(self._failures) | frozenset(self._until) | frozenset(self._written)
