"""A gang spread pod by pod: each profile in turn takes as many of the ranks that are left as it can hold.

A group is cut only where none of its blocks, and none of the gang's, would have pods of two profiles; one that must sit
in a domain of its own is not cut at all, nor between profiles that ask for different numbers of its pods. Greedy: what
an earlier profile takes it keeps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cardpool.domain.gangs import GroupShape, Mix, Placement, Refusal
from cardpool.domain.topology import TopologyRequest
from cardpool.engine import ways
from cardpool.engine.lands import Scope
from cardpool.engine.trial import Trial
from cardpool.engine.ways import Piece, Way
from cardpool.names import Reason

May = Callable[[str, Way, Way], bool]
_SETS: Final = 16
_DOMAINS: Final = 4
_LOOKS: Final = 64


class Pods:
    """A gang that is to be spread pod by pod; ``most`` is the best that was found, ``quota`` stopped pods that fit."""

    __slots__ = ("most", "quota", "trial")

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.most: Way = ()
        self.quota = False

    def place(self) -> Placement | None:
        """Over few profiles before many, the preferred ones as full as they get, then the other way round."""
        one = self.trial
        for profiles in sets(one.mix.profiles):
            if any(one.stopped(name) is not None for name in profiles):
                continue
            if not one.meant(profiles, one.lands.shared(profiles), ()):
                continue
            for scope in self._scopes(profiles):
                for order in (profiles, profiles[::-1]):
                    way, whole = self._over(order, scope)
                    if whole and sound(one, way):
                        return one.settle(way, scope)
        return None

    def words(self) -> str:
        """How far it came."""
        beside = " inside the quota" if self.quota else ""
        return f"{ways.pods(self.most)} of {self.trial.gang.size()} pods fit when they are spread one by one{beside}"

    def refusal(self) -> Refusal:
        """Why the gang is not spread, where there was no other way to mix it."""
        gang = self.trial.gang
        reason = Reason.TOPOLOGY_UNFIT if gang.topology.required else Reason.INSUFFICIENT_CARDS
        reason = Reason.QUOTA_EXCEEDED if self.quota else reason
        return Refusal(gang.key, reason, f"mixed: {self.words()}", ways.pods(self.most), gang.size())

    def _scopes(self, profiles: tuple[str, ...]) -> Iterator[Scope]:
        """Few domains, since each is searched; what does not fit anywhere fits none."""
        one, required = self.trial, self.trial.gang.topology.required
        if not required and not self._over(profiles, None)[1] and not self._over(profiles[::-1], None)[1]:
            return
        kinds = [[shape for shape in shapes if shape is not None] for shapes in one.mix.groups]
        least = sum(min(shape.replicas * shape.cards_per_pod for shape in shapes) for shapes in kinds)
        scopes = one.lands.scopes(profiles, required, {}, together=least, most=_DOMAINS)
        yield from itertools.islice(scopes, _LOOKS)

    def _over(self, profiles: tuple[str, ...], scope: Scope) -> tuple[Way, bool]:
        one = self.trial

        def may(profile: str, own: Way, every: Way) -> bool:
            if one.fault(profile, own) is not None or not one.fits(profile, own, scope):
                return False
            beyond = one.ledger.over(one.gang.team, ways.shares(every)) is not None
            self.quota = self.quota or beyond
            return not beyond

        way, whole = over(one.mix, profiles, one.gang.topology, may)
        if not whole and ways.pods(way) > ways.pods(self.most):
            self.most = way
        return way, whole


def sound(trial: Trial, way: Way) -> bool:
    """Whether a gang that was cut to pieces still keeps its blocks, and is on more than one profile."""
    subs = ways.by_profile(way)
    meant = all(trial.fault(name, pieces) is None for name, pieces in subs.items())
    return len(subs) > 1 and meant and ways.even(way, trial.gang.topology)


def over(mix: Mix, profiles: Sequence[str], topology: TopologyRequest, may: May) -> tuple[Way, bool]:
    """The pods that these profiles take, in that order, and whether these are all.

    ``may(profile, own, every)`` tells whether a profile holds these pieces of its own beside all that were given out;
    where it holds some it holds fewer as well.
    """
    found = _Spread(mix, topology, may)
    for place, profile in enumerate(profiles):
        found.fill(profile, profiles[place + 1 :])
    return tuple(sorted(found.given, key=lambda one: (one.group, one.first))), found.taken == found.total


class _Spread:
    """What was given out so far; ``taken`` and ``total`` are pods by group, -1 while nothing tells the total."""

    __slots__ = ("given", "may", "mix", "taken", "topology", "total")

    def __init__(self, mix: Mix, topology: TopologyRequest, may: May) -> None:
        self.mix, self.topology, self.may = mix, topology, may
        self.given: list[Piece] = []
        self.taken, self.total = [0] * len(mix.groups), [-1] * len(mix.groups)

    def fill(self, profile: str, later: Sequence[str]) -> None:
        """As many pods on a profile as it holds, group after group."""
        number = self.mix.profiles.index(profile)
        own: list[Piece] = []
        for group, shapes in enumerate(self.mix.groups):
            shape, whole = shapes[number], self.total[group]
            if shape is None or self.taken[group] == whole or whole not in (-1, shape.replicas):
                continue
            one = self._most(profile, number, group, own, self._cuts(group, shape, later))
            if one is not None:
                own.append(one)
                self.given.append(one)
                self.taken[group], self.total[group] = one.first + one.pods, shape.replicas

    def _most(self, profile: str, number: int, group: int, own: Sequence[Piece], cuts: Sequence[int]) -> Piece | None:
        """The longest run of the group's next pods that the profile holds, up to one of these ends."""
        first, best = self.taken[group], None
        low, high = 0, len(cuts)
        while low < high:
            middle = (low + high) // 2
            one = ways.piece(self.mix, group, number, first, cuts[middle] - first)
            if self.may(profile, (*own, one), (*self.given, one)):
                low, best = middle + 1, one
            else:
                high = middle
        return best

    def _cuts(self, group: int, shape: GroupShape, later: Sequence[str]) -> list[int]:
        """Where a run of the group's next pods may end, rising; the end of the group is the last."""
        first = self.taken[group]
        others = [self.mix.groups[group][self.mix.profiles.index(name)] for name in later]
        goes_on = first > 0 or any(other is not None and other.replicas == shape.replicas for other in others)
        if shape.topology.required or not goes_on:
            return [] if shape.topology.required and first else [shape.replicas]
        start = sum(self._size(before) for before in range(group))
        own = max((block.pods for block in shape.topology.blocks), default=1)
        gang = max((block.pods for block in self.topology.blocks), default=1)
        inner = range(first + 1, shape.replicas)
        return [*(end for end in inner if end % own == 0 and (start + end) % gang == 0), shape.replicas]

    def _size(self, group: int) -> int:
        known = self.total[group]
        return known if known >= 0 else next(shape.replicas for shape in self.mix.groups[group] if shape is not None)


def sets(profiles: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The profiles to spread over: ever more of the preferred ones, then other pairs; at most 16 sets."""
    every = [tuple(profiles[:size]) for size in range(2, len(profiles) + 1)]
    pairs = [(one, other) for at, one in enumerate(profiles) for other in profiles[at + 1 :]]
    yield from [*every, *(pair for pair in pairs if pair not in every)][:_SETS]
