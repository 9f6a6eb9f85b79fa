"""Keys that somebody asked to be looked at now; kopf's handlers put them in, the loop takes them all at once.

The inbox holds no state worth keeping: a lost key costs nothing, since every cycle looks at everything. It only wakes
the loop and says which objects come first. Keys are unique, so a flood of events of one object is one entry.
"""

from __future__ import annotations

import asyncio
from typing import Final

LIMIT: Final = 100_000


class Inbox:
    """A set of keys with a bell. Not thread-safe: one event loop owns it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._keys: dict[str, None] = {}
        self._bell = asyncio.Event()
        self._limit = limit

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def rung(self) -> bool:
        """Whether somebody rang since the last drain."""
        return self._bell.is_set()

    def put(self, key: str) -> None:
        """Ask for this object first and wake the loop; beyond the limit only the bell rings."""
        if len(self._keys) < self._limit:
            self._keys[key] = None
        self._bell.set()

    def ring(self) -> None:
        """Wake the loop without asking for an object."""
        self._bell.set()

    async def wait(self) -> None:
        """Return once somebody rang since the last drain."""
        await self._bell.wait()

    def drain(self) -> frozenset[str]:
        """All keys put since the last drain; the bell is silent again."""
        keys = frozenset(self._keys)
        self._keys.clear()
        self._bell.clear()
        return keys
