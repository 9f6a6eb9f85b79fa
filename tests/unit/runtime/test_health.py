"""Probes: what makes the process live and ready, and that the server says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from cardpool import errors
from cardpool.runtime import health, metrics

PATIENCE, RESYNC = 10.0, 30.0


def judge(pulse: health.Pulse, now: float, **watches: health.Watch) -> health.Health:
    """A health over the pulse as it is at ``now``."""
    return health.Health(
        pulse=pulse,
        watches=lambda: watches,
        lease=lambda: health.Lease(1.5, "me", ""),
        pending=lambda: False,
        patience=PATIENCE,
        resync=RESYNC,
        clock=lambda: now,
    )


def standby() -> health.Pulse:
    """A process that waits for the lease."""
    return health.Pulse(started=0.0)


def leader(**state: float) -> health.Pulse:
    """A leader with the given readings."""
    pulse = health.Pulse(started=0.0)
    pulse.took_lead(0.0)
    for name, value in state.items():
        setattr(pulse, name, value)
    return pulse


LIVE = {
    "a standby waits as long as it must": (standby(), 1e6, True),
    "a leader with a fresh cycle": (leader(last_cycle=99.0), 100.0, True),
    "a leader idle for less than a resync": (leader(last_cycle=70.0), 100.0, True),
    "a leader without a cycle for too long": (leader(last_cycle=59.0), 100.0, False),
    "a leader that never had a cycle": (leader(), 41.0, False),
    "cycles that fail since a moment": (leader(failing_since=95.0), 100.0, True),
    "cycles that fail for too long": (leader(failing_since=89.0), 100.0, False),
    "a cycle that hangs": (leader(last_cycle=80.0, cycle_running_since=89.0), 100.0, False),
}


@pytest.mark.parametrize(("pulse", "now", "expected"), LIVE.values(), ids=LIVE.keys())
def test_liveness(pulse: health.Pulse, now: float, expected: bool) -> None:
    """The process is live unless cycles fail, hang or stay away for longer than its patience."""
    assert expected == judge(pulse, now).live().ok


def test_readiness_names_what_is_missing() -> None:
    """Ready means that every watch is synced, for a standby as well; the answer has the ages."""
    watches = {"Node": health.Watch(True, 0.5, version="17"), "Pod": health.Watch(False, None, "403 Forbidden")}

    report = judge(standby(), 0.0, **watches).ready()

    assert (report.ok, report.body["notSynced"]) == (False, ["Pod"])
    assert report.body["watches"] == {
        "Node": {"synced": True, "ageSeconds": 0.5, "problem": "", "version": "17"},
        "Pod": {"synced": False, "ageSeconds": None, "problem": "403 Forbidden", "version": ""},
    }
    assert (report.body["leaseAgeSeconds"], report.body["leaseHolder"]) == (1.5, "me")
    assert judge(standby(), 0.0, Node=watches["Node"]).ready().ok


@pytest.mark.parametrize(("waits", "failing"), [(False, False), (True, False), (False, True)])
def test_what_is_pending_is_said(waits: bool, failing: bool) -> None:
    """A change that no cycle has looked at, or a cycle that raised over it, is pending; else all seen is decided."""
    pulse = leader(last_cycle=99.0, cycles=7)
    if failing:
        pulse.failed(100.0, "broken")
    report = replace(judge(pulse, 100.0), pending=lambda: waits).ready()

    assert (report.body["cycles"], report.body["pending"]) == (7, waits or failing)


@pytest.mark.parametrize(
    ("due", "running", "pending"), [(None, None, False), (103.0, None, False), (101.0, None, True), (None, 99.9, True)]
)
def test_a_cycle_that_runs_or_is_due_soon_is_pending(due: float | None, running: float | None, pending: bool) -> None:
    """What is decided in a moment, by time alone, is not settled yet."""
    pulse = replace(leader(last_cycle=99.0), due=due, cycle_running_since=running)

    assert judge(pulse, 100.0).ready().body["pending"] is pending


async def test_the_server_answers_with_codes_and_writes_its_port(tmp_path: Path) -> None:
    """200 or 503 with the same body; port 0 takes a free one and tells it."""
    instruments = metrics.Metrics()
    server = health.Server(judge(leader(last_cycle=0.0), 1000.0, Node=health.Watch(True, 0.1)), instruments)
    port_file = tmp_path / "port"

    port = await server.start("127.0.0.1", 0, str(port_file))
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            answers = {}
            for path in ("/healthz", "/readyz", "/metrics"):
                async with session.get(path) as answer:
                    answers[path] = (answer.status, await answer.text())
    finally:
        await server.stop()

    assert f"{port}\n" == port_file.read_text()
    assert tuple(status for status, _ in answers.values()) == (503, 200, 200)
    assert "no cycle for" in answers["/healthz"][1]
    assert "cardpool_build_info" in answers["/metrics"][1]


async def test_a_port_in_use_is_a_wrong_setting() -> None:
    """The error names the variable and the remedy."""
    first, second = (health.Server(judge(standby(), 0.0), metrics.Metrics()) for _ in range(2))
    port = await first.start("127.0.0.1", 0)
    try:
        with pytest.raises(errors.SettingsError, match="CARDPOOL_HTTP_PORT"):
            await second.start("127.0.0.1", port)
    finally:
        await first.stop()
