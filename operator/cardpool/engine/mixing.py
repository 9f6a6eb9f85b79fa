"""One gang on several profiles: every way of spreading it is cut into one part a profile, and all parts fit or none.

Profiles share no node, so a part is placed by the planner of its own profile, in its own tree, beside whatever is kept
there for others; what joins the parts is the quota and the domain that all must share. A part is tried before any is
taken, so nothing is ever taken for a gang that does not start.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from cardpool.domain.gangs import Gang, Mix, Option, Placement, Refusal, Segment
from cardpool.domain.inventory import Inventory
from cardpool.domain.topology import Level
from cardpool.engine import bundle, common, demand, explain, fabrics, outlook, parts, place, ways
from cardpool.engine.attempt import Attempt, Mask
from cardpool.engine.common import Path, Spans
from cardpool.engine.ground import Ground
from cardpool.engine.outlook import Outlook
from cardpool.engine.quota import Ledger
from cardpool.engine.ways import Way
from cardpool.names import Reason

WAYS: Final = 64
_LOOKS: Final = 4096
_DOMAINS: Final = 16
Scope = tuple[tuple[Level, ...], Path] | None


class Mixer:
    """What mixed gangs are placed by in one cycle; ``stopped`` tells why a gang may not use a profile at all."""

    __slots__ = ("_spans", "inventory", "ledger", "stopped", "view")

    def __init__(
        self,
        inventory: Inventory,
        ledger: Ledger,
        view: Callable[[str], Outlook],
        stopped: Callable[[Gang, str], Refusal | None],
    ) -> None:
        self.inventory, self.ledger, self.view, self.stopped = inventory, ledger, view, stopped
        self._spans: dict[tuple[int, tuple[Level, ...]], Spans | None] = {}

    def place(self, gang: Gang, mix: Mix) -> Placement | Refusal:
        """The first way that quota and room allow, its room taken; or why there is none."""
        return _Try(self, gang, mix).best()

    def keep(self, gang: Gang, mix: Mix) -> Placement | None:
        """The way that the gang was spread by before, every rank that can where it was; None where that fails."""
        profiles = {
            node: self.inventory.profiles[number]
            for node in gang.previous.values()
            if (row := self.inventory.index.get(node, -1)) >= 0 and (number := int(self.inventory.profile[row])) >= 0
        }
        way = ways.before(mix, gang.previous, profiles)
        if way is None or len({piece.profile for piece in way}) < 2:
            return None
        return _Try(self, gang, mix).kept(way)

    def number(self, profile: str) -> int:
        """The profile's number in the inventory."""
        return self.inventory.profiles.index(profile)

    def shared(self, profiles: tuple[str, ...]) -> tuple[Level, ...]:
        """The levels that these profiles have in common, wide to narrow."""
        trees = [self.inventory.trees[self.number(profile)] for profile in profiles]
        found: list[Level] = []
        for level in common.levels(trees):
            if all(self.spans(profile, (*found, level)) is not None for profile in profiles):
                found.append(level)
        return tuple(found)

    def spans(self, profile: str, shared: tuple[Level, ...]) -> Spans | None:
        """The domains of the last of these shared levels on one profile; None where the labels do not tell them."""
        key = self.number(profile), shared
        if key not in self._spans:
            self._spans[key] = common.spans(self.inventory, key[0], shared)
        return self._spans[key]

    def mask(self, profile: str, scope: Scope) -> Mask | None:
        """The positions of a scope on one profile; None: all."""
        if scope is None:
            return None
        known = self.spans(profile, scope[0])
        return common.mask(self.view(profile).ground, known[scope[1]] if known is not None else (0, 0))


