"""What a job could do without: the same job with less to ask, one demand at a time, and in words what it drops.

Only demands are dropped that a person put there and can take back; cards, pods and profiles stay as they are. Whether
the lighter job would fit is for the caller to find out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from cardpool.domain.gangs import Gang, GroupShape, NodeFilter, Option, Toleration
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import matching
from cardpool.engine.ground import Ground

_NAMED: Final = 3


def lighter(ground: Ground, gang: Gang, option: Option) -> Iterator[tuple[str, Gang, Option]]:
    """Each with one thing less, the topology first and then the whole of it; in words as in "would fit ..."."""
    yield from _without_topology(gang, option)
    yield from _without_needs(ground, gang, option)


def _without_topology(gang: Gang, option: Option) -> Iterator[tuple[str, Gang, Option]]:
    asked = (gang.topology, *(shape.topology for shape in option.groups))

    def less(change: Callable[[TopologyRequest], TopologyRequest]) -> tuple[Gang, Option]:
        groups = tuple(dataclasses.replace(shape, topology=change(shape.topology)) for shape in option.groups)
        other = dataclasses.replace(gang, topology=change(gang.topology))
        return other, dataclasses.replace(option, groups=groups)

    required = list(dict.fromkeys(one.required for one in asked if one.required))
    exclusive = list(dict.fromkeys(one.exclusive for one in asked if one.exclusive))
    blocks = [
        f"{block.pods} a {block.level}" for block in dict.fromkeys(block for one in asked for block in one.blocks)
    ]
    if required:
        yield (
            f"without topology.required {', '.join(required)}",
            *less(lambda one: dataclasses.replace(one, required="")),
        )
    if blocks:
        yield f"without topology.blocks ({', '.join(blocks)})", *less(lambda one: dataclasses.replace(one, blocks=()))
    if exclusive:
        text = f"without topology.exclusive {', '.join(exclusive)}"
        yield text, *less(lambda one: dataclasses.replace(one, exclusive=""))
    if bool(required) + bool(blocks) + bool(exclusive) > 1:
        yield "without any of its topology", *less(lambda _: TopologyRequest())


def _without_needs(ground: Ground, gang: Gang, option: Option) -> Iterator[tuple[str, Gang, Option]]:
    def less(change: Callable[[GroupShape], GroupShape]) -> Option:
        return dataclasses.replace(option, groups=tuple(change(shape) for shape in option.groups))

    inventory, rows = ground.inventory, ground.layout.rows
    kept: dict[str, None] = {}
    for shape in option.groups:
        tolerance = matching.tolerance(inventory, shape.tolerations)
        codes = np.unique(tolerance.code[rows])
        kept.update(dict.fromkeys(tolerance.texts[code] for code in codes if code))
    if kept:
        all_ = Toleration(operator="Exists")
        text = f"with a toleration for what nodes are {', '.join(list(kept)[:_NAMED])}"
        yield text, gang, less(lambda shape: dataclasses.replace(shape, tolerations=(*shape.tolerations, all_)))
    if any(matching.chosen(inventory, shape.nodes) is not None for shape in option.groups):
        text = "without its node selector and required node affinity"
        yield text, gang, less(lambda shape: dataclasses.replace(shape, nodes=NodeFilter()))
    for name in sorted({name for shape in option.groups for name, amount in shape.requests.items() if amount > 0}):
        rest = less(lambda shape, name=name: _unasked(shape, name))  # type: ignore[misc]
        yield f"but for its requests of {name}", gang, rest


def _unasked(shape: GroupShape, name: str) -> GroupShape:
    requests = {key: amount for key, amount in shape.requests.items() if key != name}
    return dataclasses.replace(shape, requests=requests)
