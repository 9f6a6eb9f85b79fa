"""Moves that make room: tried out first, everybody lands at once, as little work lost as possible."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang, Running
from cardpool.domain.inventory import Inventory
from cardpool.engine import defrag, occupancy
from cardpool.engine.defrag import Found, Nowhere
from cardpool.engine.future import Future
from cardpool.engine.ground import Ground
from tests.support import placements, worlds
from tests.support.worlds import full, gang, group, holds

NOW = 1000.0
QUICK = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
RACKS = ("rack",)


def wish(one: Running, **fields: Any) -> Gang:
    """What a running gang of equal pods would ask for if it had to start again."""
    (cards,) = {cards for _, cards, _ in one.pods}
    previous = {rank: node for rank, (node, _, _) in enumerate(one.pods)}
    return gang(group(len(one.pods), cards), key=one.key, previous=previous, **fields)


def search(inventory: Inventory, asked: Gang, *running: Running, wishes: Any = None, **fields: Any) -> Found | Nowhere:
    """The way to make room."""
    ground = Ground(inventory, 0)
    ahead = Future(ground, tracked=False)
    rooms = occupancy.rooms(ground, running)
    gangs = [(wishes or {}).get(room.gang.key, wish(room.gang)) for room in rooms]
    return defrag.search(ahead, asked, asked.options[0], defrag.movers(rooms, gangs, NOW), **fields)


def moved(found: Found | Nowhere) -> dict[str, tuple[str, ...]]:
    """New nodes of each gang that moves."""
    assert isinstance(found, Found), found
    return {mover.key: placement.nodes() for mover, placement in found.moves}


def test_a_rack_is_cleared_into_the_broken_one() -> None:
    """Two racks with half their cards free each: the gang in one goes to the other, and the asked one has a rack."""
    one, two = holds("a/one", 4, "r1-0"), holds("a/two", 4, "r2-0", started=10.0)
    inventory = full({"r1": [4, 4], "r2": [4, 4]}, one, two, levels=RACKS)
    found = search(inventory, gang(group(8), demand=worlds.topology(required="rack")), one, two)
    assert moved(found) == {"a/two": ("r1-1",)}
    assert isinstance(found, Found)
    assert (set(found.asked.nodes()), found.lost) == ({"r2-0", "r2-1"}, 4 * 990)


def test_nobody_moves_where_it_fits() -> None:
    """An empty answer with the place that it has."""
    one = holds("a/one", 4, "a")
    found = search(full({"a": 8}, one, levels=()), gang(group(4)), one)
    assert (moved(found), isinstance(found, Found) and found.asked.nodes()) == ({}, ("a",) * 4)


def test_the_checkpoint_counts_and_not_the_age() -> None:
    """Two small ones that saved lately move rather than one that would lose more."""
    big = holds("a/big", 4, "r1-0", started=NOW - 100.0)
    small = [holds(f"a/s{at}", 2, f"r2-{at}", checkpoint=NOW - 10.0) for at in range(2)]
    inventory = full({"r1": [4, 4], "r2": [4, 4], "r3": [4]}, big, *small, levels=RACKS)
    found = search(inventory, gang(group(2, 4), demand=worlds.topology(required="rack")), big, *small)
    assert sorted(moved(found)) == ["a/s0", "a/s1"]


def test_cards_of_one_node_are_brought_together() -> None:
    """No level is asked for: pods of 8 cards need whole nodes, and halves are free."""
    running = [holds(f"a/{name}", 4, name, started=100.0 * at) for at, name in enumerate("abcd")]
    inventory = full(dict.fromkeys("abcd", 8), *running, levels=())
    found = search(inventory, gang(group(2, 8)), *running)
    assert moved(found).keys() == {"a/c", "a/d"}
    assert {node for nodes in moved(found).values() for node in nodes} == {"a", "b"}


def test_ranks_that_are_not_in_the_way_stay() -> None:
    """A gang over two racks restarts whole, and only the pod in the cleared rack has another node."""
    wide = holds("a/wide", 0, pods=(("r1-0", 4, {}), ("r2-0", 4, {})))
    stays = holds("a/stays", 4, "r2-1", started=1.0)
    inventory = full({"r1": [4, 4], "r2": [4, 4], "r3": [4]}, wide, stays, levels=RACKS)
    found = search(inventory, gang(group(2, 4), demand=worlds.topology(required="rack")), wide, stays)
    assert moved(found) == {"a/wide": ("r3-0", "r2-0")}


WHY: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "too few cards": ({}, {"pods": 20}, "20 cards are free where it may run and it needs 20"),
    "nobody may move": ({"wishes": {"a/one": None, "a/two": None}}, {}, "no running gang may move"),
    "no budget": ({"most": 0}, {}, "no move is left in the budget"),
    "not even with all gone": ({}, {"pods": 9}, "it would not fit with all 2 gangs gone that may move"),
}


@pytest.mark.parametrize(("fields", "asked", "text"), WHY.values(), ids=WHY)
def test_why_no_move_helps(fields: dict[str, Any], asked: dict[str, Any], text: str) -> None:
    """A line that counts."""
    one, two = holds("a/one", 4, "r1-0"), holds("a/two", 4, "r2-0")
    racks = {"r1": [4, 4], "r2": [4, 4], "r3": [1] * 4, "r4": [1] * 4, "r5": [1] * 3}
    inventory = full(racks, one, two, levels=RACKS)
    wanted = gang(group(asked.get("pods", 8)), demand=worlds.topology(required="rack"))
    found = search(inventory, wanted, one, two, **fields)
    if asked.get("pods") == 20:
        text = text.replace("20 cards", "19 cards")
    assert isinstance(found, Nowhere)
    assert text in found.message


def test_who_fits_nowhere_else_does_not_move() -> None:
    """A pod of 4 cards cannot land on single free cards."""
    one = holds("a/one", 4, "r1-0")
    inventory = full({"r1": [4, 4], "r2": [1, 1, 1, 1]}, one, levels=RACKS)
    found = search(inventory, gang(group(8), demand=worlds.topology(required="rack")), one)
    assert isinstance(found, Nowhere)
    assert found.message.startswith("the gangs that would have to move fit nowhere else")


def test_nobody_goes_where_somebody_else_still_is() -> None:
    """The room of another mover, or of a gang that is leaving, is not free when the moved gang starts again."""
    one, two = holds("a/one", 2, "r1-0"), holds("a/two", 3, "r2-0")
    inventory = full({"r1": [4], "r2": [4], "r3": [1]}, one, two, levels=RACKS)
    found = search(inventory, gang(group(4), demand=worlds.topology(required="node")), one, two)
    assert isinstance(found, Nowhere)


def test_a_spare_is_no_place_to_move_to() -> None:
    """Spares are for faults."""
    one = holds("a/one", 4, "r1-0")
    asked = gang(group(8), demand=worlds.topology(required="rack"))
    racks = {"r1": [4, 4], "r2": [4]}
    assert isinstance(search(full(racks, one, levels=RACKS), asked, one), Found)
    assert isinstance(search(full(racks, one, levels=RACKS, **{"r2-0": {"spare": True}}), asked, one), Nowhere)


Case = tuple[dict[str, dict[str, int]], tuple[Running, ...], Gang, dict[str, Gang]]


@st.composite
def crowds(draw: st.DrawFn) -> Case:
    """Nodes in racks, partly filled by small gangs of different worth, and one that wants in."""
    racks: dict[str, dict[str, int]] = {}
    left: dict[str, int] = {}
    for number in range(draw(st.integers(2, 4))):
        left[f"n{number}"] = draw(st.integers(2, 4))
        racks.setdefault(draw(st.sampled_from("xyz")), {})[f"n{number}"] = left[f"n{number}"]
    running, wishes = [], {}
    for number in range(draw(st.integers(2, 5))):
        cards, pods = draw(st.integers(1, 2)), []
        for name in draw(st.lists(st.sampled_from(sorted(left)), min_size=1, max_size=2)):
            if left[name] >= cards:
                pods.append((name, cards, {}))
                left[name] -= cards
        if pods:
            one = holds(f"a/r{number}", 0, pods=tuple(pods), started=NOW - draw(st.integers(0, 4)))
            running.append(one)
            level = draw(st.sampled_from(("", "", "rack")))
            wishes[one.key] = wish(one, demand=worlds.topology(required=level))
    free = max(1, sum(left.values()))
    shape = draw(st.sampled_from([(free, 1), (free - 1, 1), (free // 2, 2), (free // 3, 3), (1, free)]))
    required = draw(st.sampled_from(("", "rack", "node")))
    wanted = group(max(1, min(4, shape[0])), max(1, min(4, shape[1])))
    return racks, tuple(running), gang(wanted, key="a/new", demand=worlds.topology(required=required)), wishes


def seatings(inventory: Inventory, wanted: Gang, room: Counter[str]) -> Iterator[Counter[str]]:
    """Every way to seat a gang of equal pods into this room, as cards by node."""
    (shape,) = wanted.options[0].groups
    for nodes in itertools.combinations_with_replacement(sorted(room), shape.replicas):
        cards = Counter({node: number * shape.cards_per_pod for node, number in Counter(nodes).items()})
        level = wanted.topology.required
        homes = {placements.path(inventory, worlds.PROFILE, node, level) for node in nodes} if level else {None}
        if len(homes) == 1 and all(room[node] >= amount for node, amount in cards.items()):
            yield cards


def ways(inventory: Inventory, asked: Gang, gone: Sequence[Running], wishes: dict[str, Gang]) -> bool:
    """Whether the asked gang fits once these are gone and all of them land, tried out in every combination."""
    free = Counter({name: int(inventory.free[at, 0]) for name, at in inventory.index.items()})
    own = {one.key: Counter(dict.fromkeys([], 0)) for one in gone}
    for one in gone:
        for node, cards, _ in one.pods:
            own[one.key][node] += cards

    def land(rest: list[Running], after: Counter[str], present: Counter[str]) -> bool:
        if not rest:
            return True
        mine = own[rest[0].key]
        room = Counter({node: min(after[node], present[node] + mine[node]) for node in free})
        for cards in seatings(inventory, wishes[rest[0].key], room):
            left = Counter({node: after[node] - cards[node] for node in free})
            now = Counter({node: present[node] - max(0, cards[node] - mine[node]) for node in free})
            if land(rest[1:], left, now):
                return True
        return False

    total = Counter({node: free[node] + sum(own[one.key][node] for one in gone) for node in free})
    return any(
        land(list(gone), Counter({node: total[node] - cards[node] for node in free}), free)
        for cards in seatings(inventory, asked, total)
    )


@QUICK
@given(crowds())
def test_the_moves_lead_to_the_fit_and_no_card_is_promised_twice(case: Case) -> None:
    """After the moves everything that runs and the asked gang have their cards, each as it demands."""
    racks, running, asked, wishes = case
    inventory = full(racks, *running, levels=RACKS)
    found = search(inventory, asked, *running, wishes=wishes)
    if isinstance(found, Nowhere):
        return
    gone = {mover.key: placement for mover, placement in found.moves}
    stay = [one for one in running if one.key not in gone]
    after = full(racks, *stay, levels=RACKS)
    queue = [asked, *(dataclasses.replace(wishes[key], previous={}) for key in gone)]
    result = worlds.planned(after)
    result = dataclasses.replace(result, placements=(found.asked, *gone.values()))
    assert placements.violations(after, queue, result) == []
    assert all(placement.nodes() != tuple(wishes[key].previous.values()) for key, placement in gone.items())
    free = Counter({name: int(inventory.free[at, 0]) for name, at in inventory.index.items()})
    for mover, placement in found.moves:
        own = Counter(node for node, cards, _ in mover.room.gang.pods for _ in range(cards))
        each = wishes[mover.key].options[0].groups[0].cards_per_pod
        free -= Counter(node for node in placement.nodes() for _ in range(each)) - own
        assert min(free.values(), default=0) >= 0


@QUICK
@given(crowds())
def test_no_choice_of_up_to_three_gangs_is_cheaper(case: Case) -> None:
    """Against an exhaustive search over choices, seats and landings; and No only where there is no such choice."""
    racks, running, asked, wishes = case
    inventory = full(racks, *running, levels=RACKS)
    found = search(inventory, asked, *running, wishes=wishes)
    best = min(
        (
            (sum(one.cards() * int(NOW - one.started) for one in gone), len(gone))
            for size in range(min(3, len(running)) + 1)
            for gone in itertools.combinations(running, size)
            if ways(inventory, asked, gone, wishes)
        ),
        default=None,
    )
    if best is None:
        assert isinstance(found, Nowhere) or len(found.moves) > 3
    else:
        assert isinstance(found, Found)
        assert (found.lost, len(found.moves)) <= best
