"""Cases of the field that belong to no other module here: scattered cpu, vanished nodes, half-hearted preemption."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import Rules
from cardpool.engine import plan
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group, holds, topology
from tests.unit.engine.test_groups import TIERS

SMALL = {"b1": {"r1": {"x1": 1}, "r2": {"x2": 1, "x3": 1, "x4": 1}}, "b2": {"r1": {"x5": 1}, "r2": {"x6": 2}}}
WITHIN = Rules(within_team=True)


def cores(used: dict[str, int]) -> Inventory:
    """Eight nodes with cards in plenty and 8 cores each, some in use, in a tree of three tiers."""
    tree = {
        top: {mid: {low: dict.fromkeys(nodes, 8) for low, nodes in lows.items()} for mid, lows in mids.items()}
        for top, mids in TIERS.items()
    }
    levels = ("tier3", "tier2", "tier1")
    capacity = {"cpu": 8000, "pods": 110}
    changes = {name: {"used": {"cpu": 1000 * cores}} for name, cores in used.items()}
    return worlds.pool(tree, levels, changes, capacity=capacity)


def pods(number: int, name: str = "worker", demand: str = "") -> Any:
    """Pods of four cores and no card."""
    return group(number, 0, name, requests={"cpu": 4000}, topology=topology(demand))


@pytest.mark.parametrize(
    ("used", "demand", "reason", "fit"),
    [
        (dict.fromkeys(range(8), 6), "", Reason.INSUFFICIENT_CARDS, 0),
        ({at: 2 if at % 2 else 6 for at in range(8)}, "tier1", Reason.TOPOLOGY_UNFIT, 1),
    ],
    ids=["every node is nearly full", "every second node has room, no domain of two has room for two"],
)
def test_cores_that_are_scattered(used: dict[int, int], demand: str, reason: Reason, fit: int) -> None:
    """What lacks may be cpu alone: two pods of four cores on nodes of eight."""
    inventory = cores({f"n{at}": amount for at, amount in used.items()})
    refusal = worlds.planned(inventory, gang(pods(2, demand=demand))).refusals[0]

    assert (refusal.reason, refusal.fit, refusal.want) == (reason, fit, 2)
    assert "short of cpu" in refusal.message


@pytest.mark.parametrize("demand", [topology(), topology(preferred="tier2")], ids=["absent", "soft"])
def test_groups_part_by_cores(demand: Any) -> None:
    """No wider domain holds both groups, two narrow ones hold one each."""
    inventory = cores({"n0": 4, "n4": 4, "n2": 6, "n3": 6, "n6": 6, "n7": 6})
    wanted = gang(pods(2, "one", "tier1"), pods(2, "two", "tier1"), demand=demand)
    result = worlds.planned(inventory, wanted)

    assert result.refusals == ()
    assert worlds.domains_of(inventory, result.placements[0], "tier1") == {"s6/s4/s0": 2, "s6/s5/s2": 2}


def test_the_rank_of_a_node_that_is_gone_moves_inside_the_rack() -> None:
    """The node is not even listed any more: its mate stays, the lost rank goes to another node of the mate's rack."""
    inventory = worlds.pool(SMALL)
    wanted = gang(group(2), demand=topology("rack"), repair=True, previous={0: "x0", 1: "x2"})
    nodes = worlds.planned(inventory, wanted).placements[0].nodes()

    assert nodes[1] == "x2"
    assert nodes[0] in {"x3", "x4"}


def test_a_rack_that_is_too_small_is_left_by_all_or_by_none() -> None:
    """The mate's rack has no other node. Elsewhere is a rack for both: both go; without one nobody moves."""
    wanted = gang(group(2), demand=topology("rack"), repair=True, previous={0: "x0", 1: "x1"})
    inventory = worlds.pool(SMALL)
    placement = worlds.planned(inventory, wanted).placements[0]
    assert list(worlds.domains_of(inventory, placement, "rack").values()) == [2]

    full = worlds.pool(
        SMALL, changes={name: {"used_cards": 2 if name == "x6" else 1} for name in ("x2", "x3", "x4", "x5", "x6")}
    )
    result = worlds.planned(full, wanted)
    assert (result.placements, result.evictions) == ((), ())
    assert (result.refusals[0].reason, result.refusals[0].fit) == (Reason.INSUFFICIENT_CARDS, 1)


def test_nobody_goes_where_only_half_of_what_is_needed_has_a_lower_priority() -> None:
    """Four cards are needed, two are held by a lower gang and two by a higher: no eviction at all."""
    running = (holds("a/low", 2, "a", priority=1), holds("a/high", 2, "b", priority=9))
    inventory = worlds.pool({"a": 2, "b": 2}, (), changes={"a": {"used_cards": 2}, "b": {"used_cards": 2}})
    result = plan.plan(
        inventory, [gang(group(4), priority=5)], now=1000.0, running=running, rules=WITHIN, strategy="Backfill"
    )

    assert (result.evictions, result.preempting) == ((), ())
    assert [refusal.reason for refusal in result.refusals] == [Reason.INSUFFICIENT_CARDS]


@pytest.mark.parametrize("cards", [1, 6])
def test_a_host_that_lost_cards_under_a_gang_has_none_to_give(cards: int) -> None:
    """Two of eight cards are gone under a gang that holds eight: the six that are left are the gang's."""
    inventory = worlds.pool({"a": 8}, (), changes={"a": {"used_cards": 8, "cards_usable": 6}})
    result = worlds.planned(inventory, gang(group(1, cards)))

    assert result.placements == ()
    assert dict(result.refusals[0].excluded) == {"short of cards": 1}


@pytest.mark.parametrize(("least", "placed"), [(8, 0), (6, 0), (4, 4)], ids=["four pairs", "three pairs", "two pairs"])
def test_the_least_of_an_elastic_gang_must_fit_one_domain(least: int, placed: int) -> None:
    """Six pairs of three cores in one narrow domain, which holds two pairs: it waits unless two pairs are enough."""
    demand = topology("tier1", blocks=[(2, "tier1")])
    wanted = gang(group(12, 0, requests={"cpu": 3000}, min_replicas=least), demand=demand)
    result = worlds.planned(cores({}), wanted)

    assert placed == sum(len(placement.nodes()) for placement in result.placements)
    assert len(result.refusals) == (0 if placed else 1)
