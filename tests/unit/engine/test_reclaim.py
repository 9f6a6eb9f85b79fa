"""Preemption and quota: who takes back what was lent, and never across a guarantee."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang, PlanResult, Running
from cardpool.domain.teams import Limit, Reclaim, Rules, Team
from cardpool.engine import plan
from cardpool.names import Reason
from tests.support import placements, worlds
from tests.support.preempting import NOW, planned, victims
from tests.support.worlds import full, gang, group, holds


def teams(reclaim: Reclaim, **nominal: int) -> Rules:
    """Teams with quotas of the one profile."""
    return Rules(
        {name: Team(name, limits=(Limit(worlds.PROFILE, cards),)) for name, cards in nominal.items()}, reclaim=reclaim
    )


RECLAIM: dict[str, tuple[Reclaim, int, int, int, bool]] = {
    "a borrower of any priority": (Reclaim.ANY, 8, 9, 4, True),
    "a borrower of lower priority": (Reclaim.LOWER_PRIORITY, 8, -1, 4, True),
    "not of higher priority": (Reclaim.LOWER_PRIORITY, 8, 9, 4, False),
    "never": (Reclaim.NEVER, 8, -1, 4, False),
    "not one inside its quota": (Reclaim.ANY, 4, -1, 4, False),
    "not for one that would borrow itself": (Reclaim.ANY, 8, -1, 5, False),
}


@pytest.mark.parametrize(("reclaim", "held", "priority", "want", "goes"), RECLAIM.values(), ids=RECLAIM)
def test_reclaiming(reclaim: Reclaim, held: int, priority: int, want: int, goes: bool) -> None:
    """Two teams of four cards each; one holds some, the other wants some."""
    running = tuple(holds(f"b/{n}", 4, team="b", priority=priority, started=10.0 * n) for n in range(held // 4))
    foreign = 8 - held
    inventory = worlds.pool({"a": 8}, (), changes={"a": {"used_cards": held + foreign}})
    result = planned(inventory, gang(group(want), team="a"), running=running, rules=teams(reclaim, a=4, b=4))
    assert goes == bool(result.evictions)
    assert not goes or victims(result) == ["b/1"]


def test_reclaiming_stops_at_the_guarantee() -> None:
    """The team loses what it borrowed and no more, though more would help."""
    running = tuple(holds(f"b/{n}", 2, team="b") for n in range(4))
    inventory = worlds.pool({"a": 8}, (), changes={"a": {"used_cards": 8}})
    law = teams(Reclaim.ANY, a=6, b=4)
    wide = planned(inventory, gang(group(6), team="a"), running=running, rules=law)
    narrow = planned(inventory, gang(group(4), team="a"), running=running, rules=law)
    assert (victims(wide), victims(narrow)) == ([], ["b/0", "b/1"])


def test_a_borrower_does_not_come_back_before_the_owner() -> None:
    """The evicted gang has the higher priority and waits all the same until the owner of the quota has started."""
    owner, borrower = gang(group(4), key="a/own", team="a"), gang(group(8), key="b/out", team="b", priority=9)
    result = planned(worlds.pool({"a": 8}, ()), borrower, owner, running=(), rules=teams(Reclaim.ANY, a=4, b=4))
    assert [placement.gang for placement in result.placements] == ["a/own"]


def test_quota_of_the_own_team_is_freed_too() -> None:
    """Room there is; what lacks is quota, which a lower priority of the team holds."""
    low = holds("a/low", 4, team="a", priority=0)
    law = Rules({"a": Team("a", limits=(Limit(worlds.PROFILE, 4),))}, within_team=True)
    result = planned(full({"a": 16}, low), gang(group(4), team="a", priority=1), running=(low,), rules=law)
    assert victims(result) == ["a/low"]
    going = holds("a/low", 4, team="a", priority=0, leaving=True, preempted=True)
    after = planned(full({"a": 16}, going), gang(group(4), team="a", priority=1), running=(going,), rules=law)
    assert (victims(after), len(after.placements)) == ([], 1)


def test_nobody_preempts_with_quota_that_is_kept_for_another() -> None:
    """The team's first waits for quota; its next, which room and quota would hold, neither takes anybody down nor room."""
    low = holds("t/low", 2, "a", team="t", priority=0)
    law = Rules({"t": Team("t", limits=(Limit(worlds.PROFILE, 5),))}, within_team=True, patience=0.0)
    other = holds("t/other", 3, "a", team="t", priority=9)
    first = gang(group(4), key="t/first", team="t", priority=5)
    result = planned(
        full({"a": 16}, low, other),
        first,
        gang(group(2), key="t/next", team="t", priority=4),
        running=(low, other),
        rules=law,
    )
    assert (victims(result), result.preempting, result.reservations) == ([], (), ())
    assert [refusal.reason for refusal in result.refusals] == [Reason.QUOTA_EXCEEDED, Reason.RESERVED_FOR_OTHER]


