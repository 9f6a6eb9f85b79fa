"""What is free on a ground and on others as well: the room that several futures leave to whoever comes next.

Only positions that one of them changed are computed again, so asking for it after each gang costs what the gang took.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cardpool.engine import fabrics
from cardpool.engine.ground import Ground
from cardpool.engine.shelf import Positions


def company(shared: Ground, grounds: Sequence[Ground]) -> None:
    """Whoever sits on one of the grounds, or will, and whoever has a domain of it alone, counts on the shared one."""
    np.maximum.reduce([one.held for one in grounds], out=shared.held)
    np.maximum.reduce([one.closed for one in grounds], out=shared.closed)


class Overlap:
    """The least of some grounds' free room, on a ground of its own."""

    __slots__ = ("_grounds", "_seen", "_shared")

    def __init__(self, ground: Ground, others: Sequence[Ground]) -> None:
        self._grounds = [ground, *others]
        self._shared = ground.copy()
        self._seen = [0 for _ in self._grounds]
        self._refresh(np.arange(ground.size))

    def current(self) -> Ground:
        """The room of this moment; what is taken of it has to be taken from the others too."""
        if self._seen != [one.version() for one in self._grounds]:
            self._catch_up()
        if self._shared.tracked:
            company(self._shared, self._grounds)
        return self._shared

    def _catch_up(self) -> None:
        touched = [one.since(seen) for one, seen in zip(self._grounds, self._seen, strict=True)]
        if any(at is None for at in touched):
            self._refresh(np.arange(self._shared.size))
        else:
            at = np.unique(np.concatenate([at for at in touched if at is not None]))
            if len(at):
                self._refresh(at)

    def _refresh(self, at: Positions) -> None:
        rooms = [one.free[at] for one in self._grounds]
        self._shared.put(at, np.minimum.reduce(rooms), self._grounds[0].busy[at])
        self._shared.fabrics = fabrics.beside(self._grounds[0].fabrics, [one.fabrics for one in self._grounds[1:]])
        self._seen = [one.version() for one in self._grounds]
