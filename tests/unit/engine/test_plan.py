"""The cycle: queue order, strategies, options, and inventories that change."""

from __future__ import annotations

import dataclasses

import pytest

from cardpool.domain.gangs import NodeFilter, Option, Taint
from cardpool.domain.inventory import Cause
from cardpool.engine import build
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group

OTHER = "ascend-910b"


def test_priority_then_age_then_name() -> None:
    """One free card, four who want it."""
    inventory = worlds.pool({"a": 1}, ())
    low, young = gang(group(1), key="a/low", priority=-1), gang(group(1), key="a/young", created=2.0)
    second, first = gang(group(1), key="b/old", created=1.0), gang(group(1), key="a/old", created=1.0)
    result = worlds.planned(inventory, low, young, second, first)
    assert [placement.gang for placement in result.placements] == ["a/old"]
    assert [(r.gang, r.position) for r in result.refusals] == [("b/old", 1), ("a/young", 2), ("a/low", 3)]


STRATEGIES = {
    "BestEffort": ("BestEffort", ["a/small"], {"a/head": Reason.INSUFFICIENT_CARDS}),
    "Strict": ("Strict", [], {"a/head": Reason.INSUFFICIENT_CARDS, "a/small": Reason.RESERVED_FOR_OTHER}),
}


@pytest.mark.parametrize(("strategy", "placed", "refused"), STRATEGIES.values(), ids=STRATEGIES)
def test_a_head_that_waits(strategy: str, placed: list[str], refused: dict[str, Reason]) -> None:
    """Two cards: the head wants three, the next one."""
    head, small = gang(group(3), key="a/head", priority=1), gang(group(1), key="a/small")
    result = worlds.planned(worlds.pool({"a": 2}, ()), head, small, strategy=strategy)
    assert placed == [placement.gang for placement in result.placements]
    assert refused == {refusal.gang: refusal.reason for refusal in result.refusals}


def test_a_head_that_can_never_be_placed_blocks_nobody() -> None:
    """An unknown profile at the head of a strict queue."""
    head = gang(key="a/head", priority=1, options=(Option("none", (group(1),)),))
    result = worlds.planned(worlds.pool({"a": 2}, ()), head, gang(group(1), key="a/small"), strategy="Strict")
    assert [placement.gang for placement in result.placements] == ["a/small"]
    assert result.refusals[0].reason == Reason.UNKNOWN_PROFILE
    assert "the pool has k100" in result.refusals[0].message


def test_equal_gangs_are_refused_alike_until_room_is_taken() -> None:
    """The second of two equal gangs is told the same; one behind a placement is told what is left then."""
    big = [gang(group(3, 2), key=f"a/{number}", created=float(number)) for number in (1, 2, 4)]
    result = worlds.planned(worlds.pool({"a": 4}, ()), *big, gang(group(1, 2), key="a/3", created=3.0))
    assert [(refusal.gang, refusal.fit) for refusal in result.refusals] == [("a/1", 2), ("a/2", 2), ("a/4", 1)]


def two_makers(*, used: int) -> list[build.NodeRow]:
    """One node of each maker, the first with some cards in use."""
    return [worlds.node("a", 8, used_cards=used), worlds.node("b", 16, profile=OTHER)]


def test_the_first_profile_that_holds_the_gang() -> None:
    """The second option is for when the first cannot."""
    options = (Option(worlds.PROFILE, (group(2, 4),)), Option(OTHER, (group(1, 16),)))
    for used, expected in ((0, (worlds.PROFILE, ("a", "a"))), (1, (OTHER, ("b",)))):
        inventory = build.build_inventory(
            two_makers(used=used), (worlds.PROFILE, OTHER), (worlds.tree(), worlds.tree())
        )
        placement = worlds.planned(inventory, gang(options=options)).placements[0]
        assert expected == (placement.profile, placement.nodes())


def test_a_refusal_speaks_of_every_option() -> None:
    """Reason of the first, best fit of any, words of all."""
    options = (Option(worlds.PROFILE, (group(3, 4),)), Option(OTHER, (group(2, 16),)))
    inventory = build.build_inventory(two_makers(used=8), (worlds.PROFILE, OTHER), (worlds.tree(), worlds.tree()))
    refusal = worlds.planned(inventory, gang(options=options)).refusals[0]
    assert (refusal.fit, refusal.want) == (1, 2)
    assert "profile k100: 0 of 3 pods fit" in refusal.message
    assert "profile ascend-910b: 1 of 2 pods fit" in refusal.message


def test_no_option_is_open() -> None:
    """A job whose profiles all wait for their time."""
    assert worlds.planned(worlds.pool({"a": 1}, ()), gang(options=())).refusals[0].reason == Reason.UNKNOWN_PROFILE


REBUILDS = {
    "an unknown node": {"name": "z"},
    "another rack": {"labels": {worlds.LABEL + "rack": "b"}},
    "another profile": {"profile": OTHER},
    "another supernode": {"supernode": "s"},
    "a new resource": {"capacity": {"pods": 1, "rdma/hca": 1}},
}


@pytest.mark.parametrize("fields", REBUILDS.values(), ids=REBUILDS)
def test_what_only_a_rebuild_can_tell(fields: dict[str, object]) -> None:
    """Updates that do not fit the arrays are refused."""
    row = worlds.node("a")
    inventory = build.build_inventory([row], (worlds.PROFILE, OTHER), (worlds.tree("rack"), worlds.tree()))
    assert build.update_rows(inventory, [dataclasses.replace(row, **fields)]) is None


def test_a_label_of_no_level_is_no_reason_to_rebuild() -> None:
    """Who selects nodes by it sees the new value; what is known of other labels stays."""
    rows = [worlds.node(name, labels={"disk": "old", "zone": "z"}) for name in "ab"]
    old = build.build_inventory(rows, (worlds.PROFILE,), (worlds.tree("rack"),))
    wanted = gang(group(1, 8, nodes=NodeFilter((("disk", "new"), ("zone", "z")))))
    assert not worlds.planned(old, wanted).placements
    new = build.update_rows(old, [dataclasses.replace(rows[1], labels={"disk": "new", "zone": "z"})])
    assert new is not None
    assert worlds.planned(new, wanted).placements[0].nodes() == ("b",)
    assert [key for key in old.memo.columns if new.memo.columns.get(key) is old.memo.columns[key]] == ["zone"]


def test_an_update_leaves_the_old_inventory_alone() -> None:
    """Taints, causes and amounts change in the new one; the answers follow."""
    row = worlds.node("a")
    old = build.build_inventory([row], (worlds.PROFILE,), (worlds.tree(),))
    new = build.update_rows(old, [dataclasses.replace(row, taints=(Taint("k"),), cause=Cause.NONE)])
    assert new is not None
    assert [len(worlds.planned(inventory, gang(group(1))).placements) for inventory in (old, new)] == [1, 0]
    assert len(worlds.planned(old, gang(group(1))).placements) == 1


def test_a_node_named_twice_is_an_error() -> None:
    """Two nodes of one name cannot both be right."""
    with pytest.raises(ValueError, match="twice"):
        build.build_inventory([worlds.node("a"), worlds.node("a")], (worlds.PROFILE,), (worlds.tree(),))


def test_a_node_of_no_profile_is_nobody_s() -> None:
    """It is in the inventory with its cause and in no profile's order."""
    inventory = build.build_inventory([worlds.node("a", profile="else")], (worlds.PROFILE,), (worlds.tree(),))
    assert inventory.cause.tolist() == [Cause.NO_PROFILE]
    assert "no node of this profile" in worlds.planned(inventory, gang(group(1))).refusals[0].message
