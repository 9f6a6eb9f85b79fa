"""Backfill: the head has a reservation, later gangs pass only without delaying it, and nobody starves."""

from __future__ import annotations

import dataclasses
import itertools
import random
from typing import Any

import pytest

from cardpool.domain.gangs import Gang, Option, PlanResult, Running
from cardpool.domain.teams import Limit, Rules, Team
from cardpool.engine import build, plan
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group, holds

NOW = 10_000.0
RULES = Rules(patience=300.0)


def planned(
    free: dict[str, tuple[int, int]], *gangs: Gang, running: Any = (), rules: Rules = RULES, strategy: str = "Backfill"
) -> PlanResult:
    """One cycle; nodes as (cards, in use)."""
    changes = {name: {"used_cards": used} for name, (_, used) in free.items()}
    inventory = worlds.pool({name: cards for name, (cards, _) in free.items()}, (), changes=changes)
    return plan.plan(inventory, gangs, now=NOW, running=running, rules=rules, strategy=strategy)


def head(pods: int, **fields: Any) -> Gang:
    """The first in line, in the queue for ten seconds."""
    return gang(group(pods), key="a/head", **{"priority": 1, "created": NOW - 10.0, **fields})


RUNS = (holds("a/soon", 4, "a", ends=NOW + 100.0), holds("a/late", 4, "b", ends=NOW + 900.0))

PASSES: dict[str, tuple[dict[str, Any], bool]] = {
    "without a run time": ({}, False),
    "gone before the head starts": ({"runtime": 100.0}, True),
    "gone too late": ({"runtime": 101.0}, False),
}


@pytest.mark.parametrize(("fields", "passes"), PASSES.values(), ids=PASSES)
def test_who_may_pass(fields: dict[str, Any], passes: bool) -> None:
    """The head wants all of node a, which is half free until the other half ends."""
    wants = head(8, demand=worlds.topology(required="node"))
    small = gang(group(2), key="a/small", **fields)
    result = planned({"a": (8, 4), "b": (4, 4)}, wants, small, running=RUNS)
    assert passes == bool(result.placements)
    assert [(r.gang, r.nodes, r.start) for r in result.reservations] == [("a/head", ("a",), NOW + 100.0)]
    assert result.refusals[0].reason is Reason.INSUFFICIENT_CARDS
    expected = "first in line: 1 nodes are kept for it from 1970-01-01T02:48:20Z on, when 1 gangs should have ended"
    assert result.refusals[0].message.startswith(expected)
    if not passes:
        assert result.refusals[1].reason is Reason.RESERVED_FOR_OTHER
        assert "kept for a/head" in result.refusals[1].message


def test_room_that_the_head_does_not_need() -> None:
    """Another node is free: whoever fits there passes, and takes no more than is left."""
    wants = head(8, demand=worlds.topology(required="node"))
    queue = [gang(group(2), key=f"a/{number}", created=NOW + number) for number in range(3)]
    result = planned({"a": (8, 4), "b": (4, 4), "c": (4, 0)}, wants, *queue, running=RUNS)
    assert [p.nodes() for p in result.placements] == [("c", "c"), ("c", "c")]
    assert result.refusals[1].reason is Reason.RESERVED_FOR_OTHER


def test_the_rest_of_a_reserved_node_may_be_used() -> None:
    """The head needs six of eight; two are over."""
    wants = head(6, demand=worlds.topology(required="node"))
    queue = [gang(group(2), key=f"a/{number}", created=NOW + number) for number in range(2)]
    result = planned({"a": (8, 4), "b": (4, 4)}, wants, *queue, running=RUNS)
    assert [p.gang for p in result.placements] == ["a/0"]


@pytest.mark.parametrize("strategy", ["BestEffort", "Strict"])
def test_other_strategies_reserve_nothing(strategy: str) -> None:
    """BestEffort lets pass, Strict nobody."""
    small = gang(group(2), key="a/small")
    result = planned({"a": (8, 4)}, head(8), small, running=RUNS[:1], strategy=strategy)
    assert (len(result.reservations), len(result.placements)) == (0, int(strategy == "BestEffort"))


def test_unknown_run_times_and_patience() -> None:
    """Nobody can say when the head starts: first everybody passes, then room is kept for it."""
    running = (holds("a/x", 4, "a", started=NOW - 50.0),)
    small = gang(group(1), key="a/small")
    early = planned({"a": (8, 4)}, head(8), small, running=running)
    assert (len(early.placements), early.wake) == (1, NOW + 290.0)
    late = planned({"a": (8, 4)}, head(8, created=NOW - 301.0), small, running=running)
    assert (len(late.placements), late.reservations[0].start) == (0, None)
    assert "not all with a known end" in late.refusals[0].message


def test_a_run_time_that_has_passed_says_nothing() -> None:
    """A gang that overran its declared end counts like one without."""
    running = (holds("a/x", 4, "a", ends=NOW - 1.0),)
    assert planned({"a": (8, 4)}, head(8), running=running).reservations == ()


def test_a_head_that_quota_blocks_holds_no_room() -> None:
    """The first that waits for room is the head, not the first that waits."""
    law = Rules({"b": Team("b", limits=(Limit(worlds.PROFILE, 2),))})
    blocked = gang(group(4), key="b/quota", team="b", priority=2)
    result = planned({"a": (8, 4)}, blocked, head(8), running=RUNS[:1], rules=law)
    assert [r.gang for r in result.reservations] == ["a/head"]


def test_a_head_that_can_never_fit_holds_nothing() -> None:
    """Not even with everybody gone."""
    result = planned({"a": (8, 4)}, head(9, created=0.0), gang(group(4), key="a/small"), running=RUNS[:1])
    assert (len(result.placements), result.reservations) == (1, ())


