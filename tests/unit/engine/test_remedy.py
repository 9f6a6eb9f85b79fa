"""What would free a gang that waits, in words: each kind of remedy, the cheapest that does first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from cardpool.domain.gangs import Gang, NodeFilter, Option, Running
from cardpool.domain.inventory import Cause
from cardpool.engine import build, plan
from cardpool.engine.build import NodeRow
from tests.support import worlds
from tests.support.advised import ENDS, FULL, NOW, TAINTED, TWO, nodes, planned, told
from tests.support.worlds import gang, group, holds, topology


def with_cause(rows: Sequence[NodeRow], **causes: Cause) -> list[NodeRow]:
    """These nodes (``a_0`` for ``a-0``) held back."""
    named = {name.replace("_", "-"): cause for name, cause in causes.items()}
    return [dataclasses.replace(row, cause=named.get(row.name, row.cause)) for row in rows]


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
