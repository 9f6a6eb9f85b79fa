"""Whatever is told is true: tried in many small worlds by doing what it says."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pytest

from cardpool.domain.gangs import Gang, PlanResult, Running
from cardpool.domain.inventory import Cause
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import advice
from cardpool.engine.build import NodeRow
from cardpool.engine.remedy import Kind, Remedy
from tests.support import worlds
from tests.support.advised import NOW, TAINTED, planned
from tests.support.worlds import gang, group, holds, topology


def _freed(rows: Sequence[NodeRow], gone: Sequence[Running]) -> list[NodeRow]:
    back: dict[str, int] = {}
    for one in gone:
        for node, cards, _ in one.pods:
            back[node] = back.get(node, 0) + cards
    return [dataclasses.replace(row, used_cards=row.used_cards - back.get(row.name, 0)) for row in rows]


def _after(rows: Sequence[NodeRow], result: PlanResult, queue: Sequence[Gang]) -> list[NodeRow]:
    """The nodes once the cycle's placements hold them."""
    asked = {one.key: one for one in queue}
    more: dict[str, int] = {}
    for placement in result.placements:
        cards = asked[placement.gang].options[0].groups[0].cards_per_pod
        for node in placement.nodes():
            more[node] = more.get(node, 0) + cards
    return [dataclasses.replace(row, used_cards=row.used_cards + more.get(row.name, 0)) for row in rows]


def do(
    found: Remedy, wants: Gang, rows: list[NodeRow], running: list[Running]
) -> tuple[Gang, list[NodeRow], list[Running]]:
    """The world in which what was told has come true."""
    gone = [one for one in running if one.key in found.gangs]
    rows, running = _freed(rows, gone), [one for one in running if one.key not in found.gangs]
    if found.changed is not None:
        changed, option = found.changed
        wants = dataclasses.replace(changed, options=(option,))
    if found.causes or found.spares:
        rows = [
            dataclasses.replace(
                row,
                cause=Cause.NONE if row.cause in found.causes else row.cause,
                spare=row.spare and not found.spares,
            )
            for row in rows
        ]
    model = next((row for row in rows if row.name == found.node), None)
    for number in range(found.more):
        assert model is not None
        rows.append(dataclasses.replace(model, name=f"zz-{number}", used_cards=0, pods_used=0, spare=False))
    return wants, rows, running


def _world(lots: random.Random) -> tuple[list[NodeRow], list[Running], list[Gang]]:
    rows, running = [], []
    for home in range(lots.randint(1, 3)):
        for number in range(lots.randint(1, 4)):
            name, cards, used = f"s{home}-{number}", 8, 0
            while used < cards and lots.random() < 0.7:
                part = lots.choice([part for part in (1, 2, 4, 8) if part <= cards - used])
                ends = lots.choice([None, NOW + lots.randint(1, 9) * 100.0])
                leaving = lots.random() < 0.1
                key = f"r/{name}-{used}"
                running.append(holds(key, part, name, ends=ends, leaving=leaving, started=float(lots.randint(0, 99))))
                used += part
            cause = lots.choice([Cause.NONE] * 8 + [Cause.CORDONED, Cause.NOT_READY])
            taints = TAINTED if lots.random() < 0.1 else ()
            labels = {worlds.LABEL + "supernode": f"s{home}"} if lots.random() < 0.95 else {}
            rows.append(
                worlds.node(
                    name, cards, free=cards - used, labels=labels, cause=cause, taints=taints, spare=lots.random() < 0.1
                )
            )
    queue = []
    for number in range(lots.randint(1, 4)):
        pods, cards = lots.choice([1, 2, 4, 6]), lots.choice([1, 2, 4, 8])
        demand = lots.choice(
            [
                TopologyRequest(),
                topology(required="supernode"),
                topology(blocks=[(pods, "supernode")]),
                topology(required="node"),
                TopologyRequest(exclusive="node"),
            ]
        )
        requests = {"memory": lots.choice([1, 1 << 41])} if lots.random() < 0.2 else {}
        excluded = {"s0-0": "BindTimeout"} if lots.random() < 0.2 else {}
        queue.append(
            gang(
                group(pods, cards, requests=requests),
                key=f"q/{number}",
                demand=demand,
                created=float(number),
                excluded=excluded,
                runtime=lots.choice([None, 50.0, 5000.0]),
            )
        )
    return rows, running, queue


@pytest.mark.parametrize("strategy", ["BestEffort", "Backfill", "Strict"])
def test_what_is_told_is_true(strategy: str) -> None:
    """In many small worlds: done what it says, the gang has its place; unconditionally where nobody is before it."""
    kinds: set[Kind] = set()
    for seed in range(250):
        rows, running, queue = _world(random.Random(seed))
        result = planned(rows, queue, running, strategy=strategy)
        assert isinstance(result.advice, advice.Advisor)
        for refusal in result.refusals:
            found = result.advice.remedy(refusal.gang)
            if found is None:
                continue
            kinds.add(found.kind)
            wants = next(one for one in queue if one.key == refusal.gang)
            wants, later, left = do(found, wants, _after(rows, result, queue), running)
            placed = [one for one in result.placements if one.gang in {item.key for item in queue}]
            left += [_now_running(item, queue) for item in placed]
            free = "before it" not in result.advice.of(refusal.gang)
            waiting = {item.gang for item in result.refusals}
            others = [item for item in queue if item.key in waiting - {wants.key}] if free else []
            brief = (
                found.kind is Kind.CHANGED and found.changed is not None and found.changed[0].runtime != wants.runtime
            )
            again = planned(later, [wants, *others], left, strategy="BestEffort" if brief else strategy)
            assert wants.key in {item.gang for item in again.placements}, (seed, refusal, found)
    expected = {Kind.ENDS, Kind.OPENED, Kind.CHANGED, Kind.GONE, Kind.NODES, Kind.GOING, Kind.AVOIDED}
    assert expected <= kinds


def _now_running(placement: Any, queue: Sequence[Gang]) -> Running:
    asked = next(one for one in queue if one.key == placement.gang)
    cards = asked.options[0].groups[0].cards_per_pod
    requests = asked.options[0].groups[0].requests
    pods = tuple((node, cards, requests) for node in placement.nodes())
    return holds(asked.key, cards, pods=pods, started=NOW, exclusive=asked.topology.exclusive)
