"""The planner through any history of a pool: plan, do it, lose nodes and cards, let gangs end, plan again.

What must hold of each cycle stands in ``tests.support.rounds``; here is what happens, and what must hold across cycles:
nothing is planned twice, those that are promised room get it, and ranks that can stay do.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from cardpool.domain.gangs import Gang
from cardpool.domain.teams import Limit, Reclaim, Rules, Team
from tests.property.test_engine import LEVELS, any_level, demands, groups, seldom
from tests.support import worlds
from tests.support.rounds import Round

TEAMS = ("a", "b", "default")


@st.composite
def pools(draw: st.DrawFn) -> Round:
    """A few nodes in two levels, teams with quotas or without, preemption of some sort or none."""
    nodes = {}
    for number in range(draw(st.integers(3, 6))):
        labels = {
            worlds.LABEL + "zone": draw(st.sampled_from("ab")),
            worlds.LABEL + "rack": draw(st.sampled_from("xy")),
        }
        row = worlds.node(f"n{number}", draw(st.integers(2, 6)), labels=labels, supernode=labels[worlds.LABEL + "zone"])
        if seldom(draw, 4):
            row = dataclasses.replace(row, capacity={**row.capacity, "memory": draw(st.integers(2, 6))})
        nodes[row.name] = dataclasses.replace(row, spare=seldom(draw, 8))
    teams = {
        name: Team(name, limits=(Limit(worlds.PROFILE, draw(st.integers(2, 10))),))
        for name in ("a", "b")
        if draw(st.booleans())
    }
    law = Rules(
        teams,
        within_team=not seldom(draw, 4),
        reclaim=draw(st.sampled_from((Reclaim.ANY, Reclaim.LOWER_PRIORITY, Reclaim.NEVER))),
        patience=draw(st.sampled_from((0.0, 300.0))),
    )
    return Round(nodes, law)


@st.composite
def jobs(draw: st.DrawFn, key: str) -> Gang:
    """A gang of up to two groups, of some team and priority, with demands, perhaps for itself alone."""
    shapes = [draw(groups(3, f"g{number}")) for number in range(draw(st.sampled_from((1, 1, 2))))]
    bound = draw(st.booleans())
    demand = draw(demands(sum(shape.replicas for shape in shapes))) if bound else worlds.topology()
    if bound and not demand.blocks:
        shapes = [dataclasses.replace(one, topology=worlds.topology(any_level(draw, 4))) for one in shapes]
    alone = draw(st.sampled_from((*LEVELS, "node"))) if seldom(draw, 6) else ""
    packing = "Balanced" if seldom(draw, 4) else ""
    return worlds.gang(
        *shapes,
        key=key,
        demand=dataclasses.replace(demand, exclusive=alone, packing=packing),
        team=draw(st.sampled_from(TEAMS)),
        priority=draw(st.integers(0, 3)),
        runtime=draw(st.sampled_from((None, 100.0, 1000.0))),
    )


class Histories(RuleBasedStateMachine):
    """What happens to a pool between its cycles."""

    world: Round

    @initialize(world=pools())
    def start(self, world: Round) -> None:
        """An empty pool."""
        self.world, self.count = world, 0

    @rule(data=st.data(), number=st.integers(1, 3))
    def submit(self, data: Any, number: int) -> None:
        """More jobs."""
        for _ in range(number):
            self.count += 1
            self.world.submit(data.draw(jobs(f"q/{self.count:02d}")))

    @rule()
    def cycle(self) -> None:
        """Cycle after cycle, done: soon one finds nothing to do, and then the next finds nothing either."""
        for _ in range(len(self.world.waiting) + 2):
            result = self.world.cycle()
            if not result.placements and not result.evictions:
                break
        again = self.world.cycle()
        assert (again.placements, again.evictions) == ((), ())

    @precondition(lambda self: self.world.leaving)
    @rule()
    def keep_promises(self) -> None:
        """The victims are gone and nothing else happened: whoever they went for starts."""
        promised = set(self.world.promised) & set(self.world.waiting)
        self.world.go()
        result = self.world.cycle()
        assert promised <= {placement.gang for placement in result.placements}

    @precondition(lambda self: self.world.running)
    @rule(at=st.integers(0, 9))
    def finish(self, at: int) -> None:
        """A gang is done."""
        self.world.finish(sorted(self.world.running)[at % len(self.world.running)])

    @rule(at=st.integers(0, 9))
    def lose_node(self, at: int) -> None:
        """A node falls silent."""
        self.world.lose_node(sorted(self.world.nodes)[at % len(self.world.nodes)])

    @rule(at=st.integers(0, 9), number=st.integers(1, 3))
    def lose_cards(self, at: int, number: int) -> None:
        """Cards of a node fail."""
        self.world.lose_cards(sorted(self.world.nodes)[at % len(self.world.nodes)], number)

    @rule(at=st.integers(0, 9))
    def mend(self, at: int) -> None:
        """A node is as new."""
        self.world.mend(sorted(self.world.nodes)[at % len(self.world.nodes)])

    @rule(seconds=st.sampled_from((1.0, 100.0, 400.0)))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.world.now += seconds


Histories.TestCase.settings = settings(
    max_examples=120, stateful_step_count=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
TestHistories = Histories.TestCase
