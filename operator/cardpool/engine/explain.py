"""Why a gang waits, in one line that counts: how many pods fit at best and where, and what each cause excluded.

Made from the arrays that the attempt has built, so that No costs no more than Yes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from cardpool.domain.gangs import Gang, GroupShape, Option, Refusal
from cardpool.engine import alike, bundle, demand, fit, pack, parts, wording
from cardpool.engine.alike import PLAIN, Bound
from cardpool.engine.attempt import Attempt
from cardpool.engine.demand import Demand
from cardpool.engine.ground import Ground
from cardpool.engine.parts import Bundle, Part, Run
from cardpool.engine.pyramid import Capacities
from cardpool.names import Reason

_CAUSES_SHOWN: Final = 8


def unfit(attempt: Attempt, whole: Part) -> Refusal:
    """The answer for a gang that does not fit into an attempt's profile; the attempt is as it was before."""
    gang, option, ground = attempt.gang, attempt.option, attempt.ground
    if isinstance(whole, Run):
        key = alike.kind(ground, gang, option)
        found = _bound(attempt, whole) if key is None else ground.value(key, lambda _: _bound(attempt, whole))
        return beyond(gang, option, found)
    shape, group = _blocking(attempt, whole)
    wants = demand.resolve(attempt.tree, gang.topology, shape.topology)
    most, where, blocks = _most(attempt, group, wants)
    excluded = fit.causes(ground, attempt.fits[group], shape)
    fits = bundle.most(attempt, whole)
    words = [
        f"{fits} of {wording.want(option)} pods fit, group {shape.name} alone {most} of {shape.replicas}{where}",
        *_blocks(blocks, shape.replicas),
    ]
    message = f"profile {option.profile}: " + ", ".join(words) + _counts(ground.size, excluded)
    return Refusal(gang.key, _reason(attempt), wording.cut(message), fits, wording.want(option), excluded)


def beyond(gang: Gang, option: Option, bound: Bound) -> Refusal:
    """The answer for a gang of one group that has more pods than fit of its kind."""
    pods = option.groups[0].replicas
    if pods <= bound.anywhere:
        reason = Reason.TOPOLOGY_UNFIT
    else:
        reason = Reason.EXCLUDED if pods <= bound.unavoided else Reason.INSUFFICIENT_CARDS
    words = [f"{bound.most} of {pods} pods fit{bound.where}", *_blocks(bound.blocks, pods)]
    message = f"profile {option.profile}: " + ", ".join(words) + bound.counts
    return Refusal(gang.key, reason, wording.cut(message), bound.most, pods, bound.excluded)


def _bound(attempt: Attempt, whole: Run) -> Bound:
    """What is true of every gang of the attempt's kind that does not fit."""
    ground, gang, option = attempt.ground, attempt.gang, attempt.option
    shape = option.groups[0]
    most, where, blocks = _most(attempt, 0, whole.demand)
    anywhere = unavoided = -1
    if gang.topology != PLAIN or shape.topology != PLAIN:
        free = dataclasses.replace(gang, topology=PLAIN)
        anywhere = _fitting(ground, free, _plain(option), avoid=True)
    if gang.excluded:
        unavoided = _fitting(ground, gang, option, avoid=False)
    excluded = fit.causes(ground, attempt.fits[0], shape)
    return Bound(most, anywhere, unavoided, where, blocks, excluded, _counts(ground.size, excluded))


def _most(attempt: Attempt, group: int, wants: Demand) -> tuple[int, str, tuple[tuple[int, int, str], ...]]:
    """Pods of a group that fit at best, where, and how many of each of its blocks do."""
    built = attempt.capacities(group, wants)
    most, best = pack.best(built, wants.required)
    where = _where(attempt.ground, wants.required, best) if most else ""
    return most, where, _fitting_blocks(attempt, wants, built, best)


def _fitting(ground: Ground, gang: Gang, option: Option, *, avoid: bool) -> int:
    """Pods of a gang of one group that would fit under other conditions."""
    other = Attempt(ground, gang, option, avoid=avoid)
    wants = demand.resolve(other.tree, gang.topology, option.groups[0].topology)
    return pack.best(other.capacities(0, wants), wants.required)[0]


