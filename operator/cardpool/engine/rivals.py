"""Those before a preemptor in the queue, who may evict nobody themselves but are asked first for what becomes free.

Those who wait before it, and those who come before it once the victims' teams hold less. What they would take of the
room that victims leave is not the preemptor's: it counts as gone before anybody is evicted, or the victims would go for
them and the preemptor would have to take down others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

from cardpool.domain.gangs import Gang, Option, Placement
from cardpool.domain.inventory import CARDS
from cardpool.engine import elastic, order, place, probe, quota
from cardpool.engine.cycle import Cycle
from cardpool.engine.future import Future
from cardpool.engine.order import Queue
from cardpool.engine.quota import Ledger

_FAILED: Final = 256  # so many different gangs without a place are looked at


class Rivals:
    """The gangs that were refused so far in a cycle, in its order, beside the queue; equal keys ask for the same."""

    __slots__ = ("cycle", "met", "queue")

    def __init__(self, cycle: Cycle) -> None:
        self.cycle = cycle
        self.met: list[tuple[Hashable, Gang]] = []
        self.queue: Queue | None = None

    def served(self, gang: Gang, teams: Iterable[str], profile: str, trial: Future, books: Ledger) -> bool:
        """Let all before this gang have their places who fit the trial and their quota; False where nobody does.

        ``teams`` are those that hold less now.
        """
        free, some = int(trial.ground.free[:, CARDS].sum()), False
        failed: set[Hashable] = set()
        for key, one in (*self.met, *self._overtaking(gang, teams, books)):
            if not free or len(failed) >= _FAILED:
                break
            if key in failed:
                continue
            cards = self._serve(one, profile, trial, books, free)
            if cards is None:
                failed.add(key)
            else:
                free, some = free - cards, True
        return some

    def _overtaking(self, gang: Gang, teams: Iterable[str], books: Ledger) -> list[tuple[Hashable, Gang]]:
        if self.queue is None:
            return []
        capacity = order.capacities(self.cycle.inventory)
        return [(one.key, one) for one in self.queue.overtaking(gang, teams, books, capacity)]

    def _serve(self, gang: Gang, profile: str, trial: Future, books: Ledger, free: int) -> int | None:
        """The cards that the gang takes, None where it has no place on this profile."""
        option = next((one for one in gang.options if one.profile == profile), None)
        if option is None or self.cycle.behind(gang, profile) is not None:
            return None
        few = next(one for one in elastic.least(gang).options if one.profile == profile)
        if quota.cards_of(few) > free or books.beyond(gang.team, profile, quota.cards_of(few)) is not None:
            return None
        if not probe.sound(trial.ground, gang, option):
            return None
        mark = trial.ground.snapshot()
        answer = _placed(trial, gang, option, books)
        if answer is None:
            trial.ground.restore(mark)
            return None
        trial.settled(mark, gang, answer)
        shares = quota.shares_placed(gang, answer)
        books.hold(gang.team, shares)
        return sum(cards for _, cards in shares)


def _placed(trial: Future, gang: Gang, option: Option, books: Ledger) -> Placement | None:
    """Where the gang would be placed: where it was, at full size, or at the largest that room and quota allow."""
    ground = trial.ground

    def may(cards: int) -> bool:
        return books.beyond(gang.team, option.profile, cards) is None

    if may(quota.cards_of(option)):
        kept = place.keep(ground, gang, option) if gang.previous else None
        whole = kept if kept is not None else place.place(ground, gang, option)
        if isinstance(whole, Placement):
            return whole
    scale = elastic.scale(gang.topology, option)
    most = elastic.allowed(scale, option, may) if scale is not None else None
    if scale is None or most is None:
        return None
    fewer = elastic.largest(gang, option, scale, most)(ground, gang, option)
    return fewer if isinstance(fewer, Placement) else None
