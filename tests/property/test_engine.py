"""Random small worlds: the planner keeps every promise, and says No only where an exhaustive search finds nothing."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang, GroupShape, PlanResult
from cardpool.domain.inventory import Cause, Inventory
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import build
from tests.support import placements, worlds

LEVELS = ("zone", "rack")
QUICK = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def seldom(draw: st.DrawFn, one_in: int) -> bool:
    """True once in so many draws; False is what shrinking leads to."""
    return draw(st.integers(0, one_in - 1)) == one_in - 1


@st.composite
def node_rows(draw: st.DrawFn, most: int = 6, zones: str = "aab", *, labelled: bool = False) -> list[build.NodeRow]:
    """A few nodes in two levels; some are used, spare, cordoned, tight in memory or pods, or lack a label."""
    found = []
    for number in range(draw(st.integers(2, most))):
        zone, rack = draw(st.sampled_from(zones)), draw(st.sampled_from("xxyz"))
        labels = {worlds.LABEL + "zone": zone, worlds.LABEL + "rack": rack}
        if not labelled and seldom(draw, 12):
            del labels[draw(st.sampled_from(sorted(labels)))]
        cards = draw(st.integers(1, 6))
        row = worlds.node(f"n{number}", cards, labels=labels, supernode=rack)
        if seldom(draw, 4):
            row = dataclasses.replace(row, used_cards=draw(st.integers(1, cards)))
        if seldom(draw, 4):
            row = dataclasses.replace(row, capacity={**row.capacity, "memory": draw(st.integers(1, 6))})
        if seldom(draw, 8):
            row = dataclasses.replace(row, capacity={**row.capacity, "pods": draw(st.integers(1, 3))})
        cause = Cause.CORDONED if seldom(draw, 12) else Cause.NONE
        found.append(dataclasses.replace(row, cause=cause, spare=seldom(draw, 12)))
    return found


def any_level(draw: st.DrawFn, one_in: int) -> str:
    return draw(st.sampled_from((*LEVELS, "node"))) if seldom(draw, one_in) else ""


@st.composite
def demands(draw: st.DrawFn, pods: int, one_in: int = 3) -> TopologyRequest:
    """Required, preferred and up to two blocks that divide each other and the pods."""
    blocks: list[tuple[int, str]] = []
    whole = pods
    for _ in range(0 if one_in > 3 else draw(st.integers(0, 2))):
        whole = draw(st.sampled_from([size for size in range(1, whole + 1) if whole % size == 0]))
        blocks.append((whole, draw(st.sampled_from((*LEVELS, "node")))))
    return worlds.topology(any_level(draw, one_in), any_level(draw, 3), blocks)


@st.composite
def groups(draw: st.DrawFn, most: int, name: str = "worker") -> GroupShape:
    """A group of up to ``most`` pods."""
    cards = draw(st.sampled_from((1, 1, 2, 3, 0)))
    requests = {"memory": draw(st.integers(1, 3))} if seldom(draw, 3) else {}
    return worlds.group(draw(st.integers(1, most)), cards, name, requests=requests)


@st.composite
def gangs(draw: st.DrawFn, key: str, most: int = 6, one_in: int = 3) -> Gang:
    """A gang of one shape."""
    shape = draw(groups(most))
    return worlds.gang(shape, key=key, demand=draw(demands(shape.replicas, one_in)), repair=draw(st.booleans()))


@st.composite
def mixed_gangs(draw: st.DrawFn, key: str) -> Gang:
    """A gang of up to three groups with demands of the gang and of each group."""
    shapes = [draw(groups(4, f"g{number}")) for number in range(draw(st.integers(1, 3)))]
    demand = draw(demands(sum(shape.replicas for shape in shapes)))
    for number, shape in enumerate(shapes):
        own = draw(demands(shape.replicas)) if not demand.blocks else worlds.topology(any_level(draw, 3))
        shapes[number] = dataclasses.replace(shape, topology=own)
    fields = {"priority": draw(st.integers(0, 1)), "created": float(draw(st.integers(0, 1)))}
    return worlds.gang(*shapes, key=key, demand=demand, **fields)


def with_replicas(gang: Gang, pods: int, least: int = 0) -> Gang:
    """A gang of one shape with another number of pods."""
    option = gang.options[0]
    shape = dataclasses.replace(option.groups[0], replicas=pods, min_replicas=least)
    return dataclasses.replace(gang, options=(dataclasses.replace(option, groups=(shape,)),))


def inventory_of(rows: list[build.NodeRow]) -> Inventory:
    return build.build_inventory(rows, (worlds.PROFILE,), (worlds.tree(*LEVELS),))


@QUICK
@given(node_rows(), gangs("team-a/one"))
def test_no_is_never_wrong_for_one_shape(rows: list[build.NodeRow], gang: Gang) -> None:
    """The planner places a gang of equal pods exactly when some placement exists."""
    inventory = inventory_of(rows)
    result = worlds.planned(inventory, gang)
    assert placements.violations(inventory, [gang], result) == []
    assert placements.exists(inventory, gang) == bool(result.placements)


@QUICK
@given(node_rows(), gangs("team-a/one"), st.integers(1, 6))
def test_an_elastic_gang_has_the_largest_legal_size_that_exists(
    rows: list[build.NodeRow], gang: Gang, least: int
) -> None:
    """Of every legal size, found by dividing and trying all; and the answer keeps every promise."""
    inventory = inventory_of(rows)
    shape = gang.options[0].groups[0]
    elastic = with_replicas(gang, shape.replicas, least)
    step = max((block.pods for block in gang.topology.blocks), default=1)
    result = worlds.planned(inventory, elastic)
    assert placements.violations(inventory, [elastic], result) == []
    legal = [pods for pods in range(min(least, shape.replicas), shape.replicas + 1) if pods % step == 0]
    fits = [pods for pods in legal if placements.exists(inventory, with_replicas(gang, pods))]
    assert max(fits, default=0) == sum(len(one.nodes()) for one in result.placements)


@QUICK
@given(node_rows(), st.data())
def test_elastic_gangs_of_several_groups_keep_every_promise(rows: list[build.NodeRow], data: Any) -> None:
    """Bounds, blocks, capacity; and never No where the full size fits."""
    inventory = inventory_of(rows)
    queue = []
    for number in range(data.draw(st.integers(1, 3))):
        whole = data.draw(mixed_gangs(f"team-a/g{number}"))
        shapes = tuple(
            dataclasses.replace(one, min_replicas=data.draw(st.integers(0, one.replicas)))
            for one in whole.options[0].groups
        )
        queue.append(dataclasses.replace(whole, options=(dataclasses.replace(whole.options[0], groups=shapes),)))
    assert placements.violations(inventory, queue, worlds.planned(inventory, *queue)) == []


@QUICK
@given(node_rows(zones="abcd", labelled=True), gangs("team-a/one", one_in=12))
def test_no_placement_spreads_over_fewer_domains(rows: list[build.NodeRow], gang: Gang) -> None:
    """Of the widest level no placement uses fewer domains; of a required one there is one."""
    inventory = inventory_of(rows)
    for placement in worlds.planned(inventory, gang).placements:
        assert placements.fewest(inventory, gang, "zone") == len(worlds.domains_of(inventory, placement, "zone"))


@QUICK
@given(node_rows(), st.data())
def test_every_cycle_keeps_its_promises(rows: list[build.NodeRow], data: Any) -> None:
    """Several gangs of several groups: capacity, all or nothing, demands, one answer each."""
    inventory = inventory_of(rows)
    queue = [data.draw(mixed_gangs(f"team-a/g{number}")) for number in range(data.draw(st.integers(1, 3)))]
    assert placements.violations(inventory, queue, worlds.planned(inventory, *queue)) == []


@QUICK
@given(node_rows(), st.data())
def test_equal_worlds_plan_alike(rows: list[build.NodeRow], data: Any) -> None:
    """The order in which nodes and gangs are told changes nothing."""
    queue = [data.draw(mixed_gangs(f"team-a/g{number}")) for number in range(3)]
    expected = worlds.planned(inventory_of(rows), *queue)
    mixed = random.Random(data.draw(st.integers(0, 99)))
    shuffled, gangs_ = mixed.sample(rows, len(rows)), mixed.sample(queue, len(queue))
    assert told(expected) == told(worlds.planned(inventory_of(shuffled), *gangs_))


@QUICK
@given(node_rows(), st.data())
def test_updated_rows_equal_a_rebuild(rows: list[build.NodeRow], data: Any) -> None:
    """Replacing rows gives the inventory that a rebuild would give."""
    at = data.draw(st.integers(0, len(rows) - 1))
    changed = dataclasses.replace(
        rows[at], cards_usable=data.draw(st.integers(0, 3)), used_cards=1, spare=True, cause=Cause.NOT_READY
    )
    updated = build.update_rows(inventory_of(rows), [changed])
    rebuilt = inventory_of([*rows[:at], changed, *rows[at + 1 :]])
    assert updated is not None
    for name in ("capacity", "free", "cause", "spare", "busy", "profile", "supernode"):
        assert getattr(rebuilt, name).tolist() == getattr(updated, name).tolist()


@QUICK
@given(node_rows(), st.data())
def test_a_repair_keeps_its_promises(rows: list[build.NodeRow], data: Any) -> None:
    """After some nodes go, a gang is placed again whenever it can be, and again by the rules."""
    inventory = inventory_of(rows)
    single = data.draw(st.booleans())
    gang = data.draw(gangs("team-a/one", one_in=2) if single else mixed_gangs("team-a/one"))
    for placement in worlds.planned(inventory, gang).placements:
        lost = data.draw(st.sets(st.sampled_from(sorted(set(placement.nodes())))))
        left = inventory_of([dataclasses.replace(r, cause=Cause.NOT_READY) if r.name in lost else r for r in rows])
        previous = {rank: node for rank, node in enumerate(placement.nodes()) if data.draw(st.integers(0, 5))}
        again = dataclasses.replace(gang, previous=previous)
        result = worlds.planned(left, again)
        assert placements.violations(left, [again], result) == []
        assert not single or placements.exists(left, again) == bool(result.placements)
        if not lost and len(previous) == len(placement.nodes()):
            assert list(previous.values()) == list(result.placements[0].nodes())


def told(result: PlanResult) -> Any:
    """Everything that an answer says."""
    return (result.placements, [(r.gang, r.reason, r.message, r.fit, r.position) for r in result.refusals])