class _Try:
    """One gang's ways; what was found of a part serves every way that has it.

    ``why`` is the first way that was refused for another reason than quota (else the first that was), and why.
    """

    __slots__ = ("fitting", "gang", "mix", "mixer", "topology", "tried", "why")

    def __init__(self, mixer: Mixer, gang: Gang, mix: Mix) -> None:
        self.mixer, self.gang, self.mix, self.topology = mixer, gang, mix, gang.topology
        self.fitting: dict[tuple[str, tuple[tuple[int, int, int], ...], Scope], bool] = {}
        self.why: tuple[Way, Refusal] | None = None
        self.tried = 0

    def best(self) -> Placement | Refusal:
        """Way after way."""
        alone = [option.profile for option in self.gang.options]
        found: Placement | None = None
        for way in itertools.islice(ways.in_order(self.mix, alone), _LOOKS):
            found = self._settle(way) if self._able(way) else None
            if found is not None or self.tried == WAYS:
                break
        return found or self._refusal()

    def kept(self, way: Way) -> Placement | None:
        """The way as it was, ranks that stay where they are; None, and nothing taken, where it cannot be."""
        back: dict[str, dict[int, str]] = {}
        seen: dict[str, int] = {}
        for rank, profile in enumerate(piece.profile for piece in way for _ in range(piece.pods)):
            if rank in self.gang.previous:
                back.setdefault(profile, {})[seen.get(profile, 0)] = self.gang.previous[rank]
            seen[profile] = seen.get(profile, 0) + 1
        if self.mixer.ledger.over(self.gang.team, ways.shares(way)) is not None:
            return None
        scope = self._home(way)
        plans: list[tuple[str, outlook.Place, Gang, Option]] = []
        for profile, pieces in ways.by_profile(way).items():
            gang, option = self._part(profile, pieces)
            gang = dataclasses.replace(gang, previous=back.get(profile, {}))
            if self.mixer.stopped(self.gang, profile) is not None or self._fault(profile, gang, option) is not None:
                return None
            how: outlook.Place = outlook.repaired
            if not self._would(how, profile, gang, option):
                how = inside(self.mixer.mask(profile, scope))
                if not self._would(how, profile, gang, option):
                    return None
            plans.append((profile, how, gang, option))
        return self._take(way, plans)

    def _home(self, way: Way) -> Scope:
        """The domain of the required level in which the gang was."""
        shared = self.mixer.shared(_profiles(way))
        names = [level.name for level in shared]
        if self.topology.required not in names:
            return None
        some = shared[: names.index(self.topology.required) + 1]
        inventory = self.mixer.inventory
        rows = [row for node in self.gang.previous.values() if (row := inventory.index.get(node, -1)) >= 0]
        path = tuple(inventory.labels[rows[0]].get(level.label, "") for level in some) if rows else ()
        known = all(path in (self.mixer.spans(profile, some) or {}) for profile in _profiles(way))
        return (some, path) if known else None

    def _able(self, way: Way) -> bool:
        """Whether the way is worth a try: quota allows it, its demands can be meant, each part has room by itself."""
        subs = ways.by_profile(way)
        if not ways.even(way, self.topology):
            text = "a block of consecutive ranks would have pods of two profiles"
            return self._no(way, Refusal(self.gang.key, Reason.TOPOLOGY_UNFIT, text))
        for profile, pieces in subs.items():
            stop = self.mixer.stopped(self.gang, profile) or self._fault(profile, *self._part(profile, pieces))
            if stop is not None:
                return self._no(way, stop)
        shares = ways.shares(way)
        limit = self.mixer.ledger.over(self.gang.team, shares)
        if limit is not None:
            return self._no(way, self.mixer.ledger.refused(self.gang, shares, limit, _pods(way)))
        self.tried += 1
        short = [(profile, pieces) for profile, pieces in subs.items() if not self._fits(profile, pieces, None)]
        if short and (self.why is None or self.why[1].reason is Reason.QUOTA_EXCEEDED):
            profile, pieces = short[0]
            answer = self.mixer.view(profile).place(outlook.fresh, *self._part(profile, pieces))
            others = sum(_pods(subs[name]) for name in subs.keys() - {one for one, _ in short})
            if isinstance(answer, Refusal):
                self._no(way, dataclasses.replace(answer, fit=answer.fit + others))
        return not short

    def _no(self, way: Way, refusal: Refusal) -> bool:
        if self.why is None or self.why[1].reason is Reason.QUOTA_EXCEEDED is not refusal.reason:
            self.why = way, refusal
        return False

    def _fault(self, profile: str, gang: Gang, option: Option) -> Refusal | None:
        tree = self.mixer.inventory.trees[self.mixer.number(profile)]
        ground = self.mixer.view(profile).ground
        fault = demand.check(tree, gang.topology, option.groups) or fabrics.fault(ground.fabrics, option)
        return explain.faulty(gang, option, fault) if fault is not None else None

    def _settle(self, way: Way) -> Placement | None:
        """The way in the narrowest domain that all profiles share and that holds it, else wherever it may be."""
        profiles = _profiles(way)
        shared = self.mixer.shared(profiles)
        for name in (self.topology.required, self.topology.exclusive):
            if name and name not in [level.name for level in shared]:
                common_ = ", ".join(level.name for level in shared) or "none"
                text = f"level {name!r} is not one that {' and '.join(profiles)} share; they share: {common_}"
                self._no(way, Refusal(self.gang.key, Reason.UNKNOWN_LEVEL, text))
                return None
        subs = ways.by_profile(way)
        for scope in self._scopes(way, profiles, shared):
            if all(self._fits(profile, pieces, scope) for profile, pieces in subs.items()):
                how = [(name, inside(self.mixer.mask(name, scope)), *self._part(name, subs[name])) for name in subs]
                return self._take(way, how)
        text = f"each part has room, but not all in one {self.topology.required}"
        self._no(way, Refusal(self.gang.key, Reason.TOPOLOGY_UNFIT, text))
        return None

    def _scopes(self, way: Way, profiles: tuple[str, ...], shared: tuple[Level, ...]) -> Iterator[Scope]:
        """Shared domains, the narrowest level and the tightest domain first; then anywhere, where that is allowed."""
        cards = dict(ways.shares(way))
        for depth in range(len(shared), 0, -1):
            some = shared[:depth]
            known = [
                (self.mixer.view(name).ground, self.mixer.spans(name, some) or {}, cards[name]) for name in profiles
            ]
            found = common.roomy(known)
            needed = shared[depth - 1].name == self.topology.required
            yield from ((some, path) for path in (found if needed else found[:_DOMAINS]))
            if needed:
                return
        yield None

    def _fits(self, profile: str, pieces: Way, scope: Scope) -> bool:
        """True where this part would have a place inside the scope; nothing is taken."""
        key = profile, tuple((piece.group, piece.first, piece.pods) for piece in pieces), scope
        if key not in self.fitting:
            gang, option = self._part(profile, pieces)
            self.fitting[key] = self._would(inside(self.mixer.mask(profile, scope)), profile, gang, option)
        return self.fitting[key]

    def _would(self, how: outlook.Place, profile: str, gang: Gang, option: Option) -> bool:
        found = False

        def tried(ground: Ground, gang: Gang, option: Option) -> None:
            nonlocal found
            mark = ground.snapshot()
            found = isinstance(how(ground, gang, option), Placement)
            ground.restore(mark)

        self.mixer.view(profile).place(tried, gang, option)
        return found

    def _take(self, way: Way, plans: Sequence[tuple[str, outlook.Place, Gang, Option]]) -> Placement:
        """Every part in its place, taken; each has been seen to fit, and they share no node."""
        found: dict[str, Placement] = {}
        for profile, how, gang, option in plans:
            answer = self.mixer.view(profile).place(how, gang, option)
            if not isinstance(answer, Placement):
                raise TypeError(f"{self.gang.key}: the part that fitted {profile} does not fit any more")
            found[profile] = answer
        return _joined(self.gang, self.mix, way, found)

    def _part(self, profile: str, pieces: Way) -> tuple[Gang, Option]:
        """The gang as one profile sees it."""
        option = Option(profile, tuple(piece.shape for piece in pieces))
        return dataclasses.replace(self.gang, options=(option,), previous={}, mix=None), option

    def _refusal(self) -> Refusal:
        """Why no way will do: the first that was looked at, and how many there were."""
        if self.why is None:
            return Refusal(self.gang.key, Reason.NO_VARIANT, "no profile has a variant of every group")
        way, refusal = self.why
        every = ways.count(self.mix)
        more = f"; {self.tried} of up to {every} ways to mix were tried" if self.tried == WAYS < every else ""
        return explain.mixed(refusal, ways.words(way), more, _pods(way))


