"""Balanced packing: equal parts in the fewest domains that hold them, and nothing else of a placement changed."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardpool.engine import balance
from tests.support import placements, worlds
from tests.support.worlds import gang, group, topology

SPREAD: dict[str, tuple[Any, tuple[str, ...], int, dict[str, Any], str, dict[str, int]]] = {
    "the block in which two hosts hold equal halves": (
        {"b1": [20, 10], "b2": [15, 15]},
        ("block",),
        22,
        {"preferred": "block"},
        "node",
        {"b2/b2-0": 11, "b2/b2-1": 11},
    ),
    "the rack in which three hosts hold equal thirds, though two of another hold all": (
        {"r1": [10, 5], "r2": [5, 5, 5]},
        ("rack",),
        15,
        {"preferred": "rack"},
        "node",
        {"r2/r2-0": 5, "r2/r2-1": 5, "r2/r2-2": 5},
    ),
    "the same two levels up": (
        {"z1": {"r1": [10, 5]}, "z2": {"r1": [5, 5, 5]}},
        ("zone", "rack"),
        15,
        {"required": "zone"},
        "node",
        {"z2/r1/z2-r1-0": 5, "z2/r1/z2-r1-1": 5, "z2/r1/z2-r1-2": 5},
    ),
    "racks, and in each of them hosts": (
        {"b": {"r1": [8, 8], "r2": [8, 8], "r3": [8, 8]}},
        ("block", "rack"),
        36,
        {"required": "block"},
        "node",
        {f"b/r{rack}/b-r{rack}-{node}": 6 for rack in (1, 2, 3) for node in (0, 1)},
    ),
    "parts differ by one where the number does not divide": (
        {"r": [8, 8, 8]},
        ("rack",),
        20,
        {},
        "node",
        {"r/r-0": 7, "r/r-1": 7, "r/r-2": 6},
    ),
    "one host that holds all": ({"r": [8, 4, 4]}, ("rack",), 8, {}, "node", {"r/r-0": 8}),
    "blocks stay whole": (
        {"r1": [8, 8], "r2": [8, 8]},
        ("rack",),
        20,
        {"blocks": [(4, "node")]},
        "rack",
        {"r1": 12, "r2": 8},
    ),
    "as equal as it goes": ({"r": [9, 2, 7]}, ("rack",), 17, {}, "node", {"r/r-0": 8, "r/r-1": 2, "r/r-2": 7}),
    "the tightest of the hosts that hold a part": (
        {"r": [9, 6, 5, 7]},
        ("rack",),
        12,
        {"required": "rack"},
        "node",
        {"r/r-1": 6, "r/r-3": 6},
    ),
}


@pytest.mark.parametrize(("domains", "levels", "pods", "demand", "level", "expected"), SPREAD.values(), ids=SPREAD)
def test_pods_per_domain(domains: Any, levels: Any, pods: int, demand: Any, level: str, expected: Any) -> None:
    """One gang of one-card pods in an untouched pool."""
    inventory = worlds.pool(domains, levels)
    result = worlds.planned(inventory, gang(group(pods), demand=topology(**demand, packing="Balanced")))
    assert result.refusals == ()
    assert expected == worlds.domains_of(inventory, result.placements[0], level)


def test_each_group_on_its_own() -> None:
    """A group says for itself how it is divided; the job's word counts where it says nothing."""
    inventory = worlds.pool({"r": [8, 8, 8]}, ("rack",))
    tight = group(10, 1, "one", topology=topology(packing="Tight"))
    even = group(10, 1, "two")
    result = worlds.planned(inventory, gang(tight, even, demand=topology(packing="Balanced")))
    nodes = result.placements[0].nodes()
    assert sorted(Counter(nodes[:10]).values()) == [2, 8]
    assert sorted(Counter(nodes[10:]).values()) == [5, 5]
    alone = worlds.planned(inventory, gang(even, demand=topology(packing="Balanced"))).placements[0]
    assert sorted(worlds.counts(alone).values()) == [5, 5]


def test_an_untouched_node_is_not_broken_up_while_touched_ones_have_room() -> None:
    """Two halves of four go to the two nodes that are in use already."""
    changes = {"a": {"used_cards": 3}, "c": {"used_cards": 4}}
    inventory = worlds.pool({"a": 8, "b": 8, "c": 8}, (), changes)
    result = worlds.planned(inventory, gang(group(8, 1), group(1, 8, "other"), demand=topology(packing="Balanced")))
    assert worlds.counts(result.placements[0]) == {"a": 4, "c": 4, "b": 1}


def by_hand(caps: list[int], units: int) -> int:
    """The fewest parts, by trying every choice of domains."""
    for parts in range(1, min(len(caps), units) + 1):
        shares = sorted((units // parts + (at < units % parts) for at in range(parts)), reverse=True)
        for some in itertools.combinations(sorted(caps, reverse=True), parts):
            if all(share <= cap for share, cap in zip(shares, some, strict=True)):
                return parts
    return 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=4), st.integers(1, 20))
def test_the_fewest_equal_parts(owners: list[list[int]], units: int) -> None:
    """Against every choice of domains."""
    starts = np.cumsum([0, *(len(caps) for caps in owners)])
    found = balance.fewest_even(np.array([cap for caps in owners for cap in caps]), starts, units)
    assert [by_hand(caps, units) for caps in owners] == found.tolist()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data())
def test_levelling_out(caps: list[int], data: Any) -> None:
    """Everything is given, nobody beyond capacity; nobody has two more than another who has room; few are used."""
    units = data.draw(st.integers(1, max(sum(caps), 1)))
    if sum(caps) < units:
        return
    shares = balance.level_out(np.array(caps), units).tolist()
    used = [at for at, share in enumerate(shares) if share]
    assert sum(shares) == units
    assert all(share <= cap for share, cap in zip(shares, caps, strict=True))
    assert all(shares[one] <= shares[other] + 1 or shares[other] == caps[other] for one in used for other in used)
    assert sum(sorted(caps, reverse=True)[: len(used) - 1]) < units


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.dictionaries(
        st.sampled_from("abc"),
        st.dictionaries(st.sampled_from("xyz"), st.lists(st.integers(0, 6), min_size=1, max_size=3), min_size=1),
        min_size=1,
    ),
    st.data(),
)
def test_the_same_gangs_fit(domains: Any, data: Any) -> None:
    """Whatever the demands: Balanced places what Tight places, keeps every promise, and refuses in the same words."""
    inventory = worlds.pool(domains, ("zone", "rack"))
    block = data.draw(st.sampled_from((1, 2, 3)))
    levels = st.sampled_from(("", "zone", "rack", "node"))
    demand = {
        "required": data.draw(levels),
        "preferred": data.draw(levels),
        "blocks": [(block, data.draw(st.sampled_from(("zone", "rack", "node"))))],
    }
    shape = group(block * data.draw(st.integers(1, 6)), data.draw(st.sampled_from((1, 2))))
    even = gang(shape, demand=topology(**demand, packing="Balanced"))
    result = worlds.planned(inventory, even)
    tight = worlds.planned(inventory, gang(shape, demand=topology(**demand)))
    assert placements.violations(inventory, [even], result) == []
    assert bool(tight.placements) == bool(result.placements)
    assert [refusal.message for refusal in tight.refusals] == [refusal.message for refusal in result.refusals]
