"""A gang on several profiles: groups apart, all or nothing, in the order of preference."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from cardpool.domain.gangs import NodeFilter, Option
from cardpool.domain.inventory import Cause
from cardpool.names import Reason
from tests.support import worlds
from tests.support.mixes import (
    H100,
    K100,
    NPU,
    RACK,
    TWO_AND_TWO,
    ZONE,
    gang,
    judge,
    node,
    only,
    planned,
    pool,
    seats,
    train,
)


def test_each_group_has_a_profile_of_its_own() -> None:
    """Four whole nodes on no profile, two and two on both: each group on one."""
    found = only(planned(pool(*TWO_AND_TWO), gang(train(), judge())))

    assert seats(found) == [
        ("train", 0, K100, "a1"),
        ("train", 1, K100, "a2"),
        ("judge", 0, NPU, "a3"),
        ("judge", 1, NPU, "a4"),
    ]
    assert (found.profile, found.shares) == ("k100 and npu", ((K100, 16), (NPU, 16)))


def test_a_gang_that_fits_one_profile_stays_on_one() -> None:
    """Even on the last that it accepts: mixing is for what no single profile holds."""
    inventory = pool(*TWO_AND_TWO, node("b1", H100), node("b2", H100), node("b3", H100), node("b4", H100))

    found = only(planned(inventory, gang(train(), judge(), profiles=(K100, NPU, H100))))

    assert (found.profile, found.shares, set(found.nodes())) == (H100, (), {"b1", "b2", "b3", "b4"})


def test_without_mixing_a_gang_waits_for_one_profile() -> None:
    """The same room and no mix: No."""
    one = dataclasses.replace(gang(train(), judge()), mix=None)

    result = planned(pool(*TWO_AND_TWO), one)

    assert [refusal.reason for refusal in result.refusals] == [Reason.INSUFFICIENT_CARDS]


@pytest.mark.parametrize(
    ("free", "profiles"),
    [
        ({K100: 4, NPU: 4, H100: 4}, (K100, K100)),
        ({K100: 2, NPU: 2, H100: 2}, (K100, NPU)),
        ({K100: 1, NPU: 2, H100: 2}, (NPU, H100)),
        ({K100: 2, NPU: 1, H100: 2}, (K100, H100)),
        ({K100: 1, NPU: 4, H100: 2}, (NPU, NPU)),
        ({K100: 2, NPU: 1, H100: 4}, (H100, H100)),
    ],
    ids=["first alone", "two best", "first full", "second full", "second alone", "third alone before mixing"],
)
def test_preference_decides_and_only_room_moves_it(free: dict[str, int], profiles: tuple[str, str]) -> None:
    """The least sum of places in the order of preference, earlier groups first; a single profile before any mix."""
    rows = [node(f"{name[0]}{at}", name, labels={ZONE: "z"}) for name, count in free.items() for at in range(count)]

    found = only(planned(pool(*rows), gang(train(), judge(), profiles=(K100, NPU, H100))))

    assert tuple({group: profile for group, _, profile, _ in seats(found)}.values()) == profiles


def test_a_group_keeps_to_the_profiles_that_it_has_a_shape_for() -> None:
    """One group runs on k100 alone, the other on npu alone, with other numbers of pods and cards."""
    inventory = pool(*TWO_AND_TWO)
    four = worlds.group(4, 4, "judge")

    found = only(planned(inventory, gang({K100: train()}, {NPU: four})))

    assert Counter((group, profile) for group, _, profile, _ in seats(found)) == {("train", K100): 2, ("judge", NPU): 4}
    assert found.shares == ((K100, 16), (NPU, 16))


def test_a_launcher_without_cards_sits_with_the_others() -> None:
    """It joins a profile that is used, and one of its own only where the others have no memory for it."""
    launcher = worlds.group(1, 0, "launch", requests={"memory": 1 << 39})
    roomy, tight = {"memory": 1 << 40, "pods": 110}, {"memory": 1 << 30, "pods": 110}

    beside = only(planned(pool(*TWO_AND_TWO), gang(launcher, train(), judge())))
    rows = [dataclasses.replace(row, capacity=tight) for row in TWO_AND_TWO]
    apart = pool(*rows, node("b1", H100, labels={ZONE: "a"}, capacity=roomy))
    away = only(planned(apart, gang(launcher, train(), judge(), profiles=(K100, NPU, H100))))

    assert seats(beside)[0][2] == K100
    assert seats(away)[0] == ("launch", 0, H100, "b1")
    assert [part[2] for part in seats(away)[1:]] == [K100, K100, NPU, NPU]


def test_a_required_domain_holds_both_makers() -> None:
    """Each maker has room in its own zone first, and both have it in one only."""
    rows = [
        *(node(f"a{at}", K100) for at in range(2)),
        *(node(f"b{at}", NPU) for at in range(2)),
        *(node(f"c{at}", K100) for at in range(2)),
        *(node(f"c{at}", NPU) for at in range(2, 4)),
    ]
    one = gang(train(), judge(), demand=worlds.topology("zone"))

    found = only(planned(pool(*rows), one))
    without = planned(pool(*rows[:4]), one)

    assert set(found.nodes()) == {"c0", "c1", "c2", "c3"}
    refusal = without.refusals[0]
    assert refusal.reason is Reason.INSUFFICIENT_CARDS
    assert "mixed (train on k100, judge on npu): each part has room, but not all in one zone" in refusal.message


def test_parts_share_a_domain_where_nothing_is_required() -> None:
    """Without a demand the gang is still put together: in the tightest zone that has room on both."""
    rows = [
        *(node(f"a{at}", K100) for at in range(2)),
        *(node(f"b{at}", NPU) for at in range(2)),
        *(node(f"c{at}", K100) for at in range(3)),
        *(node(f"c{at}", NPU) for at in range(3, 6)),
        *(node(f"d{at}", K100) for at in range(2)),
        *(node(f"d{at}", NPU) for at in range(2, 4)),
    ]

    found = only(planned(pool(*rows), gang({K100: train(3)}, {NPU: judge(3)})))
    tighter = only(planned(pool(*rows), gang({K100: train()}, {NPU: judge()})))

    assert {name[0] for name in found.nodes()} == {"c"}
    assert {name[0] for name in tighter.nodes()} == {"d"}


def test_a_level_that_is_not_common_is_said() -> None:
    """The rack is a level of one maker alone; a group may ask for it there, the gang may not."""
    levels = {K100: ("zone", "rack"), NPU: ("zone",)}
    inventory = pool(*TWO_AND_TWO, levels=levels)

    asked = planned(inventory, gang({K100: train()}, {NPU: judge()}, demand=worlds.topology("rack")))
    own = planned(inventory, gang({K100: train(topology=worlds.topology("rack"))}, {NPU: judge()}))

    assert [refusal.reason for refusal in asked.refusals] == [Reason.UNKNOWN_LEVEL]
    assert "rack" in asked.refusals[0].message
    assert len(own.placements) == 1


def test_racks_of_one_name_in_two_zones_stay_two() -> None:
    """Where one maker's tree lacks the zone, the racks of the other cannot be told by their names alone."""
    rows = [
        node("a1", K100, labels={ZONE: "x", RACK: "r"}),
        node("b1", K100, labels={ZONE: "y", RACK: "r"}),
        node("c1", NPU, labels={RACK: "r"}),
    ]
    inventory = pool(*rows, levels={K100: ("zone", "rack"), NPU: ("rack",)})

    result = planned(inventory, gang({K100: train(1)}, {NPU: judge(1)}, demand=worlds.topology("rack")))

    assert [refusal.reason for refusal in result.refusals] == [Reason.UNKNOWN_LEVEL]
    assert "is not one that k100 and npu share; they share: none" in result.refusals[0].message


