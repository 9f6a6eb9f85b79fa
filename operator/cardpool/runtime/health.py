"""Probes and metrics on one small HTTP server.

``/healthz`` fails when cycles fail or hang for too long: a restart may help. ``/readyz`` fails while the mirror is not
whole: a standby that is synced is Ready, so that a rolling update can go on. Both answer with what is behind the word:
ages, how far each watch has come, and whether anything that was seen still waits for its cycle or is being written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from cardpool import errors
from cardpool.runtime import metrics

logger = logging.getLogger(__name__)

Clock = Callable[[], float]
SOON: Final = 1.5


@dataclass(slots=True)
class Pulse:
    """What the loop says of itself; times are readings of a monotonic clock, in seconds.

    ``due`` is when the last decision wants the next one though nothing changes.
    """

    started: float
    leading: bool = False
    cycles: int = 0
    last_cycle: float | None = None
    last_error: str = ""
    failing_since: float | None = None
    cycle_running_since: float | None = None
    leading_since: float | None = None
    due: float | None = None
    notes: dict[str, str] = field(default_factory=dict)

    def took_lead(self, now: float) -> None:
        """From now on cycles are expected."""
        self.leading, self.leading_since = True, now

    def began(self, now: float) -> None:
        """A cycle starts."""
        self.cycle_running_since = now

    def succeeded(self, now: float) -> None:
        """A cycle went through."""
        self.cycles += 1
        self.last_cycle, self.failing_since, self.cycle_running_since, self.last_error = now, None, None, ""

    def failed(self, now: float, error: str) -> None:
        """A cycle raised."""
        self.last_error, self.cycle_running_since = error, None
        self.failing_since = now if self.failing_since is None else self.failing_since


@dataclass(frozen=True, slots=True)
class Watch:
    """One reflector: whole since its first list, how long ago it said anything (None: never), and its trouble.

    ``version`` is the last resourceVersion that it has seen.
    """

    synced: bool
    age: float | None
    problem: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease as this process knows it: seconds since its own last renewal (None: not ours), holder, trouble."""

    age: float | None = None
    holder: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One probe's answer."""

    ok: bool
    body: Mapping[str, Any]


@dataclass(slots=True)
class Health:
    """Judges the process from its pulse, its watches and its lease; ages in seconds.

    ``pending`` tells whether a change waits for a cycle, a write is under way or one waits for its turn. What it
    answers is pending as well while a cycle runs, and where the next one is due within ``SOON`` seconds.
    """

    pulse: Pulse
    watches: Callable[[], Mapping[str, Watch]]
    lease: Callable[[], Lease]
    pending: Callable[[], bool]
    patience: float
    resync: float
    clock: Clock = time.monotonic

    def live(self) -> Report:
        """False once cycles have been failing, hanging or missing for longer than the patience."""
        now, pulse = self.clock(), self.pulse
        problem = ""
        if pulse.failing_since is not None and now - pulse.failing_since > self.patience:
            problem = f"cycles have been failing for {now - pulse.failing_since:.0f} s: {pulse.last_error}"
        elif pulse.cycle_running_since is not None and now - pulse.cycle_running_since > self.patience:
            problem = f"a cycle has been running for {now - pulse.cycle_running_since:.0f} s"
        elif pulse.leading and pulse.failing_since is None and self._silent(now) > self.patience + self.resync:
            problem = f"no cycle for {self._silent(now):.0f} s"
        return Report(not problem, {"ok": not problem, "problem": problem, **self._ages(now)})

    def ready(self) -> Report:
        """True once every watch has been synced."""
        missing = sorted(kind for kind, watch in self.watches().items() if not watch.synced)
        ok = not missing
        return Report(ok, {"ok": ok, "notSynced": missing, **self._ages(self.clock())})

    def _silent(self, now: float) -> float:
        since = self.pulse.last_cycle or self.pulse.leading_since
        return 0.0 if since is None else now - since

    def _unsettled(self, now: float) -> bool:
        pulse = self.pulse
        soon = pulse.due is not None and pulse.due - now <= SOON
        return pulse.failing_since is not None or pulse.cycle_running_since is not None or soon

    def _ages(self, now: float) -> dict[str, Any]:
        last, lease = self.pulse.last_cycle, self.lease()
        return {
            "leading": self.pulse.leading,
            "leaseAgeSeconds": _round(lease.age),
            "leaseHolder": lease.holder,
            "leaseProblem": lease.problem,
            "lastCycleAgeSeconds": None if last is None else _round(now - last),
            "lastError": self.pulse.last_error,
            "cycles": self.pulse.cycles,
            "pending": self._unsettled(now) or self.pending(),
            "watches": {
                kind: {
                    "synced": watch.synced,
                    "ageSeconds": _round(watch.age),
                    "problem": watch.problem,
                    "version": watch.version,
                }
                for kind, watch in sorted(self.watches().items())
            },
        }


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


class Server:
    """The HTTP server; ``start`` returns the port in use."""

    def __init__(self, health: Health, instruments: metrics.Metrics) -> None:
        self._health = health
        self._metrics = instruments
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int, port_file: str = "") -> int:
        """Listen; port 0 takes any free one. The port is written to ``port_file`` whole or not at all."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._expose)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.stop()
            raise errors.SettingsError(
                f"CARDPOOL_HTTP_PORT: cannot listen on {host}:{port} ({error}); 0 takes any free port"
            ) from error
        used = int(self._runner.addresses[0][1])
        if port_file:
            try:
                _write_whole(Path(port_file), f"{used}\n")
            except OSError as error:
                await self.stop()
                raise errors.SettingsError(f"CARDPOOL_PORT_FILE: {port_file} cannot be written ({error})") from error
        logger.info("probes and metrics listen", extra={"host": host, "port": used})
        return used

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, _: web.Request) -> web.Response:
        return _answer(self._health.live())

    async def _readyz(self, _: web.Request) -> web.Response:
        return _answer(self._health.ready())

    async def _expose(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.expose(), headers={"Content-Type": "text/plain; version=0.0.4"})


def _answer(report: Report) -> web.Response:
    return web.json_response(dict(report.body), status=200 if report.ok else 503)


def _write_whole(path: Path, text: str) -> None:
    aside = path.with_name(f"{path.name}.tmp")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
