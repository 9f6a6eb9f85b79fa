"""Placing a gang of several groups: together in the narrowest domain that holds all, else close to each other.

The search over domains is complete, the packing of different shapes into one domain is greedy (hardest first, then in
rank order): exact for one shape, a good guess for several. Where it fails a small gang is placed by trying everything.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from cardpool.domain.inventory import CARDS
from cardpool.engine import exact, pyramid
from cardpool.engine import scope as scopes
from cardpool.engine.attempt import Attempt
from cardpool.engine.demand import Demand
from cardpool.engine.parts import Bundle, Part, Run
from cardpool.engine.scope import Domains, Mask, Scope

_TRIES = 64
_SHOWN = 4
_CHOICES = 6
_PLAIN = Demand()


def settle(attempt: Attempt, part: Part, scope: Scope = None, *, thorough: bool = False) -> bool:
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
        inside = Domains(0, np.array(some))
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
    found = 0
    for at in tries:
        found = max(found, _fill(attempt, whole, Domains(level, np.array([at])), found))
    return found


def _fill(attempt: Attempt, whole: Bundle, scope: Scope, known: int = 0) -> int:
    """Pods that find room one run after the other, in the better of two orders; not looked at where ``known`` do."""
    runs = list(whole.runs())
    alone = [min(run.pods, attempt.holds(run.group, Demand(required=run.demand.required), scope)) for run in runs]
    bound, runs = sum(alone), [run for run, pods in zip(runs, alone, strict=True) if pods]
    if bound <= known or len(runs) < 2:
        return bound
    orders = [runs]
    for sign in (1, -1):
        order = sorted(runs, key=lambda run: sign * attempt.option.groups[run.group].cards_per_pod)
        orders += [order] if order not in orders else []
    found = 0
    for order in orders:
        if found < bound:
            found = max(found, _filled(attempt, order, scope))
    return found


def _filled(attempt: Attempt, runs: Sequence[Run], scope: Scope) -> int:
    marks = attempt.marks()
    found = 0
    for run in runs:
        wants = Demand(required=run.demand.required)
        inside = _anchored(attempt, run, scope)
        pods = min(run.pods, attempt.holds(run.group, wants, inside))
        if run is runs[-1]:
            found += pods
            break
        positions = attempt.pack(run.group, pods, wants, inside) if pods else None
        if positions is not None:
            attempt.ranks[run.group][run.first : run.first + pods] = positions
            found += pods
    attempt.undo(marks)
    return found


def _settle_run(attempt: Attempt, run: Run, scope: Scope) -> bool:
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


def _anchored(attempt: Attempt, run: Run, scope: Scope) -> Scope:
    """The scope cut to the domain in which other pods of a group that must stay together sit."""
    ranks = attempt.ranks[run.group]
    if run.demand.required < 0 or not (ranks >= 0).any():
        return scope
    layout = attempt.ground.layout
    return scopes.meet(layout, scopes.around(layout, run.demand.required, ranks[ranks >= 0][:1]), scope)


def _neighbourhoods(attempt: Attempt, scope: Scope) -> Iterator[Scope]:
    """Ever wider surroundings of the pods placed so far, the scope last."""
    held, layout = attempt.placed(), attempt.ground.layout
    if len(held):
        for level in range(len(layout.starts) - 1, -1, -1):
            yield scopes.meet(layout, scopes.around(layout, level, held), scope)
    yield scope


def _settle_all(attempt: Attempt, bundle: Bundle, scope: Scope) -> bool:
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


def _homes(attempt: Attempt, bundle: Bundle, scope: Scope) -> Iterator[Scope]:
    """Where to try a bundle: single domains, the narrowest level first, then the whole scope where it may spread."""
    layout, room = attempt.ground.layout, _Room(attempt, bundle, scope)
    if not room.enough(bundle.required):
        return
    for level in range(len(layout.starts) - 1, max(bundle.required, room.widest) - 1, -1):
        found = room.candidates(level)
        for at in found if level == bundle.required else found[:_TRIES]:
            yield scopes.meet(layout, Domains(level, np.array([at])), scope)
    if bundle.required < 0:
        yield scope


class _Room:
    """What each domain has in a scope: pods of each group on its own, and cards.

    Of a scope that is a domain only what is inside counts, from the ``widest`` level on, which is its own.
    """

    __slots__ = ("built", "cards", "home", "layout", "pods", "slots", "widest")

    def __init__(self, attempt: Attempt, bundle: Bundle, scope: Scope) -> None:
        ground, groups = attempt.ground, attempt.option.groups
        self.layout, self.pods = ground.layout, _pods(bundle)
        self.cards = sum(number * groups[group].cards_per_pod for group, number in self.pods.items())
        self.widest, self.home = 0, (0, len(ground.layout.starts[0]) - 1)
        if isinstance(scope, Domains) and len(scope.numbers) == 1:
            number = int(scope.numbers[0])
            self.widest, self.home, scope = scope.level, (number, number + 1), None
        found = {group: attempt.capacities(group, _PLAIN, scope) for group in self.pods}
        self.slots = [(number, found[group].whole) for group, number in self.pods.items()]
        self.built = pyramid.build(ground, next(iter(found.values())), 0)

    def enough(self, required: int) -> bool:
        """False where no domain of the required level has enough, or all together have not."""
        if required > self.widest:
            return bool(self._able(required)[1].any())
        lo, hi = self.home
        together = all(int(slots[self.widest][lo:hi].sum()) >= number for number, slots in self.slots)
        return together and int(self.built.cards[self.widest][lo:hi].sum()) >= self.cards

    def candidates(self, level: int) -> list[int]:
        """Domains with room for each group on its own and all cards: first what breaks up nothing, then the tightest.

        An untouched domain that would be left partly used weighs more than all narrower ones.
        """
        lo, able = self._able(level)
        found = at = lo + np.flatnonzero(able)
        breaks = np.zeros(len(found), np.int64)
        for up in range(level, -1, -1):
            at = found if up == level else self.layout.parents[up + 1][at]
            untouched = self.built.empty[up][at] & (self.built.cards[up][at] > self.cards)
            breaks += untouched.astype(np.int64) << (level - up)
        return [int(one) for one in found[np.lexsort((self.built.cards[level][found], breaks))]]

    def _able(self, level: int) -> tuple[int, Mask]:
        """The first domain of a level inside, and which from there on have enough."""
        lo, hi = self.home
        for above in range(self.widest, level):
            lo, hi = int(self.layout.children[above][lo]), int(self.layout.children[above][hi])
        able = self.built.cards[level][lo:hi] >= self.cards
        for number, slots in self.slots:
            able &= slots[level][lo:hi] >= number
        return lo, able
