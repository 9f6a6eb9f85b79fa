"""``mixing: Any``: the pods of one group on different profiles, the preferred ones full first."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from cardpool.domain.gangs import PlanResult
from cardpool.domain.inventory import Cause
from cardpool.domain.teams import Limit
from cardpool.names import Reason
from tests.support import worlds
from tests.support.mixes import H100, K100, NPU, gang, judge, node, only, planned, pool, rules, seats, train


def per_profile(result: PlanResult) -> dict[str, int]:
    """Pods of the only gang by profile."""
    return dict(Counter(profile for _, _, profile, _ in seats(only(result))))


THREE_AND_THREE = [node(f"a{at}", K100) for at in range(3)] + [node(f"b{at}", NPU, labels={}) for at in range(3)]


def test_one_group_on_two_makers() -> None:
    """As many pods as the preferred profile holds, the rest on the next; indexes run through both."""
    found = only(planned(pool(*THREE_AND_THREE), gang(train(5), within=True)))

    assert [(part.profile, part.from_index, part.nodes) for part in found.segments] == [
        (K100, 0, ("a0", "a1", "a2")),
        (NPU, 3, ("b0", "b1")),
    ]
    assert found.shares == ((K100, 24), (NPU, 16))


def test_whole_groups_come_before_single_pods() -> None:
    """What PerGroup can do is done first."""
    found = only(planned(pool(*THREE_AND_THREE), gang(train(2), judge(3), within=True)))

    assert {(group, profile) for group, _, profile, _ in seats(found)} == {("train", K100), ("judge", NPU)}


def test_what_does_not_fit_pod_by_pod_is_counted() -> None:
    """Seven pods of six; nothing is taken for them."""
    result = planned(pool(*THREE_AND_THREE), gang(train(7), within=True))

    assert [refusal.reason for refusal in result.refusals] == [Reason.INSUFFICIENT_CARDS]
    assert "mixed: 6 of 7 pods fit when they are spread one by one" in result.refusals[0].message
    assert (result.refusals[0].fit, result.refusals[0].want) == (6, 7)


@pytest.mark.parametrize(
    ("blocks", "own", "expected"),
    [((), (), {K100: 3, NPU: 3}), (((2, "zone"),), (), {K100: 2, NPU: 4}), ((), ((2, "zone"),), {K100: 2, NPU: 4})],
    ids=["no blocks", "blocks of the gang", "blocks of the group"],
)
def test_a_block_stays_on_one_maker(
    blocks: tuple[tuple[int, str], ...], own: tuple[tuple[int, str], ...], expected: dict[str, int]
) -> None:
    """Three nodes hold one block of two pods and a half."""
    rows = [node(f"a{at}", K100) for at in range(3)] + [node(f"b{at}", NPU) for at in range(4)]
    one = gang(train(6, topology=worlds.topology(blocks=own)), within=True, demand=worlds.topology(blocks=blocks))

    assert per_profile(planned(pool(*rows), one)) == expected


def test_different_cards_per_pod_on_each_profile() -> None:
    """A pod takes eight cards of one maker or sixteen of the other."""
    rows = [*(node(f"a{at}", K100) for at in range(2)), *(node(f"b{at}", NPU, 16) for at in range(2))]
    shapes = {K100: train(4), NPU: worlds.group(4, 16, "train")}

    found = only(planned(pool(*rows), gang(shapes, within=True)))

    assert found.shares == ((K100, 16), (NPU, 32))


def test_a_profile_that_wants_another_number_of_pods_takes_all_or_none() -> None:
    """Four pods on k100 are two on npu: they are not counted together; h100 joins in."""
    rows = [node("a0", K100), node("a1", K100), node("b0", NPU), node("c0", H100), node("c1", H100)]
    shapes = {K100: train(4), NPU: train(2), H100: train(4)}

    found = planned(pool(*rows), gang(shapes, within=True, profiles=(K100, NPU, H100)))
    without = planned(pool(*rows[:3]), gang({K100: train(4), NPU: train(2)}, within=True))

    assert per_profile(found) == {K100: 2, H100: 2}
    assert without.placements == ()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((Limit(K100, 16),), {K100: 2, NPU: 3}),
        ((Limit(NPU, 16),), {K100: 3, NPU: 2}),
        ((Limit("*", 3200, compute=True),), {K100: 3, NPU: 2}),
        ((Limit("*", 2800, compute=True),), {K100: 2, NPU: 3}),
        ((Limit("*", 2700, compute=True),), {}),
        ((Limit(K100, 8), Limit(NPU, 16)), {}),
    ],
    ids=["of the first", "of the second", "compute enough", "compute with more of the cheaper", "compute", "both"],
)
def test_quota_bounds_each_share(limits: tuple[Limit, ...], expected: dict[str, int]) -> None:
    """Less of one maker and more of the other where that keeps the quotas; a card of npu counts half."""
    result = planned(pool(*THREE_AND_THREE), gang(train(5), within=True), rules=rules(*limits))

    assert (per_profile(result) if result.placements else {}) == expected
    assert expected or "inside the quota" in result.refusals[0].message


def test_a_required_domain_holds_both_shares() -> None:
    """Only one zone has room for all six pods on both makers together."""
    rows = [
        *(node(f"a{at}", K100) for at in range(5)),
        *(node(f"b{at}", NPU) for at in range(5)),
        *(node(f"c{at}", K100) for at in range(2)),
        *(node(f"c{at}", NPU) for at in range(2, 6)),
    ]

    found = only(planned(pool(*rows), gang(train(6), within=True, demand=worlds.topology("zone"))))
    none = planned(pool(*rows), gang(train(7), within=True, demand=worlds.topology("zone")))

    assert {name[0] for name in found.nodes()} == {"c"}
    assert [refusal.reason for refusal in none.refusals] == [Reason.TOPOLOGY_UNFIT]


def test_a_group_with_a_domain_of_its_own_is_not_cut() -> None:
    """It asks for one zone of its own maker; the other group is what gets spread."""
    whole = train(2, topology=worlds.topology("zone"))

    found = only(planned(pool(*THREE_AND_THREE[:5], node("b2", NPU)), gang(whole, judge(4), within=True)))

    assert {profile for group, _, profile, _ in seats(found) if group == "train"} == {K100}
    assert Counter(profile for group, _, profile, _ in seats(found) if group == "judge") == {K100: 1, NPU: 3}


def test_healthy_ranks_of_a_spread_group_stay() -> None:
    """The lost rank goes to its own maker's free node."""
    rows = [node(f"a{at}", K100) for at in range(3)] + [node(f"b{at}", NPU) for at in range(4)]
    rows[3] = dataclasses.replace(rows[3], cause=Cause.NOT_READY)
    previous = {0: "a0", 1: "a1", 2: "a2", 3: "b0", 4: "b1"}

    found = only(planned(pool(*rows), gang(train(5), within=True, previous=previous, repair=True)))

    assert (found.nodes()[:3], found.nodes()[4]) == (("a0", "a1", "a2"), "b1")
    assert found.nodes()[3] in {"b2", "b3"}
