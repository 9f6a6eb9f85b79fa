"""Elastic victims: they come back smaller beside the gang that they made room for, before others go for good."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import Elastic, Gang, GroupShape, PlanResult, Running
from cardpool.domain.teams import Limit, Reclaim, Rules, Team
from cardpool.engine import plan
from tests.support import worlds
from tests.support.worlds import full, gang, group, holds

NOW = 1000.0
WITHIN = Rules(within_team=True)


def runs(key: str, nodes: str, *shapes: GroupShape, **fields: Any) -> Running:
    """An elastic gang that runs with one pod of one card on each of these nodes (one letter each)."""
    asked = gang(
        *shapes,
        key=key,
        previous=dict(enumerate(nodes)),
        priority=fields.get("priority", 0),
        team=fields.get("team", "default"),
    )
    return holds(key, 0, pods=tuple((node, 1, {}) for node in nodes), elastic=Elastic(asked), **fields)


def planned(nodes: dict[str, int], wants: Gang, *running: Running, rules: Rules = WITHIN) -> PlanResult:
    """One cycle in a pool in which these gangs hold their cards."""
    return plan.plan(full(nodes, *running), [wants], now=NOW, running=running, rules=rules)


def told(result: PlanResult) -> list[tuple[str, int | None]]:
    """Who goes, and with how many pods it comes back."""
    return [(one.gang, one.size) for one in result.evictions]


def test_eleven_pods_of_which_one_card_is_needed() -> None:
    """One eviction, and the victim comes back with ten."""
    old = runs("a/old", "a" * 11, group(11, min_replicas=1))
    result = planned({"a": 11}, gang(group(1), key="a/new", priority=1), old)

    assert told(result) == [("a/old", 10)]
    assert "shrinks from 11 to 10 pods" in result.evictions[0].message
    assert [len(one.nodes()) for one in result.preempting] == [1]


def test_the_minimum_of_each_role_is_kept() -> None:
    """A parameter server and three workers of which two are enough: a worker goes, and no two can."""
    shapes = group(1, name="ps"), group(3, name="worker", min_replicas=2)
    old = runs("a/old", "aaaa", *shapes)

    assert told(planned({"a": 4}, gang(group(1), key="a/new", priority=1), old)) == [("a/old", 3)]
    assert told(planned({"a": 4}, gang(group(2), key="a/new", priority=1), old)) == [("a/old", None)]


def test_who_can_shrink_goes_before_who_would_be_gone() -> None:
    """Though its work is dearer."""
    old = runs("a/old", "aaaa", group(4, min_replicas=2))
    cheap = holds("a/cheap", 4, "b", started=NOW - 1.0)

    assert told(planned({"a": 4, "b": 4}, gang(group(2), key="a/new", priority=1), old, cheap)) == [("a/old", 2)]


def test_where_shrinking_is_not_enough_the_cheapest_goes() -> None:
    """Three cards are wanted, two could be had."""
    old = runs("a/old", "aaaa", group(4, min_replicas=2))
    cheap = holds("a/cheap", 4, "b", started=NOW - 1.0)

    assert told(planned({"a": 4, "b": 4}, gang(group(3), key="a/new", priority=1), old, cheap)) == [("a/cheap", None)]


def test_several_shrink_together() -> None:
    """Neither alone leaves enough; a third is not needed."""
    old = [runs(f"a/{name}", name * 4, group(4, min_replicas=2), started=NOW - ord(name)) for name in "abc"]

    assert told(planned(dict.fromkeys("abc", 4), gang(group(4), key="a/new", priority=1), *old)) == [
        ("a/a", 2),
        ("a/b", 2),
    ]


def test_whole_blocks_come_back() -> None:
    """One card is wanted, a block of two goes."""
    asked = gang(group(6, min_replicas=2), key="a/old", demand=worlds.topology(blocks=[(2, "node")]))
    old = holds("a/old", 0, pods=tuple(("a", 1, {}) for _ in range(6)), elastic=Elastic(asked))

    assert told(planned({"a": 6}, gang(group(1), key="a/new", priority=1), old)) == [("a/old", 4)]


def test_shrinking_respects_guarantees() -> None:
    """A team inside its quota is not made smaller; one beyond it is, as far as that helps."""
    law = Rules(
        {name: Team(name, limits=(Limit(worlds.PROFILE, cards),)) for name, cards in (("a", 4), ("b", 4))},
        reclaim=Reclaim.ANY,
    )
    inside = runs("b/old", "aaaa", group(4, min_replicas=1), team="b")
    beyond = runs("b/old", "a" * 6, group(6, min_replicas=1), team="b")
    wants = gang(group(2), key="a/new", team="a")

    assert told(planned({"a": 4}, wants, inside, rules=law)) == []
    assert told(planned({"a": 6}, wants, beyond, rules=law)) == [("b/old", 4)]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[dict[str, int], tuple[Running, ...], Gang]:
    """A few nodes, filled by elastic gangs and others, and one that wants in."""
    nodes = {name: draw(st.integers(2, 5)) for name in "abc"[: draw(st.integers(1, 3))]}
    left = [name for name, cards in nodes.items() for _ in range(cards)]
    running: list[Running] = []
    for number in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, 6))
        pods, left = left[:size], left[size:]
        if not pods:
            break
        shape = group(len(pods), min_replicas=draw(st.integers(0, len(pods))))
        running.append(runs(f"a/r{number}", "".join(pods), shape, started=NOW - draw(st.integers(0, 9))))
    wants = gang(group(draw(st.integers(1, 6))), key="a/new", priority=1)
    return nodes, tuple(running), wants


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(crowds())
def test_who_shrinks_comes_back_as_told(case: tuple[dict[str, int], tuple[Running, ...], Gang]) -> None:
    """Planned again with the victims gone: the preemptor has its place, and each of them the pods that were said."""
    nodes, running, wants = case
    result = planned(nodes, wants, *running)
    gone = {one.gang: one.size for one in result.evictions}
    if not gone or None in gone.values():
        return
    stay = [one for one in running if one.key not in gone]
    back = []
    for one in running:
        size = gone.get(one.key)
        if size is not None and one.elastic is not None:
            asked = one.elastic.gang
            shape = dataclasses.replace(asked.options[0].groups[0], replicas=size)
            option = dataclasses.replace(asked.options[0], groups=(shape,))
            back.append(dataclasses.replace(asked, options=(option,), previous={}))
            assert shape.min_replicas <= size <= len(one.pods)
    again = plan.plan(full(nodes, *stay), [wants, *back], now=NOW, running=stay, rules=WITHIN)

    assert {one.gang: len(one.nodes()) for one in again.placements} == {
        wants.key: wants.size(),
        **{key: size for key, size in gone.items() if size is not None},
    }
