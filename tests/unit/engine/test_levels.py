"""Levels, blocks and best fit: the cases that the schedulers of this field are tested for, in words."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.domain.inventory import Inventory
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group, topology

REPEATED = {"b1": {"r1": {"x3": 1}, "r2": {"x5": 1, "x1": 1, "x6": 1}}, "b2": {"r1": {"x2": 1}, "r2": {"x4": 2}}}
ZONES = {"a": {"r1": [2], "r2": [1], "r3": [1], "r4": [1]}, "b": {"r1": [2], "r2": [2], "r3": [2]}}

PLACED: dict[str, tuple[Any, tuple[str, ...], int, dict[str, Any], str, dict[str, int]]] = {
    "a required rack is the one that holds all, though its name repeats": (
        REPEATED,
        ("block", "rack"),
        3,
        {"required": "rack"},
        "rack",
        {"b1/r2": 3},
    ),
    "a preferred rack that nobody can give becomes the fewest racks": (
        REPEATED,
        ("block", "rack"),
        6,
        {"preferred": "rack"},
        "rack",
        {"b1/r1": 1, "b1/r2": 3, "b2/r2": 2},
    ),
    "fewest racks go before fewest hosts": (
        {"b1": {"r1": [2], "r2": [2], "r3": [1, 1, 1, 1]}},
        ("block", "rack"),
        4,
        {"required": "block"},
        "rack",
        {"b1/r3": 4},
    ),
    "the last domain is the tightest": (
        {"b1": [2], "b2": [1], "b3": [4]},
        ("block",),
        5,
        {"preferred": "block"},
        "block",
        {"b3": 4, "b2": 1},
    ),
    "a host that would waste a card of a pair is skipped": (
        {"b": [6, 5, 4, 2]},
        ("block",),
        12,
        {"required": "block", "blocks": [(2, "node")]},
        "node",
        {"b/b-0": 6, "b/b-2": 4, "b/b-3": 2},
    ),
    "pairs stay in a rack": (
        {"b1": {"r1": [1, 1], "r2": [1, 1, 1]}, "b2": {"r1": [1, 1]}},
        ("block", "rack"),
        4,
        {"required": "block", "blocks": [(2, "rack")]},
        "rack",
        {"b1/r1": 2, "b1/r2": 2},
    ),
    "nested blocks: fours in a rack, pairs in a host, the fewest hosts": (
        {"b1": {"r1": {"x1": 1, "x2": 4}, "r2": {"x3": 3, "x4": 4}}},
        ("block", "rack"),
        8,
        {"required": "block", "blocks": [(4, "rack"), (2, "node")]},
        "node",
        {"b1/r1/x2": 4, "b1/r2/x4": 4},
    ),
    "the tighter zone, and in it the fewest racks": (
        ZONES,
        ("zone", "rack"),
        3,
        {"required": "zone", "preferred": "rack"},
        "rack",
        {"a/r1": 2, "a/r2": 1},
    ),
    "a preferred rack decides between zones that both hold the gang": (
        {"a": {"r1": [2], "r2": [2]}, "b": {"r1": [4], "r2": [2]}},
        ("zone", "rack"),
        4,
        {"preferred": "rack"},
        "rack",
        {"b/r1": 4},
    ),
    "a gang of every card takes every card": (
        REPEATED,
        ("block", "rack"),
        7,
        {},
        "rack",
        {"b1/r1": 1, "b1/r2": 3, "b2/r1": 1, "b2/r2": 2},
    ),
    "without levels the nodes are all there is": ({"x1": 2, "x2": 3}, (), 4, {}, "node", {"x1": 1, "x2": 3}),
}


@pytest.mark.parametrize(("domains", "levels", "pods", "demand", "level", "expected"), PLACED.values(), ids=PLACED)
def test_pods_per_domain(domains: Any, levels: Any, pods: int, demand: Any, level: str, expected: Any) -> None:
    """One gang of one-card pods in an untouched pool."""
    inventory = worlds.pool(domains, levels)
    placement = only(worlds.planned(inventory, gang(group(pods), demand=topology(**demand))))
    assert expected == worlds.domains_of(inventory, placement, level)


REFUSED: dict[str, tuple[Any, tuple[str, ...], int, dict[str, Any], Reason, int, list[str]]] = {
    "one card too many for any rack": (
        REPEATED,
        ("block", "rack"),
        4,
        {"required": "rack"},
        Reason.TOPOLOGY_UNFIT,
        3,
        ["3 of 4 pods fit at best, in rack b1/r2"],
    ),
    "more than all blocks hold": (
        REPEATED,
        ("block", "rack"),
        10,
        {"preferred": "block"},
        Reason.INSUFFICIENT_CARDS,
        7,
        ["7 of 10 pods fit"],
    ),
    "nested blocks that one rack breaks": (
        {"b": {"r1": [7, 4], "r2": [7, 3]}},
        ("block", "rack"),
        16,
        {"blocks": [(8, "rack"), (4, "node")]},
        Reason.TOPOLOGY_UNFIT,
        8,
        ["1 of 2 blocks of 8 fit a rack", "3 of 4 blocks of 4 fit a node"],
    ),
    "every pair fits a host, no six fit a rack": (
        {"b": {"r1": [4], "r2": [4], "r3": [4]}},
        ("block", "rack"),
        12,
        {"blocks": [(6, "rack"), (2, "node")]},
        Reason.TOPOLOGY_UNFIT,
        0,
        ["0 of 2 blocks of 6 fit a rack", "6 of 6 blocks of 2 fit a node"],
    ),
    "a level that the pool does not have": (
        REPEATED,
        ("block", "rack"),
        1,
        {"required": "planet"},
        Reason.UNKNOWN_LEVEL,
        0,
        ["unknown topology level 'planet'", "block, rack, node"],
    ),
    "a preferred level that the pool does not have": (
        REPEATED,
        ("block", "rack"),
        1,
        {"preferred": "planet"},
        Reason.UNKNOWN_LEVEL,
        0,
        ["'planet'"],
    ),
    "a block that does not divide the gang": (
        REPEATED,
        ("block", "rack"),
        4,
        {"blocks": [(3, "rack")]},
        Reason.INVALID_SPEC,
        0,
        ["block of 3 pods", "gang of 4"],
    ),
    "an empty pool": ({}, (), 1, {}, Reason.INSUFFICIENT_CARDS, 0, ["0 of 1 pods fit", "no node of this profile"]),
}


@pytest.mark.parametrize(
    ("domains", "levels", "pods", "demand", "reason", "fit", "words"), REFUSED.values(), ids=REFUSED
)
def test_refusals_count(
    domains: Any, levels: Any, pods: int, demand: Any, reason: Reason, fit: int, words: list[str]
) -> None:
    """What does not fit says how much would, and of what there is too little."""
    result = worlds.planned(worlds.pool(domains, levels), gang(group(pods), demand=topology(**demand)))
    assert not result.placements
    refusal = result.refusals[0]
    assert (reason, fit) == (refusal.reason, refusal.fit)
    assert [word for word in words if word not in refusal.message] == []


def test_ranks_follow_the_topology() -> None:
    """Neighbours in rank sit in the same rack as often as the racks allow."""
    inventory = worlds.pool({"b": {"r1": [2, 2], "r2": [2, 2], "r3": [2, 2]}})
    placement = only(worlds.planned(inventory, gang(group(12))))
    assert placement.crossings == 2
    assert list(placement.nodes()[:5]) == ["b-r1-0", "b-r1-0", "b-r1-1", "b-r1-1", "b-r2-0"]


def test_segments_name_supernodes_and_first_indexes() -> None:
    """A segment ends where the supernode changes; nodes of none have an empty name."""
    inventory = worlds.pool({"s1": [2], "s2": [1]}, ("supernode",))
    placement = only(worlds.planned(inventory, gang(group(3))))
    found = [(part.group, part.from_index, part.supernode, part.nodes) for part in placement.segments]
    assert found == [("worker", 0, "s1", ("s1-0", "s1-0")), ("worker", 2, "s2", ("s2-0",))]


def test_a_node_without_a_label_serves_only_who_does_not_ask_for_it() -> None:
    """Missing labels close a node to demands on that level and to no other."""
    inventory = worlds.pool({"b": [1, 1]}, ("block",), {"b-1": {"labels": {}}})
    assert len(only(worlds.planned(inventory, gang(group(2)))).nodes()) == 2
    refused = worlds.planned(inventory, gang(group(2), demand=topology(required="block"))).refusals[0]
    assert dict(refused.excluded) == {"topology label missing": 1}
    assert refused.fit == 1


class TestBestFit:
    """Small work fills what is broken already."""

    def test_a_used_node_goes_before_an_untouched_one(self) -> None:
        """Two cards go to the node that has four left."""
        inventory = worlds.pool({"a": 8, "b": 8}, (), {"b": {"used_cards": 4}})
        assert placed(inventory, group(1, cards=2)) == {"b": 1}

    def test_a_broken_supernode_goes_before_an_untouched_one(self) -> None:
        """Even where the untouched one is smaller and thus tighter."""
        inventory = worlds.pool({"s1": [8], "s2": [8, 8, 8]}, ("supernode",), {"s2-0": {"used_cards": 8}})
        assert placed(inventory, group(1, cards=4)) == {"s2-1": 1}

    def test_a_broken_supernode_in_a_looser_zone_goes_before_an_untouched_one(self) -> None:
        """The tighter zone would break up a supernode."""
        domains = {"z1": {"s1": [8]}, "z2": {"s2": [8, 8], "s3": [8, 8]}}
        inventory = worlds.pool(domains, ("zone", "supernode"), {"z2-s3-0": {"used_cards": 8}})
        assert placed(inventory, group(1, cards=4)) == {"z2-s3-1": 1}

    def test_one_untouched_zone_weighs_more_than_all_that_is_narrower(self) -> None:
        """The first zone has a node of the right size, but nobody has used the zone yet."""
        domains = {"z1": {"s1": [4], "s2": [8]}, "z2": {"s3": [8, 8], "s4": [8]}}
        inventory = worlds.pool(domains, ("zone", "supernode"), {"z2-s4-0": {"used_cards": 8}})
        assert placed(inventory, group(1, cards=4)) in ({"z2-s3-0": 1}, {"z2-s3-1": 1})

    def test_a_gang_of_two_groups_goes_to_the_broken_supernode(self) -> None:
        """Though the nodes of both are alike and those of the untouched one come first."""
        inventory = worlds.pool({"s1": [8, 8], "s2": [8, 8, 8]}, ("supernode",), {"s2-0": {"used_cards": 8}})
        assert placed(inventory, group(1, 0, "launcher"), group(1, 4)) == {"s2-1": 2}

    def test_an_exact_fit_breaks_nothing(self) -> None:
        """A gang that fills an untouched supernode leaves the broken one to smaller work."""
        domains = {"s1": [8, 8], "s2": [8, 8, 8, 8]}
        inventory = worlds.pool(domains, ("supernode",), {"s2-0": {"used_cards": 8}})
        assert placed(inventory, group(2, cards=8)) == {"s1-0": 1, "s1-1": 1}

    def test_the_tightest_broken_one(self) -> None:
        """Of two broken supernodes the fuller."""
        changes = {"s1-0": {"used_cards": 8}, "s2-0": {"used_cards": 8}, "s2-1": {"used_cards": 8}}
        inventory = worlds.pool({"s1": [8, 8, 8], "s2": [8, 8, 8]}, ("supernode",), changes)
        assert placed(inventory, group(1, cards=8)) == {"s2-2": 1}

    def test_names_decide_last(self) -> None:
        """Equal nodes are taken in name order."""
        assert placed(worlds.pool({"b": 8, "a": 8, "c": 8}, ()), group(1, cards=8)) == {"a": 1}


def placed(inventory: Inventory, *groups: Any) -> dict[str, int]:
    """Pods per node of the only gang."""
    return worlds.counts(only(worlds.planned(inventory, gang(*groups))))


def only(result: Any) -> Any:
    """The only placement; a refusal shows its message."""
    assert result.refusals == ()
    return result.placements[0]
