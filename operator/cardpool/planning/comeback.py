"""A gang that must come down comes back before anybody gets what it leaves.

Its pods still hold their cards when others are asked: what is placed in this cycle can start in this cycle. So the
others are asked once more, in a world where the gang has its new place and the rest of its old one is still taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from cardpool.domain.world import PodRecord, World
from cardpool.lifecycle import reserving
from cardpool.planning import answer, patience
from cardpool.planning.answer import Plan
from cardpool.planning.patience import Rest
from cardpool.vendors.registry import Registry


def plan(world: World, registry: Registry) -> tuple[Plan, Rest]:
    """The plan of this world, and the world at rest that it was made in."""
    ended = frozenset(key for key, job in world.jobs.items() if job.status.completion_time is not None)
    rest = patience.come_to_rest(world, registry)
    first = answer.answers(rest, ended)
    if not any(rest.fallen.values()):
        return first, rest
    others = answer.answers(patience.come_to_rest(_meanwhile(rest, first), registry), ended | rest.struck)
    back = [item for item in first.jobs if item.key in rest.struck]
    merged = replace(
        first,
        jobs=tuple(answer.in_order([*back, *others.jobs])),
        moves=others.moves,
        evictions=(*(item for item in first.evictions if item.by in rest.struck), *others.evictions),
        reservations=(
            *(item for item in first.reservations if f"{item.namespace}/{item.name}" in rest.struck),
            *others.reservations,
        ),
    )
    return merged, rest


def _meanwhile(rest: Rest, first: Plan) -> World:
    """The world as the others find it."""
    jobs, pods = dict(rest.world.jobs), dict(rest.world.pods)
    placements = {item.gang: item for result in rest.study.answers.values() for item in result.placements}
    for key in rest.struck:
        draft = rest.study.drafts.get(key)
        if key in placements and draft is not None:
            reserving.place(draft, placements[key])
            jobs[key] = replace(draft.job, status=draft.status)
        else:
            del jobs[key]
    again = {item.key: Counter(seat.node for seat in item.pods) for item in first.jobs if item.key in placements}
    for key, fallen in rest.fallen.items():
        for pod in _left(fallen, again.get(key, Counter())):
            pods[f"{pod.key} (before)"] = pod
    return patience.indexed(replace(rest.world, jobs=jobs, pods=pods))


def _left(fallen: tuple[PodRecord, ...], again: Counter[str]) -> Iterator[PodRecord]:
    """Pods whose room the gang does not take again, as pods of nobody."""
    for pod in fallen:
        if again[pod.node] > 0:
            again[pod.node] -= 1
        else:
            yield replace(pod, name=f"{pod.name} (before)", owner="", labels={}, devices=())
