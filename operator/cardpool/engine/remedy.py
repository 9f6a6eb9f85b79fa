"""What would give a waiting gang its room: each remedy was tried out on a copy of the room before it is told.

Cheapest first: what time brings (gangs that go or end), what a person can open or ask for less of, whom to stop, what
to buy. Every remedy is enough by itself for this gang; those before it in the queue are the advisor's matter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from cardpool.domain.gangs import Gang, Option
from cardpool.domain.inventory import Cause
from cardpool.engine import relax, reserve, scaleup, wording
from cardpool.engine.future import Future
from cardpool.engine.occupancy import Room
from cardpool.engine.probe import Prober
from cardpool.engine.reserve import Exits

_NAMED: Final = 3
_PRUNED: Final = 12
_OPENABLE: Final = {  # how nodes held back are called, and what would have to become of them
    Cause.NOT_READY: ("not-ready {}", "came back"),
    Cause.CORDONED: ("cordoned {}", "were uncordoned"),
    Cause.SUPERNODE_CORDONED: ("{} in cordoned supernodes", "were open"),
    Cause.CARDS_IN_DOUBT: ("{} with a bad card", "were back in service"),
    Cause.CARDS_UNKNOWN: ("{} without a device plug-in", "had it back"),
}
_SPARES: Final = ("{} kept as spares", "were given up (spec.spares)")


class Kind(StrEnum):
    """What has to happen."""

    GOING = "Going"
    AVOIDED = "Avoided"
    ENDS = "Ends"
    OPENED = "Opened"
    CHANGED = "Changed"
    GONE = "Gone"
    NODES = "Nodes"
    QUOTA = "Quota"


@dataclass(frozen=True, slots=True)
class Remedy:
    """One thing that is enough; ``text`` says it as a clause.

    With it go the gangs that would be gone (keys), or the causes that would hold no node back (``spares``: the spare
    nodes too), or what the job would ask instead, or the node of which ``more`` copies would be there.
    """

    kind: Kind
    text: str
    gangs: tuple[str, ...] = ()
    causes: tuple[Cause, ...] = ()
    spares: bool = False
    changed: tuple[Gang, Option] | None = None
    node: str = ""
    more: int = 0


def remedies(base: Future, gang: Gang, option: Option, rooms: Sequence[Room], exits: Exits) -> Iterator[Remedy]:
    """Everything that alone would do, cheapest first; ``rooms`` still hold something of ``base``, as ``exits`` say."""
    yield from _going(base, gang, option, rooms)
    if gang.excluded and fits(base, dataclasses.replace(gang, excluded={}), option):
        changed = dataclasses.replace(gang, excluded={}), option
        yield Remedy(Kind.AVOIDED, f"fits once it avoids none of {len(gang.excluded)} nodes any more", changed=changed)
    found = _ended(gang, option, exits)
    if found is not None and found.kind is Kind.ENDS:
        yield found
    yield from _opened(base, gang, option)
    yield from _changed(base, gang, option)
    if found is not None and found.kind is Kind.GONE:
        yield found
    more = scaleup.enough(base, gang, option)
    if more is not None:
        many, where = "s" * (more.number > 1), f" in {more.where}" if more.where else ""
        text = f"{more.number} more free node{many} such as {more.node} ({more.cards} cards){where} would do"
        yield Remedy(Kind.NODES, text, node=more.node, more=more.number)


def fits(future: Future, gang: Gang, option: Option) -> bool:
    """True where the gang would have a place there; nothing is taken."""
    return Prober(future, gang, option).fits()


def _going(base: Future, gang: Gang, option: Option, rooms: Sequence[Room]) -> Iterator[Remedy]:
    going = [room for room in rooms if room.gang.leaving]
    if not going:
        return
    later = base.copy()
    later.settle(going)
    if fits(later, gang, option):
        keys = tuple(room.gang.key for room in going)
        yield Remedy(Kind.GOING, f"fits once {_names(keys)}, being taken down already, {_is(keys)} gone", gangs=keys)


def _ended(gang: Gang, option: Option, exits: Exits) -> Remedy | None:
    """Gangs none of which could stay: those with known ends first, else in the order in which a head waits for them."""
    opening = reserve.earliest(exits, gang, option, patient=False)
    if opening is None or not opening.waits_for:
        return None
    needed = list(opening.gone)
    if len(needed) <= _PRUNED:
        needed = _irreducible(opening.future, gang, option, needed)
    keys = tuple(room.gang.key for room in needed)
    if opening.start is None:
        return Remedy(Kind.GONE, f"would fit if {_names(keys)} ended (no end is known)", gangs=keys)
    last = max(reserve.end(room, exits.now) for room in needed)
    return Remedy(Kind.ENDS, f"fits once {_names(keys)} {_ends(keys)} (expected {wording.moment(last)})", gangs=keys)


def _irreducible(future: Future, gang: Gang, option: Option, gone: Sequence[Room]) -> list[Room]:
    """Of gangs whose going lets this one fit, those that cannot stay; whoever ends first stays first."""
    needed = list(gone)
    prober = Prober(future, gang, option)
    for room in gone:
        future.free(room, -1)
        if prober.fits():
            needed.remove(room)
        else:
            future.free(room)
    return needed


def _opened(base: Future, gang: Gang, option: Option) -> Iterator[Remedy]:
    """Nodes that are held back for everybody: one cause alone, the one with the fewest nodes first, then all."""
    ground = base.ground
    counts = {cause: int(np.count_nonzero(ground.cause == cause)) for cause in _OPENABLE if cause in ground.causes}
    spares = 0 if gang.repair else int(np.count_nonzero(ground.spare))
    held: list[tuple[int, tuple[Cause, ...], bool, str, str]] = [
        (number, (cause,), False, *_OPENABLE[cause]) for cause, number in counts.items()
    ]
    held += [(spares, (), True, *_SPARES)] if spares else []
    held.sort(key=lambda item: item[0])
    tries: list[tuple[tuple[Cause, ...], bool, str]] = [
        (causes, spare, f"would fit if {_nodes(number, who)} {what}") for number, causes, spare, who, what in held
    ]
    if len(held) > 1:
        every = ", ".join(_nodes(number, who) for number, _, _, who, _ in held)
        tries.append((tuple(counts), bool(spares), f"would fit if all that is held back were open: {every}"))
    for causes, spare, text in tries:
        other = base.copy()
        other.ground = base.ground.opened(causes, spares=spare)
        if fits(other, gang, option):
            yield Remedy(Kind.OPENED, text, causes=causes, spares=spare)
            return


def _changed(base: Future, gang: Gang, option: Option) -> Iterator[Remedy]:
    """The job with less to ask: the first thing whose lack alone lets it fit, then the whole topology."""
    for text, other, way in relax.lighter(base.ground, gang, option):
        if fits(base, other, way):
            yield Remedy(Kind.CHANGED, f"would fit {text}", changed=(other, way))
            return


def _names(keys: Sequence[str]) -> str:
    shown, rest = list(keys[:_NAMED]), len(keys) - _NAMED
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _is(keys: Sequence[str]) -> str:
    return "is" if len(keys) == 1 else "are"


def _ends(keys: Sequence[str]) -> str:
    return "ends" if len(keys) == 1 else "have ended"


def _nodes(number: int, who: str) -> str:
    return f"{number} {who.format('node' if number == 1 else 'nodes')}"