@st.composite
def rivals(draw: st.DrawFn) -> tuple[dict[str, int], Rules, tuple[Running, ...], Gang]:
    """Three teams with quotas or without, nodes that they fill, and a gang of one of them that wants in."""
    nodes = {f"n{number}": draw(st.integers(2, 5)) for number in range(draw(st.integers(1, 3)))}
    left, running = dict(nodes), []
    for number in range(draw(st.integers(1, 7))):
        name = draw(st.sampled_from(sorted(nodes)))
        cards = min(left[name], draw(st.integers(1, 3)))
        if cards:
            left[name] -= cards
            priority, age, team = draw(st.integers(0, 2)), draw(st.integers(0, 5)), draw(st.sampled_from("abc"))
            running.append(holds(f"r{number}", cards, name, team=team, priority=priority, started=NOW - age))
    law = Rules(
        {
            name: Team(
                name, limits=(Limit(worlds.PROFILE, draw(st.integers(0, 6)), draw(st.sampled_from((None, 0, 2)))),)
            )
            for name in "abc"
            if draw(st.integers(0, 4))
        },
        within_team=draw(st.booleans()),
        reclaim=draw(st.sampled_from(list(Reclaim))),
    )
    wants = gang(group(draw(st.integers(1, 4))), key="new", team=draw(st.sampled_from("ab")), priority=1)
    return nodes, law, tuple(running), wants


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(rivals())
def test_no_rule_is_broken_and_nobody_goes_in_vain(case: Any) -> None:
    """Quotas, guarantees and priorities, counted again without the planner's own ledger."""
    nodes, law, running, wants = case
    inventory = full(nodes, *running)
    result = plan.plan(inventory, [wants], now=NOW, running=running, rules=law, strategy="Backfill")
    gone = [one for one in running if one.key in victims(result)]
    stay = [one for one in running if one not in gone]
    nominal = {name: team.limits[0].nominal for name, team in law.teams.items()}

    def used(team: str, gangs: list[Running]) -> int:
        return sum(one.cards() for one in gangs if one.team == team)

    for team in {one.team for one in gone}:
        own = [one for one in gone if one.team == team]
        if team == wants.team:
            assert law.within_team
            assert all(one.priority < wants.priority for one in own)
            continue
        assert law.reclaim is Reclaim.ANY or all(one.priority < wants.priority for one in own)
        assert law.reclaim is not Reclaim.NEVER
        assert used(wants.team, list(running)) + wants.size() <= nominal[wants.team]
        if team in nominal:
            assert used(team, stay) + max(one.cards() for one in own) > nominal[team]
    if gone:
        promise = PlanResult(placements=result.preempting)
        assert placements.violations(full(nodes, *stay), [wants], promise) == []
        for back in gone:
            others = [one for one in running if one not in gone or one is back]
            again = plan.plan(full(nodes, *others), [wants], now=NOW, running=others, rules=Rules(law.teams))
            assert again.placements == ()
    for placement in (*result.placements, *result.preempting):
        limit = next(iter(law.teams[wants.team].limits)) if wants.team in law.teams else None
        total = used(wants.team, stay) + len(placement.nodes())
        if limit is not None and total > limit.nominal:
            unused = sum(nominal[name] - used(name, stay) for name in nominal if name != wants.team)
            assert total - limit.nominal <= unused
            assert limit.borrow is None or total - limit.nominal <= limit.borrow
