"""Which running elastic gangs are restarted to have more pods: what a cycle does last, with what nobody else wants.

A gang grows where a larger legal size fits with its own room freed and that is worth a restart. On a profile for which
a gang waits that could ever start there, or on which a gang is between two attempts, nobody grows; at most one gang
of a profile does in a cycle. So growing takes no room before the queue, and no other takes what it counts on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Final

from cardpool.domain.gangs import Elastic, Gang, Growth, Option, Placement, Running
from cardpool.domain.inventory import CARDS
from cardpool.engine import elastic, order, probe, quota
from cardpool.engine.future import Future
from cardpool.engine.outlook import Outlook
from cardpool.engine.probe import Prober
from cardpool.engine.quota import Ledger

_LOOKS: Final = 8
_DOUBTS: Final = 16


class Grower:
    """The end of one cycle; ``wake`` is when the first gang that is too young to grow may."""

    def __init__(
        self,
        running: Sequence[Running],
        waiting: Sequence[Gang],
        outlook: Callable[[str], Outlook],
        ledger: Ledger,
        profiles: Sequence[str],
    ) -> None:
        self.running, self.waiting, self.outlook, self.ledger = running, waiting, outlook, ledger
        self.profiles = profiles
        self.wake: float | None = None

    def find(self, now: float) -> list[Growth]:
        """The gangs that grow, higher priorities first, then those that run longest."""
        found: list[Growth] = []
        done: set[str] = set()
        looks = 0
        for one, wish in self._able(now):
            if looks == _LOOKS:
                break
            if one.profile in done:
                continue
            looks += 1
            if self._wanted(one.profile):
                done.add(one.profile)
                continue
            pods = self._room(one, wish)
            if pods is not None:
                found.append(Growth(one.key, pods, f"grows from {len(one.pods)} to {pods} pods"))
                done.add(one.profile)
        return found

    def _able(self, now: float) -> list[tuple[Running, Elastic]]:
        """The gangs that may grow, in their order; remembers when those that are too young may."""
        able: list[tuple[Running, Elastic]] = []
        for one in self.running:
            wish = one.elastic
            if wish is None or wish.grows is None or one.leaving or one.profile not in self.profiles:
                continue
            if wish.grows > now:
                self.wake = wish.grows if self.wake is None else min(self.wake, wish.grows)
            else:
                able.append((one, wish))
        return sorted(able, key=lambda pair: (-pair[0].priority, pair[0].started, pair[0].key))

    def _wanted(self, profile: str) -> bool:
        """True where somebody else may want what is free of this profile."""
        if any(one.leaving and (one.claim or one.preempted) and one.on(profile) for one in self.running):
            return True
        view = self.outlook(profile)
        if view.kept is not None or view.claimed is not None:
            return True
        seen: set[Hashable] = set()
        empty: Future | None = None
        for gang in self.waiting:
            if gang.mix is not None and profile in gang.mix.profiles:
                return True
            option = next((one for one in elastic.least(gang).options if one.profile == profile), None)
            key = gang.team, order.likeness(gang)
            if option is None or key in seen:
                continue
            seen.add(key)
            if len(seen) > _DOUBTS:
                return True
            if empty is None:
                empty = Future(view.ground, tracked=view.tracked)
                empty.settle(view.rooms())
            if self._ever(view, empty, gang, option):
                return True
        return False

    def _ever(self, view: Outlook, empty: Future, gang: Gang, option: Option) -> bool:
        """True where the gang could start on this profile with nobody else there."""
        if self.ledger.never(gang.team, option.profile, quota.cards_of(option)) is not None:
            return False
        return probe.sound(view.ground, gang, option) and Prober(empty, gang, option).fits()

    def _room(self, one: Running, wish: Elastic) -> int | None:
        """The largest size that fits with the gang's own room freed, None where that is not worth it."""
        view, gang, option = self.outlook(one.profile), wish.gang, wish.gang.options[0]
        scale = elastic.scale(gang.topology, option)
        room = next((room for room in view.rooms() if room.gang.uid == one.uid), None)
        if scale is None or room is None:
            return None
        each = zip(scale.size(min(wish.worth, sum(scale.full))), option.groups, strict=True)
        more = sum(pods * shape.cards_per_pod for pods, shape in each) - room.cards
        if int(view.ground.free[:, CARDS].sum()) < more:
            return None
        self.ledger.hold(one.team, room.shares, -1)
        most = elastic.allowed(scale, option, lambda cards: self.ledger.beyond(one.team, one.profile, cards) is None)
        self.ledger.hold(one.team, room.shares)
        if most is None or most < wish.worth:
            return None
        later = Future(view.ground, tracked=view.tracked)
        later.free(room)
        answer = elastic.largest(gang, option, scale, most)(later.ground, gang, option)
        pods = len(answer.nodes()) if isinstance(answer, Placement) else 0
        return pods if pods >= wish.worth else None
