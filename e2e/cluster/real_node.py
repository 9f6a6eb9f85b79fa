"""One real node: containerd in a mount namespace of its own, and kubelet inside that namespace.

The folders that kubelet and containerd insist on are bound over from the node's folder inside that namespace, so two
nodes never meet and this machine's own containerd, if it has one, is not touched. Invariant: containerd, its shims
and kubelet carry MARK in their environment, and containers live below the node's cgroup, so `stop` finds them all
even when containerd died long ago; mounts and pod links vanish with the namespace, that is, with the last of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import real_config, real_images, real_layout
from e2e.cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from e2e.cluster.context import Context
    from e2e.cluster.real_layout import RealNode

MARK = "CARDPOOL_REAL_NODE"
# place in the namespace -> folder of the node
BOUND = {
    "/var/lib/kubelet": "kubelet",
    "/run/containerd": "run",
    "/var/lib/cni": "cni",
    "/var/log/pods": "pods",
    "/var/log/containers": "containers",
    real_layout.SHARED: "../shared",
}
SETUP = """set -e
mount --make-rshared /
folder=$1
shift
while [ "$1" != -- ]; do mount --rbind "$folder/$2" "$1"; shift 2; done
shift
exec "$@"
"""
START_SECONDS = 60.0
END_SECONDS = 20.0


def start(ctx: Context, node: RealNode, template: Path) -> None:
    """Start the node's containerd and kubelet, or leave them where they run; returns when both answer."""
    folder, name = node.folder(ctx.state), f"containerd-{node.name}"
    if ctx.processes.find(name) is None:  # what an earlier one left lives in a namespace that nobody can enter again
        stop(ctx.state, node)
        for part in ("run", "containerd"):
            shutil.rmtree(folder / part, ignore_errors=True)
    _prepare(ctx, node, folder)
    if not (folder / "containerd").exists():
        real_images.clone(template, folder / "containerd")
    binds = [word for place, name in BOUND.items() for word in (place, name)]
    daemon = ["containerd", "--config", str(folder / "containerd.toml")]
    own = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SETUP, "sh", str(folder)]
    environment = {**os.environ, MARK: str(folder)}
    ctx.processes.ensure(name, [*own, *binds, "--", *daemon], environment)
    ctx.processes.wait(name, (folder / "run" / "containerd.sock").exists, START_SECONDS)
    config = ctx.write_kubeconfig(f"system:node:{node.name}", ("system:nodes",))
    kubelet: list[str | Path] = [
        ctx.programs["kubelet"],
        f"--config={folder / 'kubelet.json'}",
        f"--kubeconfig={config}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
        f"--node-labels={','.join(f'{key}={value}' for key, value in node.labels.items())}",
    ]
    words = [*inside(ctx, node), *kubelet]
    ctx.processes.ensure(f"kubelet-{node.name}", words, environment, reads=(folder / "kubelet.json").read_text())


def inside(ctx: Context, node: RealNode) -> list[str | Path]:
    """The words before a command that is to run in the node's mount namespace; ClusterError if the node is down."""
    running = ctx.processes.find(f"containerd-{node.name}")
    if running is None:
        raise ClusterError(f"{node.name} does not run: `make cluster` starts it")
    return ["nsenter", "--target", str(running.pid), "--mount", "--"]


def ctr(ctx: Context, node: RealNode) -> list[str | Path]:
    """The words before a `ctr` command about the node's images."""
    return [*inside(ctx, node), "ctr", "--address", real_config.CONTAINERD_SOCKET, "--namespace", "k8s.io"]


def stop(state: Path, node: RealNode) -> None:
    """End all that runs for the node, its containers too, and remove its cgroups; the namespace goes with them."""
    folder = node.folder(state)
    _end(lambda: marked(folder), signal.SIGKILL)
    _end(lambda: contained(node), signal.SIGKILL)
    for root in cgroups(node):
        for path in sorted((path for path in root.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)):
            _remove_cgroup(path)
        _remove_cgroup(root)


def marked(folder: Path) -> list[int]:
    """Processes that were started for the node: containerd, shims, kubelet, plug-ins."""
    wanted = f"{MARK}={folder}".encode()
    return [pid for pid, environment in _environments() if wanted in environment.split(b"\0")]


def contained(node: RealNode) -> list[int]:
    """Processes in the node's cgroups."""
    files = (file for root in cgroups(node) for file in root.rglob("cgroup.procs"))
    return sorted({int(pid) for file in files for pid in file.read_text().split()})


def cgroups(node: RealNode) -> list[Path]:
    """The node's cgroup in each hierarchy where it exists."""
    return [parent / node.cgroup for parent in _hierarchies() if (parent / node.cgroup).is_dir()]


def _prepare(ctx: Context, node: RealNode, folder: Path) -> None:
    for place, name in BOUND.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        Path(place).mkdir(parents=True, exist_ok=True)
    real_layout.shared(ctx.state).chmod(0o777)  # containers write there under any user
    networks = folder / "networks"
    networks.mkdir(exist_ok=True)
    resolver = folder / "resolv.conf"
    real_config.write(resolver, "# nothing beyond the cluster is resolved\n")
    real_config.write(networks / "pods.conflist", real_config.network(node))
    real_config.write(folder / "containerd.toml", real_config.containerd(folder / "containerd", networks))
    real_config.write(folder / "kubelet.json", real_config.kubelet(node, ctx.authority.certificate, resolver))
    for parent in _hierarchies():
        (parent / node.cgroup).mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):  # a new cpuset has none, and nothing runs in it before it has
        _inherit(node, name)


def _hierarchies() -> list[Path]:
    """Where cgroups are mounted: one place, or one for each set of controllers and perhaps a unified one beside."""
    found: dict[tuple[int, int], Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            stat = Path(place).stat()
            found.setdefault((stat.st_dev, stat.st_ino), Path(place))
    return list(found.values())


def _inherit(node: RealNode, name: str) -> None:
    for root in cgroups(node):
        file = root / name
        if file.exists() and not file.read_text().strip():
            file.write_text((root.parent / name).read_text())


def _end(find: Callable[[], Iterable[int]], how: signal.Signals) -> None:
    deadline = time.monotonic() + END_SECONDS
    while pids := list(find()):
        if time.monotonic() > deadline:
            raise ClusterError(f"processes {pids} of a real node cannot be ended")
        for pid in pids:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _environments() -> Iterator[tuple[int, bytes]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            yield int(entry.name), (entry / "environ").read_bytes()
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


def remove_places() -> None:
    """Remove the empty mount points that nodes needed on this machine; what holds something is somebody else's."""
    for place in BOUND:
        if is_empty(place):
            Path(place).rmdir()


def is_empty(place: str) -> bool:
    """Whether the place is an empty folder and no mount."""
    path = Path(place)
    return path.is_dir() and not any(path.iterdir()) and not path.is_mount()


def mounts(state: Path) -> list[str]:
    """Places in this process's own namespace at which something of the cluster's real nodes is mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [place for place in (line.split()[4] for line in lines) if place.startswith(str(state / "real"))]