def inside(scope: Mask | None) -> outlook.Place:
    """How to place a part in a scope; None where it does not fit."""

    def how(ground: Ground, gang: Gang, option: Option) -> Placement | None:
        attempt = Attempt(ground, gang, option)
        whole = parts.cut(attempt.tree, gang.topology, option.groups)
        return place.placement(attempt) if bundle.settle(attempt, whole, scope) else None

    return how


def _pods(way: Way) -> int:
    return sum(piece.pods for piece in way)


def _profiles(way: Way) -> tuple[str, ...]:
    return tuple(dict.fromkeys(piece.profile for piece in way))


def _joined(gang: Gang, mix: Mix, way: Way, found: Mapping[str, Placement]) -> Placement:
    """The parts as one placement, ranks in order."""
    left = {profile: deque(part.segments) for profile, part in found.items()}
    segments: list[Segment] = []
    for piece in way:
        pods = 0
        while pods < piece.pods:
            segment = left[piece.profile].popleft()
            segments.append(dataclasses.replace(segment, from_index=piece.first + segment.from_index))
            pods += len(segment.nodes)
    crossings = sum(part.crossings for part in found.values())
    crossings += sum(1 for one, other in itertools.pairwise(way) if one.profile != other.profile)
    names = [profile for profile in mix.profiles if profile in found]
    return Placement(gang.key, " and ".join(names), tuple(segments), crossings, ways.shares(way))
