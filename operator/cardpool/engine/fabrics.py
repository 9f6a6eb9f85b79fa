"""Cards that a pod gets must reach each other: a pod no larger than a fabric sits in one, a larger one in whole fabrics
and, for what is over, in one more.

What the ids do not tell (``doubt``) is taken to lie where it does most harm, so the count of pods is a promise. Inside
a cycle pods go to the tightest fabric that holds them, as the plug-in's preferred allocation does. With dies in pairs
everything is counted in whole modules; a single die may be any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from cardpool.domain.fabrics import MODULE, WHOLE, FabricTable, Held, NodeFabrics
from cardpool.domain.gangs import Option
from cardpool.engine.demand import Fault
from cardpool.names import Reason

if TYPE_CHECKING:
    from cardpool.domain.inventory import Inventory

Ints = NDArray[np.int64]
State = tuple[Ints, Ints]
_ANY: Final = 1 << 40


def table(nodes: Sequence[NodeFabrics | None], profile: NDArray[np.int16], profiles: int) -> FabricTable | None:
    """The fabrics of an inventory's rows; None where no profile says anything of them."""
    if not any(nodes):
        return None
    size, unit = [0] * profiles, [1] * profiles
    for number, one in zip(profile.tolist(), nodes, strict=True):
        if one is not None and number >= 0:
            size[number], unit[number] = one.size, one.unit
    width = max(len(one.free) for one in nodes if one is not None)
    free, doubt = np.zeros((len(nodes), width), np.int64), np.zeros(len(nodes), np.int64)
    held: dict[int, Mapping[str, Held]] = {}
    for row, one in enumerate(nodes):
        _fill(free, doubt, held, row, one)
    return FabricTable(tuple(size), tuple(unit), free, doubt, held)


def slots(node: NodeFabrics, sizes: Sequence[int]) -> dict[int, int]:
    """How many pods of each of these sizes the fabrics of one node hold; what else a pod needs is left aside."""
    one = table([node], np.zeros(1, np.int16), 1)
    if one is None or not node.free:
        return dict.fromkeys(sizes, 0)
    work = Fabrics(one, 0, np.zeros(1, np.intp))
    return {size: int(work.slots(size)[0]) for size in sizes}


def alike(old: FabricTable | None, profile: NDArray[np.int16], nodes: Sequence[NodeFabrics | None]) -> bool:
    """True where the table has room for these nodes and their profiles still say the same of fabrics."""
    if old is None:
        return not any(nodes)
    return all(
        one is None
        or (
            len(one.free) <= old.free.shape[1]
            and (number < 0 or (one.size, one.unit) == (old.size[number], old.unit[number]))
        )
        for number, one in zip(profile.tolist(), nodes, strict=True)
    )


def updated(old: FabricTable | None, rows: Sequence[int], nodes: Sequence[NodeFabrics | None]) -> FabricTable | None:
    """The table with these rows replaced; they are ``alike``."""
    if old is None:
        return None
    free, doubt, held = old.free.copy(), old.doubt.copy(), dict(old.held)
    for row, one in zip(rows, nodes, strict=True):
        held.pop(row, None)
        free[row], doubt[row] = 0, 0
        _fill(free, doubt, held, row, one)
    return FabricTable(old.size, old.unit, free, doubt, held)


def _fill(free: Ints, doubt: Ints, held: dict[int, Mapping[str, Held]], row: int, one: NodeFabrics | None) -> None:
    if one is None:
        return
    free[row, : len(one.free)] = one.free
    doubt[row] = one.doubt
    if one.held:
        held[row] = one.held


