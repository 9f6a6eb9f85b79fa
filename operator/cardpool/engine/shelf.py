"""Values derived from arrays that change here and there, kept as long as that is cheaper than making them anew.

Every change is told with its positions; a kept value knows the version that it belongs to, and what was touched since
is all that is computed again. Values are never written to, so that copies share them: a kept value saves time and
never changes an answer.
"""

from __future__ import annotations

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


class Shelf:
    """Kept values over ``size`` positions; a copy goes on alone."""

    __slots__ = ("_dropped", "_kept", "_log", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._log: list[Positions] = []
        self._dropped = 0
        self._kept: dict[Hashable, tuple[object, int]] = {}

    @property
    def version(self) -> int:
        """How often something was touched."""
        return self._dropped + len(self._log)

    def copy(self) -> Shelf:
        """The same values and history; neither tells the other of later changes."""
        other = Shelf(self._size)
        other._log, other._dropped = self._log.copy(), self._dropped
        other._kept = self._kept.copy()
        return other

    def touch(self, at: Positions) -> None:
        """These positions, each named once, changed."""
        if len(at):
            self._log.append(at)

    def trim(self) -> None:
        """Forget old changes, and with them the values that nobody asked for since."""
        if len(self._log) > _LOGGED:
            gone = len(self._log) // 2
            self._log, self._dropped = self._log[gone:], self._dropped + gone
            self._kept = {key: entry for key, entry in self._kept.items() if entry[1] >= self._dropped}

    def since(self, version: int) -> Positions | None:
        """What was touched after a version, each position once; None where that is too much to be worth it."""
        if version < self._dropped:
            return None
        log = self._log[version - self._dropped :]
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
        if found is not None and found[1] == self.version:
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
        return found[0] if found is not None and found[1] == self._dropped + len(self._log) else None

    def knows(self, key: Hashable) -> bool:
        """True where some value is kept, however old."""
        return key in self._kept

    def _keep(self, key: Hashable, value: object) -> None:
        self._kept.pop(key, None)
        self._kept[key] = value, self.version
        if len(self._kept) > max(_LEAST, min(_MOST, _CELLS // max(self._size, 1))):
            del self._kept[next(iter(self._kept))]
