"""The real nodes as data: names, makers, addresses and folders. Pure.

Several clusters of one machine may have such nodes: each has a network namespace and addresses of its own, and each
node a mount namespace and cgroups.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from e2e.cluster import layouts

if TYPE_CHECKING:
    from pathlib import Path

SHARED = "/var/lib/cardpool"  # on every node the same folder: what a shared file system is to real nodes
SLOTS = 32  # clusters with real nodes at a time; each has eight networks of 256 addresses


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses of one cluster's real nodes."""

    slot: int

    @property
    def link(self) -> str:
        """This machine's end of the only link to the nodes."""
        return f"cp-{self.slot}"

    @property
    def api(self) -> str:
        """This machine's address on that link: the API server's, as nodes and pods see it."""
        return self._address(0, 1)

    @property
    def dns(self) -> str:
        """The other end's address: the router to all pods, and where CoreDNS answers."""
        return self._address(0, 2)

    @property
    def whole(self) -> str:
        """All of the cluster's addresses."""
        return f"{self._address(0, 0)}/21"

    def node(self, node: RealNode) -> str:
        """The node's own address."""
        return self._address(0, 10 + node.index)

    def pods(self, node: RealNode) -> str:
        """The subnet of the node's pods."""
        return f"{self._address(1 + node.index, 0)}/24"

    def _address(self, part: int, host: int) -> str:
        return f"10.247.{8 * self.slot + part}.{host}"


@dataclass(frozen=True, slots=True)
class RealNode:
    """One kubelet with its containerd, and the cards that its plug-in announces."""

    index: int
    name: str
    resource: str
    env: str
    labels: dict[str, str] = field(default_factory=dict)
    cards: int = 8

    def folder(self, state: Path) -> Path:
        """Where its files lie."""
        return state / "real" / self.name

    def cgroup(self, state: Path) -> str:
        """The root of its pods' cgroups: no other cluster's node has the same."""
        return f"cp-{hashlib.sha256(str(state).encode()).hexdigest()[:8]}-{self.name}"


def _labels(supernode: str, maker: dict[str, str]) -> dict[str, str]:
    place = {"example.com/pool": layouts.POOL, "example.com/zone": "z-real", "example.com/supernode": supernode}
    return place | maker


NODES = (
    RealNode(0, "real-0", "hygon.com/dcu", "HYGON_VISIBLE_DEVICES", _labels("SN_real_a", layouts.HYGON)),
    RealNode(1, "real-1", "hygon.com/dcu", "HYGON_VISIBLE_DEVICES", _labels("SN_real_a", layouts.HYGON)),
    RealNode(
        2,
        "real-2",
        "huawei.com/Ascend910",
        "ASCEND_VISIBLE_DEVICES",
        # Ascend's own topology labels, as pools override them; a number that no fake supernode has.
        _labels("SN_real_b", layouts.ASCEND)
        | {"huawei.com/topotree.superpodid": "90", "huawei.com/topotree.rackid": "90-0"},
    ),
)


def node(name: str) -> RealNode:
    """The node of that name; KeyError if there is none."""
    return {one.name: one for one in NODES}[name]


def shared(state: Path) -> Path:
    """What the nodes see as SHARED, as this machine sees it."""
    return state / "real" / "shared"
