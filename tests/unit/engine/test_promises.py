"""What is promised to a preemptor holds in the next cycle, or nobody is evicted for it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from cardpool.domain.gangs import Gang, PlanResult, Running
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import Limit, Reclaim, Rules, Team
from cardpool.engine import future, ground, occupancy, plan
from tests.support import worlds
from tests.support.worlds import gang, group, holds

NOW = 1000.0


def teams(**nominal: int) -> Rules:
    """Teams with quotas of the one profile, which they take back from anybody."""
    limits = {name: Team(name, limits=(Limit(worlds.PROFILE, cards),)) for name, cards in nominal.items()}
    return Rules(limits, within_team=True, reclaim=Reclaim.ANY)


def pool(nodes: dict[str, int], *running: Running) -> Inventory:
    """Nodes of which these gangs hold cards."""
    used = dict.fromkeys(nodes, 0)
    for one in running:
        for node, cards, _ in one.pods:
            used[node] += cards
    changes = {node: {"used_cards": cards, "pods_used": int(cards > 0)} for node, cards in used.items()}
    return worlds.pool(nodes, (), changes=changes)


def cycles(
    nodes: dict[str, int],
    rules: Rules,
    running: list[Running],
    waiting: list[Gang],
    strategy: str = plan.Strategy.BACKFILL,
) -> list[PlanResult]:
    """A cycle, one in which the victims are going, and one in which they are gone and wait again, each as one pod."""

    def cycle(present: list[Running], gangs: list[Gang]) -> PlanResult:
        return plan.plan(pool(nodes, *present), gangs, now=NOW, running=present, rules=rules, strategy=strategy)

    first = cycle(running, waiting)
    gone = {eviction.gang for eviction in first.evictions}
    going = [
        holds(one.key, 0, pods=one.pods, team=one.team, priority=one.priority, leaving=True, preempted=True)
        if one.key in gone
        else one
        for one in running
    ]
    again = [
        gang(group(1, one.cards()), key=one.key, team=one.team, priority=one.priority)
        for one in running
        if one.key in gone
    ]
    stays = [one for one in running if one.key not in gone]
    return [first, cycle(going, waiting), cycle(stays, [*waiting, *again])]


def test_who_asks_for_more_than_its_team_can_ever_have_hides_nobody() -> None:
    """The victim of a higher priority waits until the owner of the quota has started."""
    old = holds("c/old", 4, team="c", priority=3)
    huge = gang(group(6), key="a/huge", team="a", priority=2)
    small = gang(group(3), key="a/small", team="a", priority=0)
    first, going, then = cycles({"a": 5}, teams(a=5), [old], [huge, small])
    assert [eviction.gang for eviction in first.evictions] == ["c/old"]
    assert [placement.gang for placement in going.preempting] == ["a/small"]
    assert [placement.gang for placement in then.placements] == ["a/small"]


@pytest.mark.parametrize(("priority", "goes"), [(9, False), (1, False), (0, True)], ids=["higher", "equal", "lower"])
def test_behind_one_of_its_team_that_would_borrow(priority: int, goes: bool) -> None:
    """A gang inside its quota takes down only those that are asked after the one of its team before it."""
    old = holds("c/old", 4, team="c", priority=priority)
    wide = gang(group(6), key="a/wide", team="a", priority=1)
    small = gang(group(3), key="a/small", team="a", priority=0)
    first, going, then = cycles({"a": 5}, teams(a=4, b=4), [old], [wide, small])
    started = ["a/small"] if goes else []
    assert [eviction.by for eviction in first.evictions] == started
    assert [placement.gang for placement in going.preempting] == started
    assert [placement.gang for placement in then.placements] == started


@pytest.mark.parametrize(("priority", "goes"), [(9, False), (0, True)], ids=["higher", "equal"])
def test_a_victim_that_is_inside_its_quota_once_the_others_are_gone(priority: int, goes: bool) -> None:
    """Both had to go, and the first would come back before the preemptor: neither does."""
    running = [
        holds("b/two", 2, "x", team="b", priority=priority, started=NOW - 9.0),
        holds("b/four", 4, "x", team="b", priority=priority, started=NOW - 99.0),
        holds("b/three", 3, "y", team="b", priority=priority),
    ]
    own = gang(group(1, 6), key="a/own", team="a")
    first, _, then = cycles({"x": 6, "y": 5}, teams(a=6, b=6), running, [own])
    assert sorted(eviction.gang for eviction in first.evictions) == (["b/four", "b/two"] if goes else [])
    assert ("a/own" in [placement.gang for placement in then.placements]) == goes


def test_a_borrower_that_has_quota_for_another_profile_that_it_accepts() -> None:
    """It would be asked with those inside their quota, before the owner, and take its room again: so it stays."""
    old = holds("c/old", 4, "x", team="c", priority=9)
    law = Rules({"a": Team("a", limits=(Limit(worlds.PROFILE, 4),)), "c": Team("c", limits=(Limit("npu", 4),))})
    law = dataclasses.replace(law, reclaim=Reclaim.ANY)
    own = gang(group(4), key="a/own", team="a")
    accepts = ((worlds.PROFILE, 4), ("npu", 4))
    first, _, then = cycles({"x": 4}, law, [old], [own])
    assert [eviction.gang for eviction in first.evictions] == ["c/old"]
    assert [placement.gang for placement in then.placements] == ["a/own"]
    stays, _, _ = cycles({"x": 4}, law, [dataclasses.replace(old, accepts=accepts)], [own])
    assert (stays.evictions, stays.preempting) == ((), ())


RIVALS = [
    pytest.param(gang(group(2), key="b/first", team="b", priority=2), id="before it"),
    pytest.param(gang(group(2), key="c/young", team="c", priority=1, created=5.0), id="before it when c has less"),
]


@pytest.mark.parametrize("rival", RIVALS)
def test_those_before_the_preemptor_who_evict_nobody_find_room_too(rival: Gang) -> None:
    """They have no quota to reclaim with, and are asked first: so two go at once, and both start in one cycle."""
    running = [holds(f"c/{number}", 2, "x", team="c", started=NOW - number) for number in range(2)]
    law = Rules({"a": Team("a", limits=(Limit(worlds.PROFILE, 5),))}, reclaim=Reclaim.LOWER_PRIORITY)
    own = gang(group(2), key="a/own", team="a", priority=1)
    held = holds("a/old", 3, "y", team="a")
    nodes = {"x": 4, "y": 3}
    first, going, then = cycles(nodes, law, [*running, held], [own, rival], plan.Strategy.BEST_EFFORT)
    assert [(eviction.gang, eviction.by) for eviction in first.evictions] == [("c/0", "a/own"), ("c/1", "a/own")]
    assert going.evictions == ()
    assert (sorted(placement.gang for placement in then.placements), then.evictions) == (
        sorted(["a/own", rival.key]),
        (),
    )


def test_whoever_is_not_needed_once_more_had_to_go_stays() -> None:
    """The cheapest goes to the rival, so a larger one has to go too: that one makes room for both."""
    running = [holds("c/small", 2, "x", team="c", started=NOW - 1), holds("c/large", 4, "y", team="c", started=NOW - 9)]
    law = Rules({"a": Team("a", limits=(Limit(worlds.PROFILE, 2),))}, reclaim=Reclaim.LOWER_PRIORITY)
    own, rival = gang(group(2), key="a/own", team="a", priority=1), gang(group(2), key="b/first", team="b", priority=2)
    first, _, then = cycles({"x": 2, "y": 4}, law, running, [own, rival], plan.Strategy.BEST_EFFORT)
    assert [eviction.gang for eviction in first.evictions] == ["c/large"]
    assert sorted(placement.gang for placement in then.placements) == ["a/own", "b/first"]


def test_nobody_goes_for_a_preemptor_that_has_no_place_beside_those_before_it() -> None:
    """The first takes all that can become free."""
    running = [holds("c/one", 2, "x", team="c")]
    law = Rules({"a": Team("a", limits=(Limit(worlds.PROFILE, 4),))}, reclaim=Reclaim.LOWER_PRIORITY)
    waiting = [gang(group(2), key=f"{team}/new", team=team, priority=1 + (team == "b")) for team in "ab"]
    first, _, _ = cycles({"x": 2}, law, running, waiting, plan.Strategy.BEST_EFFORT)
    assert (first.evictions, first.preempting) == ((), ())


def test_a_node_that_everybody_has_left_is_like_one_that_nobody_used() -> None:
    """Else the promised place would be another than the one that is given."""
    old, other = holds("a/old", 4, "a"), holds("a/other", 1, "b")
    start = ground.start(pool({"a": 4, "b": 4, "c": 4}, old, other), 0)
    rooms = occupancy.rooms(start, [old, other])
    late = future.Future(start, tracked=False)
    late.settle(rooms[:1])
    assert late.ground.busy.tolist() == [False, True, False]
    late.settle(rooms[:1], -1)
    assert np.array_equal(late.ground.busy, start.busy)
