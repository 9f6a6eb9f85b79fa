"""Why a gang waits, in one line that counts: how many pods fit at best and where, and what each cause excluded.

Made from the arrays that the attempt has built, so that No costs no more than Yes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from cardpool.domain.gangs import Gang, GroupShape, Option, Refusal
from cardpool.engine import demand, fit, pack, pyramid
from cardpool.engine.demand import Demand
from cardpool.engine.fit import Fit
from cardpool.engine.ground import Ground
from cardpool.engine.pyramid import Pyramid
from cardpool.names import Reason

MESSAGE_MAX: Final = 900
_CAUSES_SHOWN: Final = 8


def without_options(gang: Gang) -> Refusal:
    """No profile that the job accepts is open to it yet."""
    return Refusal(gang.key, Reason.UNKNOWN_PROFILE, "no accepted profile is open to this job now")


def unknown_profile(gang: Gang, option: Option, profiles: Sequence[str]) -> Refusal:
    """The pool has no such profile."""
    known = ", ".join(profiles) or "none"
    message = _cut(f"unknown profile {option.profile!r}; the pool has {known}")
    return Refusal(gang.key, Reason.UNKNOWN_PROFILE, message, want=_want(option))


def faulty(gang: Gang, option: Option, fault: demand.Fault) -> Refusal:
    """The demand itself is wrong."""
    return Refusal(gang.key, fault.reason, _cut(f"profile {option.profile}: {fault.message}"), want=_want(option))


def behind(gang: Gang, head: Gang) -> Refusal:
    """The gang may not pass a head that waits."""
    return Refusal(
        gang.key,
        Reason.RESERVED_FOR_OTHER,
        _cut(f"behind {head.key}, which waits at the head of a strict queue"),
        want=gang.size(),
    )


def combined(refusals: Sequence[Refusal]) -> Refusal:
    """One answer for all options: the first option's reason, the largest fit, every message."""
    first = refusals[0]
    if len(refusals) == 1:
        return first
    best = max(refusals, key=lambda refusal: refusal.fit)
    message = _cut("; ".join(refusal.message for refusal in refusals))
    return Refusal(first.gang, first.reason, message, best.fit, best.want or first.want, best.excluded)


def unfit(
    ground: Ground, gang: Gang, option: Option, shape: GroupShape, wants: Demand, fitted: Fit, built: Pyramid
) -> Refusal:
    """The answer for a gang of one group that does not fit."""
    most, domain = pack.best(built, wants.required)
    excluded = fit.causes(ground, fitted, shape)
    where = _where(ground, wants.required, domain) if most else ""
    parts = [f"{most} of {shape.replicas} pods fit{where}", *_blocks(ground, wants, built, shape, domain)]
    message = f"profile {option.profile}: " + ", ".join(parts) + _counts(ground.size, excluded)
    reason = _reason(ground, gang, shape, wants, fitted)
    return Refusal(gang.key, reason, _cut(message), most, shape.replicas, excluded)


def _reason(ground: Ground, gang: Gang, shape: GroupShape, wants: Demand, fitted: Fit) -> Reason:
    """What would have to give way: the topology demand, the avoided nodes, or nothing (there is too little)."""
    levels = len(ground.layout.starts)
    plain = fit.fit(ground, gang, shape, ()) if wants.levels() else fitted
    if int(plain.slots.sum()) >= shape.replicas:
        return Reason.TOPOLOGY_UNFIT
    if gang.excluded:
        open_ = fit.fit(ground, gang, shape, wants.levels(), avoid=False)
        again = pyramid.build(ground, open_.slots, wants.grains(levels), shape.cards_per_pod)
        if pack.best(again, wants.required)[0] >= shape.replicas:
            return Reason.EXCLUDED
    return Reason.INSUFFICIENT_CARDS


def _where(ground: Ground, level: int, domain: int) -> str:
    """The domain that holds most, by its path."""
    if level < 0 or domain < 0:
        return ""
    position = int(ground.layout.starts[level][domain])
    inventory = ground.inventory
    at = int(inventory.domains[ground.profile][ground.layout.rows[position], level])
    name = "/".join(inventory.domain_names[ground.profile][level][at]) if at >= 0 else "?"
    return f" at best, in {inventory.trees[ground.profile].names()[level]} {name}"


def _blocks(ground: Ground, wants: Demand, built: Pyramid, shape: GroupShape, domain: int) -> list[str]:
    """How many whole blocks fit, the larger first; in the best domain of the required level where there is one."""
    names = ground.inventory.trees[ground.profile].names()
    found = []
    for pods, level in wants.blocks:
        caps = built.caps[level]
        if 0 <= wants.required <= level and domain >= 0:
            lo, hi = domain, domain + 1
            for above in range(wants.required, level):
                lo, hi = int(ground.layout.children[above][lo]), int(ground.layout.children[above][hi])
            caps = caps[lo:hi]
        number = int((caps // pods).sum())
        found.append(
            f"{min(number, shape.replicas // pods)} of {shape.replicas // pods} blocks of {pods} fit a {names[level]}"
        )
    return found


def _counts(nodes: int, excluded: Mapping[str, int]) -> str:
    """How many nodes each cause excluded."""
    if not nodes:
        return "; the pool has no node of this profile"
    shown = [f"{number} {text}" for text, number in list(excluded.items())[:_CAUSES_SHOWN]]
    rest = sum(list(excluded.values())[_CAUSES_SHOWN:])
    shown += [f"{rest} for other causes"] if rest else []
    return f"; of {nodes} nodes: {', '.join(shown)}" if shown else f"; none of {nodes} nodes is excluded"


def _want(option: Option) -> int:
    return sum(shape.replicas for shape in option.groups)


def _cut(message: str) -> str:
    """The message, no longer than a condition can show."""
    return message if len(message) <= MESSAGE_MAX else message[: MESSAGE_MAX - 1] + "…"
