"""What would give a waiting gang its room: each remedy was tried out on a copy of the room before it is told.

Cheapest first: what time brings (gangs that go or end), what a person can open or ask for less of, whom to stop, what
to buy. Every remedy is enough by itself for this gang; those before it in the queue are the advisor's matter.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.gangs import Gang, GroupShape, NodeFilter, Option, Toleration
from cardpool.domain.inventory import CARDS, Cause
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import explain, fit, matching, pack, reserve
from cardpool.engine.future import Future
from cardpool.engine.ground import Ground
from cardpool.engine.occupancy import Room
from cardpool.engine.parts import Run
from cardpool.engine.probe import Prober
from cardpool.names import NODE_LEVEL

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


def remedies(base: Future, gang: Gang, option: Option, rooms: Sequence[Room], now: float) -> Iterator[Remedy]:
    """Everything that alone would do, cheapest first; ``rooms`` are those that ``base`` still counts as held."""
    yield from _going(base, gang, option, rooms)
    if gang.excluded and fits(base, dataclasses.replace(gang, excluded={}), option):
        changed = dataclasses.replace(gang, excluded={}), option
        yield Remedy(Kind.AVOIDED, f"fits once it avoids none of {len(gang.excluded)} nodes any more", changed=changed)
    found = _ended(base, gang, option, rooms, now)
    if found is not None and found.kind is Kind.ENDS:
        yield found
    yield from _opened(base, gang, option)
    yield from _changed(base, gang, option)
    if found is not None and found.kind is Kind.GONE:
        yield found
    yield from _more(base, gang, option)


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


def _ended(base: Future, gang: Gang, option: Option, rooms: Sequence[Room], now: float) -> Remedy | None:
    """Gangs none of which could stay: those with known ends first, else in the order in which a head waits for them."""
    staying = [room for room in rooms if not room.gang.leaving]
    opening = reserve.earliest(base, gang, option, staying, now, patient=False)
    if opening is None or not opening.waits_for:
        return None
    needed = list(opening.gone)
    if len(needed) <= _PRUNED:
        needed = _irreducible(opening.future, gang, option, needed)
    keys = tuple(room.gang.key for room in needed)
    if opening.start is None:
        return Remedy(Kind.GONE, f"would fit if {_names(keys)} ended (no end is known)", gangs=keys)
    last = max(reserve.end(room, now) for room in needed)
    return Remedy(Kind.ENDS, f"fits once {_names(keys)} {_ends(keys)} (expected {explain.moment(last)})", gangs=keys)


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
    for text, other, way in (*_without_topology(gang, option), *_without_needs(base.ground, gang, option)):
        if fits(base, other, way):
            yield Remedy(Kind.CHANGED, f"would fit {text}", changed=(other, way))
            return


def _without_topology(gang: Gang, option: Option) -> Iterator[tuple[str, Gang, Option]]:
    asked = (gang.topology, *(shape.topology for shape in option.groups))

    def less(change: Callable[[TopologyRequest], TopologyRequest]) -> tuple[Gang, Option]:
        groups = tuple(dataclasses.replace(shape, topology=change(shape.topology)) for shape in option.groups)
        other = dataclasses.replace(gang, topology=change(gang.topology))
        return other, dataclasses.replace(option, groups=groups)

    required = list(dict.fromkeys(one.required for one in asked if one.required))
    exclusive = list(dict.fromkeys(one.exclusive for one in asked if one.exclusive))
    blocks = [
        f"{block.pods} a {block.level}" for block in dict.fromkeys(block for one in asked for block in one.blocks)
    ]
    if required:
        yield (
            f"without topology.required {', '.join(required)}",
            *less(lambda one: dataclasses.replace(one, required="")),
        )
    if blocks:
        yield f"without topology.blocks ({', '.join(blocks)})", *less(lambda one: dataclasses.replace(one, blocks=()))
    if exclusive:
        text = f"without topology.exclusive {', '.join(exclusive)}"
        yield text, *less(lambda one: dataclasses.replace(one, exclusive=""))
    if bool(required) + bool(blocks) + bool(exclusive) > 1:
        yield "without any of its topology", *less(lambda _: TopologyRequest())


def _without_needs(ground: Ground, gang: Gang, option: Option) -> Iterator[tuple[str, Gang, Option]]:
    def less(change: Callable[[GroupShape], GroupShape]) -> Option:
        return dataclasses.replace(option, groups=tuple(change(shape) for shape in option.groups))

    inventory, rows = ground.inventory, ground.layout.rows
    kept: dict[str, None] = {}
    for shape in option.groups:
        tolerance = matching.tolerance(inventory, shape.tolerations)
        codes = np.unique(tolerance.code[rows])
        kept.update(dict.fromkeys(tolerance.texts[code] for code in codes if code))
    if kept:
        all_ = Toleration(operator="Exists")
        text = f"with a toleration for what nodes are {', '.join(list(kept)[:_NAMED])}"
        yield text, gang, less(lambda shape: dataclasses.replace(shape, tolerations=(*shape.tolerations, all_)))
    if any(matching.chosen(inventory, shape.nodes) is not None for shape in option.groups):
        text = "without its node selector and required node affinity"
        yield text, gang, less(lambda shape: dataclasses.replace(shape, nodes=NodeFilter()))
    for name in sorted({name for shape in option.groups for name, amount in shape.requests.items() if amount > 0}):
        rest = less(lambda shape, name=name: _unasked(shape, name))  # type: ignore[misc]
        yield f"but for its requests of {name}", gang, rest


def _unasked(shape: GroupShape, name: str) -> GroupShape:
    requests = {key: amount for key, amount in shape.requests.items() if key != name}
    return dataclasses.replace(shape, requests=requests)


def _more(base: Future, gang: Gang, option: Option) -> Iterator[Remedy]:
    """How many more free nodes would do: exact for a gang of one shape without blocks, else nothing is said."""
    prober = Prober(base, gang, option)
    whole = prober.whole
    shape = option.groups[0]
    if not isinstance(whole, Run) or whole.demand.blocks or gang.topology.exclusive or _picks(shape):
        return
    need = prober.attempt.fits[0].need
    if need is None:
        return
    ground, level = base.ground, whole.demand.required
    most, domain = pack.best(prober.attempt.capacities(0, whole.demand), level)
    names = prober.attempt.tree.names()
    if level == len(names) - 1:
        most = 0
    columns = np.flatnonzero(need)
    slots = (ground.inventory.capacity[ground.layout.rows][:, columns] // need[columns]).min(axis=1)
    slots[~_models(ground, prober.attempt.fits[0].exclusions)] = 0
    if ground.fabrics is not None:  # only of an empty node is it known how many pods its fabrics hold
        np.minimum(slots, prober.attempt.slots(0), out=slots)
        slots[ground.free[:, CARDS] < ground.inventory.capacity[ground.layout.rows, CARDS]] = 0
    where = "" if level < 0 or names[level] == NODE_LEVEL else f" in one {names[level]}"
    if where and most:
        starts = ground.layout.starts[level]
        slots[: starts[domain]] = 0
        slots[starts[domain + 1] :] = 0
        where = f" in {explain.domain(ground, level, domain)}"
    if not len(slots) or not slots.max() or (level == len(names) - 1 and slots.max() < whole.pods):
        return
    model = int(slots.argmax())
    number = math.ceil((whole.pods - most) / int(slots[model]))
    node, cards = ground.name(model), int(ground.inventory.capacity[ground.layout.rows[model], CARDS])
    text = f"{number} more free node{'s' * (number > 1)} such as {node} ({cards} cards){where} would do"
    yield Remedy(Kind.NODES, text, node=node, more=number)


def _picks(shape: GroupShape) -> bool:
    return bool(shape.nodes.selector or shape.nodes.terms or shape.nodes.field_terms)


def _models(ground: Ground, exclusions: Sequence[fit.Exclusion]) -> NDArray[np.bool_]:
    """Nodes whose copy would be open to the gang: at most that they are avoided, or kept as spares, is against them."""
    open_ = np.ones(ground.size, np.bool_)
    for text, mask in exclusions:
        if text != fit.SPARE and not text.startswith(fit.AVOIDED):
            open_ &= ~mask
    return open_


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
