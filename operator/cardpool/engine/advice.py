"""What would let a waiting gang start, told as one clause: the cheapest remedy that was found true at the cycle's end.

Judged on the room and the quota that are left after every placement of the cycle, and only when somebody asks: what
nobody is told costs nothing. Bounded to the first of the queue and to so many different shapes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Final

from cardpool.domain.gangs import Gang, Option, Refusal
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import ALL, Limit
from cardpool.engine import fit, order, probe, quota, remedy, wording
from cardpool.engine.attempt import Attempt
from cardpool.engine.future import Future
from cardpool.engine.occupancy import Room
from cardpool.engine.outlook import BLOCKING, Outlook
from cardpool.engine.quota import Ledger
from cardpool.engine.remedy import Kind, Remedy
from cardpool.engine.reserve import Exits
from cardpool.names import Reason

FIRST: Final = 50  # so many of the queue are advised
_SHAPES: Final = 12  # so many different questions are looked into in a cycle, those of the first in the queue
_NAMED: Final = 4
_NODES: Final = 4096  # on larger profiles fewer, so that a cycle's advice costs about the same

Waiting = Sequence[tuple[Gang, Refusal]]


class Advisor:
    """The end of one cycle, to be asked about those that wait; ``waiting`` is the head of its queue, in order."""

    def __init__(
        self,
        inventory: Inventory,
        outlook: Callable[[str], Outlook],
        ledger: Ledger,
        waiting: Waiting,
        now: float,
    ) -> None:
        self.inventory, self.outlook, self.ledger, self.now = inventory, outlook, ledger, now
        self.waiting = {refusal.gang: (gang, refusal) for gang, refusal in waiting[:FIRST]}
        self.found: dict[Hashable, Remedy | None] = {}
        self.most = max(3, _SHAPES * _NODES // max(_NODES, len(inventory.names)))
        self.kinds: dict[str, Hashable] | None = None
        self.sides: dict[Hashable, tuple[Future, list[Room], Exits]] = {}

    def of(self, gang: str) -> str:
        """What would free it, empty where nothing is known to."""
        found = self.remedy(gang)
        if found is None:
            return ""
        return found.text + self._unless(gang, found)

    def remedy(self, key: str) -> Remedy | None:
        """The cheapest thing that would do for this gang, None where none was found or looked for."""
        if self.kinds is None:
            self.kinds = self._first()
        if key not in self.kinds:
            return None
        kind = self.kinds[key]
        if kind not in self.found:
            self.found[kind] = self._look(*self.waiting[key])
        return self.found[kind]

    def _first(self) -> dict[str, Hashable]:
        """Who is advised, and his question: who asked before makes no difference to what anybody is told."""
        kinds: dict[str, Hashable] = {}
        seen: set[Hashable] = set()
        for key, (gang, refusal) in self.waiting.items():
            if refusal.reason is not Reason.QUOTA_EXCEEDED and refusal.reason not in BLOCKING:
                continue
            views = [self.outlook(one.profile) for one in gang.options if one.profile in self.inventory.profiles]
            part = any(view.head is gang or view.claimed is gang for view in views)
            kind = gang.team, refusal.reason, part, gang.runtime, order.likeness(gang)
            if kind in seen or len(seen) < self.most:
                seen.add(kind)
                kinds[key] = kind
        return kinds

    def nodes(self, gang: str) -> dict[str, tuple[int, tuple[str, ...]]]:
        """How many nodes each cause excludes now in the first option, and some names; nothing for who is far behind."""
        asked = self.waiting.get(gang)
        option = next((one for one in asked[0].options if self._sound(asked[0], one)), None) if asked else None
        if asked is None or option is None:
            return {}
        ground = self.outlook(option.profile).ground
        attempt = Attempt(ground, asked[0], option)
        number = max(range(len(option.groups)), key=lambda at: option.groups[at].cards_per_pod)
        return fit.examples(ground, attempt.fits[number], option.groups[number], _NAMED)

    def quota(self, gang: str) -> list[str]:
        """What the team uses of each limit that the gang would draw on, in words."""
        if gang not in self.waiting:
            return []
        asked = self.waiting[gang][0]
        limits = dict.fromkeys(
            limit for option in asked.options for limit in self.ledger.limits(asked.team, option.profile)
        )
        words = []
        for limit in limits:
            used, most = self.ledger.used(asked.team, limit), self.ledger.most(asked.team, limit)
            text = f"{used} of {limit.nominal} {limit.unit} (+{max(0, most - limit.nominal)} it may borrow now)"
            kept = self.ledger.kept_for_waiting(asked.team, limit)
            words.append(f"{text}, {kept} of them kept for gangs that wait" if kept else text)
        return words

    def _unless(self, key: str, found: Remedy) -> str:
        """Others may want the same: those before it, and those whose team's share falls when a gang goes."""
        gang, own = self.waiting[key]
        profiles = {option.profile for option in gang.options}
        rivals = [
            (refusal.position < own.position, other.team != gang.team)
            for other, refusal in self.waiting.values()
            if refusal is not own and profiles & {option.profile for option in other.options}
        ]
        before = sum(1 for earlier, _ in rivals if earlier)
        if before == 1:
            return ", unless the one before it takes the room"
        if before:
            return f", unless one of the {before} before it takes the room"
        if found.gangs and any(foreign for _, foreign in rivals):
            return ", unless a job of another team takes the room"
        return ""

    def _look(self, gang: Gang, refusal: Refusal) -> Remedy | None:
        options = [option for option in gang.options if self._sound(gang, option)]
        if refusal.reason is Reason.QUOTA_EXCEEDED:
            ways = [(option, self._quota(gang, option)) for option in options]
        elif refusal.reason in BLOCKING:
            ways = [(option, self._room(gang, option)) for option in options if self._allowed(gang, option)]
        else:
            return None
        found = [(option, way) for option, way in ways if way is not None]
        if not found:
            return None
        rank = list(Kind).index
        option, best = min(found, key=lambda item: rank(item[1].kind))
        if len(gang.options) > 1:
            return dataclasses.replace(best, text=f"on {option.profile}: {best.text}")
        return best

    def _sound(self, gang: Gang, option: Option) -> bool:
        if option.profile not in self.inventory.profiles:
            return False
        return probe.sound(self.outlook(option.profile).ground, gang, option)

    def _allowed(self, gang: Gang, option: Option) -> bool:
        """Whether quota lets it look for room; for who has a reservation it is counted already."""
        view = self.outlook(option.profile)
        if view.head is gang and view.kept is not None:
            return True
        return self.ledger.beyond(gang.team, option.profile, quota.cards_of(option)) is None

    def _room(self, gang: Gang, option: Option) -> Remedy | None:
        view = self.outlook(option.profile)
        return self._in_time(view, gang, option) or next(self._remedies(gang, option), None)

    def _remedies(self, gang: Gang, option: Option) -> Iterator[Remedy]:
        base, held, exits = self._beside(gang, option)
        if remedy.fits(base, gang, option):
            return
        yield from remedy.remedies(base, gang, option, held, exits)

    def _beside(self, gang: Gang, option: Option) -> tuple[Future, list[Room], Exits]:
        """The room beside what is kept for others, who holds some of it, and as they leave: made once for all alike."""
        view = self.outlook(option.profile)
        key = option.profile, view.side(gang)
        if key not in self.sides:
            base, held = view.beside(gang)
            self.sides[key] = base, held, Exits(base, held, self.now)
        return self.sides[key]

    def _in_time(self, view: Outlook, gang: Gang, option: Option) -> Remedy | None:
        """A gang that would fit but for the head's reservation, and might be done before it begins."""
        if view.start is None or view.head is gang or view.start - self.now < 1:
            return None
        seconds = int(view.start - self.now)
        brief = dataclasses.replace(gang, runtime=float(seconds))
        if (
            not view.excuses(brief)
            or view.excuses(gang)
            or not remedy.fits(self._beside(brief, option)[0], brief, option)
        ):
            return None
        text = f"would start now if it declared to end by {wording.moment(view.start)} (spec.expectedRuntimeSeconds)"
        return Remedy(Kind.CHANGED, text, changed=(brief, option))

    def _quota(self, gang: Gang, option: Option) -> Remedy | None:
        cards = quota.cards_of(option)
        how = self._gives_back(gang, option, cards)
        if not how:
            return None
        if remedy.fits(self._beside(gang, option)[0], gang, option):
            return Remedy(Kind.QUOTA, f"fits {how}")
        room = next(self._remedies(gang, option), None)
        rest = room.text if room is not None else "nothing is known to help"
        return Remedy(Kind.QUOTA, f"its quota allows it {how}; room is lacking too: {rest}")

    def _gives_back(self, gang: Gang, option: Option, cards: int) -> str:
        """How the team's quota comes to allow so many more cards on this profile; tried on a copy of the ledger."""
        broken = self.ledger.broken(gang.team, option.profile, cards)
        if not broken:
            return ""
        more = " and ".join(f"{self._short(gang.team, option.profile, one, cards)} {one.unit}" for one in broken)
        bought = f"with a quota of {more} more for team {gang.team}"
        if self.ledger.never(gang.team, option.profile, cards) is not None:
            return bought
        for room in self._ending(gang.team, option.profile):
            later = self.ledger.copy()
            later.hold(room.gang.team, room.shares, -1)
            if later.beyond(gang.team, option.profile, cards) is None:
                when = wording.moment(room.gang.ends or self.now)
                return f"once {room.gang.key} of team {room.gang.team} ends (expected {when})"
        for team in (*self._lenders(gang.team, option.profile), gang.team):
            need = max(self._in_cards(option.profile, one, gang.team, cards) for one in broken)
            kept = self.ledger.kept.get((team, option.profile), 0)
            held = self.ledger.held.get(team, {}).get(option.profile, 0) - kept
            later = self.ledger.copy()
            later.take(team, option.profile, -min(need, held))
            if held and later.beyond(gang.team, option.profile, cards) is None:
                verb = "gives back" if team != gang.team else "itself gives back"
                return f"once team {team} {verb} {min(need, held)} {option.profile} cards, or {bought}"
        return bought

    def _short(self, team: str, profile: str, limit: Limit, cards: int) -> int:
        """By how much these cards break the limit, in its own unit."""
        amount = cards * self.ledger.rules.compute.get(profile, 100) if limit.compute else cards
        return self.ledger.used(team, limit) + amount - self.ledger.most(team, limit)

    def _in_cards(self, profile: str, limit: Limit, team: str, cards: int) -> int:
        short = self._short(team, profile, limit, cards)
        return -(-short // self.ledger.rules.compute.get(profile, 100)) if limit.compute else short

    def _ending(self, team: str, profile: str) -> list[Room]:
        """Gangs with a known end whose quota the team could use, the first to end first."""
        rooms = self.outlook(profile).rooms()
        ending = [room for room in rooms if room.gang.ends is not None and room.gang.ends > self.now]
        lenders = {team, *self._lenders(team, profile)}
        near = [room for room in ending if room.gang.team in lenders and not room.gang.preempted]
        return sorted(near, key=lambda room: (room.gang.ends or 0.0, room.gang.key))

    def _lenders(self, team: str, profile: str) -> list[str]:
        """Other teams that hold more than their own in a dimension that counts here, by name."""
        found = []
        for name, other in sorted(self.ledger.rules.teams.items()):
            over = any(
                self.ledger.used(name, limit) > limit.nominal
                for limit in other.limits
                if limit.profile in {profile, ALL}
            )
            if over and name != team:
                found.append(name)
        return found
