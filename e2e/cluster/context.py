"""What a node profile gets to see of the cluster, and what it must offer in return.

Invariant: a profile changes nothing of the control plane; it reads addresses and certificates from here, keeps its
files under `state`, and starts its programs through `processes`, so that `down` finds all of them.
"""

from __future__ import annotations

import json
import random
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from e2e.cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from e2e.cluster.certs import Authority
    from e2e.cluster.processes import Processes

# Below the ephemeral range, so that no outgoing connection takes one in between; below the NodePort range too.
PORTS = range(20_000, 30_000)
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"


@dataclass(frozen=True, slots=True)
class Context:
    """One cluster on this machine: names, addresses, certificates and programs."""

    name: str
    state: Path
    address: str  # where the API server listens; the endpoint of the Service `kubernetes` in the real profile
    api_port: int
    programs: Mapping[str, Path]  # "kubelet" -> its path
    authority: Authority
    processes: Processes

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig (mode 0600)."""
        return self.state / "kubeconfig"

    def write_kubeconfig(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """Issue a client certificate for the user and write a kubeconfig for it; the path of that file."""
        pair = self.authority.client(user, groups)
        target = self.state / "kubeconfigs" / f"{user.replace(':', '_').replace('/', '_')}.json"
        return write_kubeconfig(target, self.server, self.authority.certificate, pair.certificate, pair.key)

    def port(self, purpose: str) -> int:
        """A free port of this machine, the same for the same purpose as long as the cluster exists."""
        return port(self.state, purpose)


class RealProfile(Protocol):
    """The functions that the module `e2e.cluster.real` offers."""

    def missing(self) -> str | None:
        """Why this machine cannot run real nodes, in a line that says what to install; None if it can."""

    def programs(self) -> tuple[str, ...]:
        """The names of the built programs that it starts (kubelet, kube-proxy, coredns, …)."""

    def address(self, name: str, state: Path) -> str:
        """Make sure that this address, which pods reach, exists, and return it; runs before the API server starts."""

    def up(self, ctx: Context) -> None:
        """Start the nodes, or leave them as they are where they run; returns when all of them are Ready."""

    def down(self, name: str, state: Path) -> None:
        """Remove pods, mounts, cgroups, interfaces and rules, whether the API server still runs or not."""


def port(state: Path, purpose: str) -> int:
    """A free port of this machine, remembered in the cluster's folder."""
    record = state / "ports.json"
    ports: dict[str, int] = json.loads(record.read_text()) if record.exists() else {}
    if purpose not in ports:
        ports[purpose] = _free_port(set(ports.values()))
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(ports, indent=1) + "\n")
    return ports[purpose]


def write_kubeconfig(target: Path, server: str, authority: Path, certificate: Path, key: Path) -> Path:
    """Write a kubeconfig that names certificate files; JSON, which every client reads as YAML."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "cardpool",
        "clusters": [{"name": "cardpool", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "cardpool", "user": {"client-certificate": str(certificate), "client-key": str(key)}}],
        "contexts": [{"name": "cardpool", "context": {"cluster": "cardpool", "user": "cardpool"}}],
    }
    target.touch(mode=0o600)
    target.write_text(json.dumps(content, indent=1) + "\n")
    return target


def _free_port(taken: set[int]) -> int:
    for candidate in random.sample(PORTS, len(PORTS)):
        if candidate in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("", candidate))
            except OSError:
                continue
            return candidate
    raise ClusterError(f"no free port between {PORTS.start} and {PORTS.stop}")
