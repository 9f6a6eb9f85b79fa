"""Seconds since the epoch inside the core, RFC 3339 with milliseconds on the wire; conversions live here only."""

from __future__ import annotations

from datetime import UTC, datetime


def at(epoch: float) -> datetime:
    """The moment as an aware datetime, cut to milliseconds as the wire carries it."""
    return datetime.fromtimestamp(int(epoch * 1000) / 1000, tz=UTC)


def epoch(moment: datetime | None) -> float:
    """Seconds since the epoch; 0.0 where there is no moment."""
    return moment.timestamp() if moment is not None else 0.0


def gap(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from one moment to the other, None where one is missing; a clock that jumped back gives 0."""
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())


def earliest(*moments: float | None) -> float | None:
    """The first of the given moments, None where none is given."""
    given = [moment for moment in moments if moment is not None]
    return min(given) if given else None