def test_no_block_has_pods_of_two_makers() -> None:
    """Two groups of three pods in blocks of two ranks: the middle block would mix."""
    rows = [node(f"a{at}", K100) for at in range(3)] + [node(f"a{at}", NPU) for at in range(3, 6)]
    blocks = worlds.topology(blocks=[(2, "zone")])

    across = planned(pool(*rows), gang(train(3), judge(3), demand=blocks))
    even = planned(pool(*rows), gang(train(2), judge(2), demand=blocks))

    assert "a block of consecutive ranks would have pods of two profiles" in across.refusals[0].message
    assert len(even.placements) == 1


def test_mixed_and_single_gangs_share_one_cycle() -> None:
    """What a mixed gang takes is gone for those on one profile, and the other way round."""
    inventory = pool(*TWO_AND_TWO, node("a5", NPU))
    first = gang(train(), judge(), key="team-a/1", created=1.0)
    single = worlds.gang(worlds.group(1, 8), key="team-a/2", created=2.0, options=(Option(NPU, (train(1),)),))
    late = worlds.gang(worlds.group(1, 8), key="team-a/3", created=3.0, options=(Option(NPU, (train(1),)),))
    second = gang(train(1), judge(1), key="team-a/4", created=4.0)

    result = planned(inventory, first, single, late, second)

    nodes = Counter(name for placement in result.placements for name in placement.nodes())
    assert [placement.gang for placement in result.placements] == ["team-a/1", "team-a/2"]
    assert set(nodes.values()) == {1}


