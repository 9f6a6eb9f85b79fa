"""Random pools of two makers: mixed and single gangs in one cycle keep every promise, and nothing is mixed unasked."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang, GroupShape, Mix, Option, Placement, PlanResult, Running
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import Limit, Rules, Team
from cardpool.engine import build, plan
from tests.support import placements, worlds

PROFILES = ("k100", "npu")
QUICK = settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def pools(draw: st.DrawFn) -> Inventory:
    """A few nodes of two makers in up to three zones; some are used, some tight in memory."""
    rows = []
    for number in range(draw(st.integers(2, 8))):
        zone = draw(st.sampled_from("aab"))
        cards = draw(st.integers(1, 4))
        fields = {"profile": draw(st.sampled_from(PROFILES)), "labels": {worlds.LABEL + "zone": zone}}
        row = worlds.node(f"n{number}", cards, free=draw(st.integers(0, cards)), **fields)
        rows.append(row)
    return build.build_inventory(rows, PROFILES, (worlds.tree("zone"), worlds.tree("zone")))


@st.composite
def shapes(draw: st.DrawFn, name: str, sizes: st.SearchStrategy[int]) -> dict[str, GroupShape]:
    """A group on one or both profiles, with other cards, and sometimes another number of pods, on each."""
    pods = draw(sizes)
    found = {}
    for profile in draw(st.sampled_from((PROFILES, PROFILES, PROFILES[:1], PROFILES[1:]))):
        count = pods if draw(st.integers(0, 3)) else draw(sizes)
        found[profile] = worlds.group(count, draw(st.sampled_from((1, 1, 2, 0))), name)
    return found


@st.composite
def gangs(draw: st.DrawFn, key: str) -> Gang:
    """A gang of up to three groups that may be mixed in some way or in none."""
    table = [draw(shapes(f"g{at}", st.integers(1, 4))) for at in range(draw(st.integers(1, 3)))]
    demand = worlds.topology(draw(st.sampled_from(("", "", "zone"))))
    if not draw(st.integers(0, 3)):
        demand = worlds.topology(demand.required, blocks=[(2, "zone")])
    mixing = draw(st.sampled_from(("None", "PerGroup", "Any")))
    options = tuple(
        Option(name, tuple(group[name] for group in table))
        for name in PROFILES
        if all(name in group for group in table)
    )
    mix = None
    if mixing != "None":
        mix = Mix(PROFILES, tuple(tuple(group.get(name) for name in PROFILES) for group in table), mixing == "Any")
    return worlds.gang(key=key, options=options, mix=mix, demand=demand, created=float(draw(st.integers(0, 3))))


def broken(inventory: Inventory, queue: list[Gang], result: PlanResult) -> list[str]:
    """Every promise that the placements break, read off the inventory alone."""
    by_key = {gang.key: gang for gang in queue}
    used: Counter[str] = Counter()
    found = [problem for item in result.placements for problem in _placement(inventory, by_key[item.gang], item, used)]
    for node, cards in used.items():
        if cards > inventory.free[inventory.index[node], 0]:
            found.append(f"{node} is given away twice")
    answered = Counter([p.gang for p in result.placements] + [r.gang for r in result.refusals])
    return found if answered == Counter(list(by_key)) else [*found, f"answers {answered}"]


def _placement(inventory: Inventory, gang: Gang, item: Placement, used: Counter[str]) -> list[str]:
    found, seats = [], []
    shapes_ = (
        gang.mix.groups if gang.mix is not None else tuple(zip(*(one.groups for one in gang.options), strict=True))
    )
    names = gang.mix.profiles if gang.mix is not None else tuple(one.profile for one in gang.options)
    for part in item.segments:
        for node in part.nodes:
            seats.append((part.group, part.profile, node))
            own = inventory.profiles[inventory.profile[inventory.index[node]]]
            if own != part.profile:
                found.append(f"{gang.key}: {node} is {own}, not {part.profile}")
            shape = shapes_[int(part.group[1:])][names.index(part.profile)]
            if shape is None:
                found.append(f"{gang.key}: {part.group} has no shape on {part.profile}")
            else:
                used[node] += shape.cards_per_pod
    for number, group in enumerate(shapes_):
        on = [profile for name, profile, _ in seats if name == f"g{number}"]
        sizes = {shape.replicas for profile in set(on) if (shape := group[names.index(profile)]) is not None}
        if sizes != {len(on)}:
            found.append(f"{gang.key}: g{number} has {len(on)} of {sizes} pods")
        if len(set(on)) > 1 and not (gang.mix is not None and gang.mix.within):
            found.append(f"{gang.key}: g{number} is cut")
    if gang.mix is None and len({profile for _, profile, _ in seats}) > 1:
        found.append(f"{gang.key}: mixed unasked")
    zones = [placements.path(inventory, profile, node, "zone") for _, profile, node in seats]
    if gang.topology.required and len(set(zones)) > 1:
        found.append(f"{gang.key}: spread over {set(zones)}")
    pairs = range(0, len(seats), 2) if gang.topology.blocks else range(0)
    apart = [at for at in pairs if len(set(zones[at : at + 2])) + len({one[1] for one in seats[at : at + 2]}) > 2]
    found += [f"{gang.key}: ranks {at} and {at + 1} are apart" for at in apart]
    cards: Counter[str] = Counter()
    for name, profile, _ in seats:
        shape = shapes_[int(name[1:])][names.index(profile)]
        cards[profile] += shape.cards_per_pod if shape is not None else 0
    if item.shares and dict(item.shares) != dict(cards):
        found.append(f"{gang.key}: shares {item.shares}, cards {dict(cards)}")
    return found


@QUICK
@given(pools(), st.data())
def test_mixed_and_single_gangs_keep_their_promises(inventory: Inventory, data: Any) -> None:
    """Capacity, whole gangs, one profile where nothing may mix, whole groups where these may not be cut, demands."""
    queue = [data.draw(gangs(f"team-a/{at}")) for at in range(data.draw(st.integers(1, 4)))]
    strategy = data.draw(st.sampled_from(("BestEffort", "Backfill", "Strict")))

    result = plan.plan(inventory, queue, now=1000.0, strategy=strategy)

    assert broken(inventory, queue, result) == []


@QUICK
@given(pools(), st.data())
def test_quotas_hold_for_mixed_gangs(inventory: Inventory, data: Any) -> None:
    """Cards of each profile and compute of all stay inside the limits, whatever is mixed."""
    limits = (
        Limit("k100", data.draw(st.integers(0, 6))),
        Limit("npu", data.draw(st.integers(0, 6))),
        Limit("*", data.draw(st.integers(0, 900)), compute=True),
    )
    rules = Rules(teams={"default": Team("default", limits=limits)}, compute={"k100": 100, "npu": 50})
    queue = [data.draw(gangs(f"team-a/{at}")) for at in range(3)]

    result = plan.plan(inventory, queue, now=0.0, rules=rules)

    held: Counter[str] = Counter()
    by_key = {gang.key: gang for gang in queue}
    for item in result.placements:
        shares = item.shares or _single(by_key[item.gang], item)
        held.update(dict(shares))
    assert broken(inventory, queue, result) == []
    assert [held[name] <= limit.nominal for name, limit in zip(PROFILES, limits, strict=False)] == [True, True]
    assert 100 * held["k100"] + 50 * held["npu"] <= limits[2].nominal


def _single(gang: Gang, item: Placement) -> tuple[tuple[str, int], ...]:
    option = next(one for one in gang.options if one.profile == item.profile)
    return ((item.profile, sum(shape.replicas * shape.cards_per_pod for shape in option.groups)),)


@QUICK
@given(pools(), st.data())
def test_a_mix_that_exists_for_whole_groups_is_found(inventory: Inventory, data: Any) -> None:
    """Two groups of one shape each, nothing demanded: No only where no choice of profiles holds both."""
    table = [data.draw(shapes(f"g{at}", st.integers(1, 4))) for at in range(2)]
    mix = Mix(PROFILES, tuple(tuple(group.get(name) for name in PROFILES) for group in table))
    queue = [worlds.gang(key="team-a/0", options=(), mix=mix)]

    result = plan.plan(inventory, queue, now=0.0)

    able = any(
        left.profile_of != right.profile_of and left.fits and right.fits
        for left in _alone(inventory, table[0])
        for right in _alone(inventory, table[1])
    )
    single = any(
        worlds.planned(
            inventory, worlds.gang(key="x", options=(Option(name, tuple(one[name] for one in table)),))
        ).placements
        for name in PROFILES
        if all(name in one for one in table)
    )
    assert bool(result.placements) == (able or single)


class _Fits:
    def __init__(self, profile_of: str, *, fits: bool) -> None:
        self.profile_of, self.fits = profile_of, fits


def _alone(inventory: Inventory, group: dict[str, GroupShape]) -> list[_Fits]:
    """Whether a group fits each of its profiles by itself, by counting slots."""
    found = []
    for profile, shape in group.items():
        rows = [row for row in range(len(inventory.names)) if inventory.profiles[inventory.profile[row]] == profile]
        each = [int(inventory.free[row, 0]) // shape.cards_per_pod if shape.cards_per_pod else 100 for row in rows]
        found.append(_Fits(profile, fits=sum(each) >= shape.replicas))
    return found


@QUICK
@given(pools(), st.data())
def test_preemption_keeps_its_promises_among_mixed_gangs(inventory: Inventory, data: Any) -> None:
    """A running mixed gang goes whole and once, whoever it goes for."""
    used = [(name, at) for at, name in enumerate(inventory.names) if inventory.capacity[at, 0] > inventory.free[at, 0]]
    pods = tuple((name, int(inventory.capacity[at, 0] - inventory.free[at, 0]), {}) for name, at in used)
    sums: Counter[str] = Counter()
    for (_, at), (_, cards, _) in zip(used, pods, strict=True):
        sums[inventory.profiles[inventory.profile[at]]] += cards
    mixed = tuple(sums.items()) if len(sums) > 1 else ()
    first = next(iter(sums), PROFILES[0])
    running = [Running("team-a/run", "run", "default", 0, first, pods, 0.0, mixed=mixed)] if pods else []
    queue = [data.draw(gangs(f"team-a/{at}")) for at in range(3)]
    high = [dataclasses.replace(gang, priority=1) for gang in queue]

    result = plan.plan(inventory, high, now=5000.0, running=running, rules=Rules(within_team=True), strategy="Backfill")

    assert broken(inventory, high, result) == []
    assert len({item.gang for item in result.evictions}) == len(result.evictions)
