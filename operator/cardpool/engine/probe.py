"""Whether a gang would have a place in some room; nothing is taken.

The answer is that of placing it: for a gang of one shape it is read off the capacities, which are exact, for others it
is tried and undone. A search asks again and again while the room changes, so what does not change with it is kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, Option
from cardpool.domain.inventory import CARDS
from cardpool.engine import alike, bundle, demand, fabrics, fit, pack, parts
from cardpool.engine.attempt import Attempt, Mask
from cardpool.engine.future import Future
from cardpool.engine.ground import Ground
from cardpool.engine.parts import Part, Run


class Prober:
    """Asks again and again whether a gang fits a future that changes; ``measure`` bounds it from above, cheaply.

    The measure is the pods that the open nodes hold for a gang of one shape, else their free cards; the gang fits only
    where it reaches ``want``. ``thorough`` tries everything, as a placement does, where the greedy packing fails.
    """

    __slots__ = ("attempt", "future", "gang", "option", "thorough", "want", "whole")

    def __init__(self, future: Future, gang: Gang, option: Option, *, thorough: bool = False) -> None:
        self.future, self.gang, self.option, self.thorough = future, gang, option, thorough
        self.attempt = Attempt(future.ground, gang, option)
        self.whole = parts.cut(self.attempt.tree, gang.topology, option.groups)
        one = isinstance(self.whole, Run)
        cards = sum(group.replicas * group.cards_per_pod for group in option.groups)
        self.want = option.groups[0].replicas if one else cards

    def fits(self, scope: Mask | None = None) -> bool:
        """True where the gang would have a place inside the scope; nothing is taken."""
        if self.future.tracked:
            self.attempt = Attempt(self.future.ground, self.gang, self.option)
        return _fits(self.attempt, self.whole, scope, thorough=self.thorough)

    def open(self) -> Mask:
        """Positions that some group may use."""
        masks = self.attempt.open
        return masks[0] if len(masks) == 1 else np.logical_or.reduce(masks)

    def measure(self, at: NDArray[np.intp] | None = None) -> NDArray[np.int64]:
        """The measure of these positions (of all), closed ones included."""
        ground = self.future.ground
        if not isinstance(self.whole, Run):
            return ground.free[:, CARDS] if at is None else ground.free[at, CARDS]
        need = self.attempt.fits[0].need
        if need is None:
            return np.zeros(ground.size if at is None else len(at), np.int64)
        return fit.room(ground, need, at)

    def required(self) -> int:
        """The level of which one domain must hold the gang, -1 for none."""
        return self.whole.demand.required if isinstance(self.whole, Run) else self.whole.required


def fits(ground: Ground, gang: Gang, option: Option) -> bool:
    """True where the gang would have a place on the ground as it is; nothing is taken."""
    key = alike.kind(ground, gang, option)
    if key is None:
        attempt = Attempt(ground, gang, option)
        return _fits(attempt, parts.cut(attempt.tree, gang.topology, option.groups), None)
    return option.groups[0].replicas <= ground.value(("most", key), lambda now: _most(Attempt(now, gang, option)))


def _most(attempt: Attempt) -> int:
    """Pods of a gang of one group that fit, whatever its size."""
    wants = demand.resolve(attempt.tree, attempt.gang.topology, attempt.option.groups[0].topology)
    return pack.best(attempt.capacities(0, wants), wants.required)[0]


def _fits(attempt: Attempt, whole: Part, scope: Mask | None, *, thorough: bool = False) -> bool:
    if isinstance(whole, Run):
        if attempt.fits[whole.group].need is None:
            return False
        built = attempt.capacities(whole.group, whole.demand, scope)
        return pack.best(built, whole.demand.required)[0] >= whole.pods
    marks = attempt.marks()
    found = bundle.settle(attempt, whole, scope, thorough=thorough)
    attempt.undo(marks)
    return found


def sound(ground: Ground, gang: Gang, option: Option) -> bool:
    """True where the gang's demands can be meant on this ground."""
    tree = ground.inventory.trees[ground.profile]
    return (demand.check(tree, gang.topology, option.groups) or fabrics.fault(ground.fabrics, option)) is None
