"""What would free a gang that waits: the words, and that they are true, tried by doing what they say."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pytest

from cardpool.domain.gangs import Gang, NodeFilter, Option, PlanResult, Running, Taint
from cardpool.domain.inventory import Cause
from cardpool.domain.teams import Limit, Rules, Team
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import advice, build, plan
from cardpool.engine.build import NodeRow
from cardpool.engine.remedy import Kind, Remedy
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group, holds, topology

NOW = 10_000.0
LEVELS = ("supernode",)
TREE = (worlds.tree(*LEVELS),)


def planned(rows: Sequence[NodeRow], queue: Sequence[Gang], running: Sequence[Running] = (), **how: Any) -> PlanResult:
    """One cycle over these nodes."""
    inventory = build.build_inventory(rows, (worlds.PROFILE,), TREE)
    return plan.plan(inventory, queue, now=NOW, running=running, **how)


def told(result: PlanResult, key: str = "team-a/job") -> str:
    """The advice for a gang."""
    assert result.advice is not None
    return result.advice.of(key)


def nodes(domains: dict[str, list[int]], used: dict[str, int] | None = None, **fields: Any) -> list[NodeRow]:
    """Nodes named ``<supernode>-<n>`` with their cards, some of them in use."""
    rows = worlds.rows(domains, LEVELS, **fields)
    return [dataclasses.replace(row, used_cards=(used or {}).get(row.name, 0)) for row in rows]


def with_cause(rows: Sequence[NodeRow], **causes: Cause) -> list[NodeRow]:
    """These nodes (``a_0`` for ``a-0``) held back."""
    named = {name.replace("_", "-"): cause for name, cause in causes.items()}
    return [dataclasses.replace(row, cause=named.get(row.name, row.cause)) for row in rows]


TWO = {"a": [8, 8], "b": [8, 8]}
FULL = {"a-0": 8, "a-1": 8, "b-0": 8, "b-1": 8}
ENDS = [
    holds("x/one", 8, "a-0", ends=NOW + 100.0),
    holds("x/two", 8, "a-1", ends=NOW + 200.0),
    holds("y/one", 8, "b-0", ends=NOW + 300.0),
    holds("y/two", 8, "b-1"),
]
TAINTED = (Taint("maintenance", "disk"),)

WORDS: dict[str, tuple[Sequence[NodeRow], Gang, Sequence[Running], str]] = {
    "one that ends": (
        nodes(TWO, FULL),
        gang(group(1, 8)),
        ENDS,
        "fits once x/one ends (expected 1970-01-01T02:48:20Z)",
    ),
    "two that end": (
        nodes(TWO, FULL),
        gang(group(2, 8)),
        ENDS,
        "fits once x/one and x/two have ended (expected 1970-01-01T02:50:00Z)",
    ),
    "those that are needed and no more": (
        nodes(TWO, {"a-0": 8, "b-0": 8}),
        gang(group(2, 8), demand=topology(required="supernode")),
        [ENDS[2]],
        "fits once y/one ends (expected 1970-01-01T02:51:40Z)",
    ),
    "one that is going": (
        nodes(TWO, FULL),
        gang(group(1, 8)),
        [holds("x/gone", 8, "a-0", leaving=True)],
        "fits once x/gone, being taken down already, is gone",
    ),
    "avoided nodes": (
        nodes({"a": [8]}),
        gang(group(1, 8), excluded={"a-0": "BindTimeout"}),
        [],
        "fits once it avoids none of 1 nodes any more",
    ),
    "cordoned": (
        with_cause(nodes(TWO), a_0=Cause.CORDONED, b_0=Cause.NOT_READY, b_1=Cause.NOT_READY),
        gang(group(2, 8)),
        [],
        "would fit if 1 cordoned node were uncordoned",
    ),
    "all that is held back": (
        with_cause(nodes(TWO), a_0=Cause.CORDONED, b_0=Cause.NOT_READY),
        gang(group(4, 8)),
        [],
        "would fit if all that is held back were open: 1 not-ready node, 1 cordoned node",
    ),
    "spares": (
        nodes(TWO, spare=True),
        gang(group(2, 8)),
        [],
        "would fit if 4 nodes kept as spares were given up (spec.spares)",
    ),
    "a required level": (
        nodes({"a": [8], "b": [8]}),
        gang(group(2, 8), demand=topology(required="supernode")),
        [],
        "would fit without topology.required supernode",
    ),
    "blocks": (
        nodes({"a": [8], "b": [8]}),
        gang(group(2, 8), demand=topology(blocks=[(2, "supernode")])),
        [],
        "would fit without topology.blocks (2 a supernode)",
    ),
    "a taint": (
        nodes({"a": [8]}, taints=TAINTED),
        gang(group(1, 8)),
        [],
        "would fit with a toleration for what nodes are tainted (maintenance=disk)",
    ),
    "a selector": (
        nodes({"a": [8]}),
        gang(group(1, 8, nodes=NodeFilter(selector=(("disk", "fast"),)))),
        [],
        "would fit without its node selector and required node affinity",
    ),
    "too much memory": (
        nodes({"a": [8]}),
        gang(group(1, 8, requests={"cpu": 1000, "memory": 1 << 50})),
        [],
        "would fit but for its requests of memory",
    ),
    "a resource that no node has": (
        nodes({"a": [8]}),
        gang(group(1, 8, requests={"example.com/nic": 1})),
        [],
        "would fit but for its requests of example.com/nic",
    ),
    "one without a known end": (
        nodes({"a": [8]}, {"a-0": 8}),
        gang(group(1, 8)),
        [holds("x/long", 8, "a-0")],
        "would fit if x/long ended (no end is known)",
    ),
    "more nodes": (
        nodes(TWO),
        gang(group(6, 8)),
        [],
        "2 more free nodes such as a-0 (8 cards) would do",
    ),
    "more nodes in one supernode": (
        nodes({"a": [8, 8], "b": [8]}),
        gang(group(5, 8), demand=topology(required="supernode")),
        [],
        "3 more free nodes such as a-0 (8 cards) in supernode a would do",
    ),
    "nothing at all": (nodes({"a": [4]}), gang(group(1, 8)), [], ""),
}


@pytest.mark.parametrize(("rows", "wants", "running", "expected"), WORDS.values(), ids=WORDS)
def test_words(rows: Sequence[NodeRow], wants: Gang, running: Sequence[Running], expected: str) -> None:
    """The cheapest thing that would do, in one clause."""
    assert expected == told(planned(rows, [wants], running))


def test_what_waits_costs_no_advice_until_somebody_asks() -> None:
    """The answer of a cycle is the same whether or not anybody asks."""
    result = planned(nodes(TWO, FULL), [gang(group(1, 8))], ENDS)
    again = planned(nodes(TWO, FULL), [gang(group(1, 8))], ENDS)
    assert told(result)
    assert result == again


def test_only_the_first_of_the_queue_are_advised() -> None:
    """Far behind, advice would say little and cost much."""
    queue = [gang(group(1, 8), key=f"a/{number:03}", created=float(number)) for number in range(advice.FIRST + 1)]
    result = planned(nodes(TWO, FULL), queue, ENDS)
    assert told(result, "a/000") == "fits once x/one ends (expected 1970-01-01T02:48:20Z)"
    assert told(result, "a/049").endswith(
        "(expected 1970-01-01T02:48:20Z), unless one of the 49 before it takes the room"
    )
    assert told(result, "a/050") == ""


def test_room_that_comes_may_go_to_another_team() -> None:
    """A team whose gang ends has a smaller share, and may come first then."""
    running = [dataclasses.replace(ENDS[0], team="b")]
    queue = [gang(group(1, 8), team="a"), gang(group(1, 8), key="b/job", team="b", created=1.0)]
    result = planned(nodes({"a": [8]}, {"a-0": 8}), queue, running)
    assert told(result).endswith(", unless a job of another team takes the room")


def test_a_short_run_passes_the_head() -> None:
    """Who would be done before the head begins is told so."""
    head = gang(group(2, 8), key="a/head", demand=topology(required="supernode"), priority=1)
    small = gang(group(1, 8))
    rows = nodes({"a": [8, 8]}, {"a-0": 8})
    result = planned(rows, [head, small], [ENDS[0]], strategy="Backfill")
    assert told(result).startswith("would start now if it declared to end by 1970-01-01T02:48:20Z")
    brief = dataclasses.replace(small, runtime=100.0)
    assert planned(rows, [head, brief], [ENDS[0]], strategy="Backfill").placements


def quotas(**teams: tuple[int, int | None]) -> Rules:
    """Cards and lending limit of each team."""
    limits = {name: (Limit(worlds.PROFILE, cards, lend=lend),) for name, (cards, lend) in teams.items()}
    return Rules(teams={name: Team(name, limits=limit) for name, limit in limits.items()})


QUOTAS: dict[str, tuple[Rules, list[Running], str]] = {
    "its own gang ends": (
        quotas(a=(8, 0), b=(24, 0)),
        [holds("a/old", 8, "a-0", team="a", ends=NOW + 100.0)],
        "fits once a/old of team a ends (expected 1970-01-01T02:48:20Z)",
    ),
    "a borrower gives back": (
        quotas(a=(8, 8), b=(8, 8)),
        [holds("a/old", 8, "a-0", team="a"), holds("b/old", 8, "a-1", team="b")],
        "fits once team a itself gives back 8 k100 cards, or with a quota of 8 k100 cards more for team a",
    ),
    "another team has borrowed": (
        quotas(a=(8, 0), b=(8, None), c=(8, None)),
        [holds("a/old", 8, "a-0", team="a"), holds("b/old", 16, "a-1", team="b")],
        "fits once team b gives back 8 k100 cards, or with a quota of 8 k100 cards more for team a",
    ),
    "more than it can ever get": (
        quotas(a=(4, 0)),
        [],
        "fits with a quota of 4 k100 cards more for team a",
    ),
}


@pytest.mark.parametrize(("rules", "running", "expected"), QUOTAS.values(), ids=QUOTAS)
def test_quota(rules: Rules, running: list[Running], expected: str) -> None:
    """Who would have to give back how much, or how much more quota it takes."""
    used = {node: cards for one in running for node, cards, _ in one.pods}
    result = planned(nodes({"a": [8, 16], "b": [8]}, used), [gang(group(1, 8), team="a")], running, rules=rules)
    assert expected == told(result)


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


def test_a_gang_of_several_profiles_is_told_of_the_cheapest() -> None:
    """The profile is named where there is a choice."""
    rows = [
        worlds.node("k", 8, free=0),
        dataclasses.replace(worlds.node("h", 8), profile="h100", cause=Cause.CORDONED),
    ]
    inventory = build.build_inventory(rows, ("k100", "h100"), (worlds.tree(), worlds.tree()))
    options = (Option("k100", (group(1, 8),)), Option("h100", (group(1, 8),)))
    result = plan.plan(inventory, [gang(options=options)], now=NOW, running=[holds("x/long", 8, "k")])
    assert told(result) == "on h100: would fit if 1 cordoned node were uncordoned"


def test_the_head_s_own_quota_does_not_stand_in_its_way() -> None:
    """What is kept for the head counts for its team: not against the head, and said to those behind it."""
    rules = quotas(a=(16, 0), b=(8, 0))
    running = [holds("b/long", 8, "a-0", team="b", ends=NOW + 100.0)]
    head = gang(group(2, 8), key="a/head", team="a", demand=topology(required="supernode"))
    next_ = gang(group(1, 8), key="a/next", team="a", created=1.0)
    result = planned(nodes({"a": [8, 8]}, {"a-0": 8}), [head, next_], running, rules=rules, strategy="Backfill")
    assert told(result, "a/head") == "fits once b/long ends (expected 1970-01-01T02:48:20Z)"
    behind = result.refusals[1]
    assert behind.reason is Reason.QUOTA_EXCEEDED
    assert "team a uses 16 of 16 k100 cards" in behind.message
    assert "; 16 of what it uses is kept for gangs of its own that wait before this one" in behind.message
