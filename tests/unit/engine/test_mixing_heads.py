"""A mixed gang at the head of the queue: room is kept on all its profiles, and given back by its start."""

from __future__ import annotations

from cardpool.domain.gangs import Placement
from cardpool.engine import plan
from cardpool.names import Reason
from tests.support import worlds
from tests.support.mixes import (
    K100,
    NPU,
    gang,
    judge,
    node,
    planned,
    pool,
    single,
    train,
)


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
