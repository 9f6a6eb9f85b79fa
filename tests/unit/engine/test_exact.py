"""Small gangs of several groups: what packing one group after the other overlooks is found by trying everything."""

from __future__ import annotations

import random
from typing import Any

import pytest

from cardpool.domain.gangs import Gang
from cardpool.domain.inventory import Inventory
from cardpool.engine import exact, ground
from tests.support import placements, worlds
from tests.support.worlds import gang, group, topology

HUNGRY = {"memory": 3}


def nodes(*free: tuple[int, dict[str, int]], levels: tuple[str, ...] = (), names: str = "") -> Inventory:
    """Nodes with so many cards and these amounts of other resources; ``names`` has the domain of each."""
    rows = []
    for number, (cards, tight) in enumerate(free):
        row = worlds.node(f"n{number}", cards)
        labels = {worlds.LABEL + level: names[number] for level in levels}
        rows.append(worlds.dataclasses.replace(row, capacity={**row.capacity, **tight}, labels=labels))
    return worlds.build.build_inventory(rows, (worlds.PROFILE,), (worlds.tree(*levels),))


PLENTY: dict[str, int] = {}
FOUND: dict[str, tuple[Inventory, Gang]] = {
    "the second group must leave cards on the node with memory": (
        nodes((4, {"memory": 1}), (2, PLENTY)),
        gang(group(2, 1, "light"), group(2, 1, "hungry", requests=HUNGRY)),
    ),
    "few pods a node": (
        nodes(
            (1, {"pods": 1}),
            (3, {"memory": 6, "pods": 1}),
            (3, PLENTY),
            (3, {"pods": 1}),
            levels=("rack",),
            names="baaa",
        ),
        gang(
            group(2, 3, "wide", requests=HUNGRY),
            group(2, 1, "one"),
            group(1, 1, "two"),
            demand=topology("rack"),
        ),
    ),
    "blocks across the groups": (
        nodes((4, PLENTY), (5, {"memory": 4}), (6, {"pods": 2}), (3, PLENTY), levels=("rack",), names="xzzx"),
        gang(
            group(3, 1, "first", requests=HUNGRY, topology=topology("node")),
            group(3, 1, "second", requests=HUNGRY),
            group(2, 1, "third", requests={"memory": 1}, topology=topology("rack")),
            demand=topology(blocks=[(2, "node")]),
        ),
    ),
}


@pytest.mark.parametrize(("inventory", "wanted"), FOUND.values(), ids=FOUND)
def test_what_greed_overlooks(inventory: Inventory, wanted: Gang, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these has a placement that no order of the groups finds; without the search the gang would wait."""
    result = worlds.planned(inventory, wanted)
    assert placements.exists(inventory, wanted)
    assert placements.violations(inventory, [wanted], result) == []
    assert len(result.placements) == 1

    monkeypatch.setattr(exact, "PODS", 0)
    assert worlds.planned(inventory, wanted).placements == ()


def test_fewer_zones_than_greed_takes() -> None:
    """Two of three zones hold the gang, though the first that comes to mind leads to three."""
    inventory = nodes((5, {"memory": 5}), (6, {"pods": 3}), (6, PLENTY), levels=("zone",), names="dab")
    shapes = [group(3, cards, name) for name, cards in (("one", 1), ("two", 1), ("three", 2))]
    wanted = gang(*shapes, demand=topology(blocks=[(3, "zone")]))
    placement = worlds.planned(inventory, wanted).placements[0]
    assert placements.fewest(inventory, wanted, "zone") == len(worlds.domains_of(inventory, placement, "zone")) == 2


def test_the_search_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gang that fits nowhere costs a cycle no more states than its effort, however many others wait like it."""
    seen: list[Any] = []
    start = ground.Effort.__init__

    def watched(self: Any) -> None:
        start(self)
        seen.append(self)

    monkeypatch.setattr(ground.Effort, "__init__", watched)
    chance = random.Random(3)
    free = {f"n{number}": chance.randint(5, 9) for number in range(16)}
    shapes = (group(9, 4, "four"), group(12, 3, "three"), group(22, 2, "two"))
    queue = [gang(*shapes, group(1, 0, f"launcher{one}"), key=f"a/{one}", created=float(one)) for one in range(6)]
    inventory = worlds.pool(free, ())
    result = worlds.planned(inventory, *queue)
    assert placements.violations(inventory, queue, result) == []
    assert min(one.left for one in seen) < ground.EFFORT
    assert min(one.left for one in seen) > -200


def test_nothing_is_taken_where_nothing_is_found() -> None:
    """After a search in vain the next gang has all of the room."""
    inventory = nodes((4, {"memory": 1}), (2, {"memory": 4}))
    never = gang(group(2, 1, "light"), group(2, 1, "hungry", requests=HUNGRY), key="a/never", priority=1)
    result = worlds.planned(inventory, never, gang(group(6), key="a/all"))
    assert [placement.gang for placement in result.placements] == ["a/all"]
