"""The parts of one mixed gang, one a profile: whether a part fits, and all parts taken at once.

A part is tried without taking anything; what was found of it serves every way of spreading the gang that has it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from cardpool.domain.gangs import Gang, Mix, Option, Placement, Refusal, Segment
from cardpool.domain.topology import Level
from cardpool.engine import bundle, demand, fabrics, outlook, parts, place, ways, wording
from cardpool.engine.attempt import Attempt, Mask
from cardpool.engine.ground import Ground
from cardpool.engine.lands import Lands, Scope
from cardpool.engine.quota import Ledger
from cardpool.engine.ways import Way
from cardpool.names import Reason

Plan = tuple[str, outlook.Place, Gang, Option]


class Trial:
    """One gang that may be mixed; ``why`` is the first refusal not about quota (else the first), with its way."""

    __slots__ = ("_fitting", "_stopped", "gang", "lands", "ledger", "mix", "why")

    def __init__(
        self, lands: Lands, ledger: Ledger, stopped: Callable[[Gang, str], Refusal | None], gang: Gang, mix: Mix
    ) -> None:
        self.lands, self.ledger, self.gang, self.mix, self._stopped = lands, ledger, gang, mix, stopped
        self._fitting: dict[tuple[str, tuple[tuple[int, int, int], ...], Scope], bool] = {}
        self.why: tuple[Way, Refusal] | None = None

    def no(self, way: Way, refusal: Refusal) -> bool:
        """Keep the refusal where it tells more than what is known; always False."""
        if self.why is None or self.why[1].reason is Reason.QUOTA_EXCEEDED is not refusal.reason:
            self.why = way, refusal
        return False

    def stopped(self, profile: str) -> Refusal | None:
        """Why the gang may not use a profile at all."""
        return self._stopped(self.gang, profile)

    def part(self, profile: str, pieces: Way) -> tuple[Gang, Option]:
        """The gang as one profile sees it."""
        option = Option(profile, tuple(piece.shape for piece in pieces))
        return dataclasses.replace(self.gang, options=(option,), previous={}, mix=None), option

    def fault(self, profile: str, pieces: Way) -> Refusal | None:
        """What is wrong with a part's demands on its profile."""
        gang, option = self.part(profile, pieces)
        ground = self.lands.view(profile).ground
        tree = ground.inventory.trees[ground.profile]
        fault = demand.check(tree, gang.topology, option.groups) or fabrics.fault(ground.fabrics, option)
        return wording.faulty(gang, option, fault) if fault is not None else None

    def meant(self, profiles: Sequence[str], shared: Sequence[Level], way: Way) -> bool:
        """Whether what the whole gang demands means the same on these profiles."""
        topology = self.gang.topology
        for name in (topology.required, topology.exclusive):
            if name and name not in [level.name for level in shared]:
                known = ", ".join(level.name for level in shared) or "none"
                text = f"level {name!r} is not one that {' and '.join(profiles)} share; they share: {known}"
                return self.no(way, Refusal(self.gang.key, Reason.UNKNOWN_LEVEL, text))
        return True

    def fits(self, profile: str, pieces: Way, scope: Scope) -> bool:
        """True where this part would have a place inside the scope; nothing is taken."""
        key = profile, tuple((piece.group, piece.first, piece.pods) for piece in pieces), scope
        if key not in self._fitting:
            how = inside(self.lands.mask(profile, scope))
            self._fitting[key] = self.would(how, profile, *self.part(profile, pieces))
        return self._fitting[key]

    def would(self, how: outlook.Place, profile: str, gang: Gang, option: Option) -> bool:
        """True where a part would have a place by these means; nothing is taken."""
        found = False

        def tried(ground: Ground, gang: Gang, option: Option) -> None:
            nonlocal found
            mark = ground.snapshot()
            found = isinstance(how(ground, gang, option), Placement)
            ground.restore(mark)

        self.lands.view(profile).place(tried, gang, option)
        return found

    def settle(self, way: Way, scope: Scope) -> Placement:
        """Every part anew in a scope in which each has been seen to fit."""
        subs = ways.by_profile(way)
        return self.take(
            way, [(name, inside(self.lands.mask(name, scope)), *self.part(name, subs[name])) for name in subs]
        )

    def take(self, way: Way, plans: Sequence[Plan]) -> Placement:
        """Every part in its place, taken; each has been seen to fit, and they share no node."""
        found: dict[str, Placement] = {}
        for profile, how, gang, option in plans:
            answer = self.lands.view(profile).place(how, gang, option)
            if not isinstance(answer, Placement):
                raise TypeError(f"{self.gang.key}: the part that fitted {profile} does not fit any more")
            found[profile] = answer
        return joined(self.gang, self.mix, way, found)


def inside(scope: Mask | None) -> outlook.Place:
    """How to place a part in a scope; None where it does not fit."""

    def how(ground: Ground, gang: Gang, option: Option) -> Placement | None:
        attempt = Attempt(ground, gang, option)
        whole = parts.cut(attempt.tree, gang.topology, option.groups)
        return place.placement(attempt) if bundle.settle(attempt, whole, scope, thorough=True) else None

    return how


def joined(gang: Gang, mix: Mix, way: Way, found: Mapping[str, Placement]) -> Placement:
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
