"""A domain for one job alone: in both directions, for what runs and for what starts in the same cycle."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang, PlanResult, Running
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import Rules
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import plan
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group, holds

LEVELS = ("", "rack", "node")
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


@pytest.mark.parametrize(("runtime", "passes"), [(None, False), (50.0, True)], ids=["for long", "gone by then"])
def test_nobody_has_a_domain_alone_in_which_the_head_has_its_place(runtime: float | None, passes: bool) -> None:
    """The head's nodes are in both racks, one of which is empty now: it may be had alone only until the head starts."""
    running = [holds("b/one", 7, "r1-0", pods=(("r1-0", 4, {}), ("r1-1", 3, {})), ends=50.0)]
    used = {"r1_0": {"used_cards": 4}, "r1_1": {"used_cards": 3}}
    head = gang(group(10), key="a/head", priority=1)
    result = planned(racks(**used), head, alone(1, runtime=runtime), running=running, strategy="Backfill")
    assert [(r.gang, r.start) for r in result.reservations] == [("a/head", 50.0)]
    assert passes == bool(result.placements)


def test_nobody_has_a_domain_alone_that_others_leave_for_another() -> None:
    """The first gets the rest of the second rack when the victim is gone; the rack is not to be had alone meanwhile."""
    running = [holds("a/low", 8, "r1-0", pods=(("r1-0", 4, {}), ("r1-1", 4, {})))]
    used = {"r1_0": {"used_cards": 4}, "r1_1": {"used_cards": 4}}
    first = gang(group(12), key="a/first", priority=1)
    result = planned(racks(**used), first, alone(1, key="b/alone"), running=running, rules=Rules(within_team=True))
    assert [placement.gang for placement in result.preempting] == ["a/first"]
    assert result.placements == ()


@st.composite
def tenants(draw: st.DrawFn) -> tuple[Inventory, list[Running], list[Gang]]:
    """Two or three racks with room, some gangs that run, and some that want in, each alone or not."""
    shape = {f"r{rack}": [draw(st.integers(2, 4)) for _ in range(draw(st.integers(1, 3)))] for rack in range(3)}
    names = [f"{rack}-{number}" for rack, nodes in shape.items() for number in range(len(nodes))]
    running = [
        holds(f"r/{number}", 1, draw(st.sampled_from(names)), exclusive=draw(st.sampled_from(LEVELS)))
        for number in range(draw(st.integers(0, 2)))
    ]
    used: dict[str, dict[str, int]] = {}
    for one in running:
        entry = used.setdefault(one.pods[0][0], {"used_cards": 0, "pods_used": 0})
        entry["used_cards"] += 1
        entry["pods_used"] += 1
    queue = [
        alone(draw(st.integers(1, 4)), draw(st.sampled_from(LEVELS)), key=f"q/{number}", created=float(number))
        for number in range(draw(st.integers(1, 4)))
    ]
    return worlds.pool(shape, ("rack",), changes=used), running, queue


def domain(node: str, level: str) -> str:
    """A node's domain by its name."""
    return node if level == "node" else node.split("-", maxsplit=1)[0]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(tenants())
def test_nobody_is_ever_joined(case: Any) -> None:
    """Whoever starts keeps every promise to be alone, of its own and of others; whoever waits found no place."""
    inventory, running, queue = case
    result = planned(inventory, *queue, running=running)
    homes = {one.key: (one.exclusive, [one.pods[0][0]]) for one in running}
    levels = {one.key: one.topology.exclusive for one in queue}
    for placement in result.placements:
        nodes = list(placement.nodes())
        own = levels[placement.gang]
        for level, others in homes.values():
            for bound in (level, own):
                assert not bound or {domain(n, bound) for n in nodes}.isdisjoint(domain(n, bound) for n in others)
        homes[placement.gang] = own, nodes
    for refusal in result.refusals:
        wants = next(one for one in queue if one.key == refusal.gang)
        taken: dict[str, int] = {}
        for placement in result.placements:
            for node in placement.nodes():
                taken[node] = taken.get(node, 0) + 1
        free = sum(
            max(0, int(inventory.free[row, 0]) - taken.get(name, 0))
            for row, name in enumerate(inventory.names)
            if not any(
                bound and domain(name, bound) == domain(other, bound)
                for level, others in homes.values()
                for other in others
                for bound in (level, wants.topology.exclusive)
            )
        )
        assert free < wants.size()