class Fabrics:
    """The fabrics of one profile's nodes during a cycle, by position.

    ``free[i]`` are the cards of each fabric that nobody is known to hold, ``doubt[i]`` cards that are gone from
    somewhere among them.
    """

    __slots__ = ("doubt", "free", "held", "rows", "size", "unit")

    def __init__(self, known: FabricTable, profile: int, rows: NDArray[np.intp]) -> None:
        self.size, self.unit = known.size[profile], known.unit[profile]
        self.rows, self.held = rows, known.held
        self.free, self.doubt = known.free[rows], known.doubt[rows]

    def copy(self) -> Fabrics:
        """The same, to try something on."""
        other = object.__new__(Fabrics)
        other.size, other.unit, other.rows, other.held = self.size, self.unit, self.rows, self.held
        other.free, other.doubt = self.free.copy(), self.doubt.copy()
        return other

    def snapshot(self) -> State:
        """What ``restore`` needs to undo everything from now on."""
        return self.free.copy(), self.doubt.copy()

    def restore(self, state: State) -> None:
        """As it was; a snapshot serves any number of times."""
        self.free[:], self.doubt[:] = state

    def slots(self, cards: int, at: NDArray[np.intp] | None = None) -> Ints:
        """How many pods of so many cards each node (at some positions) surely holds, wherever doubtful cards are."""
        free, doubt = (self.free, self.doubt) if at is None else (self.free[at], self.doubt[at])
        return self._slots(cards, free, np.maximum(doubt, 0))

    def left(self, cards: int, at: NDArray[np.intp]) -> Ints:
        """What the tightest fabric that holds a pod's cards (the rest of them beside whole ones) has left at positions.

        More than any fabric has where doubtful cards hide which that is.
        """
        rest = -(-cards // self.unit) * self.unit % self.size
        found = self.free[at]
        least: Ints = np.where(found >= rest, found, _ANY).min(axis=1) - rest if rest else np.zeros(len(at), np.int64)
        return np.where(self.doubt[at] > 0, _ANY, least)

    def split(self, cards: int) -> NDArray[np.bool_]:
        """Nodes that hold no pod of so many cards even if every doubtful card were free."""
        return np.equal(self._slots(cards, self.free, np.zeros_like(self.doubt)), 0)

    def _slots(self, cards: int, free: Ints, doubt: Ints) -> Ints:
        if cards % self.unit:
            return np.full(len(free), _ANY, np.int64)
        whole, rest = divmod(cards, self.size)
        if not whole:
            return _count(free, cards, doubt, self.unit)
        full = free == self.size
        fabrics = np.maximum(full.sum(axis=1) - -(-doubt // self.unit), 0)
        if not rest:
            return np.asarray(fabrics // whole)
        beside = _count(np.where(full, 0, free), rest, doubt, self.unit)
        each = self.size // rest
        least: Ints = np.minimum(fabrics // whole, (beside + fabrics * each) // (1 + whole * each))
        return least

    def take(self, at: NDArray[np.intp], counts: Ints, cards: int) -> None:
        """Hold ``counts[i]`` pods of so many cards at position ``at[i]``, each in the tightest fabrics that hold it.

        Which are the tightest nobody knows on a node with doubtful cards: there the pod's cards are doubtful too.
        """
        cards = -(-cards // self.unit) * self.unit
        whole, rest = divmod(cards, self.size)
        sure = self.doubt[at] <= 0
        self.doubt[at[~sure]] += counts[~sure] * cards
        at, counts = at[sure], counts[sure]
        for number in range(int(counts.max(initial=0))):
            here = at[counts > number]
            for _ in range(whole):
                self._hold(here, self.size)
            if rest:
                self._hold(here, rest)

    def _hold(self, at: NDArray[np.intp], cards: int) -> None:
        """Cards of one fabric at each of these positions; where none has as many they are gone from somewhere."""
        room = np.where(self.free[at] >= cards, self.free[at], _ANY)
        best = room.argmin(axis=1)
        found = room[np.arange(len(at)), best] < _ANY
        self.free[at[found], best[found]] -= cards
        self.doubt[at[~found]] += cards

    def frees(self, owner: str, at: NDArray[np.intp], cards: Ints) -> State:
        """What an owner's leaving frees at each of its positions, where it holds so many cards: named and doubtful."""
        named = np.zeros((len(at), self.free.shape[1]), np.int64)
        unknown = cards.copy()
        for place, row in enumerate(self.rows[at].tolist()):
            held = self.held.get(row, {}).get(owner)
            if held is not None:
                named[place, : len(held.free)] = held.free
                unknown[place] -= held.named
        return named, np.maximum(unknown - unknown % self.unit, 0)

    def release(self, at: NDArray[np.intp], freed: State, sign: int = 1) -> None:
        """Those cards are free (sign -1: held again); a position may be named more than once."""
        np.add.at(self.free, at, sign * freed[0])
        np.subtract.at(self.doubt, at, sign * freed[1])

    def limit(self, other: Fabrics) -> None:
        """No more than another has, either."""
        np.minimum(self.free, other.free, out=self.free)
        np.maximum(self.doubt, other.doubt, out=self.doubt)

    def since(self, state: State) -> State:
        """What was taken since a snapshot: named and doubtful."""
        return state[0] - self.free, self.doubt - state[1]

    def lose(self, taken: State) -> None:
        """So much is taken at every position."""
        self.free -= taken[0]
        self.doubt += taken[1]

    def shut(self, mask: NDArray[np.bool_]) -> None:
        """Nothing is left at these positions for anybody."""
        self.free[mask] = np.minimum(self.free[mask], 0)


def working(inventory: Inventory, profile: int, rows: NDArray[np.intp]) -> Fabrics | None:
    """The fabrics of one profile's nodes to work on; None where the profile says nothing of them."""
    known = inventory.fabrics
    return Fabrics(known, profile, rows) if known is not None and known.size[profile] else None


def beside(own: Fabrics | None, others: Sequence[Fabrics | None]) -> Fabrics | None:
    """A copy with no more in it than any of the others has."""
    if own is None:
        return None
    joined = own.copy()
    for other in others:
        if other is not None:
            joined.limit(other)
    return joined


def beyond(taken: State | None, at: NDArray[np.intp], own: State | None) -> State | None:
    """What is taken beyond what somebody has at some positions already."""
    if taken is None or own is None:
        return taken
    named, doubt = taken[0].copy(), taken[1].copy()
    named[at], doubt[at] = np.maximum(named[at] - own[0], 0), np.maximum(doubt[at] - own[1], 0)
    return named, doubt


def fault(fabrics: Fabrics | None, option: Option) -> Fault | None:
    """What is wrong with a request on a profile with dies in pairs: as with the maker, one die is for a single pod."""
    if fabrics is None or fabrics.unit == 1:
        return None
    pods = sum(group.replicas for group in option.groups)
    for group in option.groups:
        if group.cards_per_pod % MODULE and (pods > 1 or group.cards_per_pod > 1):
            text = (
                f"group {group.name} asks for {group.cards_per_pod} cards a pod, which would split a module of two "
                "dies; ask for an even number, or for one die in a job of one pod"
            )
            return Fault(Reason.INVALID_SPEC, text)
    return None


def shortages(fabrics: Fabrics, cards: int) -> list[tuple[str, NDArray[np.bool_]]]:
    """Why nodes with enough free cards take no pod, as causes with their nodes."""
    none, split = fabrics.slots(cards) == 0, fabrics.split(cards)
    if fabrics.size == WHOLE:
        text = "with enough dies free, but not in whole modules"
        doubt = "with enough dies free, but not known to be whole modules"
    else:
        text = f"with enough cards free, but split across fabrics of {fabrics.size}"
        doubt = f"with enough cards free, but not known in which fabrics of {fabrics.size}"
    return [(text, split), (doubt, none & ~split)]


def _count(free: Ints, cards: int, doubt: Ints, unit: int) -> Ints:
    """Pods of at most one fabric each, less those that doubtful cards can take away where they do most harm.

    The first pod of a fabric is spoilt by what is over there and one unit more, each further one by a whole pod.
    """
    pods = free // cards
    total: Ints = pods.sum(axis=1)
    at = np.flatnonzero((doubt > 0) & (total > 0))
    if not len(at):
        return total
    budget = doubt[at]
    prices = np.sort(np.where(pods[at] > 0, free[at] % cards + unit, _ANY), axis=1)
    spent = np.cumsum(prices, axis=1)
    first = (spent <= budget[:, None]).sum(axis=1)
    left = budget - np.where(first > 0, np.take_along_axis(spent, np.maximum(first - 1, 0)[:, None], axis=1)[:, 0], 0)
    every = first == (pods[at] > 0).sum(axis=1)
    total[at] = np.maximum(total[at] - first - np.where(every, left // cards, 0), 0)
    return total
