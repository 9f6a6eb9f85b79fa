"""Elastic gangs: legal sizes, the largest that fits, and nothing taken from others for pods that are not needed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cardpool.domain.gangs import Gang, Option
from cardpool.domain.teams import Limit, Rules, Team
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import build, elastic, plan
from cardpool.names import Reason
from tests.support import placements, worlds
from tests.support.worlds import gang, group, holds, planned, pool, topology

NO_BLOCKS = TopologyRequest()


def sizes(asked: Gang) -> list[tuple[int, ...]]:
    """Every legal size of the first option, the smallest first; only the full one where there is no other."""
    scale = elastic.scale(asked.topology, asked.options[0])
    if scale is None:
        return [tuple(shape.replicas for shape in asked.options[0].groups)]
    return [scale.size(pods) for pods in scale.totals]


SIZES: dict[str, tuple[Gang, list[tuple[int, ...]]]] = {
    "fixed": (gang(group(4)), [(4,)]),
    "the least is all": (gang(group(4, min_replicas=4)), [(4,)]),
    "every number": (gang(group(4, min_replicas=2)), [(2,), (3,), (4,)]),
    "a multiple of the block": (
        gang(group(12, min_replicas=3), demand=topology(blocks=[(4, "rack")])),
        [(4,), (8,), (12,)],
    ),
    "of nested blocks the larger": (
        gang(group(16, min_replicas=5), demand=topology(blocks=[(8, "block"), (2, "rack")])),
        [(8,), (16,)],
    ),
    "the group's own block": (
        gang(group(8, min_replicas=1, topology=topology(blocks=[(4, "rack")]))),
        [(4,), (8,)],
    ),
    "the last group gives first": (
        gang(group(3, name="a", min_replicas=2), group(3, name="b", min_replicas=1)),
        [(2, 1), (3, 1), (3, 2), (3, 3)],
    ),
    "a group that is not elastic keeps all": (
        gang(group(1, name="ps"), group(3, name="worker", min_replicas=2)),
        [(1, 2), (1, 3)],
    ),
    "blocks of the gang over two groups": (
        gang(group(2, name="a"), group(6, name="b", min_replicas=1), demand=topology(blocks=[(4, "rack")])),
        [(2, 2), (2, 6)],
    ),
    "no smaller multiple": (gang(group(8, min_replicas=5), demand=topology(blocks=[(8, "rack")])), [(8,)]),
    "a group starts where its block may": (
        gang(
            group(4, name="a", min_replicas=2),
            group(4, name="b", topology=topology(blocks=[(4, "rack")])),
            demand=topology(blocks=[(4, "rack")]),
        ),
        [(4, 4)],
    ),
}


@pytest.mark.parametrize(("asked", "expected"), SIZES.values(), ids=SIZES)
def test_legal_sizes(asked: Gang, expected: list[tuple[int, ...]]) -> None:
    """Every block divides, every group stays between its bounds, in one stated order."""
    assert expected == sizes(asked)


def placed(inventory: Any, asked: Gang, **fields: Any) -> dict[str, int]:
    """Pods of each group, empty where the gang waits; the answer keeps every promise."""
    result = plan.plan(inventory, [asked], now=0.0, **fields)
    assert placements.violations(inventory, [asked], result) == []
    found: dict[str, int] = {}
    for placement in result.placements:
        for part in placement.segments:
            found[part.group] = found.get(part.group, 0) + len(part.nodes)
    return found


FITS: dict[str, tuple[dict[str, Any], Gang, dict[str, int]]] = {
    "full where there is room": ({"a": 4, "b": 4}, gang(group(8, min_replicas=2)), {"worker": 8}),
    "what there is": ({"a": 4, "b": 1}, gang(group(8, min_replicas=2)), {"worker": 5}),
    "the least": ({"a": 2}, gang(group(8, min_replicas=2)), {"worker": 2}),
    "not less": ({"a": 1}, gang(group(8, min_replicas=2)), {}),
    "whole blocks": (
        {"a": 4, "b": 3},
        gang(group(8, min_replicas=1), demand=topology(blocks=[(2, "node")])),
        {"worker": 6},
    ),
    "one domain": ({"a": 4, "b": 5}, gang(group(8, min_replicas=2), demand=topology("node")), {"worker": 5}),
    "two groups": (
        {"a": 4, "b": 3},
        gang(group(2, 2, "a", min_replicas=1), group(6, 1, "b", min_replicas=2)),
        {"a": 2, "b": 3},
    ),
    "two groups, both give": (
        {"a": 3, "b": 2},
        gang(group(3, 2, "a", min_replicas=1), group(6, 1, "b", min_replicas=1)),
        {"a": 2, "b": 1},
    ),
}


@pytest.mark.parametrize(("nodes", "asked", "expected"), FITS.values(), ids=FITS)
def test_the_largest_legal_size_that_fits(nodes: dict[str, Any], asked: Gang, expected: dict[str, int]) -> None:
    """Never less than there is room for, never less than the least."""
    assert expected == placed(pool(nodes, ()), asked)


def test_a_refusal_counts_from_the_least_size() -> None:
    """How far even the least is away."""
    refusal = planned(pool({"a": 1, "b": 1}, ()), gang(group(8, min_replicas=3))).refusals[0]

    assert (refusal.reason, refusal.fit, refusal.want) == (Reason.INSUFFICIENT_CARDS, 2, 3)
    assert refusal.message.startswith("not even the least size of 3 of 8 pods: profile k100: 2 of 3 pods fit")


def law(cards: int) -> Rules:
    """One team with a quota."""
    return Rules({"a": Team("a", limits=(Limit(worlds.PROFILE, cards),))})


def test_quota_counts_the_size_that_is_placed() -> None:
    """A smaller size may fit inside the quota; what it leaves is the next one's."""
    first = gang(group(4, 2, min_replicas=1), key="a/first", team="a")
    second = gang(group(1), key="a/second", team="a", created=1.0)
    result = plan.plan(pool({"a": 16}, ()), [first, second], now=0.0, rules=law(7))

    assert [(one.gang, len(one.nodes())) for one in result.placements] == [("a/first", 3), ("a/second", 1)]

    refusal = plan.plan(pool({"a": 16}, ()), [first], now=0.0, rules=law(1)).refusals[0]

    assert refusal.reason is Reason.QUOTA_EXCEEDED
    assert "not even the least size of 1 of 4 pods" in refusal.message


