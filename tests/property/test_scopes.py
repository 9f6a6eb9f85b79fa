"""What is read off the profile's capacities for some domains is what shutting everything around them gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang
from cardpool.engine import build, demand, scope
from cardpool.engine.attempt import Attempt
from cardpool.engine.ground import Ground
from cardpool.engine.scope import Domains
from tests.property.test_engine import LEVELS, QUICK, gangs, inventory_of, node_rows


def some_domains(data: Any, ground: Ground) -> Domains:
    """Some domains of a level."""
    level = data.draw(st.integers(0, len(LEVELS)))
    number = len(ground.layout.starts[level]) - 1
    chosen = data.draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3))
    return Domains(level, np.array(sorted(chosen)))


@QUICK
@given(node_rows(most=14, zones="aabbc"), gangs("team-a/one", most=8), st.data())
def test_domains_hold_what_their_nodes_hold(rows: list[build.NodeRow], gang: Gang, data: Any) -> None:
    """Blocks, required and preferred levels included; and the pods go to the very same nodes."""
    ground = Ground(inventory_of(rows), 0)
    attempt = Attempt(ground, gang, gang.options[0])
    shape = gang.options[0].groups[0]
    wants = demand.resolve(attempt.tree, gang.topology, shape.topology)
    inside = some_domains(data, ground)
    masked = scope.mask(ground.layout, inside)

    assert attempt.holds(0, wants, masked) == attempt.holds(0, wants, inside)
    before = attempt.marks()
    expected = attempt.pack(0, shape.replicas, wants, masked)
    attempt.undo(before)
    found = attempt.pack(0, shape.replicas, wants, inside)
    assert (expected is None) == (found is None)
    assert expected is None or found is None or expected.tolist() == found.tolist()


@QUICK
@given(node_rows(most=14, zones="aabbc"), st.data())
def test_domains_meet_where_their_nodes_meet(rows: list[build.NodeRow], data: Any) -> None:
    """Of two levels, whichever is the wider, and with any positions."""
    ground = Ground(inventory_of(rows), 0)
    one, other = some_domains(data, ground), some_domains(data, ground)
    first, second = scope.mask(ground.layout, one), scope.mask(ground.layout, other)
    expected = (first & second).tolist()

    assert expected == scope.mask(ground.layout, scope.meet(ground.layout, one, other)).tolist()
    assert expected == scope.mask(ground.layout, scope.meet(ground.layout, one, second)).tolist()
    assert first.tolist() == scope.mask(ground.layout, scope.meet(ground.layout, one, None)).tolist()
