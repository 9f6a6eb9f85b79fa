"""One real node: containerd in a mount namespace of its own, and kubelet inside that namespace.

The folders that kubelet and containerd insist on are bound over from the node's folder inside that namespace, so two
nodes never meet and this machine's own containerd, if it has one, is not touched. Invariant: mounts vanish with the
namespace, that is, with the last process in it; an empty folder stays on this machine only while a node needs it to
mount over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import paths, real_config, real_images, real_layout, real_marks, real_network
from e2e.cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.cluster.context import Context
    from e2e.cluster.real_layout import Network, RealNode

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


def start(ctx: Context, network: Network, node: RealNode, template: Path) -> bool:
    """Start the node's containerd and kubelet, or leave them where they run; True if its kubelet started once more."""
    folder, name = node.folder(ctx.state), f"containerd-{node.name}"
    binds = [word for place, part in BOUND.items() for word in (place, part)]
    apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c", SETUP, "sh", str(folder), *binds, "--"]
    daemon = ["containerd", "--config", str(folder / "containerd.toml")]
    words = [*real_network.within(ctx.processes), *apart, *daemon]
    current = ctx.processes.find(name)
    if current is None or current.argv != tuple(words):  # what is left of it lives where nobody can enter again
        stop(ctx, node)
        for part in ("run", "containerd"):
            shutil.rmtree(folder / part, ignore_errors=True)
    environment = {**os.environ, real_marks.MARK: str(folder)}
    with _places():
        _prepare(ctx, network, node, folder)
        if not (folder / "containerd").exists():
            real_images.clone(template, folder / "containerd")
        ctx.processes.ensure(name, words, environment)
        ctx.processes.wait(name, (folder / "run" / "containerd.sock").exists, START_SECONDS)
    known = (folder / "kubelet" / "pki").exists()
    if known and ctx.processes.find(f"kubelet-{node.name}") is None:
        time.sleep(1 - time.time() % 1)  # a status is dated in whole seconds: the next kubelet's date shall be another
    config = ctx.write_kubeconfig(f"system:node:{node.name}", ("system:nodes",))
    kubelet = [
        *inside(ctx, node),
        ctx.programs["kubelet"],
        f"--config={folder / 'kubelet.json'}",
        f"--kubeconfig={config}",
        f"--hostname-override={node.name}",
        f"--node-ip={network.node(node)}",
        f"--node-labels={','.join(f'{key}={value}' for key, value in node.labels.items())}",
    ]
    reads = (folder / "kubelet.json").read_text()
    return ctx.processes.ensure(f"kubelet-{node.name}", kubelet, environment, reads=reads) and known


def stop(ctx: Context, node: RealNode) -> None:
    """End all that runs for the node, its containers too."""
    for part in ("plugin", "kubelet", "containerd"):
        ctx.processes.stop(f"{part}-{node.name}")
    folder = node.folder(ctx.state)
    real_marks.end(lambda: real_marks.marked_exactly(folder))
    real_marks.end(lambda: real_marks.contained(ctx.state, node))


def inside(ctx: Context, node: RealNode) -> list[str | Path]:
    """The words before a command that is to run in the node's namespaces; ClusterError if the node is down."""
    running = ctx.processes.find(f"containerd-{node.name}")
    if running is None:
        raise ClusterError(f"{node.name} does not run: `make cluster` starts it")
    return ["nsenter", "--target", str(running.pid), "--mount", "--net", "--"]


def ctr(ctx: Context, node: RealNode) -> list[str | Path]:
    """The words before a `ctr` command about the node's images."""
    return [*inside(ctx, node), "ctr", "--address", real_config.CONTAINERD_SOCKET, "--namespace", "k8s.io"]


def remove_places() -> None:
    """Remove the empty folders that nodes mount over, unless another cluster's nodes do so now."""
    with _places():
        if not real_marks.any_node():
            for place in empty_places():
                Path(place).rmdir()


def empty_places() -> list[str]:
    """Folders that nodes mount over and that hold nothing; what holds something is somebody else's."""
    return [place for place in BOUND if Path(place).is_dir() and not any(Path(place).iterdir())]


def _prepare(ctx: Context, network: Network, node: RealNode, folder: Path) -> None:
    for place, name in BOUND.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        Path(place).mkdir(parents=True, exist_ok=True)
    real_layout.shared(ctx.state).chmod(0o777)  # containers write there under any user
    networks, resolver = folder / "networks", folder / "resolv.conf"
    networks.mkdir(exist_ok=True)
    cgroup, authority = node.cgroup(ctx.state), ctx.authority.certificate
    real_config.write(resolver, "# nothing beyond the cluster is resolved\n")
    real_config.write(networks / "pods.conflist", real_config.pod_network(network.pods(node)))
    real_config.write(folder / "containerd.toml", real_config.containerd(folder / "containerd", networks))
    real_config.write(folder / "kubelet.json", real_config.kubelet(network, node, cgroup, authority, resolver))
    real_marks.make_cgroups(ctx.state, node)


@contextlib.contextmanager
def _places() -> Iterator[None]:
    """Keep the folders to mount over from being removed by one cluster while another is about to use them."""
    paths.cache().mkdir(parents=True, exist_ok=True)
    with (paths.cache() / "real.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
