"""Mixed gangs and the rules of teams: quota on every profile, preemption from all of them at once."""

from __future__ import annotations

import pytest

from cardpool.domain.gangs import Option
from cardpool.domain.teams import Limit, Reclaim, Rules, Team
from cardpool.engine import plan
from cardpool.names import Reason
from tests.support import worlds
from tests.support.mixes import (
    K100,
    NPU,
    TWO_AND_TWO,
    gang,
    judge,
    node,
    planned,
    pool,
    rules,
    single,
    train,
)


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
