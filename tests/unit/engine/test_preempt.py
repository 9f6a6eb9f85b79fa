"""Preemption by priority: whole gangs, tried out first, as little work lost as possible."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang, PlanResult, Running
from cardpool.domain.teams import Rules
from cardpool.names import Reason
from tests.support import placements, worlds
from tests.support.preempting import NOW, WITHIN, planned, victims
from tests.support.worlds import full, gang, group, holds


def test_the_lower_priority_goes_and_the_place_is_kept() -> None:
    """The refusal says for whom it waits, and nobody else gets the room meanwhile."""
    old = holds("a/old", 4, priority=1)
    high = gang(group(6), key="a/high", priority=2)
    small = gang(group(1), key="a/small")
    result = planned(full({"a": 8}, old), high, small, running=(old,))
    assert [(e.gang, e.by, e.reason) for e in result.evictions] == [("a/old", "a/high", Reason.PREEMPTED)]
    assert result.preempting[0].nodes() == ("a",) * 6
    assert [(r.gang, r.nodes) for r in result.reservations] == [("a/high", ("a",))]
    assert [(r.gang, r.reason) for r in result.refusals] == [("a/high", Reason.WAITING_FOR_PREEMPTION)]
    assert [p.gang for p in result.placements] == ["a/small"]
    assert "waits until 1 gangs with 4 cards are gone: a/old" in result.refusals[0].message

    two = gang(group(3), key="a/small")
    crowded = planned(full({"a": 8}, old), high, two, running=(old,))
    assert [(r.gang, r.reason) for r in crowded.refusals][1] == ("a/small", Reason.RESERVED_FOR_OTHER)


def test_nobody_goes_while_enough_are_going() -> None:
    """The next cycle sees the victim leave, evicts nobody else and keeps the place."""
    gone, other = holds("a/old", 4, priority=1, leaving=True, preempted=True), holds("a/new", 4, priority=1)
    high, small = gang(group(4), key="a/high", priority=2), gang(group(1), key="a/small")
    result = planned(full({"a": 8}, gone, other), high, small, running=(gone, other))
    assert victims(result) == []
    assert [(r.gang, r.reason) for r in result.refusals] == [
        ("a/high", Reason.WAITING_FOR_PREEMPTION),
        ("a/small", Reason.INSUFFICIENT_CARDS),
    ]
    assert result.placements == ()


def test_who_is_waited_for_is_named_in_one_order() -> None:
    """However the gangs that run are told, the message is the same."""
    one, two = holds("a/one", 2, priority=1), holds("a/two", 2, priority=1)
    high = gang(group(4), key="a/high", priority=2)
    told = [planned(full({"a": 4}, one, two), high, running=order) for order in ((one, two), (two, one))]
    assert told[0] == told[1]
    assert "are gone: a/one, a/two" in told[0].refusals[0].message


NEVER: dict[str, tuple[dict[str, Any], Rules]] = {
    "no preemption in this pool": ({"priority": 1}, Rules()),
    "equal priority": ({"priority": 2}, WITHIN),
    "another team": ({"priority": 1, "team": "b"}, WITHIN),
    "minimum run time": ({"priority": 1, "started": NOW - 5.0}, Rules(within_team=True, min_runtime=10.0)),
    "it would not help": ({"priority": 1, "pods": (("a", 1, {}),)}, WITHIN),
}


@pytest.mark.parametrize(("fields", "rules"), NEVER.values(), ids=NEVER)
def test_nobody_goes(fields: dict[str, Any], rules: Rules) -> None:
    """Rules, protection, or no use."""
    old, rest = holds("a/old", 4, **fields), holds("b/rest", 3, team="b", priority=9)
    result = planned(full({"a": 8}, old, rest), gang(group(6), priority=2), running=(old, rest), rules=rules)
    assert (result.evictions, result.preempting) == ((), ())
    assert result.refusals[0].reason is Reason.INSUFFICIENT_CARDS


def test_a_gang_that_is_protected_wakes_the_cycle_when_it_is_no_more() -> None:
    """The minimum run time ends by itself."""
    old = holds("a/old", 8, priority=1, started=NOW - 5.0)
    law = Rules(within_team=True, min_runtime=10.0, patience=0.0)
    assert planned(full({"a": 8}, old), gang(group(6), priority=2), running=(old,), rules=law).wake == NOW + 5.0


def test_those_whom_nothing_helps_keep_nobody_from_being_helped() -> None:
    """Many that are too large come first; the one that fits is looked at all the same."""
    old = holds("a/old", 4, priority=0)
    large = [gang(group(9 + number), key=f"a/{number}", priority=5) for number in range(40)]
    result = planned(full({"a": 8}, old), *large, gang(group(6), key="a/fits", priority=4), running=(old,))
    assert [(e.gang, e.by) for e in result.evictions] == [("a/old", "a/fits")]


def test_least_work_lost() -> None:
    """The checkpoint counts, not the age; three small ones rather than one that would lose more."""
    saved = holds("a/saved", 4, "a", priority=1, checkpoint=NOW - 10.0)
    long = holds("a/long", 4, "b", priority=0)
    result = planned(full({"a": 4, "b": 4}, saved, long), gang(group(4), priority=2), running=(saved, long))
    assert victims(result) == ["a/saved"]

    small = tuple(holds(f"a/s{n}", 1, "a", started=NOW - 1.0) for n in range(4))
    big = holds("a/big", 4, "b", started=NOW - 2.0)
    result = planned(full({"a": 4, "b": 4}, *small, big), gang(group(4), priority=2), running=(*small, big))
    assert victims(result) == ["a/s0", "a/s1", "a/s2", "a/s3"]


def test_fewest_gangs_and_then_the_lower_priority() -> None:
    """Equal work: one gang rather than two, and of two the one that matters less."""
    pair = tuple(holds(f"a/p{n}", 2, "a", priority=0) for n in range(2))
    one = holds("a/one", 4, "b", priority=0)
    result = planned(full({"a": 4, "b": 4}, *pair, one), gang(group(4), priority=3), running=(*pair, one))
    assert victims(result) == ["a/one"]
    two, low = holds("a/two", 4, "a", priority=2), holds("a/low", 4, "b", priority=1)
    wants = gang(group(2), priority=3, demand=worlds.topology(required="node"))
    assert victims(planned(full({"a": 5, "b": 5}, two, low), wants, running=(two, low))) == ["a/low"]


def test_eleven_pods_of_which_one_card_is_needed() -> None:
    """One eviction, though many would do."""
    many = tuple(holds(f"a/v{n:02d}", 1, "a", priority=0) for n in range(11))
    result = planned(full({"a": 11}, *many), gang(group(1), priority=1), running=many)
    assert len(result.evictions) == 1


def test_victims_inside_one_domain() -> None:
    """A rack is cleared; half a rack here and half there help nobody."""
    running = tuple(
        holds(f"a/{rack}{n}", 4, f"{rack}-{n}", priority=0, started=NOW - cost)
        for rack, costs in (("r1", (1, 90)), ("r2", (40, 41)), ("r3", (2, 95)))
        for n, cost in enumerate(costs)
    )
    inventory = full({"r1": [4, 4], "r2": [4, 4], "r3": [4, 4]}, *running, levels=("rack",))
    wants = gang(group(8), priority=1, demand=worlds.topology(required="rack"))
    assert victims(planned(inventory, wants, running=running)) == ["a/r20", "a/r21"]


def test_what_is_lost_under_a_gang_does_not_come_back() -> None:
    """A node of 8 that lost 2 cards under a gang of 8 has 6 when it is gone."""
    old = holds("a/old", 8, priority=0)
    inventory = worlds.pool({"a": 8}, (), changes={"a": {"used_cards": 8, "cards_usable": 6}})
    assert victims(planned(inventory, gang(group(7), priority=1), running=(old,))) == []
    assert victims(planned(inventory, gang(group(6), priority=1), running=(old,))) == ["a/old"]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[Running, ...], Gang]:
    """Nodes in racks, filled by small gangs of several priorities, and one that wants in."""
    names = [f"n{number}" for number in range(draw(st.integers(2, 4)))]
    racks: dict[str, dict[str, int]] = {}
    left: dict[str, int] = {}
    for name in names:
        left[name] = draw(st.integers(2, 4))
        racks.setdefault(draw(st.sampled_from("xy")), {})[name] = left[name]
    running = []
    for number in range(draw(st.integers(1, 6))):
        pods: list[tuple[str, int, dict[str, int]]] = []
        for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)):
            if left[name]:
                pods.append((name, 1, {}))
                left[name] -= 1
        if pods:
            priority, age = draw(st.integers(0, 2)), draw(st.integers(0, 5))
            running.append(holds(f"a/r{number}", 0, pods=tuple(pods), priority=priority, started=NOW - age))
    required = draw(st.sampled_from(("", "rack", "node")))
    wants = gang(group(draw(st.integers(1, 6))), key="a/new", priority=2, demand=worlds.topology(required=required))
    return racks, tuple(running), wants


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(crowds())
def test_somebody_goes_exactly_where_that_helps_and_nobody_in_vain(case: Any) -> None:
    """Against an exhaustive search: a choice is found where there is one, it suffices, and no part of it does."""
    racks, running, wants = case
    inventory = full(racks, *running, levels=("rack",))
    result = planned(inventory, wants, running=running)
    if placements.exists(inventory, wants):
        assert (len(result.placements), victims(result)) == (1, [])
        return
    lower = [one for one in running if one.priority < 2]

    def fits(gone: list[Running]) -> bool:
        stay = [one for one in running if one not in gone]
        return placements.exists(full(racks, *stay, levels=("rack",)), wants)

    chosen = [one for one in running if one.key in victims(result)]
    assert fits(lower) == bool(chosen)
    assert all(one in lower for one in chosen)
    if chosen:
        assert fits(chosen)
        assert not any(fits([other for other in chosen if other is not one]) for one in chosen)
        after = full(racks, *[one for one in running if one not in chosen], levels=("rack",))
        promise = PlanResult(placements=result.preempting)
        assert placements.violations(after, [wants], promise) == []
