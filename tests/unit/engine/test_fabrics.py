"""A pod's cards reach each other: in-node fabrics, modules of two dies, and cards of which nobody knows where they lie."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from cardpool.domain.fabrics import WHOLE, Held, NodeFabrics, index_of
from cardpool.domain.gangs import Running
from cardpool.domain.inventory import Cause, Inventory
from cardpool.domain.teams import Rules
from cardpool.engine import build, defrag, fabrics, future, occupancy, plan
from cardpool.engine.ground import Ground
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group


def node(name: str = "a", *free: int, size: int = 8, doubt: int = 0, unit: int = 1, **fields: Any) -> build.NodeRow:
    """A node with so many cards free in each fabric, less the doubtful ones."""
    held = fields.pop("held", {})
    total = fields.pop("total", size * len(free))
    known = NodeFabrics(size, unit, free, doubt, held)
    return worlds.node(name, total, free=sum(free) - doubt, fabrics=known, **fields)


def pool(*rows: build.NodeRow) -> Inventory:
    """These nodes, without a topology."""
    return build.build_inventory(rows, (worlds.PROFILE,), (worlds.tree(),))


TIGHTEST: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, str]] = {
    "a pod of 2 goes where 2 are left over": ((4, 4), (6, 2), 2, "b"),
    "a pod of 4 leaves the whole fabric whole": ((8, 0), (4, 4), 4, "b"),
    "a pod of 10 has its rest where 3 are": ((8, 6, 4), (8, 7, 3), 10, "b"),
    "equal nodes: the first": ((6, 2), (6, 2), 2, "a"),
    "less room left goes before": ((6, 3), (6, 2), 3, "b"),
}


@pytest.mark.parametrize(("one", "other", "cards", "expected"), TIGHTEST.values(), ids=TIGHTEST)
def test_of_nodes_that_are_alike_the_tighter_fabric_is_taken(
    one: tuple[int, ...], other: tuple[int, ...], cards: int, expected: str
) -> None:
    """The last word between nodes, after the room that they have in all."""
    (placement,) = worlds.planned(pool(node("a", *one), node("b", *other)), gang(group(1, cards))).placements
    assert placement.nodes() == (expected,)


def test_a_node_with_doubtful_cards_comes_after_its_like() -> None:
    """Nobody knows which fabric is the tightest there."""
    rows = node("a", 6, 3, doubt=1), node("b", 6, 2)
    (placement,) = worlds.planned(pool(*rows), gang(group(1, 1))).placements
    assert placement.nodes() == ("b",)


ROOM: dict[str, tuple[build.NodeRow, int, int]] = {
    "8 of 6 + 2": (node("a", 6, 2), 8, 0),
    "6 of 6 + 2": (node("a", 6, 2), 6, 1),
    "2 of 6 + 2": (node("a", 6, 2), 2, 4),
    "4 of 6 + 2": (node("a", 6, 2), 4, 1),
    "3 of 5 + 5": (node("a", 5, 5), 3, 2),
    "8 of 8 + 8": (node("a", 8, 8), 8, 2),
    "two whole fabrics": (node("a", 8, 8), 16, 1),
    "a fabric that is begun is not whole": (node("a", 8, 7), 16, 0),
    "a whole fabric and 2 beside it": (node("a", 8, 2), 10, 1),
    "a whole fabric and too little beside it": (node("a", 8, 1), 10, 0),
    "one whole fabric holds the rest of two": (node("a", 4, 4, 4, size=4), 5, 2),
    "rests share what is begun": (node("a", 4, 4, 2, size=4), 5, 2),
    "a doubtful card may spoil the only whole fabric": (node("a", 8, 6, doubt=1), 8, 0),
    "it cannot spoil both": (node("a", 8, 8, doubt=1), 8, 1),
    "two can": (node("a", 8, 8, doubt=2), 8, 0),
    "8 doubtful cards may be 4 + 4": (node("a", 8, 8, doubt=8), 5, 0),
    "4 + 4 have room for 4": (node("a", 8, 8, doubt=8), 4, 1),
    "one doubtful card among fours": (node("a", 8, 8, doubt=1), 4, 3),
    "a doubtful card in the rest": (node("a", 8, 2, doubt=1), 10, 0),
}


@pytest.mark.parametrize(("row", "cards", "pods"), ROOM.values(), ids=ROOM)
def test_pods_that_a_node_holds(row: build.NodeRow, cards: int, pods: int) -> None:
    """As many as fit wherever the doubtful cards lie, and no more."""
    placed = [bool(worlds.planned(pool(row), gang(group(number, cards))).placements) for number in range(1, 6)]
    assert [number <= pods for number in range(1, 6)] == placed


PAIRS: dict[str, tuple[build.NodeRow, tuple[int, ...], bool]] = {
    "a module": (node("a", 16, size=WHOLE, unit=2, total=16), (2,), True),
    "all modules": (node("a", 16, size=WHOLE, unit=2, total=16), (16,), True),
    "a die beside a broken module": (node("a", 2, size=WHOLE, unit=2, total=16), (1,), True),
    "two broken modules are none": (worlds.node("a", 16, free=2, fabrics=NodeFabrics(WHOLE, 2, (0,))), (2,), False),
    "two broken modules give a die": (worlds.node("a", 16, free=2, fabrics=NodeFabrics(WHOLE, 2, (0,))), (1,), True),
    "one module may be broken": (node("a", 4, size=WHOLE, unit=2, doubt=2, total=16), (2,), True),
    "pairs and fabrics": (node("a", 6, 2, unit=2), (8,), False),
    "pairs in a fabric": (node("a", 6, 2, unit=2), (6,), True),
}


@pytest.mark.parametrize(("row", "cards", "fits"), PAIRS.values(), ids=PAIRS)
def test_dies_come_in_modules(row: build.NodeRow, cards: tuple[int, ...], fits: bool) -> None:
    """Whole modules only; a single die may be any."""
    assert fits == bool(worlds.planned(pool(row), gang(*(group(1, number) for number in cards))).placements)


@pytest.mark.parametrize(
    ("pods", "cards"), [(1, 3), (2, 1), (1, 15)], ids=["odd", "one die each of two", "all but one"]
)
def test_an_odd_request_is_refused_with_words(pods: int, cards: int) -> None:
    """It would split a module; the queue behind it is not blocked by it."""
    inventory = pool(node("a", 16, size=WHOLE, unit=2, total=16))
    behind = gang(group(1, 16), key="team-a/later", created=1.0)
    result = worlds.planned(inventory, gang(group(pods, cards)), behind, strategy="Strict")

    assert [refusal.reason for refusal in result.refusals] == [Reason.INVALID_SPEC]
    assert "would split a module of two dies" in result.refusals[0].message
    assert [placement.gang for placement in result.placements] == ["team-a/later"]


def test_the_cause_is_counted() -> None:
    """Too few cards, cards that are split, and cards in doubt are three causes; each node has one."""
    rows = node("a", 6, 2), node("b", 4, 0), node("c", 8, 4, doubt=4), node("d", 6, 2, cause=Cause.CORDONED)
    (refusal,) = worlds.planned(pool(*rows), gang(group(1, 8))).refusals

    expected = {
        "cordoned": 1,
        "short of cards": 1,
        "with enough cards free, but split across fabrics of 8": 1,
        "with enough cards free, but not known in which fabrics of 8": 1,
    }
    assert (Reason.INSUFFICIENT_CARDS, expected) == (refusal.reason, dict(refusal.excluded))
    assert "1 with enough cards free, but split across fabrics of 8" in refusal.message


def test_broken_modules_are_a_cause() -> None:
    """Dies are free, modules are not."""
    rows = (
        worlds.node("a", 16, free=2, fabrics=NodeFabrics(WHOLE, 2, (0,))),
        node("b", 4, size=WHOLE, unit=2, doubt=2, total=16, used_cards=12),
    )
    (refusal,) = worlds.planned(pool(*rows), gang(group(1, 4))).refusals
    assert dict(refusal.excluded) == {
        "short of cards": 1,
        "with enough dies free, but not known to be whole modules": 1,
    }


def test_gangs_of_a_cycle_share_no_fabric_twice() -> None:
    """The tightest fabric goes first, so the whole one is left for the one that needs it."""
    small, large = gang(group(1, 4), key="team-a/small"), gang(group(1, 8), key="team-a/large", created=1.0)
    late = gang(group(1, 4), key="team-a/late", created=2.0)
    result = worlds.planned(pool(node("a", 8, 4)), small, large, late)
    assert [placement.gang for placement in result.placements] == ["team-a/small", "team-a/large"]


def test_groups_of_a_gang_are_counted_per_fabric() -> None:
    """6 + 6 beside 4 fits two fabrics of 8 only as cards, not as pods."""
    shapes = group(2, 6, "large"), group(1, 4, "small")
    assert not worlds.planned(pool(node("a", 8, 8)), gang(*shapes)).placements
    assert worlds.planned(pool(node("a", 8, 8)), gang(group(2, 6, "large"), group(2, 2, "small"))).placements


def running(key: str, cards: int, **fields: Any) -> Running:
    """A gang of one pod on node a; it leaves after 100 s."""
    return worlds.holds(key, cards, ends=100.0, **fields)


def held(**owners: tuple[int, ...]) -> dict[str, Held]:
    """Named cards per fabric by owner."""
    return {owner: Held(free, sum(free)) for owner, free in owners.items()}


FREED: dict[str, tuple[build.NodeRow, int, bool]] = {
    "its cards lie in one fabric": (node("a", 0, 2, held=held(old=(8, 0))), 8, True),
    "its cards lie in both": (node("a", 0, 2, held=held(old=(4, 4))), 8, False),
    "both have room for 4": (node("a", 0, 2, held=held(old=(4, 4))), 6, True),
    "nobody knows where it was, and nobody else is there": (node("a", 8, 8, doubt=14, total=16), 8, False),
    "nobody knows": (node("a", 8, 8, doubt=8), 16, True),
}


@pytest.mark.parametrize(("row", "cards", "fits"), FREED.values(), ids=FREED)
def test_a_reservation_waits_for_room_in_one_fabric(row: build.NodeRow, cards: int, fits: bool) -> None:
    """The room that a gang will leave lies where its cards are."""
    result = plan.plan(
        pool(row), [gang(group(1, cards))], now=0.0, strategy="Backfill", running=[running("old", 8, uid="old")]
    )
    assert [100.0] * fits == [one.start for one in result.reservations]


def test_a_victim_is_chosen_by_its_fabric() -> None:
    """Both free 4 cards; only the one beside the free half makes a whole fabric."""
    row = node("a", 4, 0, held=held(one=(4, 0), two=(0, 4), three=(0, 4)))
    gangs = [running(key, 4, uid=key, priority=-1) for key in ("one", "two", "three")]
    rules = Rules(within_team=True)
    result = plan.plan(pool(row), [gang(group(1, 8))], now=1000.0, running=gangs, rules=rules)
    assert [eviction.gang for eviction in result.evictions] == ["one"]


def test_backfill_leaves_the_head_its_fabric() -> None:
    """The head gets the second fabric at 100 s; a small gang that runs for ever goes beside it, a large one nowhere."""
    row = node("a", 4, 4, held=held(old=(0, 4), other=(4, 0)))
    ends = [running("old", 4, uid="old"), worlds.holds("other", 4, uid="other")]
    head = gang(group(1, 8), key="team-a/head")
    later = [gang(group(1, 4), key=f"team-a/later-{number}", created=1.0 + number) for number in range(2)]
    result = plan.plan(pool(row), [head, *later], now=0.0, strategy="Backfill", running=ends)

    assert [one.gang for one in result.reservations] == ["team-a/head"]
    assert [one.gang for one in result.placements] == ["team-a/later-0"]
    assert Reason.RESERVED_FOR_OTHER is result.refusals[-1].reason


def test_updated_rows_equal_a_rebuild() -> None:
    """The fabrics of the changed node are replaced, the others kept."""
    first, second, other = node("a", 8, 8), node("a", 6, 2, doubt=1, held=held(x=(2, 5))), node("b", 8, 8)
    updated, built = build.update_rows(pool(first, other), [second]), pool(second, other)
    assert updated is not None
    assert updated.fabrics is not None
    assert built.fabrics is not None
    assert built.fabrics.free.tolist() == updated.fabrics.free.tolist()
    assert built.fabrics.doubt.tolist() == updated.fabrics.doubt.tolist()
    assert built.fabrics.held == updated.fabrics.held


@pytest.mark.parametrize(
    "row",
    [node("a", 4, 4, 4, 4, size=4), node("a", 8, 8, unit=2), node("a", 8, 8, 8)],
    ids=["another size", "pairs", "more fabrics"],
)
def test_other_fabrics_need_a_rebuild(row: build.NodeRow) -> None:
    """What a profile says of fabrics belongs to all its nodes."""
    assert build.update_rows(pool(node("a", 8, 8), node("b", 8, 8)), [row]) is None


def test_a_profile_that_says_nothing_costs_nothing() -> None:
    """No table, no working copy; a node that begins to have fabrics needs a rebuild."""
    plain = dataclasses.replace(node("a", 8, 8), fabrics=None)
    inventory = pool(plain)
    assert (inventory.fabrics, Ground(inventory, 0).fabrics) == (None, None)
    assert build.update_rows(inventory, [node("a", 8, 8)]) is None


def test_what_no_fabric_holds_becomes_doubt() -> None:
    """A pod that is put where no fabric holds it (it runs there already) makes no free amount negative."""
    work = fabrics.working(pool(node("a", 3, 3)), 0, np.array([0]))
    assert work is not None
    work.take(np.array([0]), np.array([1]), 4)
    assert (work.free.tolist(), work.doubt.tolist()) == ([[3, 3]], [4])


INDEXES: dict[str, tuple[str, str, int]] = {
    "a number": ("7", "", 7),
    "a word and a number": ("npu12", "", 12),
    "a dash": ("Ascend910-3", "", 3),
    "an underscore": ("card_0", "", 0),
    "a path": ("/dev/mlu/5", "", 5),
    "a UUID that ends in a digit": ("GPU-8a52a1ed-25b1-a0b1-e1ff-7bb0a43cd8f3", "", -1),
    "a UUID that ends in digits": ("GPU-8a52a1ed-25b1-a0b1-e1ff-123456789012", "", -1),
    "a PCI address": ("0000:3b:00.0", "", -1),
    "a time slice": ("GPU-8a52a1ed::3", "", -1),
    "no number": ("card-x", "", -1),
    "a shape": ("dcu-3-k100", "dcu-#-*", 3),
    "a shape's number is taken whole": ("npu12.0", "*#.0", 12),
    "another shape": ("gpu-3", "dcu-#-*", -1),
    "a dot is a dot": ("dcux3", "dcu.#", -1),
    "text before": ("rack-1-card-7", "*card-#", 7),
}


@pytest.mark.parametrize(("card", "ids", "expected"), INDEXES.values(), ids=INDEXES)
def test_the_index_of_a_card(card: str, ids: str, expected: int) -> None:
    """The number at the end, or where the profile says; nothing else is taken for one."""
    assert expected == index_of(card, ids)


def test_a_move_lands_where_its_cards_are_together() -> None:
    """Moving the small gang frees a fabric; it goes where one has room for it, not where two have a card each."""
    home = node("a", 2, 1, size=4, held=held(old=(2, 0)), pods_used=2)
    beside = node("a", 2, 2, size=4, held=held(old=(2, 0)), pods_used=2)
    split, whole = node("b", 1, 1, size=4), node("c", 2, 0, size=4)
    old, asked = worlds.holds("old", 2, uid="old"), gang(group(1, 4))
    back = gang(group(1, 2), key="old", previous={0: "a"})

    def way(*rows: build.NodeRow) -> defrag.Found | defrag.Nowhere:
        ground = Ground(pool(*rows), 0)
        movers = defrag.movers(occupancy.rooms(ground, [old]), [back], 1000.0)
        return defrag.search(future.Future(ground, tracked=False), asked, asked.options[0], movers)

    found = way(home, split, whole)
    assert isinstance(found, defrag.Found)
    assert [placement.nodes() for _, placement in found.moves] == [("c",)]
    assert isinstance(way(home, split), defrag.Nowhere)
    inside = way(beside, split)
    assert isinstance(inside, defrag.Found)
    assert [placement.nodes() for _, placement in inside.moves] == [("a",)]
