"""Placing a small gang of several groups by trying everything, where packing one group after the other has failed.

A gang is boxes in boxes: each box sits in one domain of a level, the innermost hold pods of one group. Boxes are placed
in rank order, equal ones in the order of their domains, a pod on one of several equal nodes only, and a state that led
nowhere is not entered again. The answer is exact for gangs of up to ``PODS`` pods and up to ``NODES`` nodes with room,
as long as the ground's effort lasts; beyond that a placement may be overlooked, never a demand.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cardpool.engine import scope as scopes
from cardpool.engine.attempt import Attempt
from cardpool.engine.parts import Bundle, Part
from cardpool.engine.scope import Scope

PODS: Final = 64
NODES: Final = 64

Amounts = tuple[int, ...]
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Box:
    """``number`` equal boxes in a row, each in one domain of ``level`` (-1: anywhere in what is around them).

    With ``anchor`` a group whose boxes all sit in the same domain; without ``inside`` one pod of ``group``.
    """

    number: int
    level: int = -1
    inside: tuple[_Box, ...] = ()
    group: int = -1
    anchor: int = -1


@dataclass(frozen=True, slots=True)
class _Task:
    """So many of a box are still to be placed in the nodes from ``lo`` to ``hi``, from ``least`` on; then ``rest``."""

    box: _Box
    left: int
    lo: int
    hi: int
    least: int
    rest: _Task | None
    key: Key = field(compare=False)


def small(attempt: Attempt, bundle: Bundle) -> bool:
    """True where a gang is worth the effort."""
    return attempt.ground.effort.left > 0 and sum(run.pods for run in bundle.runs()) <= PODS


def settle(attempt: Attempt, bundle: Bundle, scope: Scope) -> bool:
    """Place a whole gang inside a scope; False, and nothing changed, where nothing was found."""
    if (
        not small(attempt, bundle)
        or attempt.ground.fabrics is not None
        or any(fitted.need is None for fitted in attempt.fits)
    ):
        return False
    usable = np.logical_or.reduce([attempt.slots(group) > 0 for group in range(len(attempt.fits))])
    if scope is not None:
        usable &= scopes.mask(attempt.ground.layout, scope)
    positions = np.flatnonzero(usable)
    if not 1 < len(positions) <= NODES:
        return False
    search = _Search(attempt, positions)
    if not search.hopes(bundle) or not search.run(_whole(bundle)):
        return False
    for group, ranks in enumerate(attempt.ranks):
        ranks[:] = positions[[at for owner, at in search.seats if owner == group]]
        need = attempt.fits[group].need
        if need is not None:
            attempt.ground.take(np.bincount(ranks, minlength=attempt.ground.size), need)
    return True


def _whole(part: Part) -> _Box:
    """The boxes of a part, in rank order."""
    if isinstance(part, Bundle):
        return _Box(1, part.required, tuple(_whole(inner) for inner in part.parts))
    inside, size = _Box(1, group=part.group), 1
    for pods, level in reversed(part.demand.blocks):
        inside, size = _Box(1, level, (_times(inside, pods // size),)), pods
    inside = _times(inside, part.pods // size)
    if part.demand.required < 0:
        return inside
    return _Box(1, part.demand.required, (inside,), anchor=part.group)


def _times(box: _Box, number: int) -> _Box:
    return _Box(box.number * number, box.level, box.inside, box.group, box.anchor)


class _Search:
    """Depth first; ``seats`` has (group, node) of every pod placed so far; nodes are numbers of ``positions``."""

    __slots__ = ("anchors", "dead", "effort", "free", "identity", "needs", "open", "seats", "starts")

    def __init__(self, attempt: Attempt, positions: NDArray[np.intp]) -> None:
        needs = np.array([fitted.need for fitted in attempt.fits])
        columns = np.flatnonzero(needs.any(axis=0))
        self.effort = attempt.ground.effort
        self.needs: list[Amounts] = [tuple(need) for need in needs[:, columns].tolist()]
        self.free: list[Amounts] = [tuple(free) for free in attempt.ground.free[positions][:, columns].tolist()]
        self.open = [mask[positions].tolist() for mask in attempt.open]
        self.starts = [_starts(starts, positions) for starts in attempt.ground.layout.starts]
        self.identity: dict[_Box, int] = {}
        self.anchors: dict[int, tuple[int, int]] = {}
        self.dead: set[Key] = set()
        self.seats: list[tuple[int, int]] = []

    def hopes(self, bundle: Bundle) -> bool:
        """False where the nodes have too little of something for all together."""
        wanted = [0] * len(self.needs[0])
        for run in bundle.runs():
            wanted = [sum_ + run.pods * need for sum_, need in zip(wanted, self.needs[run.group], strict=True)]
        usable = [free for at, free in enumerate(self.free) if any(mask[at] for mask in self.open)]
        return all(want <= sum(column) for want, column in zip(wanted, zip(*usable, strict=True), strict=False))

    def run(self, whole: _Box) -> bool:
        """True where everything has its seat."""
        return self._solve(self._task(whole, whole.number, 0, len(self.free), 0, None))

    def _task(self, box: _Box, left: int, lo: int, hi: int, least: int, rest: _Task | None) -> _Task:
        number = self.identity.setdefault(box, len(self.identity))
        return _Task(box, left, lo, hi, least, rest, (number, left, lo, hi, least, rest.key if rest else None))

    def _solve(self, task: _Task | None) -> bool:
        while task is not None and not task.left:
            task = task.rest
        if task is None:
            return True
        state = (task.key, tuple(self.free), tuple(self.anchors.items()))
        if state in self.dead:
            return False
        self.effort.left -= 1
        if self.effort.left <= 0:
            return False
        found = self._solve_pods(task) if not task.box.inside else self._solve_box(task)
        if not found:
            self.dead.add(state)
        return found

    def _solve_pods(self, task: _Task) -> bool:
        """One pod of a group, on each node that is unlike those tried before."""
        group, seen = task.box.group, set()
        for at in range(max(task.lo, task.least), task.hi):
            before = self.free[at]
            left = tuple(have - need for have, need in zip(before, self.needs[group], strict=True))
            if not self.open[group][at] or min(left) < 0:
                continue
            kind = (
                before,
                *(mask[at] for mask in self.open),
                *(self._domain(starts, at) for starts in self.starts[:-1]),
            )
            if kind in seen:
                continue
            seen.add(kind)
            self.free[at] = left
            self.seats.append((group, at))
            if self._solve(self._task(task.box, task.left - 1, task.lo, task.hi, at, task.rest)):
                return True
            self.seats.pop()
            self.free[at] = before
        return False

    def _solve_box(self, task: _Task) -> bool:
        """One box, in each domain of its level."""
        box = task.box
        for lo, hi in self._domains(task):
            held = self.anchors.get(box.anchor)
            if held is not None and (lo < held[0] or hi > held[1]):
                continue
            if box.anchor >= 0 and held is None:
                self.anchors[box.anchor] = self._around(box.level, lo)
            rest = self._task(box, task.left - 1, task.lo, task.hi, lo, task.rest)
            for inner in reversed(box.inside):
                rest = self._task(inner, inner.number, lo, hi, lo, rest)
            if self._solve(rest):
                return True
            if box.anchor >= 0 and held is None:
                del self.anchors[box.anchor]
        return False

    def _domains(self, task: _Task) -> Iterator[tuple[int, int]]:
        """Where one box of a task may go: domains of its level, cut to what is around it."""
        if task.box.level < 0:
            yield task.lo, task.hi
            return
        at = max(task.lo, task.least)
        while at < task.hi:
            lo, hi = self._around(task.box.level, at)
            yield max(lo, task.lo), min(hi, task.hi)
            at = hi

    def _around(self, level: int, at: int) -> tuple[int, int]:
        """The domain of a level that a node is in."""
        starts = self.starts[level]
        number = self._domain(starts, at)
        return starts[number], starts[number + 1]

    @staticmethod
    def _domain(starts: list[int], at: int) -> int:
        return bisect.bisect_right(starts, at) - 1


def _starts(starts: NDArray[np.intp], positions: NDArray[np.intp]) -> list[int]:
    """Where each domain begins among these positions, and their number."""
    homes = np.searchsorted(starts, positions, side="right")
    return [0, *(np.flatnonzero(np.diff(homes)) + 1).tolist(), len(positions)]
