"""Fake machine rooms as data: which nodes of which makers stand in which supernodes. Pure; no cluster is touched.

Same layout, same nodes: names count up through all racks (n-0000, n-0001, …), supernodes through all that have a name
(SN_00, SN_01, …).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

POOL = "main"


@dataclass(frozen=True, slots=True)
class Rack:
    """Equal nodes of one maker: `supernodes` groups of `nodes` each, or without a supernode label when 0."""

    resource: str
    supernodes: int
    nodes: int
    cards: int = 8
    labels: dict[str, str] = field(default_factory=dict)
    zone: str = "zone-a"
    ascend: bool = False  # the maker's own topology labels instead of example.com/supernode


HYGON = {"feature.node.kubernetes.io/pci-1d94.present": "true"}
ASCEND = {"feature.node.kubernetes.io/pci-19e5.present": "true"}
NVIDIA = {
    "feature.node.kubernetes.io/pci-10de.present": "true",
    "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
}
LAYOUTS: dict[str, tuple[Rack, ...]] = {
    # Three makers: supernodes with our labels, a supernode with the maker's own, and plain servers.
    "mixed": (
        Rack("hygon.com/dcu", supernodes=2, nodes=8, labels=HYGON),
        Rack("huawei.com/Ascend910", supernodes=1, nodes=8, labels=ASCEND, zone="zone-b", ascend=True),
        Rack("nvidia.com/gpu", supernodes=0, nodes=4, labels=NVIDIA, zone="zone-b"),
    ),
    "small": (Rack("hygon.com/dcu", supernodes=2, nodes=4, labels=HYGON),),
    # 48 supernodes of 640 cards each: 3,840 nodes.
    "scale": (Rack("hygon.com/dcu", supernodes=48, nodes=80, labels=HYGON),),
}


def nodes(
    racks: tuple[Rack, ...], *, count: int | None = None, pool: str = POOL, prefix: str = "n-"
) -> list[dict[str, Any]]:
    """The Node objects of the racks, allocatable in their status; cut or repeated to `count` when that is given."""
    made: list[dict[str, Any]] = []
    supernode = 0
    while True:
        for rack in racks:
            for _ in range(max(rack.supernodes, 1)):
                for position in range(rack.nodes):
                    place = _place(rack, supernode, position) if rack.supernodes else {}
                    labels = {"example.com/pool": pool, "example.com/zone": rack.zone} | rack.labels | place
                    made.append(node(f"{prefix}{len(made):04d}", {rack.resource: rack.cards}, labels))
                supernode += 1 if rack.supernodes else 0
        if count is None or len(made) >= count:
            return made[:count]


def node(name: str, cards: dict[str, int], labels: dict[str, str]) -> dict[str, Any]:
    """One fake Node with these extended resources and labels; 128 CPUs, 1 TiB, 110 pods."""
    resources = {"cpu": "128", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "110"}
    resources |= {resource: str(number) for resource, number in cards.items()}
    own = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": own | labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {"allocatable": resources, "capacity": resources},
    }


def _place(rack: Rack, supernode: int, position: int) -> dict[str, str]:
    if not rack.ascend:
        return {"example.com/supernode": f"SN_{supernode:02d}"}
    return {
        "huawei.com/topotree.superpodid": str(supernode),
        "huawei.com/topotree.rackid": f"{supernode}-{position // 4}",
    }