def test_a_head_that_can_never_fit_takes_nobody_s_reservation() -> None:
    """The next that can has it."""
    never = gang(group(9), key="a/never", priority=5, created=0.0)
    result = planned({"a": (8, 4)}, never, head(8), gang(group(4), key="a/small"), running=RUNS[:1])
    assert ([r.gang for r in result.reservations], result.placements) == (["a/head"], ())


def test_each_profile_has_its_head() -> None:
    """Who waits for one maker's cards keeps nobody from those of another, whose first has a reservation too."""
    other = "ascend-910b"
    rows = [worlds.node("a", 8, used_cards=4), worlds.node("b", 8, used_cards=4, profile=other)]
    inventory = build.build_inventory(rows, (worlds.PROFILE, other), (worlds.tree(), worlds.tree()))
    running = [holds("r/a", 4, "a", ends=NOW + 5.0), holds("r/b", 4, "b", ends=NOW + 9.0, profile=other)]
    queue = [
        gang(key=f"{key}/{pods}", created=float(-pods), options=(Option(profile, (group(pods),)),))
        for key, profile in (("a", worlds.PROFILE), ("b", other))
        for pods in (8, 4)
    ]
    result = plan.plan(inventory, queue, now=NOW, running=running, rules=RULES, strategy="Backfill")
    assert {(r.gang, r.start) for r in result.reservations} == {("a/8", NOW + 5.0), ("b/8", NOW + 9.0)}
    assert result.placements == ()


def stream(rules: Rules, capacity: int, declared: bool, seed: int, team: str = "default") -> float:
    """Two jobs of 30 run, a 50 waits, and tens never cease to come; when the 50 starts, in seconds after it came."""
    chance, names = random.Random(seed), itertools.count()
    running: dict[str, tuple[Running, float]] = {}

    def start(key: str, cards: int, now: float, seconds: float) -> None:
        ends = now + seconds if declared else None
        one = holds(key, cards, started=now, ends=ends, team=team)
        running[key] = (one, now + seconds)

    for number in range(2):
        start(f"t/{number}", 30, 0.0, 1000.0 + 500.0 * number)
    big = gang(group(50), key="t/big", created=0.0, team=team, runtime=600.0 if declared else None)
    waiting: list[tuple[Gang, float]] = []
    for now in map(float, range(0, 20_000, 20)):
        running = {key: entry for key, entry in running.items() if entry[1] > now}
        while len(waiting) < 10:
            seconds = chance.uniform(100.0, 600.0)
            runtime = seconds if declared else None
            small = gang(group(10), key=f"s/{next(names)}", created=now, runtime=runtime, team=team)
            waiting.append((small, seconds))
        used = sum(entry[0].cards() for entry in running.values())
        inventory = worlds.pool({"a": capacity}, (), changes={"a": {"used_cards": used}})
        queue = [big, *(one for one, _ in waiting)]
        held = [entry[0] for entry in running.values()]
        result = plan.plan(inventory, queue, now=now, running=held, rules=rules, strategy="Backfill")
        placed = {placement.gang for placement in result.placements}
        if big.key in placed:
            return now
        for one, seconds in waiting:
            if one.key in placed:
                start(one.key, 10, now, seconds)
        waiting = [entry for entry in waiting if entry[0].key not in placed]
    raise AssertionError("the big job starved")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "unknown"])
def test_a_large_job_starts_under_an_endless_stream_of_small_ones(declared: bool, seed: int) -> None:
    """At the latest when everybody is gone who ran when its patience was over; with known ends when room is there."""
    bound = 1000.0 if declared else 300.0 + 1500.0
    assert stream(RULES, 100, declared, seed) <= bound + 20.0


@pytest.mark.parametrize("seed", range(3))
def test_the_same_where_quota_is_what_lacks(seed: int) -> None:
    """Room for a thousand, quota for a hundred."""
    law = dataclasses.replace(RULES, teams={"t": Team("t", limits=(Limit(worlds.PROFILE, 100),))})
    assert stream(law, 1000, False, seed, team="t") <= 300.0 + 1500.0 + 20.0


def test_a_start_by_earlier_runs_says_so() -> None:
    """Of the two that it waits for one has declared its end."""
    running = (holds("a/said", 4, "a", ends=NOW + 100.0), holds("a/seen", 4, "b", ends=NOW + 200.0, learned=True))
    result = planned({"a": (4, 4), "b": (4, 4)}, head(8), running=running)
    assert "when 2 gangs should have ended (1 of them by earlier runs)" in result.refusals[0].message
    assert result.reservations[0].start == NOW + 200.0


def test_the_start_of_a_gang_of_several_shapes_stays_where_others_took_what_is_over() -> None:
    """Twos and threes on 3 + 5 + 4 cards: there is one way to pack them, which a greedy packing misses."""
    running = (holds("a/first", 2, "a", ends=NOW + 100.0), holds("a/beside", 1, "c", ends=NOW + 120.0))
    wants = gang(group(3, 2, "two"), group(2, 3, "three"), key="a/head", created=NOW - 10.0)
    result = planned({"a": (3, 2), "b": (5, 0), "c": (5, 1)}, wants, running=running)
    assert [(r.gang, r.start) for r in result.reservations] == [("a/head", NOW + 100.0)]


def test_those_who_start_in_the_same_cycle_end_as_declared_too() -> None:
    """The head waits for one that has just been placed: it has its reservation at once, and nobody slips by."""
    first = gang(group(6), key="a/first", priority=2, runtime=100.0)
    long = gang(group(2), key="a/long", runtime=5000.0)
    result = planned({"a": (8, 0)}, first, head(8), long)
    assert [placement.gang for placement in result.placements] == ["a/first"]
    assert [(r.gang, r.start) for r in result.reservations] == [("a/head", NOW + 100.0)]
