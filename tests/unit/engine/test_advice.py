"""Advice at the end of a cycle: who is advised, what else is said of others in the queue, and quota."""

from __future__ import annotations

import dataclasses

import pytest

from cardpool.domain.gangs import Running
from cardpool.domain.teams import Limit, Rules, Team
from cardpool.engine import advice
from cardpool.names import Reason
from tests.support import worlds
from tests.support.advised import ENDS, FULL, NOW, TWO, nodes, planned, told
from tests.support.worlds import gang, group, holds, topology


def test_what_waits_costs_no_advice_until_somebody_asks() -> None:
    """The answer of a cycle is the same whether or not anybody asks."""
    result = planned(nodes(TWO, FULL), [gang(group(1, 8))], ENDS)
    again = planned(nodes(TWO, FULL), [gang(group(1, 8))], ENDS)
    assert told(result)
    assert result == again


def test_only_the_first_of_the_queue_are_advised() -> None:
    """Far behind, advice would say little and cost much."""
    queue = [gang(group(1, 8), key=f"a/{number:03}", created=float(number)) for number in range(advice.FIRST + 1)]
    result = planned(nodes(TWO, FULL), queue, ENDS)
    assert told(result, "a/000") == "fits once x/one ends (expected 1970-01-01T02:48:20Z)"
    assert told(result, "a/049").endswith(
        "(expected 1970-01-01T02:48:20Z), unless one of the 49 before it takes the room"
    )
    assert told(result, "a/050") == ""


def test_room_that_comes_may_go_to_another_team() -> None:
    """A team whose gang ends has a smaller share, and may come first then."""
    running = [dataclasses.replace(ENDS[0], team="b")]
    queue = [gang(group(1, 8), team="a"), gang(group(1, 8), key="b/job", team="b", created=1.0)]
    result = planned(nodes({"a": [8]}, {"a-0": 8}), queue, running)
    assert told(result).endswith(", unless a job of another team takes the room")


def test_a_short_run_passes_the_head() -> None:
    """Who would be done before the head begins is told so."""
    head = gang(group(2, 8), key="a/head", demand=topology(required="supernode"), priority=1)
    small = gang(group(1, 8))
    rows = nodes({"a": [8, 8]}, {"a-0": 8})
    result = planned(rows, [head, small], [ENDS[0]], strategy="Backfill")
    assert told(result).startswith("would start now if it declared to end by 1970-01-01T02:48:20Z")
    brief = dataclasses.replace(small, runtime=100.0)
    assert planned(rows, [head, brief], [ENDS[0]], strategy="Backfill").placements


def quotas(**teams: tuple[int, int | None]) -> Rules:
    """Cards and lending limit of each team."""
    limits = {name: (Limit(worlds.PROFILE, cards, lend=lend),) for name, (cards, lend) in teams.items()}
    return Rules(teams={name: Team(name, limits=limit) for name, limit in limits.items()})


QUOTAS: dict[str, tuple[Rules, list[Running], str]] = {
    "its own gang ends": (
        quotas(a=(8, 0), b=(24, 0)),
        [holds("a/old", 8, "a-0", team="a", ends=NOW + 100.0)],
        "fits once a/old of team a ends (expected 1970-01-01T02:48:20Z)",
    ),
    "a borrower gives back": (
        quotas(a=(8, 8), b=(8, 8)),
        [holds("a/old", 8, "a-0", team="a"), holds("b/old", 8, "a-1", team="b")],
        "fits once team a itself gives back 8 k100 cards, or with a quota of 8 k100 cards more for team a",
    ),
    "another team has borrowed": (
        quotas(a=(8, 0), b=(8, None), c=(8, None)),
        [holds("a/old", 8, "a-0", team="a"), holds("b/old", 16, "a-1", team="b")],
        "fits once team b gives back 8 k100 cards, or with a quota of 8 k100 cards more for team a",
    ),
    "more than it can ever get": (
        quotas(a=(4, 0)),
        [],
        "fits with a quota of 4 k100 cards more for team a",
    ),
}


@pytest.mark.parametrize(("rules", "running", "expected"), QUOTAS.values(), ids=QUOTAS)
def test_quota(rules: Rules, running: list[Running], expected: str) -> None:
    """Who would have to give back how much, or how much more quota it takes."""
    used = {node: cards for one in running for node, cards, _ in one.pods}
    result = planned(nodes({"a": [8, 16], "b": [8]}, used), [gang(group(1, 8), team="a")], running, rules=rules)
    assert expected == told(result)


def test_the_head_s_own_quota_does_not_stand_in_its_way() -> None:
    """What is kept for the head counts for its team: not against the head, and said to those behind it."""
    rules = quotas(a=(16, 0), b=(8, 0))
    running = [holds("b/long", 8, "a-0", team="b", ends=NOW + 100.0)]
    head = gang(group(2, 8), key="a/head", team="a", demand=topology(required="supernode"))
    next_ = gang(group(1, 8), key="a/next", team="a", created=1.0)
    result = planned(nodes({"a": [8, 8]}, {"a-0": 8}), [head, next_], running, rules=rules, strategy="Backfill")
    assert told(result, "a/head") == "fits once b/long ends (expected 1970-01-01T02:48:20Z)"
    behind = result.refusals[1]
    assert behind.reason is Reason.QUOTA_EXCEEDED
    assert "team a uses 16 of 16 k100 cards" in behind.message
    assert "; 16 of what it uses is kept for gangs of its own that wait before this one" in behind.message
