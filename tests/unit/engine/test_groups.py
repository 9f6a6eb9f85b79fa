"""Gangs of several groups: together where demanded, near each other where not, ranks through the groups in order."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.names import Reason
from tests.support import placements, worlds
from tests.support.worlds import gang, group, topology


def test_each_group_in_a_rack_of_its_own_inside_one_zone() -> None:
    """The zone must have a rack for each of the two-card pods."""
    inventory = worlds.pool(
        {"zone1": {"rack1": [2], "rack2": [2]}, "zone2": {"rack3": [2], "rack4": [2]}},
        ("zone", "rack"),
        {"zone1-rack1-0": {"used_cards": 2}},
    )
    shapes = [group(1, 2, name, topology=topology("rack")) for name in ("one", "two")]
    placement = only(worlds.planned(inventory, gang(*shapes, demand=topology("zone"))))
    assert worlds.domains_of(inventory, placement, "rack") == {"zone2/rack3": 1, "zone2/rack4": 1}


def test_a_launcher_sits_with_its_workers() -> None:
    """A pod without cards goes to a node of the gang and breaks up nothing else."""
    inventory = worlds.pool({"s1": [8, 8], "s2": [8, 8]}, ("supernode",))
    placement = only(worlds.planned(inventory, gang(group(1, 0, "launcher"), group(2, 8))))
    assert worlds.counts(placement) == {"s1-0": 2, "s1-1": 1}
    assert [segment.group for segment in placement.segments] == ["launcher", "worker"]


def test_a_block_across_two_groups_stays_in_a_rack() -> None:
    """Ranks 4 and 5 are of different groups and one block."""
    inventory = worlds.pool({"b": {"r1": [1, 1], "r2": [1, 1], "r3": [1, 2]}})
    wanted = gang(group(5), group(1, 2, "big"), demand=topology(blocks=[(2, "rack")]))
    result = worlds.planned(inventory, wanted)
    assert placements.violations(inventory, [wanted], result) == []
    assert only(result).nodes()[5] == "b-r3-1"


def test_a_group_that_must_stay_together_does_so_across_its_parts() -> None:
    """Blocks of the gang cut the first group in two, its own demand ties the parts again."""
    inventory = worlds.pool({"z1": {"r1": [3], "r2": [2]}, "z2": {"r3": [3, 2]}}, ("zone", "rack"))
    wanted = gang(group(3, topology=topology("rack")), group(1, 2, "big"), demand=topology(blocks=[(2, "zone")]))
    result = worlds.planned(inventory, wanted)
    assert placements.violations(inventory, [wanted], result) == []
    assert len(only(result).nodes()) == 4


def test_a_group_that_must_stay_together_goes_before_one_that_may_spread() -> None:
    """The first group could take the only room that holds the second whole."""
    inventory = worlds.pool({"b": {"x": [6, 4], "y": [1, 3]}})
    wanted = gang(group(3, 2, "loose"), group(4, 2, "tight", topology=topology("node")), key="a/b")
    result = worlds.planned(worlds.pool({"a": 8, "b": 4, "c": 2}, ()), wanted)
    assert placements.violations(worlds.pool({"a": 8, "b": 4, "c": 2}, ()), [wanted], result) == []
    assert worlds.counts(only(result)) == {"a": 4, "b": 2, "c": 1}
    assert (
        len(worlds.planned(inventory, gang(group(3, 2), group(3, 2, "tight", topology=topology("rack")))).placements)
        == 1
    )


def test_a_required_node_still_needs_the_labels_that_a_group_demands() -> None:
    """Being on one node is being in one rack only where the node says which."""
    inventory = worlds.pool({"r": [4]}, ("rack",), {"r-0": {"labels": {}}})
    wanted = gang(group(2, topology=topology("rack")), demand=topology("node"))
    assert dict(worlds.planned(inventory, wanted).refusals[0].excluded) == {"topology label missing": 1}


def test_groups_that_do_not_fit_together_are_counted() -> None:
    """Each group fits alone, both do not."""
    refusal = worlds.planned(worlds.pool({"a": 4, "b": 4}, ()), gang(group(1, 4), group(2, 3, "other"))).refusals[0]
    assert (refusal.reason, refusal.fit, refusal.want) == (Reason.INSUFFICIENT_CARDS, 2, 3)
    assert "2 of 3 pods fit" in refusal.message


COUNTED: dict[str, tuple[Any, list[Any], int]] = {
    "the large ones first": ({"a": 3, "b": 5}, [group(2, 1), group(4, 3, "big")], 4),
    "the small ones first": ({"a": 6, "b": 1}, [group(2, 3, "big"), group(6, 1)], 6),
}


@pytest.mark.parametrize(("nodes", "shapes", "expected"), COUNTED.values(), ids=COUNTED)
def test_as_many_pods_are_counted_as_fit_at_best(nodes: Any, shapes: list[Any], expected: int) -> None:
    """Whatever order of the groups finds room for most."""
    assert worlds.planned(worlds.pool(nodes, ()), gang(*shapes)).refusals[0].fit == expected


def test_a_block_across_groups_is_not_counted_for_one_of_them() -> None:
    """Three pods make no blocks of four, so nothing is said of them."""
    wanted = gang(group(3, 3, "big"), group(5), demand=topology(blocks=[(4, "node")]))
    assert "blocks" not in worlds.planned(worlds.pool({"a": 4, "b": 4}, ()), wanted).refusals[0].message


def test_a_refused_gang_of_groups_takes_nothing() -> None:
    """What a failed try had taken is free for the next gang."""
    inventory = worlds.pool({"a": 4, "b": 4}, ())
    first = gang(group(1, 4), group(2, 3, "other"), key="a/first", priority=1)
    result = worlds.planned(inventory, first, gang(group(8), key="a/second"))
    assert [placement.gang for placement in result.placements] == ["a/second"]


def test_a_demand_that_groups_cannot_meet_together() -> None:
    """Two groups fit the pool but no block."""
    inventory = worlds.pool({"b1": [4], "b2": [4]}, ("block",))
    refusal = worlds.planned(inventory, gang(group(2, 2), group(1, 4, "other"), demand=topology("block"))).refusals[0]
    assert refusal.reason == Reason.TOPOLOGY_UNFIT


def test_blocks_that_cut_across_each_other_are_refused() -> None:
    """A group's block of 2 cannot be kept when the group starts at rank 1 and the gang has blocks too."""
    shapes = (group(1, 1, "first"), group(3, topology=topology(blocks=[(3, "node")])))
    inventory = worlds.pool({"a": 8}, ())
    refusal = worlds.planned(inventory, gang(*shapes, demand=topology(blocks=[(2, "node")]))).refusals[0]
    assert refusal.reason == Reason.INVALID_SPEC
    assert "group worker starts at rank 1" in refusal.message


