"""The real nodes as data: names, makers, addresses and folders. Pure.

One such set of nodes fits on a machine, since kube-proxy's rules and the pod network belong to the machine's own
network namespace; everything else of a node lies in a mount namespace and in a cgroup of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from e2e.cluster import layouts

if TYPE_CHECKING:
    from pathlib import Path

BRIDGE = "cp-nodes"
ADDRESS = "10.246.0.1"  # the API server's, as pods see it
DNS_ADDRESS = "10.246.0.2"
NETWORK = "10.246.0.0/16"  # nodes in .0.x, pods of node i in .(16+i).x
PREFIX_LENGTH = 24
SHARED = "/var/lib/cardpool"  # on every node the same folder: what a shared file system is to real nodes


@dataclass(frozen=True, slots=True)
class RealNode:
    """One kubelet with its containerd, and the cards that its plug-in announces."""

    index: int
    name: str
    resource: str
    env: str
    labels: dict[str, str] = field(default_factory=dict)
    cards: int = 8

    @property
    def address(self) -> str:
        """The node's own address."""
        return f"10.246.0.{10 + self.index}"

    @property
    def pods(self) -> str:
        """The subnet of its pods."""
        return f"10.246.{16 + self.index}.0/24"

    @property
    def cgroup(self) -> str:
        """The root of its pods' cgroups."""
        return f"cp-{self.name}"

    def folder(self, state: Path) -> Path:
        """Where its files lie."""
        return state / "real" / self.name


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
