"""Teams: who may use how much, what may be borrowed, and what a refusal says of it."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.domain.gangs import Gang, Option, PlanResult
from cardpool.domain.teams import ALL, Limit, Rules, Team
from cardpool.engine import build, plan
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group, holds

OTHER = "ascend-910b"


def rules(**teams: Any) -> Rules:
    """Teams by name, each with its limits in cards of the one profile: (nominal, borrow, lend)."""
    return Rules({
        name: Team(name, limits=tuple(limit if isinstance(limit, Limit) else Limit(worlds.PROFILE, *limit)
                                      for limit in limits))
        for name, limits in teams.items()
    })  # fmt: skip


def planned(law: Rules, *gangs: Gang, running: Any = (), cards: int = 100, strategy: str = "BestEffort") -> PlanResult:
    """One cycle on one big node."""
    inventory = worlds.pool({"a": cards}, ())
    return plan.plan(inventory, gangs, now=0.0, strategy=strategy, running=running, rules=law)


LIMITS: dict[str, tuple[dict[str, Any], dict[str, int], int, bool]] = {
    "no quota, no limit": ({}, {}, 90, True),
    "inside": ({"a": [(8,)]}, {}, 8, True),
    "alone there is nobody to borrow from": ({"a": [(8,)]}, {}, 9, False),
    "what runs counts": ({"a": [(8,)]}, {"a": 4}, 5, False),
    "borrow what another leaves": ({"a": [(8,)], "b": [(8,)]}, {"b": 4}, 12, True),
    "but no more than that": ({"a": [(8,)], "b": [(8,)]}, {"b": 4}, 13, False),
    "borrow limit": ({"a": [(8, 2)], "b": [(8,)]}, {}, 11, False),
    "up to the borrow limit": ({"a": [(8, 2)], "b": [(8,)]}, {}, 10, True),
    "lend limit": ({"a": [(8,)], "b": [(8, None, 2)]}, {}, 11, False),
    "up to the lend limit": ({"a": [(8,)], "b": [(8, None, 2)]}, {}, 10, True),
    "what a third has borrowed is gone": ({"a": [(8,)], "b": [(8,)], "c": [(0,)]}, {"c": 6}, 11, False),
    "the own quota is the team's though others borrow": ({"a": [(8,)], "b": [(0,)]}, {"b": 8}, 8, True),
    "a team without quota lends nothing": ({"a": [(8,)], "b": []}, {}, 9, False),
    "a quota of nothing": ({"a": [(0, 0)]}, {}, 1, False),
}


@pytest.mark.parametrize(("teams", "used", "want", "fits"), LIMITS.values(), ids=LIMITS)
def test_what_a_team_may_use(teams: dict[str, Any], used: dict[str, int], want: int, fits: bool) -> None:
    """Nominal quota always, beyond it what others leave and lend."""
    running = [holds(f"{team}/runs", cards, team=team) for team, cards in used.items()]
    result = planned(rules(**teams), gang(group(want), key="a/new", team="a"), running=running)
    assert fits == bool(result.placements)
    assert fits or result.refusals[0].reason is Reason.QUOTA_EXCEEDED


def test_gangs_of_one_cycle_share_the_quota() -> None:
    """The second gang sees what the first took."""
    two = [gang(group(5), key=f"a/{number}", created=number, team="a") for number in (1.0, 2.0)]
    result = planned(rules(a=[(8,)]), *two)
    assert [placement.gang for placement in result.placements] == ["a/1.0"]
    assert [refusal.gang for refusal in result.refusals] == ["a/2.0"]


def test_a_refusal_counts() -> None:
    """Used, nominal, to be borrowed, needed, and who borrows."""
    law = rules(a=[(8,)], b=[(4,)], c=[(2,)])
    running = [holds("a/runs", 6, team="a"), holds("b/runs", 5, team="b")]
    refusal = planned(law, gang(group(4), team="a"), running=running).refusals[0]
    expected = "profile k100: team a uses 6 of 8 k100 cards (+1 it may borrow now), needs 4; team b borrows 1"
    assert refusal.message == expected
    assert (refusal.fit, refusal.want) == (0, 4)


def test_a_gang_larger_than_any_quota_is_told_so() -> None:
    """Waiting would not help."""
    assert "more than it can ever get" in planned(rules(a=[(8,)]), gang(group(9), team="a")).refusals[0].message


def two_makers(law: Rules, *gangs: Gang, running: Any = ()) -> PlanResult:
    """A cycle over one node of each maker."""
    rows = [worlds.node("a", 16), worlds.node("b", 16, profile=OTHER)]
    inventory = build.build_inventory(rows, (worlds.PROFILE, OTHER), (worlds.tree(), worlds.tree()))
    return plan.plan(inventory, gangs, now=0.0, running=running, rules=law)


def either(cards: int, **fields: Any) -> Gang:
    """A gang that prefers the first maker."""
    return gang(options=(Option(worlds.PROFILE, (group(cards),)), Option(OTHER, (group(cards),))), **fields)


def test_the_next_profile_where_quota_of_the_first_is_full() -> None:
    """Quota of one maker does not bind the other."""
    result = two_makers(rules(a=[(4,)]), either(8, team="a"))
    assert [placement.profile for placement in result.placements] == [OTHER]


def test_quota_is_the_reason_only_where_it_binds_everywhere() -> None:
    """One option lacks quota, the other room."""
    refusal = two_makers(rules(a=[(4,)]), either(17, team="a")).refusals[0]
    assert refusal.reason is Reason.INSUFFICIENT_CARDS
    assert "needs 17" in refusal.message


def test_compute_over_all_profiles() -> None:
    """Percent-cards: 4 cards of 100 and 4 of 300 are 1600."""
    limit = Limit(ALL, 1600, compute=True)
    law = Rules({"a": Team("a", limits=(limit,))}, {OTHER: 300})
    running = [holds("a/runs", 4, team="a")]
    for cards, fits in ((4, True), (5, False)):
        one = gang(options=(Option(OTHER, (group(cards),)),), team="a")
        assert fits == bool(two_makers(law, one, running=running).placements)


def test_a_gang_that_leaves_for_another_uses_no_quota() -> None:
    """One that is restarted keeps it until it is gone."""
    for preempted, fits in ((True, True), (False, False)):
        running = [holds("a/runs", 8, team="a", leaving=True, preempted=preempted)]
        assert fits == bool(planned(rules(a=[(8,)]), gang(group(8), team="a"), running=running).placements)


def test_strict_keeps_quota_inside_the_team() -> None:
    """A gang of the same team may not pass one that waits for quota; another team's may."""
    queue = [
        gang(group(8), key="a/big", team="a", priority=2),
        gang(group(1), key="a/small", team="a", priority=1),
        gang(group(1), key="b/small", team="b"),
    ]
    result = planned(rules(a=[(8,)]), *queue, running=[holds("a/runs", 4, team="a")], strategy="Strict")
    assert [placement.gang for placement in result.placements] == ["b/small"]
    assert [(refusal.gang, refusal.reason) for refusal in result.refusals] == [
        ("a/big", Reason.QUOTA_EXCEEDED),
        ("a/small", Reason.RESERVED_FOR_OTHER),
    ]