TIERS = {"s6": {"s4": {"s0": ["n0", "n1"], "s1": ["n2", "n3"]}, "s5": {"s2": ["n4", "n5"], "s3": ["n6", "n7"]}}}


def tiers(used: dict[str, int]) -> Any:
    """Eight nodes of eight units in a tree of three tiers, some in use."""
    domains = {
        top: {mid: {low: dict.fromkeys(nodes, 8) for low, nodes in lows.items()} for mid, lows in mids.items()}
        for top, mids in TIERS.items()
    }
    return worlds.pool(domains, ("tier3", "tier2", "tier1"), {name: {"used_cards": n} for name, n in used.items()})


LEADERS = {
    "the leader takes what the workers cannot": ([2, 4, 3], 4, {"r-0": 1, "r-1": 2, "r-2": 2}, "r-2"),
    "the larger host is the workers'": ([8, 3], 5, {"r-0": 4, "r-1": 2}, "r-1"),
}


@pytest.mark.parametrize(("hosts", "workers", "expected", "leader"), LEADERS.values(), ids=LEADERS)
def test_a_leader_and_larger_workers(hosts: list[int], workers: int, expected: dict[str, int], leader: str) -> None:
    """A leader of one card and workers of two fill a rack to the last card."""
    inventory = worlds.pool({"r": hosts}, ("rack",))
    placement = only(worlds.planned(inventory, gang(group(1, 1, "leader"), group(workers, 2), demand=topology("rack"))))
    assert expected == worlds.counts(placement)
    assert leader == placement.nodes()[0]


def test_the_single_pod_goes_to_the_lone_node() -> None:
    """Three groups of one, two and two whole nodes, each in a domain of its own."""
    inventory = worlds.pool({"t": {"a": [8, 8], "b": [8, 8], "c": [8]}}, ("tier2", "tier1"))
    shapes = [
        group(pods, 8, f"g{pods}{name}", topology=topology("tier1")) for pods, name in ((1, "a"), (2, "b"), (2, "c"))
    ]
    placement = only(worlds.planned(inventory, gang(*shapes, demand=topology("tier2"))))
    assert placement.nodes()[0] == "t-c-0"
    assert len(set(placement.nodes())) == 5


def test_room_that_is_scattered_is_no_room_for_a_domain() -> None:
    """Half of the nodes hold a pod each, no domain of two nodes holds two."""
    odd = {f"n{at}": 2 if at % 2 else 6 for at in range(8)}
    refusal = worlds.planned(tiers(odd), gang(group(2, 4, topology=topology("tier1")))).refusals[0]
    assert (refusal.reason, refusal.fit, refusal.want) == (Reason.TOPOLOGY_UNFIT, 1, 2)
    nearly_full = worlds.planned(tiers({f"n{at}": 6 for at in range(8)}), gang(group(2, 4))).refusals[0]
    assert (nearly_full.reason, nearly_full.fit) == (Reason.INSUFFICIENT_CARDS, 0)


@pytest.mark.parametrize("demand", [topology(), topology(preferred="tier2")], ids=["absent", "soft"])
def test_groups_part_where_nothing_ties_them(demand: Any) -> None:
    """Two groups of two pods, each in one narrow domain: no wider domain holds both, two narrow ones do."""
    inventory = tiers({"n0": 4, "n4": 4, "n2": 6, "n3": 6, "n6": 6, "n7": 6})
    shapes = [group(2, 4, name, topology=topology("tier1")) for name in ("one", "two")]
    placement = only(worlds.planned(inventory, gang(*shapes, demand=demand)))
    assert worlds.domains_of(inventory, placement, "tier1") == {"s6/s4/s0": 2, "s6/s5/s2": 2}


def only(result: Any) -> Any:
    """The only placement; a refusal shows its message."""
    assert result.refusals == ()
    return result.placements[0]
