"""Topology: levels from wide to narrow; a domain is its whole path; the node is always the last level.

Two racks of the same name in different zones are two domains, and a replacement pinned to "rack-a" never lands in
"rack-ab": paths are tuples, never joined strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cardpool.names import NODE_LEVEL


@dataclass(frozen=True, slots=True)
class Level:
    """One level: the name that jobs use and the node label that carries its value."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Tree:
    """The levels of one profile, wide to narrow, without the node level."""

    levels: tuple[Level, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Level names, wide to narrow, the node last."""
        return (*(level.name for level in self.levels), NODE_LEVEL)

    def path(self, node: str, labels: Mapping[str, str]) -> tuple[str, ...] | None:
        """The node's domain at the narrowest level as a full path, or None where a label is missing."""
        values = tuple(labels.get(level.label, "") for level in self.levels)
        return None if "" in values else (*values, node)


@dataclass(frozen=True, slots=True)
class Block:
    """Runs of ``pods`` consecutive ranks that never straddle a domain of ``level``."""

    pods: int
    level: str


@dataclass(frozen=True, slots=True)
class TopologyRequest:
    """What a gang or a group asks of the topology; empty strings mean no demand (``packing``: Tight)."""

    required: str = ""
    preferred: str = ""
    blocks: tuple[Block, ...] = ()
    exclusive: str = ""
    packing: str = ""
