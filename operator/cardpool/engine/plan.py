"""One planning cycle: every gang gets a node for each of its pods, or nothing and the reason why.

Gangs are asked in the queue's order and each sees what those before it took, so no room and no quota is promised
twice. The answer depends on the arguments alone.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from enum import StrEnum
from functools import partial
from typing import Final

from cardpool.domain.gangs import (
    Eviction,
    Gang,
    Move,
    Option,
    Placement,
    PlanResult,
    Refusal,
    Reservation,
    Running,
)
from cardpool.domain.inventory import CARDS, Inventory
from cardpool.domain.teams import ALL, Moving, Reclaim, Rules
from cardpool.engine import (
    advice,
    elastic,
    explain,
    future,
    ground,
    growth,
    mixing,
    moves,
    order,
    outlook,
    preempt,
    quota,
    shrink,
    ways,
)
from cardpool.engine.future import Room
from cardpool.engine.heads import Head
from cardpool.engine.outlook import BLOCKING, Outlook
from cardpool.engine.reserve import Opening
from cardpool.names import Reason

WANTING: Final = BLOCKING | {Reason.QUOTA_EXCEEDED, Reason.WAITING_FOR_PREEMPTION}
_SEARCHES: Final = 16
_LOOKS: Final = 128


class Strategy(StrEnum):
    """What a gang that does not fit means for those behind it."""

    STRICT = "Strict"
    BEST_EFFORT = "BestEffort"
    BACKFILL = "Backfill"


def plan(
    inventory: Inventory,
    gangs: Iterable[Gang],
    *,
    now: float,
    strategy: str = Strategy.BEST_EFFORT,
    running: Sequence[Running] = (),
    rules: Rules | None = None,
) -> PlanResult:
    """An answer for each gang, in the queue's order; ``now`` in seconds since the epoch.

    Strict: nobody passes a head that waits for room, nobody of its team one that waits for quota. BestEffort: later
    gangs may pass. Backfill: they may where that does not delay the first of its profile that waits for room, and the
    first of a team that has waited for quota beyond the pool's patience has the next of it. A head that can never be
    placed as it is written (unknown level or profile) blocks nobody.
    """
    return _Cycle(inventory, running, rules or Rules(), now, strategy).run(list(gangs))


class _Cycle:
    """What one cycle has taken, and the refusals that still hold because nothing was taken since."""

    def __init__(
        self, inventory: Inventory, running: Sequence[Running], rules: Rules, now: float, strategy: str
    ) -> None:
        self.inventory, self.running, self.rules, self.now, self.strategy = inventory, running, rules, now, strategy
        self.ledger = quota.opened(rules, running)
        self.outlooks: dict[str, Outlook] = {}
        self.gone: set[str] = set()
        self.tracked = any(gang.exclusive for gang in running)
        self.refused: dict[Hashable, Refusal] = {}
        self.hopeless: set[Hashable] = set()
        self.impossible: set[Hashable] = set()
        self.unmixable: set[Hashable] = set()
        self.searches = 0
        self.sizes: dict[str, int] = {}
        self.lowest: dict[str, int] = {}
        for one in running:
            self.lowest[one.team] = min(one.priority, self.lowest.get(one.team, one.priority))
        self.head: Gang | None = None
        self.blocked: dict[str, tuple[Gang, frozenset[str]]] = {}
        self.evictions: list[Eviction] = []
        self.reservations: list[Reservation] = []
        self.preempting: list[Placement] = []
        self.moves: list[Move] = []
        self.vain: list[str] = []
        self.wake: float | None = None
        self.mixer = mixing.Mixer(inventory, self.ledger, self._outlook, self._behind)

    def run(self, gangs: list[Gang]) -> PlanResult:
        """Ask gang after gang."""
        self.tracked = self.tracked or any(gang.topology.exclusive for gang in gangs)
        placements: list[Placement] = []
        refusals: list[Refusal] = []
        waiting: list[Gang] = []
        unserved: list[Gang] = []
        queue = order.Queue(gangs, self.ledger, partial(order.capacities, self.inventory))
        while (gang := queue.pop()) is not None:
            answer = explain.behind(gang, self.head) if self.head is not None else self.answer(gang)
            if isinstance(answer, Placement):
                placements.append(answer)
                continue
            if self.head is None and answer.reason in BLOCKING | {Reason.QUOTA_EXCEEDED}:
                asked = elastic.least(gang)
                answer = self._preempt(asked, answer) or self._make_room(asked, answer) or self._hold(asked, answer)
            refusals.append(answer.told(answer.gang, len(refusals) + 1))
            if answer.reason in WANTING:
                unserved.append(gang)
            if len(waiting) < advice.FIRST:
                waiting.append(elastic.least(gang))
        if not any(refusal.reason in BLOCKING | {Reason.WAITING_FOR_PREEMPTION} for refusal in refusals):
            self._room_ahead()
        grower = growth.Grower(self.running, unserved, self._outlook, self.ledger, self.inventory.profiles)
        growing = grower.find(self.now) if not self.moves else []
        self._again(grower.wake)
        return PlanResult(
            placements=tuple(placements),
            refusals=tuple(refusals),
            evictions=tuple(self.evictions),
            growing=tuple(growing),
            reservations=tuple(self.reservations),
            preempting=tuple(self.preempting),
            moves=tuple(self.moves),
            vain=tuple(self.vain),
            wake=self.wake,
            advice=advice.Advisor(
                self.inventory, self._outlook, self.ledger, list(zip(waiting, refusals, strict=False)), self.now
            ),
        )

    def answer(self, gang: Gang) -> Placement | Refusal:
        """The gang's place, or why it has none; equal gangs in an unchanged pool get equal answers at no cost."""
        excused = tuple(one.excuses(gang) for one in self.outlooks.values() if one.start is not None)
        key = gang.team, excused, order.likeness(gang)
        if key in self.refused:
            return self.refused[key].told(gang.key)
        answer = self._try(gang)
        if isinstance(answer, Placement):
            self.refused.clear()
            self.ledger.hold(gang.team, answer.shares or quota.shares_placed(gang, answer))
        else:
            self.refused[key] = answer
        return answer

    def _try(self, gang: Gang) -> Placement | Refusal:
        """The gang in the first of its options that quota and room allow; a placement has taken its room."""
        if not gang.options and gang.mix is None:
            return explain.without_options(gang)
        if gang.previous and gang.mix is not None:
            again = self.mixer.keep(gang, gang.mix)
            if again is not None:
                return again
        stopped = {option.profile: refusal for option in gang.options if (refusal := self._stopped(gang, option))}
        if gang.previous:
            for option in gang.options:
                if option.profile not in stopped:
                    kept = self._outlook(option.profile).place(outlook.repaired, gang, option)
                    if isinstance(kept, Placement):
                        return kept
        refusals = dict(stopped)
        for option in gang.options:
            if option.profile in stopped:
                continue
            answer = self._outlook(option.profile).place(outlook.fresh, gang, option)
            if isinstance(answer, Placement):
                return answer
            if answer is not None:
                refusals[option.profile] = answer
        mixed: list[Refusal] = []
        if gang.mix is not None:
            answer = self.mixer.place(gang, gang.mix)
            if isinstance(answer, Placement):
                return answer
            if answer is not None:
                mixed.append(answer)
        less = self._smaller(gang, refusals)
        return less or explain.combined([*(refusals[one.profile] for one in gang.options), *mixed])

    def _smaller(self, gang: Gang, refusals: dict[str, Refusal]) -> Placement | None:
        """An elastic gang at the largest part of its full size that any profile holds, the first of equals.

        Where not even the least fits, the refusals say so.
        """
        lowest = elastic.least(gang)
        able: list[tuple[Option, Option, elastic.Place]] = []
        for option, few in zip(gang.options, lowest.options, strict=True):
            scale = elastic.scale(gang.topology, option)
            if scale is None or refusals[option.profile].reason not in BLOCKING | {Reason.QUOTA_EXCEEDED}:
                continue
            stop = self._stopped(gang, few)
            most = elastic.allowed(scale, option, partial(self._may, gang.team, option.profile))
            if stop is None and most is not None:
                able.append((option, few, elastic.largest(gang, option, scale, most)))
            elif stop is not None:
                refusals[option.profile] = explain.at_least(stop, few, option)
        if len(able) > 1:
            able.sort(key=lambda one: -self._part(lowest, *one))
        for option, few, how in able:
            answer = self._outlook(option.profile).place(how, lowest, few)
            if isinstance(answer, Placement):
                return answer
            if answer is not None:
                refusals[option.profile] = explain.at_least(answer, few, option)
        return None

    def _part(self, lowest: Gang, option: Option, few: Option, how: elastic.Place) -> float:
        """How much of its full size the gang would have in this profile."""
        answer = self._outlook(option.profile).trial(how, lowest, few)
        whole = sum(shape.replicas for shape in option.groups)
        return len(answer.nodes()) / whole if isinstance(answer, Placement) else 0.0

    def _may(self, team: str, profile: str, cards: int) -> bool:
        return self.ledger.beyond(team, profile, cards) is None

    def _stopped(self, gang: Gang, option: Option) -> Refusal | None:
        """Why the gang may not even look for room in this profile."""
        if option.profile not in self.inventory.profiles:
            return explain.unknown_profile(gang, option, self.inventory.profiles)
        if (behind := self._behind(gang, option.profile)) is not None:
            return behind
        limit = self.ledger.beyond(gang.team, option.profile, quota.cards_of(option))
        return self.ledger.refusal(gang, option, limit) if limit is not None else None

    def _behind(self, gang: Gang, profile: str) -> Refusal | None:
        """Why the gang may not use a profile whatever it asks for: its team's quota there is another's."""
        first, profiles = self.blocked.get(gang.team, (gang, frozenset[str]()))
        if first is not gang and (profile in profiles or ALL in profiles):
            return explain.behind_quota(gang, first)
        return None

    def _preempt(self, gang: Gang, refusal: Refusal) -> Refusal | None:
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
            view = self._outlook(option.profile)
            placement = view.claim(gang, option, victims)
            if placement is None:
                continue
            mixed = {room.gang.uid for room in victims if room.gang.mixed}
            for other in self.outlooks.values() if mixed else ():
                if other is not view:
                    other.left(mixed)
            for room in victims:
                self.ledger.hold(room.gang.team, room.shares, -1)
                size = self.sizes.get(room.gang.uid)
                text = preempt.words(gang, room.gang, self.now) + shrink.words(room.gang, size)
                self.evictions.append(Eviction(room.gang.key, gang.key, Reason.PREEMPTED, text, size))
            going = [room.gang for room in view.rooms() if room.gang.preempted or room in victims]
            return self._promise(gang, option, placement, going, refusal)
        self.hopeless.add(key)
        return None

    def _promise(
        self, gang: Gang, option: Option, placement: Placement, going: Sequence[Running], refusal: Refusal
    ) -> Refusal:
        """The gang has its place as soon as those are gone who are there now."""
        self.ledger.take(gang.team, option.profile, quota.cards_of(option))
        self.preempting.append(placement)
        self.reservations.append(Reservation(gang.key, tuple(dict.fromkeys(placement.nodes())), None))
        self.refused.clear()
        nodes = set(placement.nodes())
        if self.strategy == Strategy.STRICT:
            self.head = gang
        return explain.preempting(refusal, [one for one in going if any(node in nodes for node, _, _ in one.pods)])

    def _make_room(self, gang: Gang, refusal: Refusal) -> Refusal | None:
        """Let others move for the gang where the pool's policy allows it and it helps, or wait for those that move."""
        moving = self.rules.moving
        if moving is None or refusal.reason not in moves.SCATTERED:
            return None
        for option in gang.options:
            view = self.outlooks.get(option.profile)
            if view is None or view.kept is not None or not future.sound(view.ground, gang, option):
                continue
            if self._stopped(gang, option) is not None or not moves.scattered(view, option):
                continue
            found: moves.Moves | None = ()
            if not moves.coming(view, gang, option):
                since = (gang.queued or gang.created) + moving.after if moving.after else self.now
                found = self._moves(view, gang, option, moving, since)
            placement = view.shift(found, gang, option) if found is not None else None
            if found is None or placement is None:
                continue
            self.moves += moves.told(found, gang.key, gang.key)
            going = [room.gang for room in view.rooms() if room.gang.preempted or room.gang.uid in view.gone]
            return self._promise(gang, option, placement, going, refusal)
        return None

    def _room_ahead(self) -> None:
        """Nobody waits for room: bring free cards together for those who may come, where the pool's policy says so."""
        moving = self.rules.moving
        for gang in moving.ahead if moving is not None else ():
            option = gang.options[0]
            if moving is None or option.profile not in self.inventory.profiles:
                continue
            view = self._outlook(option.profile)
            fits = (
                future.Prober(moves.ahead(view), gang, option).fits()
                if future.sound(view.ground, gang, option)
                else True
            )
            if fits or not moves.scattered(view, option):
                continue
            found = self._moves(view, gang, option, moving, self.now)
            if found is not None and view.shift(found, None, option) is not None:
                self.moves += moves.told(found, "", gang.key)

    def _moves(self, view: Outlook, gang: Gang, option: Option, moving: Moving, since: float) -> moves.Moves | None:
        """The moves for a gang, from some moment on; None where there are none, or none now."""
        left = moving.left - len(self.moves)
        if self.now < since or left <= 0:
            self._again(since if self.now < since else moving.due)
            return None
        if gang.key in moving.vain or self.vain or self.moves:
            self._again(self.now + (moves.VAIN if gang.key in moving.vain else 1.0))
            return None
        found = moves.find(view, gang, option, moving, left, self.rules.min_runtime)
        if found is None:
            self.vain.append(gang.key)
            self._again(self.now + moves.VAIN)
        return found

    def _hopes(self, gang: Gang) -> bool:
        """False where the rules cannot allow that anybody goes for this gang: cheap, asked for all who wait."""
        if self.rules.within_team and self.lowest.get(gang.team, gang.priority) < gang.priority:
            return True
        if self.rules.reclaim is Reclaim.NEVER:
            return False
        return any(self.ledger.inside(gang.team, one.profile, quota.cards_of(one)) for one in gang.options)

    def _victims(self, gang: Gang, option: Option) -> list[Room] | None:
        """Who has to go for the gang in this profile: nobody where enough go already, None where nothing helps."""
        if option.profile not in self.inventory.profiles or self._behind(gang, option.profile) is not None:
            return None
        view = self._outlook(option.profile)
        if view.kept is not None or not future.sound(view.ground, gang, option):
            return None
        late, rooms = view.late(), [room for room in view.rooms() if room.gang.uid not in view.gone]
        going = any(room.gang.preempted for room in rooms)
        allowed = self.ledger.beyond(gang.team, option.profile, quota.cards_of(option)) is None
        if going and allowed and future.Prober(late, gang, option).fits():
            return []
        found = preempt.candidates(gang, option, rooms, self.ledger, self.now)
        self._again(found.due)
        free = int(late.ground.free[:, CARDS].sum()) + sum(room.cards for room in found.rooms)
        if not found.rooms or free < quota.cards_of(option) or self.searches >= _SEARCHES:
            return None
        self.searches += 1
        smaller = shrink.search(late, gang, option, found.rooms, self.ledger, self.now)
        if smaller is not None:
            self.sizes = {room.gang.uid: pods for room, pods in smaller}
            return [room for room, _ in smaller]
        self.sizes = {}
        return preempt.search(late, gang, option, found.rooms, self.ledger, self.now)

    def _hold(self, gang: Gang, refusal: Refusal) -> Refusal:
        """What a gang that waits means for those behind it, as the strategy says."""
        waited = self.now - (gang.queued or gang.created)
        patient = waited < self.rules.patience
        if self.strategy == Strategy.STRICT:
            if refusal.reason in BLOCKING and gang.team not in self.blocked:
                self.head = gang
            elif refusal.reason is Reason.QUOTA_EXCEEDED:
                self._block(gang)
        elif self.strategy == Strategy.BACKFILL:
            if refusal.reason is Reason.QUOTA_EXCEEDED:
                if patient:
                    self._again(self.now - waited + self.rules.patience)
                elif gang.team not in self.blocked:
                    self._block(gang)
            elif refusal.reason in BLOCKING:
                return self._reserve(gang, refusal, patient=patient)
        return refusal

    def _block(self, gang: Gang) -> None:
        """The next of the team's quota is this gang's, unless it could never get as much."""
        profiles = set()
        for option in gang.options:
            cards = quota.cards_of(option)
            limit = self.ledger.beyond(gang.team, option.profile, cards)
            if limit is not None and self.ledger.never(gang.team, option.profile, cards) is None:
                profiles.add(limit.profile)
        if not gang.options and gang.mix is not None:
            profiles |= self.mixer.limits(gang, gang.mix)
        if profiles:
            self.blocked[gang.team] = gang, frozenset(profiles)
            self.refused.clear()

    def _reserve(self, gang: Gang, refusal: Refusal, *, patient: bool) -> Refusal:
        """Keep room for the first of a profile that waits for it; one that can never have it is not the first."""
        found = self._openings(gang, patient=patient)
        sure = [one for one in found if one[2].sure]
        if not sure:
            mixed = self._mixed_head(gang, patient=patient)
            if mixed is not None and mixed.sure:
                return self._keep_mixed(gang, refusal, mixed)
            waits = [view for _, view, _ in found]
            waits += [self._outlook(part.profile) for part in mixed.parts] if mixed is not None else []
            for view in waits:
                view.head = gang
                self._again((gang.queued or gang.created) + self.rules.patience)
            return refusal
        option, view, opening = min(sure, key=lambda one: one[2].start if one[2].start is not None else math.inf)
        placement = view.keep(gang, option, opening)
        if placement is None:
            return refusal
        self.ledger.keep(gang.team, option.profile, quota.cards_of(option))
        self.reservations.append(Reservation(gang.key, tuple(dict.fromkeys(placement.nodes())), opening.start))
        self.refused.clear()
        nodes = len(set(placement.nodes()))
        return explain.reserved(refusal, nodes, opening.start, opening.waits_for, opening.learned)

    def _openings(self, gang: Gang, *, patient: bool) -> list[tuple[Option, Outlook, Opening]]:
        """When the gang could start in each profile that has no head yet; some are looked at in a cycle, not all."""
        views = [(option, self.outlooks.get(option.profile)) for option in gang.options]
        free = [(option, view) for option, view in views if view is not None and view.head is None]
        key = (gang.team, order.likeness(gang)) if free else None
        if not free or key in self.impossible or len(self.impossible) >= _SEARCHES:
            return []
        found = []
        for option, view in free:
            if self._stopped(gang, option) is None and future.sound(view.ground, gang, option):
                opening = view.opening(gang, option, patient=patient)
                if opening is not None:
                    found.append((option, view, opening))
        if not found:
            self.impossible.add(key)
        return found

    def _mixed_head(self, gang: Gang, *, patient: bool) -> Head | None:
        """When the gang could start on several profiles together that have no head yet."""
        if gang.mix is None or len(self.unmixable) >= _SEARCHES:
            return None
        key = gang.team, order.likeness(gang)
        found = self.mixer.opening(gang, gang.mix, patient=patient) if key not in self.unmixable else None
        if found is None:
            self.unmixable.add(key)
        return found

    def _keep_mixed(self, gang: Gang, refusal: Refusal, head: Head) -> Refusal:
        nodes = head.keep(self.mixer.lands, gang)
        if nodes is None:
            return refusal
        self.ledger.hold(gang.team, ways.shares(head.way))
        self.reservations.append(Reservation(gang.key, nodes, head.start))
        self.refused.clear()
        return explain.reserved(refusal, len(nodes), head.start, head.waits_for, head.learned)

    def _again(self, moment: float | None) -> None:
        if moment is not None and moment > self.now:
            self.wake = moment if self.wake is None else min(self.wake, moment)

    def _outlook(self, profile: str) -> Outlook:
        if profile not in self.outlooks:
            start = ground.start(self.inventory, self.inventory.profiles.index(profile))
            self.outlooks[profile] = Outlook(start, self.running, self.now, tracked=self.tracked, gone=self.gone)
        return self.outlooks[profile]
