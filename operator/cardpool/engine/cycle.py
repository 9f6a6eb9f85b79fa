"""What one cycle has taken and promised so far: the one thing that all who answer in it share and write to.

Whoever is asked next finds everything here that those before it took, kept or were promised. A refusal is remembered
until something is taken or kept; then ``refused`` has to be cleared, since it might no longer be true.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cardpool.domain.gangs import Eviction, Gang, Move, Option, Placement, Refusal, Reservation, Running
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import ALL, Rules
from cardpool.engine import ground, quota, wording
from cardpool.engine.outlook import Outlook
from cardpool.engine.quota import Ledger


class Strategy(StrEnum):
    """What a gang that does not fit means for those behind it."""

    STRICT = "Strict"
    BEST_EFFORT = "BestEffort"
    BACKFILL = "Backfill"


@dataclass(slots=True, eq=False)
class Cycle:
    """The arguments of a cycle, what has happened in it, and what it is going to answer.

    ``head`` is whom nobody passes, ``blocked`` the gang of each team that its quota is kept for, and on which profiles
    (or ``*``); ``shadow`` is the priority of the last gang of the asked one's team, before it, that would borrow
    (``order``); ``gone`` are the uids of gangs evicted or moved; ``wake`` is the first moment, in seconds since the
    epoch, at which the same questions could have other answers; ``fickle`` where something was weighed that changes
    with every second.
    """

    inventory: Inventory
    running: Sequence[Running]
    rules: Rules
    now: float
    strategy: str
    tracked: bool
    ledger: Ledger
    outlooks: dict[str, Outlook] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    refused: dict[Hashable, Refusal] = field(default_factory=dict)
    shadow: int | None = None
    head: Gang | None = None
    blocked: dict[str, tuple[Gang, frozenset[str]]] = field(default_factory=dict)
    evictions: list[Eviction] = field(default_factory=list)
    reservations: list[Reservation] = field(default_factory=list)
    preempting: list[Placement] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    vain: list[str] = field(default_factory=list)
    wake: float | None = None
    fickle: bool = False

    def outlook(self, profile: str) -> Outlook:
        """The profile's room, made when it is first asked for."""
        if profile not in self.outlooks:
            start = ground.start(self.inventory, self.inventory.profiles.index(profile))
            self.outlooks[profile] = Outlook(start, self.running, self.now, tracked=self.tracked, gone=self.gone)
        return self.outlooks[profile]

    def stopped(self, gang: Gang, option: Option) -> Refusal | None:
        """Why the gang may not even look for room in this profile."""
        if option.profile not in self.inventory.profiles:
            return wording.unknown_profile(gang, option, self.inventory.profiles)
        if (behind := self.behind(gang, option.profile)) is not None:
            return behind
        limit = self.ledger.beyond(gang.team, option.profile, quota.cards_of(option))
        return self.ledger.refusal(gang, option, limit) if limit is not None else None

    def behind(self, gang: Gang, profile: str) -> Refusal | None:
        """Why the gang may not use a profile whatever it asks for: its team's quota there is another's."""
        first, profiles = self.blocked.get(gang.team, (gang, frozenset[str]()))
        if first is not gang and (profile in profiles or ALL in profiles):
            return wording.behind_quota(gang, first)
        return None

    def promise(
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
        return wording.preempting(refusal, [one for one in going if any(node in nodes for node, _, _ in one.pods)])

    def again(self, moment: float | None) -> None:
        """Ask for a cycle at that moment, unless it has passed."""
        if moment is not None and moment > self.now:
            self.wake = moment if self.wake is None else min(self.wake, moment)


def begun(
    inventory: Inventory, running: Sequence[Running], rules: Rules, now: float, strategy: str, gangs: Sequence[Gang]
) -> Cycle:
    """A cycle in which nothing is taken yet; who sits where is tracked only where a gang wants a domain to itself."""
    tracked = any(gang.exclusive for gang in running) or any(gang.topology.exclusive for gang in gangs)
    return Cycle(inventory, running, rules, now, strategy, tracked, quota.opened(rules, running))
