"""Long-lived programs of one cluster: started detached, found again by pid and start time, stopped for sure.

Invariant: a pid file is believed only while the process of that pid has the recorded start time, so `stop` can never
hit a stranger that got the number later.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A started program, as its pid file tells."""

    name: str
    pid: int
    started: int  # clock ticks since boot, from /proc
    argv: tuple[str, ...]
    reads: str = ""

    @property
    def alive(self) -> bool:
        """Whether that very process still runs (a zombie does not)."""
        return _start_time(self.pid) == self.started


@dataclass(frozen=True, slots=True)
class Processes:
    """The programs of one cluster; pid files in `state`/run, logs in `state`/logs."""

    state: Path

    def log(self, name: str) -> Path:
        """Where the program's output goes."""
        return self.state / "logs" / f"{name}.log"

    def running(self) -> list[Running]:
        """All programs with a pid file, the ones that died included, in order of their start."""
        found = [self._read(path) for path in (self.state / "run").glob("*.json")]
        return sorted(found, key=lambda one: (one.started, one.pid))

    def find(self, name: str) -> Running | None:
        """The living program of that name, or None."""
        record = self.state / "run" / f"{name}.json"
        running = self._read(record) if record.exists() else None
        return running if running is not None and running.alive else None

    def ensure(
        self, name: str, argv: Sequence[str | Path], env: Mapping[str, str] | None = None, *, reads: str = ""
    ) -> bool:
        """Run the program with exactly these arguments, restarting it if it has others; True if it started.

        `reads` stands for what it takes from files at its start: when that changes, it is restarted as well.
        """
        words = tuple(str(word) for word in argv)
        current = self.find(name)
        if current is not None and (current.argv, current.reads) == (words, reads):
            return False
        if current is not None:
            self.stop(name)
        self._start(name, words, env, reads)
        return True

    def wait(self, name: str, ready: Callable[[], bool], seconds: float, hint: str = "") -> None:
        """Return once `ready` says so; ClusterError with the end of the log if the program dies or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.find(name) is None:
                raise ClusterError(self._obituary(name, "ended while starting", hint))
            if time.monotonic() > deadline:
                raise ClusterError(self._obituary(name, f"was not ready after {seconds:.0f} s", hint))
            time.sleep(POLL_SECONDS)

    def stop(self, name: str, seconds: float = 15.0) -> None:
        """End the program and return when it is gone: TERM, and KILL after the given seconds."""
        record = self.state / "run" / f"{name}.json"
        running = self._read(record) if record.exists() else None
        if running is not None and not _end(running, signal.SIGTERM, seconds) and not _end(running, signal.SIGKILL, 10):
            raise ClusterError(f"{name} (pid {running.pid}) cannot be ended; end it by hand, then try again")
        record.unlink(missing_ok=True)

    def _start(self, name: str, argv: tuple[str, ...], env: Mapping[str, str] | None, reads: str) -> None:
        log = self.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        (self.state / "run").mkdir(parents=True, exist_ok=True)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        try:
            pid = os.posix_spawnp(argv[0], argv, dict(env or os.environ), file_actions=actions, setsid=True)
        except OSError as error:
            raise ClusterError(f"{name} cannot be started: {error}") from error
        started = _start_time(pid) or 0  # 0 is nobody's: it ended at once, and `wait` tells so
        record = {"name": name, "pid": pid, "started": started, "argv": argv, "reads": reads}
        (self.state / "run" / f"{name}.json").write_text(json.dumps(record) + "\n")

    def _obituary(self, name: str, what: str, hint: str) -> str:
        log = self.log(name)
        tail = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
        advice = hint or "stop the cluster (`make cluster-down`), then start it again"
        return "\n".join(
            [f"{name} {what}; the end of {log}:", *(f"  {line}" for line in tail), f"What to do: {advice}"]
        )

    @staticmethod
    def _read(path: Path) -> Running:
        record = json.loads(path.read_text())
        return Running(record["name"], record["pid"], record["started"], tuple(record["argv"]), record.get("reads", ""))


def _end(running: Running, how: signal.Signals, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    if running.alive:
        os.kill(running.pid, how)
    while running.alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _start_time(pid: int) -> int | None:
    """The process's start in clock ticks since boot, None if it is gone or a zombie (which is reaped if it is ours).

    A process whose first thread has ended while others still run looks like a zombie and is none: it is not gone.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, threads, started = fields[0], int(fields[17]), int(fields[19])
    if state not in {"Z", "X"}:
        return started
    try:
        reaped, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return started if threads > 1 else None  # another process's child: its parent, or init, reaps it
    return None if reaped == pid else started
