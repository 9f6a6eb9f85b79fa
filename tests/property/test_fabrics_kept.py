"""Fabrics in whole cycles: nothing is kept that has changed, and what is placed together has room together."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cardpool.domain.fabrics import Held, NodeFabrics
from cardpool.engine import build, plan
from tests.property import test_kept as kept
from tests.property.test_engine import QUICK, inventory_of, node_rows
from tests.property.test_fabrics import pods, settled, splits
from tests.support import worlds


@st.composite
def fabrics(draw: st.DrawFn, row: build.NodeRow, size: int) -> build.NodeRow:
    """The node in fabrics of this size; some of the cards in use have said where they are, some not."""
    number = -(-row.cards_total // size)
    free, named = [size] * number, 0
    for at in draw(st.lists(st.integers(0, number - 1), max_size=row.used_cards)):
        if free[at]:
            free[at] -= 1
            named += 1
    doubt = number * size - row.cards_total + row.used_cards - named
    mine = Held(tuple(size - amount for amount in free), named)
    known = NodeFabrics(size, 1, tuple(free), doubt, {f"team-b/{row.name}": mine} if named else {})
    return dataclasses.replace(row, fabrics=known)


@kept.THOROUGH
@given(node_rows(most=12, zones="aaabbc"), st.integers(1, 4), st.data())
def test_a_cycle_answers_as_if_nothing_were_kept(rows: list[build.NodeRow], size: int, data: Any) -> None:
    """Ids that become known change a node of which nothing else changed."""
    rows = [data.draw(fabrics(row, size)) for row in rows]
    lived, now = inventory_of(rows), {row.name: row for row in rows}
    for _ in range(data.draw(st.integers(1, 4))):
        fresh = inventory_of(list(now.values()))
        queue, strategy = data.draw(kept.queues()), data.draw(st.sampled_from(kept.STRATEGIES))
        crowd = data.draw(kept.crowds(list(now.values())))
        assert kept.everything(fresh, queue, crowd, strategy) == kept.everything(lived, queue, crowd, strategy)
        later = [data.draw(fabrics(row, size)) for row in data.draw(kept.changed(list(now.values())))]
        same = data.draw(st.sampled_from(sorted(now)))
        later += [data.draw(fabrics(now[same], size))] if all(row.name != same for row in later) else []
        now |= {row.name: row for row in later}
        updated = build.update_rows(lived, later)
        assert updated is not None
        lived = updated


@QUICK
@given(node_rows(most=3), st.integers(1, 4), st.data())
def test_gangs_of_a_cycle_have_their_fabrics_together(rows: list[build.NodeRow], size: int, data: Any) -> None:
    """On every node the pods of all gangs go in, the largest first, wherever the doubtful cards lie."""
    rows = [data.draw(fabrics(row, size)) for row in rows]
    queue = data.draw(kept.queues())
    result = plan.plan(inventory_of(rows), queue, now=0.0, strategy="BestEffort")
    cards = {
        (gang.key, shape.name): shape.cards_per_pod
        for gang in queue
        for option in gang.options
        for shape in option.groups
    }
    for row in rows:
        pods = [
            cards[placement.gang, segment.group]
            for placement in result.placements
            for segment in placement.segments
            for node in segment.nodes
            if node == row.name
        ]
        known = row.fabrics
        assert known is not None
        for left in splits(known.free, known.doubt, 1) if any(pods) else ():
            assert settled(list(left), size, sorted(pods, reverse=True)), f"{pods} in {left} of {row.name}"


@QUICK
@given(st.integers(1, 4), st.integers(1, 4), st.lists(st.data(), min_size=1, max_size=3))
def test_no_is_never_wrong_and_yes_is_never_bold(size: int, wanted: int, nodes: list[Any]) -> None:
    """Pods of one size fit exactly as often as the nodes hold them in the worst case, found by trying every one."""
    cards = min(wanted, size)
    rows = []
    for number, data in enumerate(nodes):
        total = data.draw(st.integers(1, 6))
        row = worlds.node(f"n{number}", total, free=data.draw(st.integers(0, total)))
        rows.append(data.draw(fabrics(row, size)))
    inventory = build.build_inventory(rows, (worlds.PROFILE,), (worlds.tree(),))
    most = 0
    for row in rows:
        known = row.fabrics
        assert known is not None
        most += min(pods(left, size, cards) for left in splits(known.free, known.doubt, 1))
    for number in range(1, most + 2):
        result = worlds.planned(inventory, worlds.gang(worlds.group(number, cards)))
        assert (number <= most) == bool(result.placements)
