"""The nodes' network: a bridge that only carries addresses, and forwarding between the pods' own point-to-point links.

Pods are never bridged: each has a link of its own to this machine, which routes. So every packet between pods passes
connection tracking and a Service answers alike on the same node and on another. Invariant: the bridge's alias names
the cluster that owns it, and `down` undoes exactly what `up` of that cluster did.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from e2e.cluster import real_layout
from e2e.cluster.errors import ClusterError

KERNEL = Path("/proc/sys")
# Set while real nodes run: least values. Each of their many programs watches files, and 128 watchers are few.
SETTINGS = {"net/ipv4/ip_forward": 1, "fs/inotify/max_user_instances": 4096}
PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))
GONE_SECONDS = 10.0


def up(state: Path) -> str:
    """Make the bridge with all addresses and set the kernel up; the API server's address."""
    holder = owner()
    if holder is not None and holder != str(state):
        raise ClusterError(f"another cluster of this machine has real nodes ({holder}): take it down first")
    record = state / "real" / "network.json"
    if not record.exists():
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({name: (KERNEL / name).read_text() for name in SETTINGS}) + "\n")
    if holder is None:
        ip("link", "add", "name", real_layout.BRIDGE, "type", "bridge")
        ip("link", "set", real_layout.BRIDGE, "alias", str(state))
    for address in (real_layout.ADDRESS, real_layout.DNS_ADDRESS, *(node.address for node in real_layout.NODES)):
        ip("address", "replace", f"{address}/{real_layout.PREFIX_LENGTH}", "dev", real_layout.BRIDGE)
    ip("link", "set", real_layout.BRIDGE, "up")
    for name, least in SETTINGS.items():
        if int((KERNEL / name).read_text()) < least:
            (KERNEL / name).write_text(f"{least}\n")
    return real_layout.ADDRESS


def down(state: Path) -> None:
    """Remove the bridge and kube-proxy's rules, put the kernel's settings back, and wait until pods' links are gone."""
    if owner() != str(state):
        return
    for family, table in PROXY_TABLES:
        if table in _tables(family):
            subprocess.run(["nft", "delete", "table", family, table], check=True)
    ip("link", "delete", real_layout.BRIDGE)
    record = state / "real" / "network.json"
    if record.exists():  # else somebody removed the cluster's folder while it ran
        for name, value in json.loads(record.read_text()).items():
            (KERNEL / name).write_text(value)
    deadline = time.monotonic() + GONE_SECONDS
    while leftovers() and time.monotonic() < deadline:  # the kernel takes namespaces apart in its own time
        time.sleep(0.05)


def leftovers() -> list[str]:
    """Interfaces, routes and rules of real nodes that are still there."""
    found = [f"interface {real_layout.BRIDGE}"] if owner() is not None else []
    routes = json.loads(ip("-json", "route", "show", "table", "all", "root", real_layout.NETWORK) or "[]")
    found += [f"route {route['dst']} dev {route.get('dev')}" for route in routes]
    return found + [f"nftables table {family} {table}" for family, table in PROXY_TABLES if table in _tables(family)]


def ip(*words: str) -> str:
    """Run `ip` and return what it prints; ClusterError with its complaint."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`ip {' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout


def owner() -> str | None:
    """The state folder of the cluster whose bridge it is, None without a bridge."""
    links = json.loads(ip("-json", "link", "show", "type", "bridge") or "[]")
    return next((link.get("ifalias", "") for link in links if link.get("ifname") == real_layout.BRIDGE), None)


def _tables(family: str) -> list[str]:
    done = subprocess.run(["nft", "--json", "list", "tables", family], capture_output=True, text=True, check=True)
    return [entry["table"]["name"] for entry in json.loads(done.stdout)["nftables"] if "table" in entry]
