"""Builders for gangs that may stand on several profiles: three makers, nodes of each, one cycle over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cardpool.domain.gangs import Gang, GroupShape, Mix, Option, Placement, PlanResult
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import Limit, Rules, Team
from cardpool.engine import build, plan
from tests.support import worlds

K100, NPU, H100 = "k100", "npu", "h100"

ZONE, RACK = worlds.LABEL + "zone", worlds.LABEL + "rack"


def node(name: str, profile: str, cards: int = 8, **fields: Any) -> build.NodeRow:
    """A node of a profile; its zone is the first letter of its name unless labels are given."""
    fields.setdefault("labels", {ZONE: name[0], RACK: name[0]})
    return worlds.node(name, cards, profile=profile, **fields)


def pool(*rows: build.NodeRow, levels: Mapping[str, Sequence[str]] | None = None) -> Inventory:
    """An inventory of the profiles that the rows have, in the order k100, npu, h100; levels by profile."""
    profiles = tuple(name for name in (K100, NPU, H100) if any(row.profile == name for row in rows))
    trees = tuple(worlds.tree(*(levels or {}).get(name, ("zone",))) for name in profiles)
    return build.build_inventory(rows, profiles, trees)


def gang(
    *groups: GroupShape | Mapping[str, GroupShape],
    key: str = "team-a/job",
    profiles: Sequence[str] = (K100, NPU),
    within: bool = False,
    **fields: Any,
) -> Gang:
    """A gang that may be mixed; a group given by profile runs on these alone."""
    table = [group if isinstance(group, Mapping) else dict.fromkeys(profiles, group) for group in groups]
    mix = Mix(tuple(profiles), tuple(tuple(shapes.get(name) for name in profiles) for shapes in table), within)
    options = tuple(
        Option(name, tuple(shapes[name] for shapes in table))
        for name in profiles
        if all(name in shapes for shapes in table)
    )
    return worlds.gang(key=key, options=options, mix=mix, **fields)


def train(pods: int = 2, **fields: Any) -> GroupShape:
    """A group of whole nodes."""
    return worlds.group(pods, 8, "train", **fields)


def judge(pods: int = 2, **fields: Any) -> GroupShape:
    """Another one."""
    return worlds.group(pods, 8, "judge", **fields)


def planned(inventory: Inventory, *gangs: Gang, **fields: Any) -> PlanResult:
    """One cycle."""
    return plan.plan(inventory, gangs, now=0.0, **fields)


def seats(placement: Placement) -> list[tuple[str, int, str, str]]:
    """Group, index, profile and node of each pod."""
    return [
        (part.group, part.from_index + at, part.profile, name)
        for part in placement.segments
        for at, name in enumerate(part.nodes)
    ]


def only(result: PlanResult) -> Placement:
    """The placement of the only gang."""
    assert result.refusals == ()
    return result.placements[0]


TWO_AND_TWO = (node("a1", K100), node("a2", K100), node("a3", NPU), node("a4", NPU))


def rules(*limits: Limit) -> Rules:
    """A team with these limits; a card of npu is half as much as one of k100."""
    return Rules(teams={"default": Team("default", limits=limits)}, compute={K100: 100, NPU: 50})


def single(key: str, profile: str, created: float, **fields: Any) -> Gang:
    """A gang of one whole node on one profile."""
    return worlds.gang(key=key, options=(Option(profile, (train(1),)),), created=created, **fields)
