"""What one node's pods say of its cards."""

from __future__ import annotations

from typing import Any

from cardpool.domain.world import DeviceHealth, NodeRecord, PodRecord
from cardpool.faults import signals

CARD = "x/card"
NODE = NodeRecord("n", "uid", 0.0, {}, (), False, True, False, {CARD: 8}, {CARD: 8})


def pod(owner: str, *cards: str, node: str = "n", phase: str = "Running", **fields: Any) -> PodRecord:
    """A pod of two cards that names these."""
    devices = tuple(DeviceHealth(CARD, card, "Healthy") for card in cards)
    return PodRecord(
        "ns", f"p-{owner}", "u", 0.0, {}, owner, node, phase, True, False, {CARD: 2}, devices=devices, **fields
    )


def test_named_cards_go_by_owner() -> None:
    """Those of living pods, whatever their health; a pod that has ended names nothing, other devices do not count."""
    ill = DeviceHealth(CARD, "c4", "Unhealthy")
    nic = DeviceHealth("x/nic", "c9", "Healthy")
    pods = (pod("a", "c0", "c1"), pod("a", "c2"), pod("b", "c5", phase="Failed"))
    other = PodRecord(
        "ns", "q", "u", 0.0, {}, "d", "n", "Running", True, False, {CARD: 1, "x/nic": 1}, devices=(ill, nic)
    )
    found = signals.facts(NODE, CARD, (*pods, other))
    assert {"a": {"c0", "c1", "c2"}, "d": {"c4"}} == found.named
    assert found.held == {"a": 4, "d": 1}


def test_room_that_is_kept_is_used_but_nobody_holds_its_cards() -> None:
    """A nominated pod counts for what is free, and says nothing of the plug-in."""
    found = signals.facts(NODE, CARD, [pod("a", node="", phase="Pending", nominated="n")])
    assert (found.used, found.pods, found.held) == ({CARD: 2}, 1, {})
