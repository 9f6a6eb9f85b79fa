"""A gang on several profiles: groups apart, all or nothing, in the order of preference, inside every quota."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from cardpool.domain.gangs import Gang, GroupShape, Mix, NodeFilter, Option, Placement, PlanResult
from cardpool.domain.inventory import Cause, Inventory
from cardpool.domain.teams import Limit, Reclaim, Rules, Team
from cardpool.engine import build, plan
from cardpool.names import Reason
from tests.support import worlds

K100, NPU, H100 = "k100", "npu", "h100"
ZONE, RACK = worlds.LABEL + "zone", worlds.LABEL + "rack"


def node(name: str, profile: str, cards: int = 8, **fields: Any) -> build.NodeRow:
    """A node of a profile; its zone is the first letter of its name unless labels are given."""
    fields.setdefault("labels", {ZONE: name[0], RACK: name[0]})
    return worlds.node(name, cards, profile=profile, **fields)


def pool(*rows: build.NodeRow, levels: Mapping[str, Sequence[str]] | None = None) -> Inventory:
    """An inventory of the profiles that the rows have, in the order k100, npu, h100; levels by profile."""
    profiles = tuple(name for name in (K100, NPU, H100) if any(row.profile == name for row in rows))
    trees = tuple(worlds.tree(*(levels or {}).get(name, ("zone",))) for name in profiles)
    return build.build_inventory(rows, profiles, trees)


def gang(
    *groups: GroupShape | Mapping[str, GroupShape],
    key: str = "team-a/job",
    profiles: Sequence[str] = (K100, NPU),
    within: bool = False,
    **fields: Any,
) -> Gang:
    """A gang that may be mixed; a group given by profile runs on these alone."""
    table = [group if isinstance(group, Mapping) else dict.fromkeys(profiles, group) for group in groups]
    mix = Mix(tuple(profiles), tuple(tuple(shapes.get(name) for name in profiles) for shapes in table), within)
    options = tuple(
        Option(name, tuple(shapes[name] for shapes in table))
        for name in profiles
        if all(name in shapes for shapes in table)
    )
    return worlds.gang(key=key, options=options, mix=mix, **fields)


def train(pods: int = 2, **fields: Any) -> GroupShape:
    """A group of whole nodes."""
    return worlds.group(pods, 8, "train", **fields)


def judge(pods: int = 2, **fields: Any) -> GroupShape:
    """Another one."""
    return worlds.group(pods, 8, "judge", **fields)


def planned(inventory: Inventory, *gangs: Gang, **fields: Any) -> PlanResult:
    """One cycle."""
    return plan.plan(inventory, gangs, now=0.0, **fields)


def seats(placement: Placement) -> list[tuple[str, int, str, str]]:
    """Group, index, profile and node of each pod."""
    return [
        (part.group, part.from_index + at, part.profile, name)
        for part in placement.segments
        for at, name in enumerate(part.nodes)
    ]


def only(result: PlanResult) -> Placement:
    """The placement of the only gang."""
    assert result.refusals == ()
    return result.placements[0]


TWO_AND_TWO = (node("a1", K100), node("a2", K100), node("a3", NPU), node("a4", NPU))


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


def rules(*limits: Limit) -> Rules:
    """A team with these limits; a card of npu is half as much as one of k100."""
    return Rules(teams={"default": Team("default", limits=limits)}, compute={K100: 100, NPU: 50})


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (Limit(NPU, 8), "team default uses 0 of 8 npu cards (+0 it may borrow now), needs 16"),
        (Limit("*", 2399, compute=True), "uses 0 of 2399 percent-cards (+0 it may borrow now), needs 2400"),
        (Limit("*", 31), "uses 0 of 31 cards"),
        (Limit(NPU, 16), ""),
        (Limit("*", 2400, compute=True), ""),
    ],
    ids=["profile", "compute of all", "cards of all", "profile enough", "compute enough"],
)
def test_a_mixed_gang_draws_on_every_quota(limit: Limit, told: str) -> None:
    """Cards of each profile, and the compute of all together."""
    result = planned(pool(*TWO_AND_TWO), gang({K100: train()}, {NPU: judge()}), rules=rules(limit))

    assert [refusal.reason for refusal in result.refusals] == ([Reason.QUOTA_EXCEEDED] if told else [])
    assert told in (result.refusals[0].message if told else "")


def test_quota_counts_what_mixed_gangs_took_in_the_cycle() -> None:
    """The second gang of the team finds less on both profiles."""
    rows = [node(f"a{at}", K100) for at in range(4)] + [node(f"a{at}", NPU) for at in range(4, 8)]
    limits = rules(Limit(K100, 24), Limit(NPU, 24))
    gangs = [gang({K100: train()}, {NPU: judge()}, key=f"team-a/{at}", created=float(at)) for at in range(2)]

    result = planned(pool(*rows), *gangs, rules=limits)

    assert [placement.gang for placement in result.placements] == ["team-a/0"]
    assert "uses 16 of 24 k100 cards" in result.refusals[0].message


def test_running_mixed_gangs_count_on_each_of_their_profiles() -> None:
    """Quota and dominant share see both parts."""
    one = worlds.holds("team-a/run", 0, pods=(("a1", 8, {}), ("a3", 8, {})), mixed=((K100, 8), (NPU, 8)))
    limits = rules(Limit(NPU, 8))

    result = planned(pool(*TWO_AND_TWO), gang({K100: train(1)}, {NPU: judge(1)}), rules=limits, running=[one])

    assert "team default uses 8 of 8 npu cards" in result.refusals[0].message


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


def test_a_mixed_gang_goes_once_and_from_all_its_profiles() -> None:
    """Two gangs of higher priority want one profile each; the mixed one goes for the first, the second has its room."""
    old = worlds.holds("team-a/old", 0, pods=(("a1", 8, {}), ("a2", 8, {})), mixed=((K100, 8), (NPU, 8)))
    rows = [node("a1", K100, free=0), node("a2", NPU, free=0)]
    one = worlds.gang(key="team-a/1", options=(Option(K100, (train(1),)),), priority=1, created=1.0)
    two = worlds.gang(key="team-a/2", options=(Option(NPU, (train(1),)),), priority=1, created=2.0)
    three = worlds.gang(key="team-a/3", options=(Option(NPU, (train(1),)),), created=3.0)
    limits = Rules(within_team=True)

    result = planned(pool(*rows), one, two, three, running=[old], rules=limits, strategy="Backfill")

    assert [(item.gang, item.by) for item in result.evictions] == [("team-a/old", "team-a/1")]
    assert [(item.gang, item.nodes) for item in result.reservations] == [("team-a/1", ("a1",)), ("team-a/2", ("a2",))]
    assert [refusal.reason for refusal in result.refusals] == [
        Reason.WAITING_FOR_PREEMPTION,
        Reason.INSUFFICIENT_CARDS,
        Reason.INSUFFICIENT_CARDS,
    ]


def test_a_mixed_gang_of_a_team_inside_its_quota_anywhere_is_left_alone() -> None:
    """Its team borrows on one profile and is inside its quota on the other: nothing is reclaimed across that."""
    old = worlds.holds("team-b/old", 0, team="b", pods=(("a1", 8, {}), ("a2", 8, {})), mixed=((K100, 8), (NPU, 8)))
    rows = [node("a1", K100, free=0), node("a2", NPU, free=0)]
    new = worlds.gang(key="team-a/1", options=(Option(K100, (train(1),)),), team="a")

    def evictions(npu: int) -> int:
        teams = {
            "a": Team("a", limits=(Limit(K100, 8),)),
            "b": Team("b", limits=(Limit(K100, 0), Limit(NPU, npu))),
        }
        limits = Rules(teams=teams, reclaim=Reclaim.ANY)
        return len(planned(pool(*rows), new, running=[old], rules=limits).evictions)

    assert (evictions(0), evictions(8)) == (1, 0)


def single(key: str, profile: str, created: float, **fields: Any) -> Gang:
    """A gang of one whole node on one profile."""
    return worlds.gang(key=key, options=(Option(profile, (train(1),)),), created=created, **fields)


def test_a_mixed_head_has_a_reservation_on_both_profiles() -> None:
    """Its k100 part could start now, its npu part in 600 s: until then others use k100 if they are gone in time."""
    rows = [node("a1", K100), node("a2", NPU, free=0)]
    old = worlds.holds("team-a/old", 8, "a2", profile=NPU, ends=600.0)
    head = gang({K100: train(1)}, {NPU: judge(1)}, key="team-a/head", created=1.0)
    long, short = single("team-a/long", K100, 2.0), single("team-a/short", K100, 3.0, runtime=500.0)
    late = single("team-a/late", K100, 3.0, runtime=700.0)

    result = planned(pool(*rows), head, long, late, short, running=[old], strategy="Backfill")

    assert [(item.gang, item.nodes, item.start) for item in result.reservations] == [
        ("team-a/head", ("a1", "a2"), 600.0)
    ]
    assert [item.gang for item in result.placements] == ["team-a/short"]
    reasons = {refusal.gang: refusal.reason for refusal in result.refusals}
    assert reasons["team-a/long"] is reasons["team-a/late"] is Reason.RESERVED_FOR_OTHER
    first = next(refusal for refusal in result.refusals if refusal.gang == "team-a/head")
    assert "first in line: 2 nodes are kept for it from 1970-01-01T00:10:00Z on, when 1 gangs" in first.message


def test_a_mixed_head_waits_for_an_unknown_end_only_when_its_patience_is_over() -> None:
    """Nobody says when the other gang ends: for 300 s everybody passes, then room is kept on both."""
    rows = [node("a1", K100), node("a2", NPU, free=0)]
    old = worlds.holds("team-a/old", 8, "a2", profile=NPU)
    head = gang({K100: train(1)}, {NPU: judge(1)}, key="team-a/head", created=0.0)
    other = single("team-a/other", K100, 1.0)

    def nodes(now: float) -> list[tuple[str, ...]]:
        result = plan.plan(pool(*rows), [head, other], now=now, strategy="Backfill", running=[old])
        return [item.nodes for item in (*result.reservations, *result.placements) if not isinstance(item, Placement)]

    assert (nodes(10.0), nodes(400.0)) == ([], [("a1", "a2")])


def test_a_mixed_head_keeps_to_one_domain() -> None:
    """Both zones have room on both makers one day; the one that is free sooner is kept, whole."""
    rows = [node(f"{zone}{at}", (K100, NPU)[at], free=0) for zone in "ab" for at in range(2)]
    old = [
        worlds.holds(f"team-a/{name}", 8, name, profile=profile, ends=end)
        for name, profile, end in (("a0", K100, 100.0), ("b1", NPU, 200.0), ("a1", NPU, 900.0), ("b0", K100, 300.0))
    ]
    head = gang({K100: train(1)}, {NPU: judge(1)}, demand=worlds.topology("zone"))

    result = planned(pool(*rows), head, running=old, strategy="Backfill")

    assert [(item.nodes, item.start) for item in result.reservations] == [(("b0", "b1"), 300.0)]


def test_a_head_that_is_spread_pod_by_pod_has_a_reservation() -> None:
    """Three pods on two nodes of each maker, all in use: room is kept for two and one."""
    rows = [node(f"a{at}", (K100, NPU)[at % 2], free=0) for at in range(4)]
    old = [
        worlds.holds(f"team-a/{at}", 8, f"a{at}", profile=(K100, NPU)[at % 2], ends=100.0 * (at + 1)) for at in range(4)
    ]

    result = planned(pool(*rows), gang(train(3), within=True), running=old, strategy="Backfill")

    assert [(item.nodes, item.start) for item in result.reservations] == [(("a0", "a2", "a1"), 300.0)]


def test_quota_is_kept_for_a_mixed_head() -> None:
    """It has waited for its team's quota for long: a later gang of the team does not take what is left of it."""
    limits = rules(Limit(K100, 16), Limit(NPU, 16))
    old = worlds.holds("team-a/old", 8, "a1")
    head = gang({K100: train()}, {NPU: judge()}, key="team-a/head", created=0.0)
    rows = (node("a1", K100, free=0), *TWO_AND_TWO[1:], node("a5", K100))

    result = plan.plan(
        pool(*rows),
        [head, single("team-a/other", K100, 1.0)],
        now=400.0,
        rules=limits,
        running=[old],
        strategy="Backfill",
    )

    assert result.placements == ()
    assert [refusal.reason for refusal in result.refusals] == [Reason.QUOTA_EXCEEDED, Reason.RESERVED_FOR_OTHER]


def test_a_mix_inside_the_quota_comes_before_who_would_borrow() -> None:
    """Where borrowed quota is reclaimed from any priority, only the mixed gang of the younger stays inside its own."""
    teams = {
        "a": Team("a", limits=(Limit(K100, 8), Limit(NPU, 8))),
        "b": Team("b", limits=(Limit(K100, 0), Limit(NPU, 8))),
    }
    inside = gang({K100: train(1)}, {NPU: judge(1)}, key="team-a/mix", team="a", created=2.0)
    borrows = single("team-b/one", K100, 1.0, team="b")
    limits = Rules(teams=teams, reclaim=Reclaim.ANY)

    result = planned(pool(node("a1", K100), node("a2", NPU)), borrows, inside, rules=limits)

    assert [item.gang for item in result.placements] == ["team-a/mix"]