def _plain(option: Option) -> Option:
    """The option without its topology demands."""
    groups = tuple(dataclasses.replace(shape, topology=PLAIN) for shape in option.groups)
    return dataclasses.replace(option, groups=groups)


def _blocking(attempt: Attempt, whole: Bundle) -> tuple[GroupShape, int]:
    """The group to explain: the first that does not fit even alone, else the one that asks for most."""
    groups = attempt.option.groups
    for number, shape in enumerate(groups):
        wants = demand.resolve(attempt.tree, attempt.gang.topology, shape.topology)
        own = dataclasses.replace(wants, blocks=())
        if pack.best(attempt.capacities(number, own), own.required)[0] < shape.replicas:
            return shape, number
    number = max(range(len(groups)), key=lambda at: (groups[at].replicas * max(groups[at].cards_per_pod, 1), -at))
    return groups[number], number


def _reason(attempt: Attempt) -> Reason:
    """What would have to give way: the topology demand, the avoided nodes, or nothing (there is too little)."""
    gang, option = attempt.gang, attempt.option
    if any(request != PLAIN for request in (gang.topology, *(shape.topology for shape in option.groups))):
        free = dataclasses.replace(gang, topology=PLAIN)
        if _would_fit(attempt, free, _plain(option), avoid=True):
            return Reason.TOPOLOGY_UNFIT
    if gang.excluded and _would_fit(attempt, gang, option, avoid=False):
        return Reason.EXCLUDED
    return Reason.INSUFFICIENT_CARDS


def _would_fit(attempt: Attempt, gang: Gang, option: Option, *, avoid: bool) -> bool:
    """True where a gang of several groups would have a place under other conditions; nothing is taken."""
    other = Attempt(attempt.ground, gang, option, avoid=avoid)
    marks = other.marks()
    fits = bundle.settle(other, parts.cut(attempt.tree, gang.topology, option.groups))
    other.undo(marks)
    return fits


def _where(ground: Ground, level: int, number: int) -> str:
    """The domain that holds most."""
    return f" at best, in {domain(ground, level, number)}" if level >= 0 and number >= 0 else ""


def domain(ground: Ground, level: int, number: int) -> str:
    """A domain of a level by its path."""
    position = int(ground.layout.starts[level][number])
    inventory = ground.inventory
    at = int(inventory.domains[ground.profile][ground.layout.rows[position], level])
    name = "/".join(inventory.domain_names[ground.profile][level][at]) if at >= 0 else "?"
    return f"{inventory.trees[ground.profile].names()[level]} {name}"


def _fitting_blocks(attempt: Attempt, wants: Demand, built: Capacities, best: int) -> tuple[tuple[int, int, str], ...]:
    """How many whole blocks fit, the larger first; in the best domain of the required level where there is one."""
    names = attempt.tree.names()
    children = attempt.ground.layout.children
    found = []
    for pods, level in wants.blocks:
        caps = built.caps[level]
        if 0 <= wants.required <= level and best >= 0:
            lo, hi = best, best + 1
            for above in range(wants.required, level):
                lo, hi = int(children[above][lo]), int(children[above][hi])
            caps = caps[lo:hi]
        found.append((pods, int((caps // pods).sum()), names[level]))
    return tuple(found)


def _blocks(found: Sequence[tuple[int, int, str]], replicas: int) -> list[str]:
    """The same in words, for a group of so many pods.

    Blocks of the gang that do not divide the group have pods of others too: this group alone says nothing of them.
    """
    return [
        f"{min(number, replicas // pods)} of {replicas // pods} blocks of {pods} fit a {level}"
        for pods, number, level in found
        if replicas % pods == 0
    ]


def _counts(nodes: int, excluded: Mapping[str, int]) -> str:
    """How many nodes each cause excluded."""
    if not nodes:
        return "; the pool has no node of this profile"
    shown = [f"{number} {text}" for text, number in list(excluded.items())[:_CAUSES_SHOWN]]
    rest = sum(list(excluded.values())[_CAUSES_SHOWN:])
    shown += [f"{rest} for other causes"] if rest else []
    return f"; of {nodes} nodes: {', '.join(shown)}" if shown else f"; none of {nodes} nodes is excluded"
