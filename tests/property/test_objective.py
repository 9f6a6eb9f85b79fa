"""Where gangs of one shape go, in three levels and the node: each point of the stated order, counted by hand.

Every level is looked at inside the domains that the one before chose; nothing of the planner's own numbers is used.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.engine import build
from tests.property.test_engine import seldom
from tests.support import worlds

LEVELS = ("zone", "row", "rack")
NAMES = {"zone": "abc", "row": "xyz", "rack": "kl"}
Path = tuple[str, ...]


@st.composite
def rows(draw: st.DrawFn) -> list[build.NodeRow]:
    """Some nodes in uneven domains, a third of them in use."""
    found = []
    for number in range(draw(st.integers(2, 12))):
        labels = {worlds.LABEL + level: draw(st.sampled_from(names)) for level, names in NAMES.items()}
        row = worlds.node(f"n{number:02d}", draw(st.integers(1, 6)), labels=labels)
        if seldom(draw, 3):
            row = dataclasses.replace(row, used_cards=draw(st.integers(1, row.cards_total)), pods_used=1)
        found.append(row)
    return found


def domains(nodes: Sequence[build.NodeRow], level: int) -> dict[Path, list[build.NodeRow]]:
    """The nodes of each domain of a level, counted from 1; the node is the last."""
    found: dict[Path, list[build.NodeRow]] = {}
    for row in nodes:
        path = (*(row.labels[worlds.LABEL + name] for name in LEVELS), row.name)[:level]
        found.setdefault(path, []).append(row)
    return found


def pods(nodes: Sequence[build.NodeRow], cards: int) -> int:
    """Pods of so many cards that the nodes hold."""
    return sum((row.cards_usable - row.used_cards) // cards for row in nodes)


def breaks(nodes: Sequence[build.NodeRow], cards: int) -> bool:
    """Whether so many cards would leave an untouched domain partly used."""
    return not any(row.used_cards for row in nodes) and sum(row.cards_usable for row in nodes) > cards


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(rows(), st.integers(1, 8), st.integers(1, 3))
def test_each_level_in_its_order(nodes: list[build.NodeRow], number: int, cards: int) -> None:
    """The fewest domains; none broken up while a touched one has room; of several at most one is not filled."""
    inventory = build.build_inventory(nodes, (worlds.PROFILE,), (worlds.tree(*LEVELS),))
    for placement in worlds.planned(inventory, worlds.gang(worlds.group(number, cards))).placements:
        _look(nodes, Counter(placement.nodes()), cards, 1)


def _look(nodes: Sequence[build.NodeRow], given_: Counter[str], cards: int, level: int) -> None:
    want = sum(given_[row.name] for row in nodes)
    if not want or level > len(LEVELS) + 1:
        return
    homes = domains(nodes, level)
    used = {path: sum(given_[row.name] for row in inside) for path, inside in homes.items()}
    chosen = [path for path, here in used.items() if here]
    assert len(chosen) == _fewest([pods(inside, cards) for inside in homes.values()], want)
    assert sum(used[path] < pods(homes[path], cards) for path in chosen) <= 1
    if len(chosen) == 1 and breaks(homes[chosen[0]], want * cards):
        able = [inside for inside in homes.values() if pods(inside, cards) >= want]
        assert all(breaks(inside, want * cards) for inside in able)
    for path in chosen:
        _look(homes[path], given_, cards, level + 1)


def _fewest(room: list[int], want: int) -> int:
    """How many of these, the largest first, hold so many."""
    found = 0
    for one in sorted(room, reverse=True):
        if want <= 0:
            break
        want, found = want - one, found + 1
    return found
