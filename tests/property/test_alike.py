"""Gangs of one kind, asked for in any order, get the very answers that each would get from somebody who saw no other."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang, Option
from cardpool.engine import build, ground, place, probe
from tests.property.test_engine import inventory_of
from tests.property.test_search import THOROUGH, rough_gangs, rough_rows


def sized(gang: Gang, pods: int, excluded: list[str]) -> tuple[Gang, Option]:
    """The gang with so many pods in its only group, away from some nodes."""
    option = gang.options[0]
    other = Option(option.profile, (dataclasses.replace(option.groups[0], replicas=pods),))
    return dataclasses.replace(gang, options=(other,), excluded=dict.fromkeys(excluded, "")), other


@THOROUGH
@given(rough_rows(), rough_gangs(most=1), st.lists(st.integers(1, 12), min_size=2, max_size=6), st.data())
def test_a_shared_refusal_is_everybodys_own(
    rows: list[build.NodeRow], gang: Gang, sizes: list[int], data: st.DataObject
) -> None:
    """Refusals, reasons, counts and places alike; and whether a gang would fit is told as it then comes out."""
    shared = ground.start(inventory_of(rows), 0)
    avoided = data.draw(st.lists(st.sampled_from([row.name for row in rows]), max_size=1)) if rows else []
    for pods in sizes:
        alone = ground.start(inventory_of(rows), 0)
        asked, option = sized(gang, pods, avoided)
        before, mark = shared.snapshot(), alone.snapshot()
        answer, expected = place.place(shared, asked, option), place.place(alone, asked, option)
        assert expected == answer
        shared.restore(before)
        alone.restore(mark)
        if probe.sound(shared, asked, option):
            assert probe.fits(alone, asked, option) == probe.fits(shared, asked, option)
