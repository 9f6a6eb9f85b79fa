"""The head of a Backfill queue starts when it was told, whoever passes it, where run times are declared and kept.

A pool lives from event to event: jobs come at any time, of any shape, and end when they declared or earlier.
"""

from __future__ import annotations

import dataclasses
import math
import random

import pytest

from cardpool.domain.gangs import Gang, GroupShape
from cardpool.domain.teams import Rules
from cardpool.domain.topology import Block, TopologyRequest
from tests.support import worlds
from tests.support.rounds import Round

LEVELS = ("zone", "rack", "node")
JOBS = 25


def world(lots: random.Random) -> Round:
    """A few nodes in two levels."""
    nodes = {}
    for number in range(lots.randint(2, 6)):
        labels = {worlds.LABEL + "zone": lots.choice("aab"), worlds.LABEL + "rack": lots.choice("xy")}
        row = worlds.node(f"n{number}", lots.randint(1, 6), labels=labels, supernode=labels[worlds.LABEL + "zone"])
        nodes[row.name] = row
    return Round(nodes, Rules())


def job(lots: random.Random, key: str) -> Gang:
    """One or two groups, with demands or not, rarely for itself alone."""
    shapes = [
        GroupShape(f"g{at}", lots.randint(1, 5), lots.choice((1, 1, 2, 3))) for at in range(lots.choice((1, 1, 2)))
    ]
    total = sum(shape.replicas for shape in shapes)
    sizes = [size for size in range(1, total + 1) if total % size == 0]
    blocks = (Block(lots.choice(sizes), lots.choice(LEVELS)),) if lots.random() < 0.25 else ()
    demand = TopologyRequest(
        required=lots.choice(LEVELS) if lots.random() < 0.3 else "",
        preferred=lots.choice(LEVELS) if lots.random() < 0.2 else "",
        blocks=blocks,
        exclusive=lots.choice(LEVELS) if lots.random() < 0.1 else "",
    )
    runtime = float(lots.choice((50, 100, 200, 400, 1000)))
    return dataclasses.replace(worlds.gang(*shapes, key=key, demand=demand), runtime=runtime)


@pytest.mark.parametrize("seed", range(30))
def test_the_head_starts_when_it_was_told_at_the_latest(seed: int) -> None:
    """From cycle to cycle its start never moves back, and it starts by then."""
    lots = random.Random(seed)
    pool, ends, told = world(lots), dict[str, float](), dict[str, float]()
    coming = sorted((pool.now + lots.uniform(0, 1500), f"q/{number:02d}") for number in range(JOBS))
    while coming or ends:
        pool.now = min([moment for moment, _ in coming[:1]] + list(ends.values()))
        while coming and coming[0][0] <= pool.now:
            pool.submit(job(lots, coming.pop(0)[1]))
        for key in [key for key, moment in ends.items() if moment <= pool.now]:
            pool.finish(key)
            del ends[key]
        result = pool.cycle()
        for placement in result.placements:
            assert pool.now <= told.get(placement.gang, math.inf)
            runtime = pool.running[placement.gang].runtime or 0.0
            ends[placement.gang] = pool.now + (runtime if lots.random() < 0.4 else lots.uniform(1, runtime))
        for reservation in result.reservations:
            start = reservation.start if reservation.start is not None else math.inf
            assert start <= told.get(reservation.gang, math.inf)
            told[reservation.gang] = min(start, told.get(reservation.gang, math.inf))
        assert all(pool.now <= told.get(refusal.gang, math.inf) for refusal in result.refusals)
