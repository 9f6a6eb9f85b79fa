"""Handlers of our three kinds: each puts the object's key into the inbox, which wakes the loop.

No handler reads, decides or writes; a lost call costs nothing, since every cycle looks at everything.
"""

from __future__ import annotations

from typing import Any


async def job(namespace: str, name: str, memo: Any, **_: Any) -> None:
    """A TrainingJob changed, came or went."""
    memo.inbox.put(f"{namespace}/{name}")


async def pool(name: str, memo: Any, **_: Any) -> None:
    """A CardPool changed, came or went."""
    memo.inbox.put(name)


async def supernode(name: str, memo: Any, **_: Any) -> None:
    """A Supernode changed, came or went."""
    memo.inbox.put(name)
