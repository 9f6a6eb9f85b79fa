"""Inbox, pacing, metrics and logs."""

from __future__ import annotations

import asyncio
import io
import json
import logging

import pytest

from cardpool.runtime import inbox, logs, metrics, pacing


async def test_the_inbox_keeps_each_key_once_and_rings() -> None:
    """Keys are drained together, and the bell is silent afterwards."""
    box = inbox.Inbox()
    for key in ("a", "b", "a"):
        box.put(key)

    await asyncio.wait_for(box.wait(), 1)

    assert (2, frozenset({"a", "b"}), 0) == (len(box), box.drain(), len(box))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(box.wait(), 0.01)


async def test_a_full_inbox_still_rings() -> None:
    """Beyond the limit no key is kept, but the loop wakes."""
    box = inbox.Inbox(limit=1)
    box.put("a")
    box.drain()
    box.put("b")
    box.put("c")

    await asyncio.wait_for(box.wait(), 1)

    assert frozenset({"b"}) == box.drain()


def test_delays_double_to_a_cap_and_soft_ones_are_short() -> None:
    """A conflict is soon over, a failure not; both are bounded."""
    hard, soft = pacing.Pacing(), pacing.Pacing()

    assert [hard.failed("a", 0.0) for _ in range(3)] == [0.25, 0.5, 1.0]
    assert [soft.failed("a", 0.0, soft=True) for _ in range(2)] == [0.02, 0.04]
    assert [hard.failed("b", 0.0) for _ in range(20)][-1] == 30.0


def test_a_delayed_status_is_due_until_a_cycle_has_looked() -> None:
    """Asking when something is due forgets nothing: the write would wait for the next change, or for the resync."""
    pace = pacing.Pacing(quiet=2.0)
    pace.wrote("a", 0.0)

    assert pace.too_soon("a", 0.5)
    assert [pace.next_due(now) for now in (0.5, 2.5, 3.0)] == [1.5, 0.0, 0.0]
    pace.looked(3.0)
    assert pace.next_due(3.0) is None


def test_a_gauge_shows_the_last_decision_alone() -> None:
    """A series that the decision no longer names is gone, and a cycle without gauges keeps the last ones."""
    instruments = metrics.Metrics()
    instruments.decided({"jobs": {(("pool", "a"), ("phase", "Queued")): 3.0}})
    instruments.decided({"jobs": {(("pool", "b"), ("phase", "Running")): 1.0}})
    instruments.decided(None)

    text = instruments.expose().decode()

    assert 'cardpool_jobs{phase="Running",pool="b"} 1.0' in text
    assert 'pool="a"' not in text


def test_series_are_bounded() -> None:
    """A million pools would not make a million series."""
    instruments = metrics.Metrics()
    instruments.decided({"jobs": {(("pool", str(index)),): 1.0 for index in range(metrics.SERIES_LIMIT + 10)}})

    assert instruments.expose().decode().count("cardpool_jobs{") == metrics.SERIES_LIMIT


def test_an_unknown_cause_is_no_label_of_its_own() -> None:
    """Causes come from the closed list of reasons."""
    instruments = metrics.Metrics()

    instruments.transition({}, {"attempt": 1, "lastFault": {"reason": "x" * 100}})

    assert 'cardpool_restarts_total{cause="Other"} 1.0' in instruments.expose().decode()


def line(form: str) -> str:
    """One record as the form writes it."""
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure(form, "INFO", stream)
        logging.getLogger("cardpool.test").info("job %s runs", "a/b", extra={"attempt": 2})
        logging.getLogger("cardpool.test").debug("hidden")
    finally:
        root.handlers[:], root.level = before
    return stream.getvalue()


def test_json_logs_are_one_object_a_line() -> None:
    """Extras stand beside the message."""
    found = json.loads(line("json"))

    found.pop("time")
    assert found == {"level": "info", "logger": "cardpool.test", "message": "job a/b runs", "attempt": 2}


def test_text_logs_have_pairs() -> None:
    """Extras follow the message as key=value."""
    assert line("text").endswith("INFO    job a/b runs attempt=2\n")
