"""The nodes' network: a namespace of its own, with one link to this machine and one to each pod.

Pods are never bridged: each has a link of its own to the namespace, which routes. So every packet between pods passes
connection tracking, and a Service answers alike on the same node and on another. kube-proxy's rules, CoreDNS's port
and forwarding exist in the namespace alone, so this machine's own network is as before but for one link and its
route. Invariant: the link's alias names the cluster that owns it; link, routes and rules vanish with the last process
in the namespace.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import real_layout, real_marks
from e2e.cluster.errors import ClusterError

if TYPE_CHECKING:
    from e2e.cluster.processes import Processes
    from e2e.cluster.real_layout import Network

HOLDER = "network"  # the process that keeps the namespace while nothing else runs in it
FAR = "machine"  # the link's name inside
WATCHERS = Path("/proc/sys/fs/inotify/max_user_instances")
LEAST_WATCHERS = 4096  # each of the many programs watches its files, and the usual 128 are few
START_SECONDS = 10.0
GONE_SECONDS = 10.0


def up(processes: Processes, state: Path) -> Network:
    """Make the namespace and its link, or leave them as they are; the cluster's addresses."""
    holder = processes.find(HOLDER)
    network = find(state)
    if holder is not None and network is not None:
        return network
    processes.stop(HOLDER)
    _raise_watchers(state)
    environment = {**os.environ, real_marks.MARK: str(state / "real" / HOLDER)}
    processes.ensure(HOLDER, ["unshare", "--net", "sleep", "infinity"], environment)
    processes.wait(HOLDER, lambda: _apart(processes), START_SECONDS)
    network = _link(processes, state)
    inside = within(processes)
    _ip(inside, "link", "set", "lo", "up")
    for address in (network.dns, *(network.node(node) for node in real_layout.NODES)):
        _ip(inside, "address", "add", f"{address}/24", "dev", FAR)
    _ip(inside, "link", "set", FAR, "up")
    _ip(inside, "route", "add", "default", "via", network.api)
    _run([*inside, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    _ip([], "address", "add", f"{network.api}/24", "dev", network.link)
    _ip([], "link", "set", network.link, "up")
    _ip([], "route", "add", network.whole, "via", network.dns)
    return network


def down(state: Path) -> None:
    """Return when the link is gone, as it is once no process of the cluster is left; put the kernel's limit back."""
    deadline = time.monotonic() + GONE_SECONDS
    while (network := find(state)) is not None:  # the kernel takes namespaces apart in its own time
        if time.monotonic() > deadline:
            _ip([], "link", "delete", network.link)
        time.sleep(0.02)
    record = state / "real" / "watchers"
    if record.exists() and not real_marks.any_node():
        WATCHERS.write_text(record.read_text())


def within(processes: Processes) -> list[str]:
    """The words before a command that is to run in the network namespace; ClusterError if there is none."""
    holder = processes.find(HOLDER)
    if holder is None:
        raise ClusterError("the real nodes have no network: `make cluster` makes it")
    return ["nsenter", "--target", str(holder.pid), "--net", "--"]


def find(state: Path) -> Network | None:
    """The cluster's network, None if its link is not there."""
    return next((network for network, owner in _links() if owner == str(state)), None)


def orphans() -> list[Path]:
    """Clusters whose real nodes still have a link while their folder is gone."""
    return [Path(owner) for _, owner in _links() if owner and not Path(owner).exists()]


def leftovers(state: Path) -> list[str]:
    """The cluster's link, if it is there."""
    network = find(state)
    return [] if network is None else [f"interface {network.link}"]


def _links() -> list[tuple[Network, str]]:
    known = {network.link: network for network in map(real_layout.Network, range(real_layout.SLOTS))}
    links = json.loads(_ip([], "-json", "link", "show", "type", "veth") or "[]")
    return [(known[one["ifname"]], one.get("ifalias", "")) for one in links if one.get("ifname") in known]


def _link(processes: Processes, state: Path) -> Network:
    """Make the link in the first free slot; two clusters that want the same one cannot both get it."""
    stale = find(state)
    if stale is not None:
        _ip([], "link", "delete", stale.link)
    holder = processes.find(HOLDER)
    if holder is None:
        raise ClusterError("the network's process ended")
    for network in map(real_layout.Network, range(real_layout.SLOTS)):
        if (Path("/sys/class/net") / network.link).exists():
            continue
        words = ["ip", "link", "add", network.link, "type", "veth", "peer", "name", FAR, "netns", str(holder.pid)]
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            _ip([], "link", "set", network.link, "alias", str(state))
            return network
    raise ClusterError(
        f"no link for real nodes: are there {real_layout.SLOTS} clusters already? (`ip link` lists cp-…)"
    )


def _apart(processes: Processes) -> bool:
    """Whether the holder is in a namespace of its own yet."""
    holder = processes.find(HOLDER)
    own = Path("/proc/self/ns/net").readlink()
    return holder is not None and Path(f"/proc/{holder.pid}/ns/net").readlink() != own


def _raise_watchers(state: Path) -> None:
    before = WATCHERS.read_text()
    if int(before) < LEAST_WATCHERS:
        record = state / "real" / "watchers"
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(before)
        WATCHERS.write_text(f"{LEAST_WATCHERS}\n")


def _ip(inside: list[str], *words: str) -> str:
    return _run([*inside, "ip", *words])


def _run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout
