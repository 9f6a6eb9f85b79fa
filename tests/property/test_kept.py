"""What the planner keeps from cycle to cycle saves time and changes no answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import Gang, NodeFilter, PlanResult, Running, Taint, Toleration
from cardpool.domain.inventory import Cause, Inventory
from cardpool.domain.teams import Reclaim, Rules
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import build, fit, plan
from cardpool.engine.attempt import Attempt
from cardpool.engine.demand import Demand
from cardpool.engine.ground import Ground
from cardpool.engine.shelf import Shelf
from tests.property.test_engine import QUICK, inventory_of, mixed_gangs, node_rows, seldom, told
from tests.support import worlds

THOROUGH = settings(QUICK, max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
TAINTS = ((), (), (Taint("gone", "x"),), (Taint("gone", "y"), Taint("soft", effect="PreferNoSchedule")))
STRATEGIES = ("BestEffort", "BestEffort", "Backfill", "Strict")


@st.composite
def queues(draw: st.DrawFn) -> list[Gang]:
    """Gangs of several groups; some tolerate a taint, choose a zone, avoid a node, or want a zone for themselves."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        gang = draw(mixed_gangs(f"team-a/g{number}"))
        changes: dict[str, Any] = {}
        if seldom(draw, 3):
            changes["tolerations"] = (Toleration("gone", value="x"),)
        if seldom(draw, 3):
            selector = ((worlds.LABEL + "zone", "a"),), (("kind", "new"),)
            changes["nodes"] = NodeFilter(draw(st.sampled_from(selector)))
        option = gang.options[0]
        shapes = tuple(dataclasses.replace(shape, **changes) for shape in option.groups)
        topology = gang.topology
        if seldom(draw, 6):
            topology = TopologyRequest(topology.required, topology.preferred, topology.blocks, "zone")
        excluded = {"n1": "bad"} if seldom(draw, 4) else {}
        option = dataclasses.replace(option, groups=shapes)
        runtime = 10.0 if seldom(draw, 3) else None
        found.append(
            dataclasses.replace(gang, options=(option,), topology=topology, excluded=excluded, runtime=runtime)
        )
    return found


@st.composite
def crowds(draw: st.DrawFn, rows: list[build.NodeRow]) -> list[Running]:
    """A running gang on some of the used nodes."""
    found = []
    for row in rows:
        if row.used_cards and draw(st.booleans()):
            ends = 20.0 if draw(st.booleans()) else None
            pods = ((row.name, row.used_cards, {}),)
            found.append(worlds.holds(f"team-b/{row.name}", 0, pods=pods, ends=ends, leaving=seldom(draw, 4)))
    return found


@st.composite
def changed(draw: st.DrawFn, rows: list[build.NodeRow]) -> list[build.NodeRow]:
    """A few of the nodes as they are a little later; now and then only a label differs."""
    found, relabel = [], seldom(draw, 3)
    for at in draw(st.sets(st.integers(0, len(rows) - 1), max_size=3)):
        row = rows[at]
        used = draw(st.integers(0, row.cards_total))
        cause = Cause.CORDONED if seldom(draw, 4) else Cause.NONE
        taints = draw(st.sampled_from(TAINTS))
        labels = {**row.labels, "kind": draw(st.sampled_from(("old", "new")))}
        if relabel:
            found.append(dataclasses.replace(row, labels=labels))
        else:
            fresh = dataclasses.replace(row, used_cards=used, cause=cause, spare=seldom(draw, 6), taints=taints)
            found.append(dataclasses.replace(fresh, labels=labels) if seldom(draw, 3) else fresh)
    return found


def everything(inventory: Inventory, queue: list[Gang], crowd: list[Running], strategy: str) -> tuple[Any, ...]:
    """All that a cycle answers."""
    rules = Rules(within_team=True, reclaim=Reclaim.ANY)
    result: PlanResult = plan.plan(inventory, queue, now=5.0, strategy=strategy, running=crowd, rules=rules)
    return told(result), result.evictions, result.reservations, result.preempting, result.wake


@THOROUGH
@given(node_rows(most=20, zones="aaabbc"), st.data())
def test_a_cycle_answers_as_if_nothing_were_kept(rows: list[build.NodeRow], data: Any) -> None:
    """An inventory that lived through several cycles and changes answers exactly as one that was just made."""
    lived, now = inventory_of(rows), {row.name: row for row in rows}
    queue: list[Gang] = []
    for _ in range(data.draw(st.integers(1, 4))):
        fresh = inventory_of(list(now.values()))
        queue = data.draw(queues()) if not queue or data.draw(st.booleans()) else queue
        strategy = data.draw(st.sampled_from(STRATEGIES))
        crowd = data.draw(crowds(list(now.values())))
        assert everything(fresh, queue, crowd, strategy) == everything(lived, queue, crowd, strategy)
        later = data.draw(changed(list(now.values())))
        now |= {row.name: row for row in later}
        updated = build.update_rows(lived, later)
        assert updated is not None
        lived = updated


@THOROUGH
@given(node_rows(most=20, zones="aaabbc"), st.data())
def test_asking_again_in_an_unchanged_pool_gives_the_same(rows: list[build.NodeRow], data: Any) -> None:
    """A cycle takes nothing from the inventory: the same queue gets the same answers, whoever asked between."""
    inventory, queue, other = inventory_of(rows), data.draw(queues()), data.draw(queues())
    first = everything(inventory, queue, [], "Backfill")
    everything(inventory, other, [], "BestEffort")
    assert first == everything(inventory, queue, [], "Backfill")


@THOROUGH
@given(node_rows(most=12, zones="aab"), st.data())
def test_an_answer_that_stands_is_the_answer_of_any_later_moment(rows: list[build.NodeRow], data: Any) -> None:
    """Before the moment that an answer names itself a new one is the same, with its words and its advice."""
    queue = [dataclasses.replace(gang, queued=data.draw(st.sampled_from((0.0, 1.0)))) for gang in data.draw(queues())]
    crowd, strategy = data.draw(crowds(rows)), data.draw(st.sampled_from(STRATEGIES))
    rules = Rules(
        within_team=data.draw(st.booleans()),
        min_runtime=data.draw(st.sampled_from((0.0, 8.0))),
        patience=data.draw(st.sampled_from((0.0, 7.0, 300.0))),
    )

    def ask(now: float) -> tuple[PlanResult, list[str]]:
        found = plan.plan(inventory_of(rows), queue, now=now, strategy=strategy, running=crowd, rules=rules)
        advice = found.advice
        return found, [advice.of(gang.key) for gang in queue] if advice is not None else []

    first, words = ask(5.0)
    until = first.until if first.until is not None else 0.0
    moments = [moment for moment in (5.5, 6.9, 7.0, 8.0, 9.5, 10.0, 14.0, 19.5, 20.0, 400.0) if moment < until]
    assert [(first, words)] * len(moments) == [ask(moment) for moment in moments]


@QUICK
@given(st.lists(st.sets(st.integers(0, 29), max_size=6), max_size=8), st.data())
def test_a_renewed_value_equals_a_made_one(changes: list[set[int]], data: Any) -> None:
    """Whatever was touched or taken back in whatever order, between questions and copies, a value is the present one."""
    shelf, values = Shelf(30), np.zeros(30, np.int64)

    def ask() -> list[int]:
        def renew(old: Any, at: Any) -> Any:
            found = old.copy()
            found[at] = values[at] * 2
            return found

        return [int(value) for value in shelf.value("double", lambda: values * 2, renew)]

    marks = [(shelf.version, values.copy())]
    for counter, touched in enumerate(changes, 1):
        at = np.array(sorted(touched), np.intp)
        values[at] = counter
        shelf.touch(at)
        if data.draw(st.booleans()):
            marks.append((shelf.version, values.copy()))
        if data.draw(st.booleans()):
            marks = marks[: data.draw(st.integers(1, len(marks)))]
            values[:] = marks[-1][1]
            assert shelf.rewind(marks[-1][0])
        if data.draw(st.booleans()):
            assert (values * 2).tolist() == ask()
        if data.draw(st.booleans()):
            shelf = shelf.copy()
    assert (values * 2).tolist() == ask()


@QUICK
@given(node_rows(most=12, zones="aab"), st.data())
def test_what_was_taken_back_leaves_the_room_of_before(rows: list[build.NodeRow], data: Any) -> None:
    """Pods of two shapes come and go, room is set between: each shape finds what a ground that kept nothing has."""
    ground = Ground(inventory_of(rows), 0).begin()
    gang = worlds.gang(worlds.group(1, 1, "a"), worlds.group(1, 2, "b"))
    attempt = Attempt(ground, gang, gang.options[0])
    marks = [(attempt.marks(), ground.free.tolist())]
    for _ in range(data.draw(st.integers(1, 8))):
        match data.draw(st.sampled_from(["take", "take", "mark", "back", "put"])):
            case "take":
                attempt.pack(data.draw(st.integers(0, 1)), data.draw(st.integers(1, 3)), Demand())
            case "mark":
                marks.append((attempt.marks(), ground.free.tolist()))
            case "back":
                marks = marks[: data.draw(st.integers(1, len(marks)))]
                attempt.undo(marks[-1][0])
                assert marks[-1][1] in ([], ground.free.tolist())
            case _:
                at = np.array([data.draw(st.integers(0, ground.size - 1))])
                ground.put(at, ground.free[at] + 1)
                marks = [(mark, []) for mark, _ in marks]  # what was put stays
        for number in range(2):
            need = ground.demand(gang.options[0].groups[number])
            assert need is not None
            expected = fit.room(ground, need) * attempt.open[number]
            assert expected.tolist() == attempt.slots(number).tolist()
            assert expected.sum() == attempt.holds(number, Demand())