def test_room_is_the_reason_where_the_least_has_quota() -> None:
    """The full size is beyond the quota; what really stands in the way is room."""
    asked = gang(group(4, 2, min_replicas=1), team="a")
    result = plan.plan(pool({"a": 1}, ()), [asked], now=0.0, rules=law(7))

    assert [refusal.reason for refusal in result.refusals] == [Reason.INSUFFICIENT_CARDS]


def test_full_elsewhere_before_less_here() -> None:
    """Every accepted profile is tried at full size; then the one that holds the largest part, the first of equals."""
    rows = [worlds.node("x", 3), dataclasses.replace(worlds.node("y", 6), profile="other")]
    tree = worlds.tree()
    inventory = build.build_inventory(rows, (worlds.PROFILE, "other"), (tree, tree))

    def profile(pods: int) -> tuple[str, int]:
        shape = group(pods, min_replicas=1)
        options = (Option(worlds.PROFILE, (shape,)), Option("other", (shape,)))
        answer = planned(inventory, gang(options=options)).placements[0]
        return answer.profile, len(answer.nodes())

    assert profile(3) == (worlds.PROFILE, 3)
    assert profile(5) == ("other", 5)
    assert profile(8) == ("other", 6)


def test_who_can_start_smaller_takes_nobody_down_and_keeps_nothing() -> None:
    """An elastic gang that finds its least room starts there, though it may preempt."""
    old = holds("a/old", 6, priority=0)
    inventory = pool({"a": 8}, (), changes={"a": {"used_cards": 6, "pods_used": 1}})
    asked = gang(group(8, min_replicas=2), priority=5)
    result = plan.plan(inventory, [asked], now=9.0, running=(old,), rules=Rules(within_team=True), strategy="Backfill")

    assert (result.evictions, result.reservations) == ((), ())
    assert [len(one.nodes()) for one in result.placements] == [2]


def test_who_cannot_is_made_room_for_at_its_least_size() -> None:
    """One of two gangs is enough for the least; the other stays."""
    running = (holds("a/one", 4, priority=0, started=1.0), holds("a/two", 4, priority=0, started=2.0))
    inventory = pool({"a": 8}, (), changes={"a": {"used_cards": 8, "pods_used": 2}})
    asked = gang(group(8, min_replicas=3), priority=5)
    result = plan.plan(inventory, [asked], now=9.0, running=running, rules=Rules(within_team=True))

    assert [one.gang for one in result.evictions] == ["a/two"]
    assert [len(one.nodes()) for one in result.preempting] == [3]


def test_who_is_smaller_keeps_beside_a_reservation() -> None:
    """The head's room is left alone: what is over is enough for the least."""
    old = holds("a/old", 4, ends=500.0)
    inventory = pool({"a": 8, "b": 2}, (), changes={"a": {"used_cards": 4, "pods_used": 1}})
    head = gang(group(8), key="a/head", priority=1, demand=topology("node"))
    asked = gang(group(6, min_replicas=1), key="a/small")
    result = plan.plan(inventory, [head, asked], now=9.0, running=(old,), strategy="Backfill")

    assert [one.nodes for one in result.reservations] == [("a",)]
    assert [(one.gang, one.nodes()) for one in result.placements] == [("a/small", ("b", "b"))]


def test_a_repair_keeps_the_nodes_of_the_ranks_that_stay() -> None:
    """Rank 1 lost its node and nothing is left: it gets that of the last rank, which goes."""
    inventory = pool({"a": 1, "c": 1, "d": 1}, ())
    previous = {0: "a", 1: "b", 2: "c", 3: "d"}
    asked = gang(group(4, min_replicas=2), previous=previous, repair=True)
    answer = planned(inventory, asked).placements[0]

    assert answer.nodes() == ("a", "d", "c")


def test_ranks_of_later_groups_keep_their_nodes_when_an_earlier_group_shrinks() -> None:
    """Previous nodes are known by group and index, whatever the size."""
    inventory = pool({"a": 1, "c": 1, "d": 1}, ())
    previous = {0: "a", 1: "b", 2: "c", 3: "d"}
    asked = gang(group(2, name="a", min_replicas=1), group(2, name="b"), previous=previous, repair=True)
    answer = planned(inventory, asked).placements[0]

    assert [(part.group, part.nodes) for part in answer.segments] == [("a", ("a",)), ("b", ("c", "d"))]
