"""Placing a gang of several groups: together in the narrowest domain that holds all, else close to each other.

The search over domains is complete, the packing of different shapes into one domain is greedy (hardest first, then in
rank order): exact for one shape, a good guess for several. Where it fails a small gang is placed by trying everything.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.inventory import CARDS
from cardpool.engine import exact, pack
from cardpool.engine.attempt import Attempt, Mask
from cardpool.engine.demand import Demand
from cardpool.engine.parts import Bundle, Part, Run

_TRIES = 64
_SHOWN = 4
_CHOICES = 6


def settle(attempt: Attempt, part: Part, scope: Mask | None = None, *, thorough: bool = False) -> bool:
    """Place a part inside a scope; False, and nothing changed, where it does not fit.

    ``thorough``, for a whole gang and no scope, tries everything in each domain in which the greedy packing failed.
    """
    if isinstance(part, Run):
        return _settle_run(attempt, part, scope)
    for inside in _homes(attempt, part, scope):
        if thorough and inside is None:
            return _settle_fewest(attempt, part)
        if _settle_all(attempt, part, inside) or (thorough and exact.settle(attempt, part, inside)):
            return True
    return False


def _settle_fewest(attempt: Attempt, bundle: Bundle) -> bool:
    """A gang that no single domain holds, over as few domains of the widest level as an exact search finds."""
    starts = attempt.ground.layout.starts[0]
    domains, before = len(starts) - 1, attempt.marks()
    found = _settle_all(attempt, bundle, None)
    most = len(np.unique(np.searchsorted(starts, attempt.placed(), side="right"))) if found else domains
    if domains > _CHOICES or most < 3 or not exact.small(attempt, bundle):
        return found or exact.settle(attempt, bundle, None)
    attempt.undo(before)
    for some in _choices(attempt, bundle, most):
        inside = np.repeat(np.isin(np.arange(domains), some), np.diff(starts))
        if _settle_all(attempt, bundle, inside) or exact.settle(attempt, bundle, inside):
            return True
    return (found and _settle_all(attempt, bundle, None)) or exact.settle(attempt, bundle, None)


def _choices(attempt: Attempt, bundle: Bundle, most: int) -> Iterator[tuple[int, ...]]:
    """Two and more domains of the widest level, but fewer than ``most``, with room for each group on its own."""
    starts = attempt.ground.layout.starts[0][:-1]
    pods = _pods(bundle)
    room = np.array([np.add.reduceat(attempt.slots(group), starts) for group in pods])
    for number in range(2, most):
        for some in itertools.combinations(range(len(starts)), number):
            if (room[:, some].sum(axis=1) >= list(pods.values())).all():
                yield some


def _pods(bundle: Bundle) -> dict[int, int]:
    """Pods of each group."""
    pods: dict[int, int] = {}
    for run in bundle.runs():
        pods[run.group] = pods.get(run.group, 0) + run.pods
    return pods


def most(attempt: Attempt, whole: Bundle) -> int:
    """How many pods of the gang fit at best when its blocks are left aside, in one domain where one is required.

    A greedy count over the domains with most free cards, in rank order and with the pods of the fewest cards first;
    nothing stays taken.
    """
    layout, level = attempt.ground.layout, whole.required
    if level < 0:
        return _fill(attempt, whole, None)
    starts = layout.starts[level]
    if len(starts) == 1:
        return 0
    free = np.add.reduceat(attempt.ground.free[:, CARDS], starts[:-1])
    tries = np.argsort(-free, kind="stable")[:_SHOWN]
    return max(_fill(attempt, whole, attempt.domain(level, int(starts[at]))) for at in tries)


def _fill(attempt: Attempt, whole: Bundle, scope: Mask | None) -> int:
    """Pods that find room one run after the other, in the better of two orders."""
    runs = list(whole.runs())
    orders = [runs]
    for sign in (1, -1):
        order = sorted(runs, key=lambda run: sign * attempt.option.groups[run.group].cards_per_pod)
        orders += [order] if order not in orders else []
    return max(_filled(attempt, order, scope) for order in orders)


def _filled(attempt: Attempt, runs: Sequence[Run], scope: Mask | None) -> int:
    marks = attempt.marks()
    found = 0
    for run in runs:
        wants = Demand(required=run.demand.required)
        inside = _anchored(attempt, run, scope)
        pods = min(run.pods, pack.best(attempt.capacities(run.group, wants, inside), wants.required)[0])
        positions = attempt.pack(run.group, pods, wants, inside) if pods else None
        if positions is not None:
            attempt.ranks[run.group][run.first : run.first + pods] = positions
            found += pods
    attempt.undo(marks)
    return found


def _settle_run(attempt: Attempt, run: Run, scope: Mask | None) -> bool:
    """A run near what the gang holds already, else anywhere in the scope."""
    if not run.pods:
        return True
    scope = _anchored(attempt, run, scope)
    for near in _neighbourhoods(attempt, scope):
        positions = attempt.pack(run.group, run.pods, run.demand, near)
        if positions is not None:
            attempt.ranks[run.group][run.first : run.first + run.pods] = positions
            return True
    return False


def _anchored(attempt: Attempt, run: Run, scope: Mask | None) -> Mask | None:
    """The scope cut to the domain in which other pods of a group that must stay together sit."""
    ranks = attempt.ranks[run.group]
    if run.demand.required < 0 or not (ranks >= 0).any():
        return scope
    home = attempt.domain(run.demand.required, int(ranks[ranks >= 0][0]))
    return home if scope is None else home & scope


def _neighbourhoods(attempt: Attempt, scope: Mask | None) -> Iterator[Mask | None]:
    """Ever wider surroundings of the pods placed so far, the scope last."""
    held = attempt.placed()
    if len(held):
        for level in range(len(attempt.ground.layout.starts) - 1, -1, -1):
            starts = attempt.ground.layout.starts[level]
            marked = np.zeros(len(starts) - 1, np.bool_)
            marked[np.searchsorted(starts, held, side="right") - 1] = True
            near = np.repeat(marked, np.diff(starts))
            yield near if scope is None else near & scope
    yield scope


def _settle_all(attempt: Attempt, bundle: Bundle, scope: Mask | None) -> bool:
    """All parts of a bundle in a scope, in the first order in which they fit."""
    marks = attempt.marks()
    for parts in _orders(attempt, bundle):
        if all(settle(attempt, part, scope) for part in parts):
            return True
        attempt.undo(marks)
    return False


def _orders(attempt: Attempt, bundle: Bundle) -> list[list[Part]]:
    """The narrowest demands first; the largest chunks that must stay whole first; rank order."""
    orders: list[list[Part]] = []
    for key in (_narrowness, _bulk, None):
        parts = list(bundle.parts) if key is None else sorted(bundle.parts, key=partial(key, attempt), reverse=True)
        if parts not in orders:
            orders.append(parts)
    return orders


def _narrowness(attempt: Attempt, part: Part) -> tuple[int, ...]:
    """Mixed parts, then narrow required levels, then narrow blocks, many cards a pod, many pods."""
    if isinstance(part, Bundle):
        return (1, part.required, 0, 0, sum(run.pods for run in part.runs()))
    blocks = max((level for pods, level in part.demand.blocks if pods > 1), default=-1)
    return (0, part.demand.required, blocks, attempt.option.groups[part.group].cards_per_pod, part.pods)


def _bulk(attempt: Attempt, part: Part) -> tuple[int, ...]:
    """Cards of the largest chunk that must sit in one domain, then cards of all."""
    if isinstance(part, Bundle):
        cards = sum(_bulk(attempt, run)[1] for run in part.runs())
        return (cards, cards)
    each = attempt.option.groups[part.group].cards_per_pod
    chunk = part.pods if part.demand.required >= 0 else max((pods for pods, _ in part.demand.blocks), default=1)
    return (each * chunk, each * part.pods)


def _homes(attempt: Attempt, bundle: Bundle, scope: Mask | None) -> Iterator[Mask | None]:
    """Where to try a bundle: single domains, the narrowest level first, then the whole scope where it may spread."""
    layout = attempt.ground.layout
    pods = _pods(bundle)
    slots = {group: attempt.slots(group) if scope is None else attempt.slots(group) * scope for group in pods}
    cards = sum(number * attempt.option.groups[group].cards_per_pod for group, number in pods.items())
    for level in range(len(layout.starts) - 1, max(bundle.required, 0) - 1, -1):
        found = _candidates(attempt, level, slots, pods, cards)
        for at in found if level == bundle.required else found[:_TRIES]:
            inside = np.zeros(attempt.ground.size, np.bool_)
            inside[layout.starts[level][at] : layout.starts[level][at + 1]] = True
            yield inside if scope is None else inside & scope
    if bundle.required < 0:
        yield scope


def _candidates(
    attempt: Attempt, level: int, slots: dict[int, NDArray[np.int64]], pods: dict[int, int], cards: int
) -> list[int]:
    """Domains with room for each group on its own and for all cards; touched ones first, then the tightest."""
    starts = attempt.ground.layout.starts[level][:-1]
    if not len(starts):
        return []
    free = np.add.reduceat(attempt.ground.free[:, CARDS], starts)
    untouched = ~np.logical_or.reduceat(attempt.ground.busy, starts) & (free > cards)
    holds = free >= cards
    for group, number in pods.items():
        holds &= np.add.reduceat(slots[group], starts) >= number
    found = np.flatnonzero(holds)
    order = np.lexsort((free[found], untouched[found]))
    return [int(at) for at in found[order]]
