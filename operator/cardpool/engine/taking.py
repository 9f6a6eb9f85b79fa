"""Others go for a gang: who may be taken down or made smaller for it in this cycle, and what that sets in motion.

Nobody goes in vain: victims are named only with the place that they leave for the gang, and it is promised at once; and
nobody goes who would be asked before the gang once it waits again, and would take the place back. What others before
the gang in the queue would take of the room is added to what has to become free.
Searches are dear, so a cycle makes few; a likeness for which nothing helped is not looked at twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Final

from cardpool.domain.gangs import Eviction, Gang, Option, Refusal
from cardpool.domain.inventory import CARDS
from cardpool.domain.teams import Reclaim
from cardpool.engine import casualties, order, preempt, probe, quota, shrink
from cardpool.engine.cycle import Cycle
from cardpool.engine.future import Future
from cardpool.engine.occupancy import Room
from cardpool.engine.outlook import Outlook
from cardpool.engine.quota import Ledger
from cardpool.engine.rivals import Rivals
from cardpool.names import Reason

_SEARCHES: Final = 16
_LOOKS: Final = 128
_ROUNDS: Final = 4
_TAKEN_BACK: Final = 16


class Taker:
    """Takes others down for gangs in this cycle; ``lowest`` is the least priority that runs of each team.

    ``placed`` has the uids of those that have a place: one that moved leaves its old one and does not wait again.
    """

    __slots__ = ("cycle", "hopeless", "later", "lowest", "placed", "rivals", "searches", "sizes")

    def __init__(self, cycle: Cycle, rivals: Rivals) -> None:
        self.cycle, self.rivals = cycle, rivals
        self.later: Future | None = None
        self.hopeless: set[Hashable] = set()
        self.searches = 0
        self.sizes: dict[str, int] = {}
        self.placed = {one.uid for one in cycle.running if not one.leaving}
        self.lowest: dict[str, int] = {}
        for one in cycle.running:
            self.lowest[one.team] = min(one.priority, self.lowest.get(one.team, one.priority))

    def take(self, gang: Gang, refusal: Refusal) -> Refusal | None:
        """Take others down for the gang where the rules allow it and it helps, or wait for those that are going."""
        if len(self.hopeless) >= _LOOKS or not self._hopes(gang):
            return None
        key = gang.team, gang.priority, order.likeness(gang)
        if key in self.hopeless:
            return None
        for option in gang.options:
            victims = self._victims(gang, option)
            if victims is None:
                continue
            view = self.cycle.outlook(option.profile)
            placement = view.claim(gang, option, victims, self.later)
            if placement is None:
                continue
            self._evict(gang, view, victims)
            going = [room.gang for room in view.rooms() if room.gang.preempted or room in victims]
            return self.cycle.promise(gang, option, placement, going, refusal)
        self.hopeless.add(key)
        return None

    def _hopes(self, gang: Gang) -> bool:
        """False where the rules cannot allow that anybody goes for this gang: cheap, asked for all who wait."""
        rules, ledger = self.cycle.rules, self.cycle.ledger
        if rules.within_team and self.lowest.get(gang.team, gang.priority) < gang.priority:
            return True
        if rules.reclaim is Reclaim.NEVER:
            return False
        return any(ledger.inside(gang.team, one.profile, quota.cards_of(one)) for one in gang.options)

    def _victims(self, gang: Gang, option: Option) -> list[Room] | None:
        """Who has to go for the gang in this profile: nobody where enough go already, None where nothing helps.

        ``later`` is the room as it will be then, where others before the gang take of it.
        """
        cycle, self.later = self.cycle, None
        if option.profile not in cycle.inventory.profiles or cycle.behind(gang, option.profile) is not None:
            return None
        view = cycle.outlook(option.profile)
        if view.kept is not None or not probe.sound(view.ground, gang, option):
            return None
        late, rooms = view.late(), [room for room in view.rooms() if room.gang.uid not in view.gone]
        going = any(room.gang.preempted for room in rooms)
        allowed = cycle.ledger.beyond(gang.team, option.profile, quota.cards_of(option)) is None
        if going and allowed and probe.Prober(late, gang, option).fits():
            leaving = [room for room in rooms if room.gang.preempted and room.gang.uid not in self.placed]
            back = self._back_before(gang, leaving)
            return [] if not back or probe.Prober(late.without(back), gang, option).fits() else None
        found = preempt.candidates(gang, option, rooms, cycle.ledger, cycle.now)
        cycle.again(found.due)
        chosen = order.behind(gang, cycle.shadow, found.rooms)
        free = int(late.ground.free[:, CARDS].sum()) + sum(room.cards for room in chosen)
        if not chosen or free < quota.cards_of(option) or self.searches >= _SEARCHES:
            return None
        self.searches += 1
        cycle.fickle = True  # victims are weighed by what they would lose
        smaller = shrink.search(late, gang, option, chosen, cycle.ledger, cycle.now)
        shrinking = [room for room, _ in smaller or ()]
        if smaller is not None and not self._grows_back(gang, shrinking) and self._left(gang, option, late, shrinking):
            self.sizes = {room.gang.uid: pods for room, pods in smaller}
            return shrinking
        self.sizes = {}
        victims = self._enough(gang, option, late, chosen)
        return None if victims is None or self._back_before(gang, victims) else victims

    def _enough(self, gang: Gang, option: Option, late: Future, chosen: Sequence[Room]) -> list[Room] | None:
        """Victims whose room holds the gang when others before it have taken theirs; None where no choice helps."""
        gone: list[Room] = []
        base, books = late, self.cycle.ledger
        for _ in range(_ROUNDS):
            rest = [room for room in chosen if room not in gone]
            victims = casualties.search(base, gang, option, rest, books, self.cycle.now)
            if not victims:
                return None
            gone += victims
            if self._left(gang, option, late, gone):
                return gone if len(victims) == len(gone) else self._needed(gang, option, late, gone)
            base, books, _ = self._after(gang, option, late, gone)
        return None

    def _needed(self, gang: Gang, option: Option, late: Future, gone: Sequence[Room]) -> list[Room]:
        """Those of them without whom somebody would lack room, the dearest taken back first; a few are looked at."""
        kept, now = list(gone), self.cycle.now
        dear = sorted(gone, key=lambda room: (-preempt.lost(room.gang, room.cards, now), room.gang.key))
        for room in dear[:_TAKEN_BACK]:
            rest = [one for one in kept if one is not room]
            if self._left(gang, option, late, rest, alone=False):
                kept = rest
        self._left(gang, option, late, kept)
        return kept

    def _left(self, gang: Gang, option: Option, late: Future, gone: Sequence[Room], *, alone: bool = True) -> bool:
        """True where the gang has its place when these are gone, behind those before it.

        ``alone`` says that it is known to have it where nobody is before it.
        """
        later, books, taken = self._after(gang, option, late, gone)
        self.later = later if taken else None
        if alone and not taken:
            return True
        fits = probe.Prober(later, gang, option, thorough=True).fits()
        return fits and books.beyond(gang.team, option.profile, quota.cards_of(option)) is None

    def _after(self, gang: Gang, option: Option, late: Future, gone: Sequence[Room]) -> tuple[Future, Ledger, bool]:
        """The room and the quotas when these are gone and those before have taken theirs, if anybody has."""
        later, books = late.copy(), self.cycle.ledger.copy()
        later.settle(gone)
        for room in gone:
            books.hold(room.gang.team, room.shares, -1)
        teams = [room.gang.team for room in gone]
        return later, books, self.rivals.served(gang, teams, option.profile, later, books)

    def _back_before(self, gang: Gang, victims: Sequence[Room]) -> list[Room]:
        """Those of them that are asked before the gang once they wait again, and would take their room back."""
        if all(room.gang.team == gang.team and room.gang.priority < gang.priority for room in victims):
            return []
        cycle, ledger = self.cycle, self.cycle.ledger.copy()
        for room in victims:
            if not room.gang.preempted:
                ledger.hold(room.gang.team, room.shares, -1)
        capacity = order.capacities(cycle.inventory)
        return [room for room in victims if order.outranks(ledger, room.gang, gang, cycle.shadow, capacity)]

    def _grows_back(self, gang: Gang, shrinking: Sequence[Room]) -> bool:
        """The same for gangs that come back no larger than they fit beside the gang, whatever else they accept."""
        return bool(self._back_before(gang, [replace(room, gang=replace(room.gang, accepts=())) for room in shrinking]))

    def _evict(self, gang: Gang, view: Outlook, victims: Sequence[Room]) -> None:
        """The victims leave what they hold on every profile, give back their quota and are told why."""
        cycle = self.cycle
        mixed = {room.gang.uid for room in victims if room.gang.mixed}
        for other in cycle.outlooks.values() if mixed else ():
            if other is not view:
                other.left(mixed)
        for room in victims:
            cycle.ledger.hold(room.gang.team, room.shares, -1)
            size = self.sizes.get(room.gang.uid)
            text = preempt.words(gang, room.gang, cycle.now) + shrink.words(room.gang, size)
            cycle.evictions.append(Eviction(room.gang.key, gang.key, Reason.PREEMPTED, text, size))
