"""What holds for every gang of one group that differs from others in its number of pods only.

Thousands that wait are of a few kinds. The first refusal of a kind says how many pods fit at best, and stays true for
as long as the room does: a larger gang of the kind is refused by it, without a second look at the nodes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from cardpool.domain.gangs import Gang, Option
from cardpool.domain.topology import TopologyRequest
from cardpool.engine.ground import Ground

PLAIN = TopologyRequest()


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """``most`` pods of a kind fit; ``anywhere`` without its topology demands, ``unavoided`` with the nodes it avoids.

    ``where`` names the domain that holds most, ``blocks`` has (pods of a block, how many fit, its level), ``excluded``
    counts nodes by cause and ``counts`` says so in words.
    """

    most: int
    anywhere: int
    unavoided: int
    where: str
    blocks: tuple[tuple[int, int, str], ...]
    excluded: Mapping[str, int]
    counts: str


def kind(ground: Ground, gang: Gang, option: Option) -> Hashable | None:
    """Equal for gangs of one kind; None where others' places have a say, or for several groups."""
    if len(option.groups) != 1 or ground.tracked:
        return None
    shape = option.groups[0]
    needs = tuple(sorted(shape.requests.items()))
    avoids = tuple(sorted(gang.excluded.items())) if gang.excluded else ()
    own = shape.cards_per_pod, needs, shape.tolerations, shape.nodes, shape.topology
    return "bound", own, gang.topology, gang.repair, avoids


def bound(ground: Ground, gang: Gang, option: Option) -> Bound | None:
    """What an earlier refusal of the kind found, where the room is still the same.

    Whether blocks divide a gang depends on its size, so those that have some are looked at one by one.
    """
    if gang.topology.blocks or not option.groups or option.groups[0].topology.blocks:
        return None
    key = kind(ground, gang, option)
    found = ground.present(key) if key is not None else None
    return found if isinstance(found, Bound) else None
