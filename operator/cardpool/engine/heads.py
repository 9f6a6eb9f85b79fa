"""A reservation for a gang that only a mix of profiles can hold: the way whose last part can start first.

Each part has an opening of its own on its profile, found as for any gang there; the head starts when the last of them
comes, and until then others may use what is kept for it if they are gone by that moment. Few ways and domains are
looked at.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from cardpool.domain.gangs import Gang, Option, Placement
from cardpool.domain.inventory import CARDS
from cardpool.engine import spread, ways
from cardpool.engine.future import Future
from cardpool.engine.lands import Lands, Scope
from cardpool.engine.probe import Prober
from cardpool.engine.reserve import Opening
from cardpool.engine.trial import Trial
from cardpool.engine.ways import Way

_WAYS: Final = 4
_LOOKS: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One profile's part of a head, and when it could start there."""

    profile: str
    gang: Gang
    option: Option
    opening: Opening


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A way with an opening for every part; ``start`` None = nobody knows when the last of them comes."""

    way: Way
    parts: tuple[Part, ...]

    @property
    def sure(self) -> bool:
        """False while the gang is still patient."""
        return all(part.opening.sure for part in self.parts)

    @property
    def start(self) -> float | None:
        """When the last part can start, in seconds since the epoch."""
        starts = [part.opening.start for part in self.parts]
        known = [start for start in starts if start is not None]
        return max(known) if len(known) == len(starts) else None

    @property
    def waits_for(self) -> int:
        """How many gangs have to go first, each counted once."""
        return len({room.gang.uid for part in self.parts for room in part.opening.gone})

    @property
    def learned(self) -> int:
        """How many of these have an end that is only known from earlier runs."""
        return len({room.gang.uid for part in self.parts for room in part.opening.gone if room.gang.learned})

    def order(self) -> tuple[bool, float]:
        """What makes one head better than another: surely, then soon."""
        return not self.sure, self.start if self.start is not None else math.inf

    def keep(self, lands: Lands, gang: Gang) -> tuple[str, ...] | None:
        """Reserve every part for the gang; gives the nodes, each once. None, and nothing kept, where one fails."""
        nodes: dict[str, None] = {}
        for part in self.parts:
            answer = part.opening.future.place(part.gang, part.option)
            if not isinstance(answer, Placement):
                return None
            nodes |= dict.fromkeys(answer.nodes())
        for part in self.parts:
            lands.view(part.profile).hold(gang, part.opening, self.start)
        return tuple(nodes)


def earliest(one: Trial, allowed: Callable[[Trial, Way], bool], *, patient: bool) -> Head | None:
    """The head that could start first, of the ways that are ``allowed``; None where no way would ever do."""
    best: Head | None = None
    for way, scope in itertools.islice(_candidates(one, allowed), _LOOKS):
        found = _head(one, way, scope, patient=patient)
        if found is not None and (best is None or found.order() < best.order()):
            best = found
    return best


def _head(one: Trial, way: Way, scope: Scope, *, patient: bool) -> Head | None:
    found = []
    for profile, pieces in ways.by_profile(way).items():
        gang, option = _part(one, profile, pieces, scope)
        opening = one.lands.view(profile).opening(gang, option, patient=patient)
        if opening is None:
            return None
        found.append(Part(profile, gang, option, opening))
    return Head(way, tuple(found))


def _candidates(one: Trial, allowed: Callable[[Trial, Way], bool]) -> Iterator[tuple[Way, Scope]]:
    """Ways with whole groups, then pod by pod, each with the domains that could ever hold it; none with a head yet."""
    alone = [option.profile for option in one.gang.options]
    whole = (way for way in ways.in_order(one.mix, alone) if _free(one, list(ways.by_profile(way))))
    for way in itertools.islice((way for way in itertools.islice(whole, _LOOKS) if allowed(one, way)), _WAYS):
        for scope in _homes(one, list(ways.by_profile(way)), dict(ways.shares(way))):
            yield way, scope
    for profiles in itertools.islice(spread.sets(one.mix.profiles), _WAYS) if one.mix.within else ():
        if _free(one, list(profiles)) and one.meant(profiles, one.lands.shared(profiles), ()):
            for scope in _homes(one, list(profiles), {}):
                way, complete = spread.over(one.mix, profiles, one.gang.topology, _ever(one, scope))
                if complete and spread.sound(one, way):
                    yield way, scope


def _free(one: Trial, profiles: list[str]) -> bool:
    views = [one.lands.view(profile) for profile in profiles if one.stopped(profile) is None]
    return len(views) == len(profiles) and all(view.head is None and view.kept is None for view in views)


def _homes(one: Trial, profiles: list[str], cards: dict[str, int]) -> Iterator[Scope]:
    """Domains of the required level that have so many cards on each profile, the emptiest first; else anywhere."""
    required = one.gang.topology.required
    if not required:
        yield None
        return
    if not one.meant(profiles, one.lands.shared(tuple(profiles)), ()):
        return
    emptiest = reversed(list(one.lands.scopes(profiles, required, {}, most=0)))
    able = (at for at in emptiest if all(_cards(one, name, at) >= cards.get(name, 0) for name in profiles))
    yield from itertools.islice(able, _WAYS)


def _cards(one: Trial, profile: str, scope: Scope) -> int:
    """Cards of a profile in a scope, in use or not."""
    mask, ground = one.lands.mask(profile, scope), one.lands.view(profile).ground
    rows = ground.layout.rows if mask is None else ground.layout.rows[mask]
    return int(ground.inventory.capacity[rows, CARDS].sum())


def _ever(one: Trial, scope: Scope) -> spread.May:
    """Whether a part would fit once every running gang is gone."""
    empty: dict[str, Future] = {}

    def may(profile: str, own: Way, every: Way) -> bool:
        beyond = one.ledger.over(one.gang.team, ways.shares(every)) is not None
        if beyond or one.fault(profile, own) is not None:
            return False
        if profile not in empty:
            empty[profile] = one.lands.view(profile).emptied()
        return Prober(empty[profile], *_part(one, profile, own, scope)).fits()

    return may


def _part(one: Trial, profile: str, pieces: Way, scope: Scope) -> tuple[Gang, Option]:
    """A part that keeps to a scope by its node selector, since a future has to be asked for it again and again."""
    gang, option = one.part(profile, pieces)
    if scope is None:
        return gang, option
    labels = tuple(zip((level.label for level in scope[0]), scope[1], strict=True))
    groups = tuple(
        dataclasses.replace(shape, nodes=dataclasses.replace(shape.nodes, selector=(*shape.nodes.selector, *labels)))
        for shape in option.groups
    )
    kept = Option(profile, groups)
    return dataclasses.replace(gang, options=(kept,)), kept
