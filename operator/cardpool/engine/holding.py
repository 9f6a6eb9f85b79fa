"""What a gang that waits means for those behind it: nothing, a stop, its team's quota kept, or room kept for a start.

A strict queue stops at its head; a Backfill queue keeps room for the first of each profile that could ever start there
and none for the others, so what is kept is kept for a start. A team's quota is kept for one gang at a time, and only
where it could have as much at all.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final

from cardpool.domain.gangs import Gang, Option, Refusal, Reservation
from cardpool.engine import order, probe, quota, ways, wording
from cardpool.engine.cycle import Cycle, Strategy
from cardpool.engine.heads import Head
from cardpool.engine.mixing import Mixer
from cardpool.engine.outlook import BLOCKING, Outlook
from cardpool.engine.reserve import Opening
from cardpool.names import Reason

_SEARCHES: Final = 16


class Holder:
    """Keeps things for gangs in this cycle; likenesses that nothing can be kept for are looked at once, and few."""

    __slots__ = ("cycle", "impossible", "mixer", "unmixable")

    def __init__(self, cycle: Cycle, mixer: Mixer) -> None:
        self.cycle, self.mixer = cycle, mixer
        self.impossible: set[Hashable] = set()
        self.unmixable: set[Hashable] = set()

    def hold(self, gang: Gang, refusal: Refusal) -> Refusal:
        """What a gang that waits means for those behind it, as the strategy says."""
        cycle = self.cycle
        waited = cycle.now - (gang.queued or gang.created)
        patient = waited < cycle.rules.patience
        if cycle.strategy == Strategy.STRICT:
            if refusal.reason in BLOCKING and gang.team not in cycle.blocked:
                cycle.head = gang
            elif refusal.reason is Reason.QUOTA_EXCEEDED:
                self._block(gang)
        elif cycle.strategy == Strategy.BACKFILL:
            if refusal.reason is Reason.QUOTA_EXCEEDED:
                if patient:
                    cycle.again((gang.queued or gang.created) + cycle.rules.patience)
                elif gang.team not in cycle.blocked:
                    self._block(gang)
            elif refusal.reason in BLOCKING:
                return self._reserve(gang, refusal, patient=patient)
        return refusal

    def _block(self, gang: Gang) -> None:
        """The next of the team's quota is this gang's, unless it could never get as much."""
        ledger, profiles = self.cycle.ledger, set()
        for option in gang.options:
            cards = quota.cards_of(option)
            limit = ledger.beyond(gang.team, option.profile, cards)
            if limit is not None and ledger.never(gang.team, option.profile, cards) is None:
                profiles.add(limit.profile)
        if not gang.options and gang.mix is not None:
            profiles |= self.mixer.limits(gang, gang.mix)
        if profiles:
            self.cycle.blocked[gang.team] = gang, frozenset(profiles)
            self.cycle.refused.clear()

    def _reserve(self, gang: Gang, refusal: Refusal, *, patient: bool) -> Refusal:
        """Keep room for the first of a profile that waits for it; one that can never have it is not the first."""
        found = self._openings(gang, patient=patient)
        sure = [one for one in found if one[2].sure]
        if sure:
            return self._keep(gang, refusal, sure)
        mixed = self._mixed_head(gang, patient=patient)
        if mixed is not None and mixed.sure:
            return self._keep_mixed(gang, refusal, mixed)
        waits = [view for _, view, _ in found]
        waits += [self.cycle.outlook(part.profile) for part in mixed.parts] if mixed is not None else []
        for view in waits:
            view.head = gang
            self.cycle.again((gang.queued or gang.created) + self.cycle.rules.patience)
        return refusal

    def _openings(self, gang: Gang, *, patient: bool) -> list[tuple[Option, Outlook, Opening]]:
        """When the gang could start in each profile that has no head yet; some are looked at in a cycle, not all."""
        views = [(option, self.cycle.outlooks.get(option.profile)) for option in gang.options]
        free = [(option, view) for option, view in views if view is not None and view.head is None]
        key = (gang.team, order.likeness(gang)) if free else None
        if not free or key in self.impossible or len(self.impossible) >= _SEARCHES:
            return []
        found = []
        for option, view in free:
            if self.cycle.stopped(gang, option) is None and probe.sound(view.ground, gang, option):
                opening = view.opening(gang, option, patient=patient)
                if opening is not None:
                    found.append((option, view, opening))
        if not found:
            self.impossible.add(key)
        return found

    def _keep(self, gang: Gang, refusal: Refusal, sure: list[tuple[Option, Outlook, Opening]]) -> Refusal:
        """Reserve the opening that comes first."""
        option, view, opening = min(sure, key=lambda one: one[2].start if one[2].start is not None else math.inf)
        placement = view.keep(gang, option, opening)
        if placement is None:
            return refusal
        self.cycle.ledger.keep(gang.team, option.profile, quota.cards_of(option))
        nodes = tuple(dict.fromkeys(placement.nodes()))
        self.cycle.reservations.append(Reservation(gang.key, nodes, opening.start))
        self.cycle.refused.clear()
        return wording.reserved(refusal, len(nodes), opening.start, opening.waits_for, opening.learned)

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
        """Reserve every part of a head on several profiles."""
        nodes = head.keep(self.mixer.lands, gang)
        if nodes is None:
            return refusal
        self.cycle.ledger.hold(gang.team, ways.shares(head.way))
        self.cycle.reservations.append(Reservation(gang.key, nodes, head.start))
        self.cycle.refused.clear()
        return wording.reserved(refusal, len(nodes), head.start, head.waits_for, head.learned)
