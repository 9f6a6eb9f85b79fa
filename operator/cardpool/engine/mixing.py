"""One gang on several profiles: every way of spreading it is cut into one part a profile, and all parts fit or none.

Profiles share no node, so a part is placed by the planner of its own profile, in its own tree, beside whatever is kept
there for others; what joins the parts is the quota and the domain that all must share. Nothing is ever taken for a
gang that does not start.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Final

from cardpool.domain.gangs import Gang, Mix, Placement, Refusal
from cardpool.domain.inventory import Inventory
from cardpool.engine import heads, place, spread, trial, ways, wording
from cardpool.engine.heads import Head
from cardpool.engine.lands import Lands
from cardpool.engine.outlook import Outlook
from cardpool.engine.quota import Ledger
from cardpool.engine.trial import Plan, Trial
from cardpool.engine.ways import Way
from cardpool.names import Reason

WAYS: Final = 64
_LOOKS: Final = 4096
_DOMAINS: Final = 16


class Mixer:
    """What mixed gangs are placed by in one cycle; ``stopped`` tells why a gang may not use a profile at all."""

    __slots__ = ("lands", "ledger", "stopped")

    def __init__(
        self,
        inventory: Inventory,
        ledger: Ledger,
        view: Callable[[str], Outlook],
        stopped: Callable[[Gang, str], Refusal | None],
    ) -> None:
        self.lands, self.ledger, self.stopped = Lands(inventory, view), ledger, stopped

    def place(self, gang: Gang, mix: Mix) -> Placement | Refusal | None:
        """The first way that quota and room allow, its room taken; else why not, None where there is nothing to mix.

        Whole groups first, then pod by pod where that is allowed.
        """
        one = Trial(self.lands, self.ledger, self.stopped, gang, mix)
        alone = [option.profile for option in gang.options]
        tried = 0
        for way in itertools.islice(ways.in_order(mix, alone), _LOOKS):
            if _allowed(one, way):
                tried += 1
                found = _settled(one, way) if _roomy(one, way) else None
                if found is not None:
                    return found
            if tried == WAYS:
                break
        pods = spread.Pods(one) if mix.within else None
        if pods is not None and (found := pods.place()) is not None:
            return found
        return _refusal(one, tried, pods)

    def keep(self, gang: Gang, mix: Mix) -> Placement | None:
        """The way that the gang was spread by before, ranks that can where they were; None where that cannot be."""
        way = ways.before(mix, gang.previous, {node: self.lands.profile_of(node) for node in gang.previous.values()})
        if way is None or len(ways.by_profile(way)) < 2 or self.ledger.over(gang.team, ways.shares(way)) is not None:
            return None
        one, plans = Trial(self.lands, self.ledger, self.stopped, gang, mix), list[Plan]()
        back = ways.previous(way, gang.previous)
        scope = self.lands.home(list(back), gang.topology.required, list(gang.previous.values()))
        for profile, pieces in ways.by_profile(way).items():
            if one.stopped(profile) is not None or one.fault(profile, pieces) is not None:
                return None
            part, option = one.part(profile, pieces)
            part = dataclasses.replace(part, previous=back[profile])
            ways_back = (place.keep, trial.inside(self.lands.mask(profile, scope)))
            how = next((how for how in ways_back if one.would(how, profile, part, option)), None)
            if how is None:
                return None
            plans.append((profile, how, part, option))
        return one.take(way, plans)

    def opening(self, gang: Gang, mix: Mix, *, patient: bool) -> Head | None:
        """When and where the gang could start mixed; None where it never could, or others are first there."""
        return heads.earliest(Trial(self.lands, self.ledger, self.stopped, gang, mix), _allowed, patient=patient)

    def limits(self, gang: Gang, mix: Mix) -> frozenset[str]:
        """The profiles (or ``*``) whose quota the gang's first ways wait for, and could have as much of at all."""
        alone, found = [option.profile for option in gang.options], set[str]()
        for way in itertools.islice(ways.in_order(mix, alone), _DOMAINS):
            shares = ways.shares(way)
            limit = self.ledger.over(gang.team, shares)
            if limit is not None and self.ledger.none().over(gang.team, shares) is None:
                found.add(limit.profile)
        return frozenset(found)


def _allowed(one: Trial, way: Way) -> bool:
    """Whether the way is worth a try: its demands can be meant, and quota allows it."""
    if not ways.even(way, one.gang.topology):
        text = "a block of consecutive ranks would have pods of two profiles"
        return one.no(way, Refusal(one.gang.key, Reason.TOPOLOGY_UNFIT, text))
    for profile, pieces in ways.by_profile(way).items():
        stop = one.stopped(profile) or one.fault(profile, pieces)
        if stop is not None:
            return one.no(way, stop)
    shares = ways.shares(way)
    limit = one.ledger.over(one.gang.team, shares)
    if limit is not None:
        return one.no(way, one.ledger.refused(one.gang, shares, limit, ways.pods(way)))
    return True


def _roomy(one: Trial, way: Way) -> bool:
    """Whether each part has room by itself."""
    subs = ways.by_profile(way)
    short = [profile for profile, pieces in subs.items() if not one.fits(profile, pieces, None)]
    if short and (one.why is None or one.why[1].reason is Reason.QUOTA_EXCEEDED):
        answer = one.lands.view(short[0]).place(place.place, *one.part(short[0], subs[short[0]]))
        others = sum(ways.pods(subs[name]) for name in subs if name not in short)
        if isinstance(answer, Refusal):
            one.no(way, dataclasses.replace(answer, fit=answer.fit + others))
    return not short


def _settled(one: Trial, way: Way) -> Placement | None:
    """The way in the narrowest domain that all profiles share and that holds it, else wherever it may be."""
    subs, required = ways.by_profile(way), one.gang.topology.required
    if not one.meant(list(subs), one.lands.shared(tuple(subs)), way):
        return None
    for scope in one.lands.scopes(list(subs), required, dict(ways.shares(way)), most=_DOMAINS):
        if all(one.fits(profile, pieces, scope) for profile, pieces in subs.items()):
            return one.settle(way, scope)
    one.no(way, Refusal(one.gang.key, Reason.TOPOLOGY_UNFIT, f"each part has room, but not all in one {required}"))
    return None


def _refusal(one: Trial, tried: int, pods: spread.Pods | None) -> Refusal | None:
    """Why no way will do: the first that was looked at, how many there were, and how far single pods came."""
    if one.why is None:
        return pods.refusal() if pods is not None else None
    way, refusal = one.why
    every = ways.count(one.mix)
    more = [f"{tried} of up to {every} ways to mix were tried"] if tried == WAYS < every else []
    more += [pods.words()] if pods is not None else []
    return wording.mixed(refusal, ways.words(way), "".join(f"; {text}" for text in more), ways.pods(way))
