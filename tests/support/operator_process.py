"""One operator as a process of its own, as users run it: `cardpool run`, told everything by its environment.

A test may kill, stop and continue it by its pid; nothing of it lives in the test's process.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("cardpool")
QUICK = {
    "CARDPOOL_LEASE_SECONDS": "7",
    "CARDPOOL_RENEW_SECONDS": "5",
    "CARDPOOL_RETRY_SECONDS": "0.4",
    "CARDPOOL_STATUS_SECONDS": "0.2",
}
START_SECONDS = 90.0  # importing alone takes some seconds of a core, and cores are shared


class Operator:
    """A `cardpool run` against one cluster; logs and the port file lie in ``folder``."""

    def __init__(self, kubeconfig: Path, folder: Path, name: str = "operator", **env: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._port_file = folder / f"{name}.port"
        self._env: Mapping[str, str] = {
            **os.environ,
            **QUICK,
            "KUBECONFIG": str(kubeconfig),
            "CARDPOOL_HTTP_HOST": "127.0.0.1",
            "CARDPOOL_HTTP_PORT": "0",
            "CARDPOOL_PORT_FILE": str(self._port_file),
            "CARDPOOL_IDENTITY": name,
            "PYTHONFAULTHANDLER": "1",
            **env,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs (a stopped one does)."""
        return self._process is not None and self._process.poll() is None

    async def start(self, *, leading: bool = True, seconds: float = START_SECONDS) -> float:
        """Start it and return, when it is ready (and leads), the seconds that this took."""
        assert not self.alive
        self._port_file.unlink(missing_ok=True)
        begun = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 (returns at once)
                [PROGRAM, "run"], env=dict(self._env), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        while not self.says("/readyz", leading=leading):
            assert self.alive, f"{self.name} ended with {self._process.returncode}:\n{self.tail()}"
            assert time.monotonic() - begun < seconds, f"{self.name} was not ready in time:\n{self.tail()}"
            await asyncio.sleep(0.05)
        return time.monotonic() - begun

    async def stop(self) -> None:
        """Ask it to end, as a kubelet does, and wait."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it without warning."""
        await self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop all its threads where they are."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def wait(self, seconds: float) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.name} did not end within {seconds:g} s:\n{self.tail()}") from error

    def says(self, path: str, *, leading: bool) -> bool:
        """Whether the probe answers 200 and the process leads as asked."""
        answer = self.get(path)
        return answer is not None and (not leading or bool(json.loads(answer).get("leading")))

    def get(self, path: str) -> str | None:
        """The body that its HTTP port answers with 200, else None."""
        if not self._port_file.exists():
            return None
        port = self._port_file.read_text().strip()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def resident_bytes(self) -> int:
        """Resident memory of the process now."""
        return self._memory("VmRSS:")

    def peak_bytes(self) -> int:
        """The most resident memory that the process ever had."""
        return self._memory("VmHWM:")

    def cpu_seconds(self) -> float:
        """Processor time, user and system, that the process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _memory(self, field: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

    def complaints(self, offset: int = 0) -> list[str]:
        """Lines of its log from that byte on that tell of an exception: a cycle that raised, a handler that crashed."""
        if not self.log.exists():
            return []
        text = self.log.read_bytes()[offset:].decode(errors="replace")
        return [line for line in text.splitlines() if '"exception": "Traceback' in line or line.startswith("Traceback")]

    def logged(self) -> int:
        """How many bytes it has logged so far."""
        return self.log.stat().st_size if self.log.exists() else 0

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    async def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            os.kill(self._process.pid, how)
        try:
            await asyncio.to_thread(self._process.wait, 20)
        except subprocess.TimeoutExpired as error:
            os.kill(self._process.pid, signal.SIGABRT)  # its log then says where every thread stands
            await asyncio.to_thread(self._process.wait, 20)
            raise AssertionError(f"{self.name} did not end within 20 s:\n{self.tail()}") from error
