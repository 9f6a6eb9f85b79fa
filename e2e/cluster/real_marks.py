"""How what belongs to a real node is found again: by a variable in the environment, and by the name of its cgroup.

Invariant: every process that is started for real nodes carries MARK, and a container lies below its node's cgroup;
so all of it is found even where a broken start wrote nothing down.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from e2e.cluster.real_layout import RealNode

MARK = "CARDPOOL_REAL_NODE"
END_SECONDS = 20.0


def marked(state: Path) -> list[int]:
    """Processes that were started for the cluster's real nodes: containerd, shims, kubelet, plug-ins."""
    wanted = f"{MARK}={state / 'real'}/".encode()
    return [pid for pid, environment in _environments() if any(one.startswith(wanted) for one in environment)]


def marked_exactly(folder: Path) -> list[int]:
    """Processes that were started for what has that folder."""
    wanted = f"{MARK}={folder}".encode()
    return [pid for pid, environment in _environments() if wanted in environment]


def any_node() -> bool:
    """Whether any cluster of this machine has a process for real nodes."""
    wanted = f"{MARK}=".encode()
    return any(one.startswith(wanted) for _, environment in _environments() for one in environment)


def contained(state: Path, node: RealNode) -> list[int]:
    """Processes in the node's cgroups."""
    files = (file for root in cgroups(state, node) for file in root.rglob("cgroup.procs"))
    return sorted({int(pid) for file in files for pid in file.read_text().split()})


def cgroups(state: Path, node: RealNode) -> list[Path]:
    """The node's cgroup in each hierarchy where it exists."""
    found = (parent / node.cgroup(state) for parent in _hierarchies())
    return [path for path in found if path.is_dir()]


def make_cgroups(state: Path, node: RealNode) -> None:
    """Make the node's cgroup in every hierarchy, with all processors and memory."""
    for parent in _hierarchies():
        own = parent / node.cgroup(state)
        own.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # a new one has none, and nothing runs in it before it has
            file = own / name
            if file.exists() and not file.read_text().strip():
                file.write_text((parent / name).read_text())


def remove_cgroups(state: Path, node: RealNode) -> None:
    """Remove the node's empty cgroups, the innermost first."""
    for root in cgroups(state, node):
        below = (path for path in root.rglob("*") if path.is_dir())
        for path in (*sorted(below, key=lambda path: -len(path.parts)), root):
            _remove_cgroup(path)


def end(find: Callable[[], Iterable[int]]) -> None:
    """Kill what `find` finds until it finds nothing; ClusterError if that takes too long."""
    deadline = time.monotonic() + END_SECONDS
    while pids := list(find()):
        if time.monotonic() > deadline:
            raise ClusterError(f"processes {pids} of real nodes cannot be ended")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _hierarchies() -> list[Path]:
    """Where cgroups are mounted: one place, or one for each set of controllers and perhaps a unified one beside."""
    found: dict[tuple[int, int], Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            stat = Path(place).stat()
            found.setdefault((stat.st_dev, stat.st_ino), Path(place))
    return list(found.values())


def _environments() -> Iterator[tuple[int, list[bytes]]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            yield int(entry.name), (entry / "environ").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is a thread of the kernel


def _remove_cgroup(path: Path) -> None:
    deadline = time.monotonic() + END_SECONDS
    while path.exists():
        try:
            path.rmdir()
        except OSError as error:  # busy until the kernel has buried the last process
            if time.monotonic() > deadline:
                raise ClusterError(f"cgroup {path} cannot be removed: {error}") from error
            time.sleep(0.02)
