"""In-node fabrics: which cards of a node reach each other directly, and which of them are known to be free.

A card's place is its index in the node, read from the plug-in's id; fabric f holds the indexes from f * size on. What
nobody has named (pods whose ids are not reported, cards lost without a name) is counted in ``doubt`` and may lie
anywhere: it is never promised as room of one fabric.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODULE: Final = 2
WHOLE: Final = 1 << 20
_PLAIN: Final = re.compile(r"(?:[A-Za-z]+|.*[-_/])?([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class FabricRule:
    """What a profile says: ``cards`` of one fabric (0: the node is one), dies in ``pairs``, the shape of the ``ids``.

    In ``ids`` a ``#`` stands for the index and ``*`` for any text; empty takes the number at the end of an id.
    """

    cards: int = 0
    pairs: bool = False
    ids: str = ""

    def index(self, card: str) -> int:
        """The card's index in its node, -1 where the id does not tell."""
        return index_of(card, self.ids)


@dataclass(frozen=True, slots=True)
class Held:
    """Named cards of one owner on one node: those that its leaving frees, per fabric, and how many have a name."""

    free: tuple[int, ...]
    named: int


@dataclass(frozen=True, slots=True)
class NodeFabrics:
    """One node's fabrics of ``size`` cards (WHOLE: the node is one), given away in units of ``unit`` cards.

    ``free`` counts per fabric the cards that no id takes away; ``doubt`` are cards that are gone nobody knows where.
    ``held`` has by the owner's UID what its pods are known to hold.
    """

    size: int
    unit: int = 1
    free: tuple[int, ...] = ()
    doubt: int = 0
    held: Mapping[str, Held] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class FabricTable:
    """The fabrics of a pool's nodes: ``free`` (nodes, fabrics) and ``doubt`` (nodes,) by inventory row.

    ``size[p]`` and ``unit[p]`` belong to profile p, size 0 where it says nothing; ``held`` goes by row.
    """

    size: tuple[int, ...]
    unit: tuple[int, ...]
    free: NDArray[np.int64]
    doubt: NDArray[np.int64]
    held: Mapping[int, Mapping[str, Held]]


@lru_cache(maxsize=65_536)
def index_of(card: str, ids: str) -> int:
    """The index that a card's id names: at the end after a word or one of ``- _ /``, or where ``ids`` says; else -1.

    A number of more than four digits is none, nor is the end of a UUID or of a PCI address.
    """
    found = (_pattern(ids) if ids else _PLAIN).fullmatch(card)
    return int(found[1]) if found else -1


@lru_cache(maxsize=256)
def _pattern(ids: str) -> re.Pattern[str]:
    before, _, after = ids.partition("#")
    return re.compile("([0-9]{1,4})".join(".*?".join(map(re.escape, part.split("*"))) for part in (before, after)))
