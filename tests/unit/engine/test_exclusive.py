"""A domain for one job alone: in both directions, for what runs and for what starts in the same cycle."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.domain.gangs import Gang, PlanResult
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import Rules
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import plan
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group, holds

RACKS = {"r1": [4, 4], "r2": [4, 4]}


def alone(pods: int, level: str = "rack", **fields: Any) -> Gang:
    """A gang that wants its domains for itself."""
    return gang(group(pods), demand=TopologyRequest(exclusive=level), **{"key": "a/alone", **fields})


def planned(inventory: Inventory, *gangs: Gang, running: Any = (), **fields: Any) -> PlanResult:
    """One cycle."""
    return plan.plan(inventory, gangs, now=0.0, running=running, **fields)


def racks(**changes: Any) -> Inventory:
    """Two racks of two nodes."""
    return worlds.pool(RACKS, ("rack",), changes={name.replace("_", "-"): value for name, value in changes.items()})


def test_no_domain_in_which_another_job_runs() -> None:
    """One card in the first rack is enough to close it."""
    result = planned(racks(), alone(2), running=[holds("b/other", 1, "r1-0")])
    assert {node[:2] for node in result.placements[0].nodes()} == {"r2"}
    refused = planned(racks(), alone(9), running=[holds("b/other", 1, "r1-0")]).refusals[0]
    assert "2 in a domain with other jobs" in refused.message


def test_nobody_comes_into_a_domain_that_is_held_alone() -> None:
    """The rest of the rack stays empty."""
    running = [holds("a/alone", 1, "r1-0", exclusive="rack")]
    assert len(planned(racks(), gang(group(8)), running=running).placements) == 1
    refused = planned(racks(), gang(group(9)), running=running).refusals[0]
    assert "2 in a domain that another job has for itself" in refused.message


@pytest.mark.parametrize("first", ["alone", "other"])
def test_in_one_cycle(first: str) -> None:
    """Whoever comes first closes the domain, or keeps it from being taken alone."""
    queue = {"alone": alone(2, priority=int(first == "alone")), "other": gang(group(2), key="b/other", priority=0)}
    result = planned(racks(), *queue.values())
    homes = {placement.gang: {node[:2] for node in placement.nodes()} for placement in result.placements}
    assert len(homes) == 2
    assert homes["a/alone"].isdisjoint(homes["b/other"])


def test_two_that_want_to_be_alone() -> None:
    """Each has a rack; the third waits."""
    queue = [alone(1, key=f"a/{number}", created=float(number)) for number in range(3)]
    result = planned(racks(), *queue)
    assert [placement.gang for placement in result.placements] == ["a/0", "a/1"]
    assert result.refusals[0].reason is Reason.INSUFFICIENT_CARDS


def test_the_node_level() -> None:
    """A node for itself, though it needs one card."""
    result = planned(racks(), alone(1, "node"), gang(group(12), key="b/other"))
    nodes = [set(placement.nodes()) for placement in result.placements]
    assert (len(nodes), nodes[0] & nodes[1]) == (2, set())


def test_a_node_without_the_label_cannot_be_had_alone() -> None:
    """Nobody knows what would have to be empty."""
    inventory = racks(r1_0={"labels": {}}, r1_1={"labels": {}})
    assert {node[:2] for node in planned(inventory, alone(8)).placements[0].nodes()} == {"r2"}
    assert planned(inventory, alone(9)).placements == ()


def test_an_unknown_level_is_an_error() -> None:
    """Nothing is silently unconstrained."""
    assert planned(racks(), alone(1, "row")).refusals[0].reason is Reason.UNKNOWN_LEVEL


def test_preemption_empties_the_domain() -> None:
    """Whoever is in the way of being alone goes, though there is room."""
    running = [holds("b/one", 1, "r1-0", started=-9.0), holds("b/two", 1, "r2-0", started=-5.0)]
    used = {"r1_0": {"used_cards": 1}, "r2_0": {"used_cards": 1}}
    result = planned(racks(**used), alone(2, priority=1), running=running, rules=Rules(within_team=True))
    assert [eviction.gang for eviction in result.evictions] == ["b/two"]
    assert {node[:2] for node in result.preempting[0].nodes()} == {"r2"}


def test_a_reservation_to_be_alone_keeps_the_whole_domain() -> None:
    """Nobody new enters while the head waits for the others to end."""
    running = [holds("b/one", 1, "r1-0", ends=50.0), holds("b/two", 8, "r2-0", pods=(("r2-0", 4, {}), ("r2-1", 4, {})))]
    used = {"r1_0": {"used_cards": 1}, "r2_0": {"used_cards": 4}, "r2_1": {"used_cards": 4}}
    result = planned(
        racks(**used), alone(2, priority=1), gang(group(1), key="c/small"), running=running, strategy="Backfill"
    )
    assert [(r.gang, r.start) for r in result.reservations] == [("a/alone", 50.0)]
    assert [r.reason for r in result.refusals] == [Reason.TOPOLOGY_UNFIT, Reason.RESERVED_FOR_OTHER]
