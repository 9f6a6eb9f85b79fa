"""Values derived from arrays that change here and there, kept as long as that is cheaper than making them anew.

Every change is told with its positions; a kept value knows the version that it belongs to, and what was touched since
is all that is computed again. What was tried and taken back leaves the values of before. Values are never written to,
so that copies share them: a kept value saves time and never changes an answer.
"""

from __future__ import annotations

import bisect
import itertools
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Positions = NDArray[np.intp]

_CELLS: Final = 8_000_000
_LEAST: Final = 16
_MOST: Final = 1024
_SHARE: Final = 6
_LOGGED: Final = 512
_VERSIONS: Final = itertools.count(1)


class Shelf:
    """Kept values over ``size`` positions; a copy goes on alone."""

    __slots__ = ("_base", "_kept", "_log", "_now", "_replaced", "_size", "_versions")

    def __init__(self, size: int) -> None:
        self._size = size
        self._base = self._now = next(_VERSIONS)
        self._log: list[Positions] = []
        self._versions: list[int] = []
        self._kept: dict[Hashable, tuple[object, int]] = {}
        self._replaced: deque[tuple[int, Hashable, tuple[object, int]]] = deque(maxlen=_limit(size) // 4)

    @property
    def version(self) -> int:
        """A number for the arrays as they are now: it rises with what is touched and never stands for other arrays."""
        return self._now

    def copy(self) -> Shelf:
        """The same values and history; neither tells the other of later changes."""
        other = Shelf(self._size)
        other._base, other._now = self._base, self._now
        other._log, other._versions, other._kept = self._log.copy(), self._versions.copy(), self._kept.copy()
        return other

    def touch(self, at: Positions) -> None:
        """These positions, each named once, changed."""
        if len(at):
            self._now = next(_VERSIONS)
            self._log.append(at)
            self._versions.append(self._now)

    def rewind(self, version: int) -> bool:
        """The arrays are again as they were at an earlier version; False, and nothing done, where it is forgotten."""
        begin = self._after(version)
        if begin is None:
            return False
        del self._log[begin:], self._versions[begin:]
        self._now = version
        while self._replaced and self._replaced[-1][0] > version:
            _, key, before = self._replaced.pop()
            self._kept[key] = before
        return True

    def trim(self) -> None:
        """Forget old changes, and with them the values that nobody asked for since."""
        if len(self._log) > _LOGGED:
            gone = len(self._log) // 2
            self._base = self._versions[gone - 1]
            self._log, self._versions = self._log[gone:], self._versions[gone:]
            self._kept = {key: entry for key, entry in self._kept.items() if self._after(entry[1]) is not None}

    def since(self, version: int) -> Positions | None:
        """What was touched after a version, each position once; None where that is too much to be worth it."""
        begin = self._after(version)
        if begin is None:
            return None
        log = self._log[begin:]
        if sum(map(len, log)) * _SHARE > self._size:
            return None
        if len(log) == 1:
            return log[0]
        return np.unique(np.concatenate(log)) if log else np.zeros(0, np.intp)

    def value(self, key: Hashable, make: Callable[[], T], renew: Callable[[T, Positions], T] | None = None) -> T:
        """The value of this moment: kept, or renewed at the touched positions, or made.

        ``make`` and ``renew`` see the arrays of this moment; a value without ``renew`` serves one version only.
        """
        found = self._kept.get(key)
        if found is not None and found[1] == self._now:
            return cast("T", found[0])
        at = self.since(found[1]) if found is not None and renew is not None else None
        value = make() if found is None or renew is None or at is None else renew(cast("T", found[0]), at)
        self._keep(key, value)
        return value

    def adopt(self, key: Hashable, value: object, version: int) -> None:
        """Keep a value of an earlier version of these arrays."""
        self._kept.setdefault(key, (value, version))

    def present(self, key: Hashable) -> object | None:
        """The value where it belongs to this moment."""
        found = self._kept.get(key)
        return found[0] if found is not None and found[1] == self._now else None

    def knows(self, key: Hashable) -> bool:
        """True where some value is kept, however old."""
        return key in self._kept

    def _after(self, version: int) -> int | None:
        """Where in the log begins what was touched after a version; None where it is none of these arrays' past."""
        if version == self._base:
            return 0
        at = bisect.bisect_left(self._versions, version)
        return at + 1 if at < len(self._versions) and self._versions[at] == version else None

    def _keep(self, key: Hashable, value: object) -> None:
        before = self._kept.pop(key, None)
        if before is not None and before[1] < self._now:
            self._replaced.append((self._now, key, before))
        self._kept[key] = value, self._now
        if len(self._kept) > _limit(self._size):
            del self._kept[next(iter(self._kept))]


def _limit(size: int) -> int:
    """How many values of so many positions are kept."""
    return max(_LEAST, min(_MOST, _CELLS // max(size, 1)))