def order_of(law: Rules, *gangs: Gang, running: Any = ()) -> list[str]:
    """Who is asked first, seen by who waits in which place for a card that nobody gets."""
    inventory = worlds.pool({"a": 10}, (), changes={"a": {"used_cards": 10}})
    return [refusal.gang for refusal in plan.plan(inventory, gangs, now=0.0, running=running, rules=law).refusals]


def test_priority_then_share_then_age() -> None:
    """The team that holds less comes first among equals; a weight of two halves its share."""
    running = [holds("a/runs", 6, team="a"), holds("b/runs", 4, team="b")]
    queue = [
        gang(group(1), key="a/x", team="a", created=1.0),
        gang(group(1), key="b/x", team="b", created=2.0),
        gang(group(1), key="a/high", team="a", priority=1, created=3.0),
    ]
    assert order_of(rules(a=[], b=[]), *queue, running=running) == ["a/high", "b/x", "a/x"]
    heavy = Rules({"a": Team("a", weight=2), "b": Team("b")})
    assert order_of(heavy, *queue, running=running) == ["a/high", "a/x", "b/x"]


def test_what_a_team_used_lately_counts() -> None:
    """Nobody holds anything, one team had more of late."""
    law = Rules({"a": Team("a", lately=500.0), "b": Team("b")})
    queue = [gang(group(1), key=f"{team}/x", team=team, created=at) for team, at in (("a", 1.0), ("b", 2.0))]
    assert order_of(law, *queue) == ["b/x", "a/x"]


def test_each_placement_moves_its_team_back() -> None:
    """Two teams take turns though all jobs of one are older."""
    queue = [gang(group(1), key=f"a/{n}", team="a", created=float(n)) for n in range(4)]
    queue += [gang(group(1), key=f"b/{n}", team="b", created=10.0 + n) for n in range(4)]
    result = planned(rules(), *queue, cards=4)
    assert [placement.gang for placement in result.placements] == ["a/0", "b/0", "a/1", "b/1"]
