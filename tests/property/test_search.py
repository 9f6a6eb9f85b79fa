"""Random small worlds against a search that tries everything: no wrong No, and no placement in fewer domains.

Gangs of several groups with demands of their own, nested blocks, levels that are required and preferred together, taints,
selectors, scarce cpu and memory, and domains that gangs have for themselves.
"""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang, NodeFilter, PlanResult, Running, Taint, Toleration
from cardpool.domain.inventory import Inventory
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import build, plan
from cardpool.names import Reason
from tests.property.test_engine import LEVELS, any_level, demands, groups, inventory_of, node_rows, seldom
from tests.support import placements, worlds

WRONG = frozenset({Reason.INVALID_SPEC, Reason.UNKNOWN_LEVEL})
TOLERATION = Toleration("dedicated", "Exists")
THOROUGH = settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def rough_rows(draw: st.DrawFn, zones: str = "aab", *, labelled: bool = False) -> list[build.NodeRow]:
    """Nodes as elsewhere, some of them tainted, of another kind, or short of cpu."""
    found = []
    for row in draw(node_rows(zones=zones, labelled=labelled)):
        changed = row
        if seldom(draw, 6):
            changed = dataclasses.replace(changed, taints=(Taint("dedicated", "x"),))
        if seldom(draw, 4):
            changed = dataclasses.replace(changed, labels={**changed.labels, "kind": "old"})
        if seldom(draw, 4):
            changed = dataclasses.replace(changed, capacity={**changed.capacity, "cpu": draw(st.integers(0, 5))})
        found.append(changed)
    return found


@st.composite
def rough_gangs(draw: st.DrawFn, most: int = 3, one_in: int = 3) -> Gang:
    """Up to three groups with demands of the gang and their own; some tolerate the taint, want a kind of node, or cpu."""
    shapes = []
    for number in range(draw(st.integers(1, most))):
        shape = draw(groups(4, f"g{number}"))
        if seldom(draw, 3):
            shape = dataclasses.replace(shape, requests={**shape.requests, "cpu": draw(st.integers(1, 3))})
        if seldom(draw, 3):
            shape = dataclasses.replace(shape, tolerations=(TOLERATION,))
        if seldom(draw, 4):
            shape = dataclasses.replace(shape, nodes=NodeFilter(selector=(("kind", "old"),)))
        shapes.append(shape)
    demand = draw(demands(sum(shape.replicas for shape in shapes), one_in))
    for number, shape in enumerate(shapes):
        own = draw(demands(shape.replicas, one_in)) if not demand.blocks else worlds.topology(any_level(draw, one_in))
        shapes[number] = dataclasses.replace(shape, topology=own)
    packing = draw(st.sampled_from(("", "Balanced")))
    return worlds.gang(*shapes, demand=dataclasses.replace(demand, packing=packing), repair=draw(st.booleans()))


def meant(result: PlanResult) -> bool:
    """False where the gang's demands contradict each other."""
    return not any(refusal.reason in WRONG for refusal in result.refusals)


@THOROUGH
@given(rough_rows(), rough_gangs())
def test_no_is_never_wrong(rows: list[build.NodeRow], gang: Gang) -> None:
    """A gang of any groups is placed exactly when some placement exists."""
    inventory = inventory_of(rows)
    result = worlds.planned(inventory, gang)
    assert placements.violations(inventory, [gang], result) == []
    assert not meant(result) or placements.exists(inventory, gang) == bool(result.placements)


@THOROUGH
@given(rough_rows(zones="abcd", labelled=True), rough_gangs(one_in=6))
def test_no_placement_takes_fewer_zones(rows: list[build.NodeRow], gang: Gang) -> None:
    """Of the widest level any gang takes as few domains as can be."""
    inventory = inventory_of(rows)
    for placement in worlds.planned(inventory, gang).placements:
        assert placements.fewest(inventory, gang, "zone") == len(worlds.domains_of(inventory, placement, "zone"))


@THOROUGH
@given(rough_rows(labelled=True), rough_gangs(most=1))
def test_required_and_preferred_together(rows: list[build.NodeRow], gang: Gang) -> None:
    """In one zone, and there in as few racks as any zone would need."""
    demand = TopologyRequest("zone", "rack", gang.topology.blocks)
    wanted = dataclasses.replace(gang, topology=demand)
    inventory = inventory_of(rows)
    for placement in worlds.planned(inventory, wanted).placements:
        assert len(worlds.domains_of(inventory, placement, "zone")) == 1
        assert placements.fewest(inventory, wanted, "rack") == len(worlds.domains_of(inventory, placement, "rack"))


@st.composite
def tenants(draw: st.DrawFn) -> tuple[Inventory, list[Running], Gang]:
    """A few nodes, gangs that run there, each for itself or not, and one that wants in."""
    rows, running = draw(rough_rows()), list[Running]()
    free = {row.name: row.cards_usable - row.used_cards for row in rows}
    for number in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(sorted(free)))
        if free[name] > 0:
            free[name] -= 1
            running.append(worlds.holds(f"r/{number}", 1, name, exclusive=draw(st.sampled_from(("", *LEVELS, "node")))))
    for at, row in enumerate(rows):
        mine = sum(1 for one in running if one.pods[0][0] == row.name)
        rows[at] = dataclasses.replace(row, used_cards=row.used_cards + mine, pods_used=row.pods_used + mine)
    gang = draw(rough_gangs())
    demand = dataclasses.replace(gang.topology, exclusive=draw(st.sampled_from(("", *LEVELS, "node"))))
    return inventory_of(rows), running, dataclasses.replace(gang, topology=demand)


@THOROUGH
@given(tenants())
def test_no_is_never_wrong_among_those_who_are_alone(case: tuple[Inventory, list[Running], Gang]) -> None:
    """Domains that others have alone, or in which others are, are closed; everything else is not."""
    inventory, running, gang = case
    result = plan.plan(inventory, [gang], now=0.0, running=running)
    assert placements.violations(inventory, [gang], result) == []
    for placement in result.placements:
        for level, held in placements.entered(inventory, gang, running).items():
            assert not held & {placements.path(inventory, worlds.PROFILE, node, level) for node in placement.nodes()}
    assert not meant(result) or placements.exists(inventory, gang, running=running) == bool(result.placements)
