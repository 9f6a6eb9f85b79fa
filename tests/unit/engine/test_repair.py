"""Lost ranks are replaced, the others stay: spare first, then the same supernode, then elsewhere, never out of bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cardpool.domain.inventory import Cause
from tests.support import worlds
from tests.support.worlds import gang, group, topology

DOWN = {"cause": Cause.NOT_READY}
SUPERNODES = {"s1": [8, 8, 8, 8], "s2": [8, 8, 8, 8]}
TWO = {0: "s1-0", 1: "s1-1"}

CASES: dict[str, tuple[Mapping[str, Any], Mapping[str, Any], list[str]]] = {
    "nothing is lost": ({}, {}, ["s1-0", "s1-1"]),
    "other room of the supernode": ({"s1-1": DOWN}, {}, ["s1-0", "s1-2"]),
    "the spare of the supernode first": ({"s1-1": DOWN, "s1-3": {"spare": True}}, {}, ["s1-0", "s1-3"]),
    "another supernode when this one is full": (
        {"s1-1": DOWN, "s1-2": {"used_cards": 8}, "s1-3": {"used_cards": 1}}, {}, ["s1-0", "s2-0"],
    ),
    "a spare of another supernode last": (
        {"s1-1": DOWN, "s1-2": DOWN, "s1-3": DOWN, **{f"s2-{at}": {"spare": True} for at in range(4)}}, {}, ["s1-0", "s2-0"],
    ),
    "a card lost on a node that stays": ({"s1-1": {"cards_usable": 7}}, {}, ["s1-0", "s1-2"]),
    "an avoided node": ({}, {"excluded": {"s1-0": "card fault"}}, ["s1-2", "s1-1"]),
    "the required supernode moves whole": (
        {"s1-1": DOWN, "s1-2": DOWN, "s1-3": DOWN}, {"demand": topology("supernode")}, ["s2-0", "s2-1"],
    ),
    "ranks that are together no more move": (
        {}, {"demand": topology("supernode"), "previous": {0: "s1-0", 1: "s2-0"}}, ["s1-0", "s1-1"],
    ),
    "a node that is gone": ({}, {"previous": {0: "gone", 1: "s2-3"}}, ["s2-0", "s2-3"]),
    "a rank without a past": ({}, {"previous": {1: "s2-3"}}, ["s2-0", "s2-3"]),
    "nobody is left": ({"s1-0": DOWN, "s1-1": DOWN}, {}, ["s1-2", "s1-3"]),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "fields", "expected"), CASES.values(), ids=CASES)
def test_two_ranks(changes: Mapping[str, Any], fields: Mapping[str, Any], expected: list[str]) -> None:
    """A gang of two whole nodes that ran on the first two of a supernode."""
    inventory = worlds.pool(SUPERNODES, ("supernode",), changes)
    result = worlds.planned(inventory, gang(group(2, 8), **{"repair": True, "previous": TWO, **fields}))
    assert result.refusals == ()
    assert expected == list(result.placements[0].nodes())


def test_a_new_gang_gets_no_spare() -> None:
    """Spares are withheld from whoever replaces nothing."""
    inventory = worlds.pool(SUPERNODES, ("supernode",), {f"s1-{at}": {"spare": True} for at in range(4)})
    result = worlds.planned(inventory, gang(group(5, 8)))
    assert dict(result.refusals[0].excluded) == {"kept as spare": 4}


def test_a_lost_rank_stays_in_the_domain_of_its_block() -> None:
    """The rack of the surviving mate has room, so no other rack will do, whatever its name begins with."""
    inventory = worlds.pool({"rack-a": [8, 8, 8], "rack-ab": [8, 8]}, ("rack",), {"rack-a-1": DOWN})
    wanted = gang(
        group(2, 8), demand=topology(blocks=[(2, "rack")]), repair=True, previous={0: "rack-a-0", 1: "rack-a-1"}
    )
    assert list(worlds.planned(inventory, wanted).placements[0].nodes()) == ["rack-a-0", "rack-a-2"]


def test_a_lost_block_moves_as_one() -> None:
    """Both ranks of the block are lost; its supernode has one node left, so the block goes where two are."""
    changes = {"s1-2": DOWN, "s1-3": DOWN, "s1-4": {"used_cards": 8}}
    inventory = worlds.pool({"s1": [8, 8, 8, 8, 8, 8], "s2": [8, 8]}, ("supernode",), changes)
    previous = {rank: f"s1-{rank}" for rank in range(4)}
    wanted = gang(group(4, 8), demand=topology(blocks=[(2, "supernode")]), repair=True, previous=previous)
    assert list(worlds.planned(inventory, wanted).placements[0].nodes()) == ["s1-0", "s1-1", "s2-0", "s2-1"]


def test_a_rack_without_room_moves_the_whole_gang_or_nobody() -> None:
    """The other node of the rack dies too: within the required rack there is no move, and it is said."""
    inventory = worlds.pool({"r1": [1, 1]}, ("rack",), {"r1-1": DOWN})
    wanted = gang(group(2), demand=topology("rack"), repair=True, previous={0: "r1-0", 1: "r1-1"})
    refusal = worlds.planned(inventory, wanted).refusals[0]
    assert (refusal.fit, refusal.want, dict(refusal.excluded)) == (1, 2, {"not ready": 1})


def test_only_the_lost_rank_moves_in_its_rack() -> None:
    """Of two ranks in a rack one node dies: the other stays, the lost one goes next door."""
    domains = {"b1": {"r1": {"x1": 1}, "r2": {"x2": 1, "x3": 1, "x4": 1}}, "b2": {"r1": {"x5": 1}, "r2": {"x6": 2}}}
    inventory = worlds.pool(domains, changes={"x4": DOWN})
    wanted = gang(group(2), demand=topology("rack"), repair=True, previous={0: "x4", 1: "x2"})
    assert list(worlds.planned(inventory, wanted).placements[0].nodes()) == ["x3", "x2"]


def test_a_broken_pair_pulls_the_lost_ranks_into_its_rack() -> None:
    """Five pods a card, pairs per rack: the mate of rank 2 sits in the second rack, the others follow to its next node."""
    domains = {"b1": {"r1": {"x1": 5}, "r2": {"x2": 5, "x3": 5, "x4": 5}}, "b2": {"r1": {"x5": 5}, "r2": {"x6": 10}}}
    inventory = worlds.pool(domains, changes={"x1": DOWN})
    previous = {rank: "x1" if rank < 3 else "x2" for rank in range(8)}
    wanted = gang(group(8), demand=topology(blocks=[(2, "rack")]), repair=True, previous=previous)
    assert worlds.counts(worlds.planned(inventory, wanted).placements[0]) == {"x2": 5, "x3": 3}


def test_a_lost_node_of_nested_blocks_is_replaced_under_its_switch() -> None:
    """Eights in a rack, fours in a switch, pairs in a host: the other host of the switch takes the four."""
    domains = {
        "b": {
            "r1": {"s1": {"x1": 4, "x2": 4}, "s2": {"x3": 4, "x4": 8}},
            "r2": {"s3": {"x5": 4, "x6": 4}, "s4": {"x7": 4, "x8": 4}},
        }
    }
    inventory = worlds.pool(domains, ("block", "rack", "switch"), {"x3": DOWN})
    previous = {rank: f"x{rank // 4 + 1}" for rank in range(16)}
    demand = topology(blocks=[(8, "rack"), (4, "switch"), (2, "node")])
    result = worlds.planned(inventory, gang(group(16), demand=demand, repair=True, previous=previous))
    assert worlds.counts(result.placements[0]) == {"x1": 4, "x2": 4, "x4": 8}