def test_a_gang_that_does_not_fit_leaves_nothing_taken() -> None:
    """The first part has room, the second has none: the room of the first is there for the next."""
    inventory = pool(node("a1", K100), node("a2", K100), node("a3", NPU))
    first = gang({K100: train()}, {NPU: judge()}, key="team-a/1", created=1.0)
    second = worlds.gang(worlds.group(1, 8), key="team-a/2", created=2.0, options=(Option(K100, (train(),)),))

    result = planned(inventory, first, second)

    assert [placement.gang for placement in result.placements] == ["team-a/2"]
    assert "mixed (train on k100, judge on npu): profile npu: 1 of 2 pods fit" in result.refusals[0].message
    assert (result.refusals[0].fit, result.refusals[0].want) == (3, 4)


def test_healthy_ranks_of_a_mixed_gang_stay() -> None:
    """A node of one maker is lost: its rank moves, all others stay, though one maker could hold the whole gang."""
    rows = [node(f"a{at}", K100) for at in range(5)] + [node(f"a{at}", NPU) for at in range(5, 8)]
    previous = {0: "a3", 1: "a4", 2: "a5", 3: "a6"}
    rows[6] = dataclasses.replace(rows[6], cause=Cause.NOT_READY)

    found = only(planned(pool(*rows), gang(train(), judge(), previous=previous, repair=True)))

    assert found.nodes() == ("a3", "a4", "a5", "a7")


def test_a_part_that_is_lost_whole_comes_back_beside_the_other() -> None:
    """Every node of one maker is gone: the group starts again in the zone of the ranks that stay."""
    rows = [
        *(node(f"a{at}", NPU) for at in range(2)),
        *(node(f"b{at}", K100) for at in range(2)),
        *(node(f"b{at}", NPU) for at in range(2, 5)),
    ]
    previous = {0: "b0", 1: "b1", 2: "b2", 3: "b2"}
    rows[4] = dataclasses.replace(rows[4], cause=Cause.NOT_READY)
    one = gang({K100: train()}, {NPU: judge()}, previous=previous, repair=True, demand=worlds.topology("zone"))

    found = only(planned(pool(*rows), one))

    assert found.nodes() == ("b0", "b1", "b3", "b4")


def test_the_number_of_ways_is_bounded_and_said() -> None:
    """Eight groups on three profiles are 6,561 ways; 64 are tried and the refusal says so."""
    rows = [node(f"a{at}", profile, 8) for at, profile in enumerate((K100, NPU, H100))]
    groups = [worlds.group(1, 8, f"g{at}") for at in range(8)]

    result = planned(pool(*rows), gang(*groups, profiles=(K100, NPU, H100)))

    assert "64 of up to 6561 ways to mix were tried" in result.refusals[0].message


def test_a_selector_keeps_a_group_on_its_maker() -> None:
    """A node selector of the template works as a choice of profile."""
    rows = [dataclasses.replace(row, labels={**row.labels, "maker": row.profile}) for row in TWO_AND_TWO]
    picky = train(nodes=NodeFilter(selector=(("maker", NPU),)))

    found = only(planned(pool(*rows), gang(picky, judge())))

    assert {group: profile for group, _, profile, _ in seats(found)} == {"train": NPU, "judge": K100}
