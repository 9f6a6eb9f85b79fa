"""One profile's ground during a cycle, with what others are to have of it later.

Two futures bound what may be taken now: ``late``, where gangs that are going (and those evicted in this cycle) have
made room for whom they went, and ``kept``, where the head of the queue has its reservation. A gang that will have ended
before the head's start may use the head's room meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from cardpool.domain.gangs import Gang, Option, Placement, Refusal, Running
from cardpool.engine import fabrics, future, occupancy, overlap, probe, reserve, wording
from cardpool.engine.future import Future
from cardpool.engine.ground import Ground
from cardpool.engine.occupancy import Room
from cardpool.engine.overlap import Overlap
from cardpool.names import Reason

Place = Callable[[Ground, Gang, Option], Placement | Refusal | None]
BLOCKING = frozenset({Reason.INSUFFICIENT_CARDS, Reason.TOPOLOGY_UNFIT, Reason.EXCLUDED, Reason.RESERVED_FOR_OTHER})


class Outlook:
    """The ground, who runs on it, and who is to have it; ``gone`` are gangs evicted in this cycle, on any profile."""

    __slots__ = (
        "_common",
        "_exits",
        "_late",
        "_rooms",
        "claimed",
        "gone",
        "ground",
        "head",
        "kept",
        "now",
        "placed",
        "running",
        "start",
        "tracked",
        "waits",
    )

    def __init__(
        self, ground: Ground, running: Sequence[Running], now: float, *, tracked: bool, gone: set[str] | None = None
    ) -> None:
        self.ground, self.running, self.now, self.tracked = ground, running, now, tracked
        self.placed: list[tuple[Gang, Option, Placement]] = []
        self._rooms: list[Room] | None = None
        self._late: Future | None = None
        self._common: dict[tuple[bool, bool], Overlap] = {}
        self._exits: tuple[tuple[object, ...], reserve.Exits] | None = None
        self.claimed: Gang | None = None
        self.gone: set[str] = gone if gone is not None else set()
        self.kept: Future | None = None
        self.head: Gang | None = None
        self.start: float | None = None
        self.waits: frozenset[str] = frozenset()
        if tracked:
            ground.track()
            for room in self.rooms():
                occupancy.occupy(ground, room)

    def rooms(self) -> list[Room]:
        """What each running gang holds here."""
        if self._rooms is None:
            self._rooms = occupancy.rooms(self.ground, self.running)
        return self._rooms

    def late(self) -> Future:
        """The room once everybody is gone who is going."""
        if self._late is None:
            self._late = Future(self.ground, tracked=self.tracked)
            self._late.settle([room for room in self.rooms() if room.gang.leaving or room.gang.uid in self.gone])
        return self._late

    def left(self, uids: Collection[str]) -> None:
        """Gangs that were evicted for somebody on another profile leave what they hold here too."""
        if self._late is not None:
            self._late.settle([room for room in self.rooms() if room.gang.uid in uids])

    def returning(self) -> list[Room]:
        """Gangs between two attempts, whose room is theirs again."""
        return [room for room in self.rooms() if room.gang.leaving and room.gang.claim]

    def excuses(self, gang: Gang) -> bool:
        """True where the gang has ended, as declared, before the head starts."""
        return self.start is not None and gang.runtime is not None and self.now + gang.runtime <= self.start

    def place(self, how: Place, gang: Gang, option: Option) -> Placement | Refusal | None:
        """The gang's place beside everything that is kept for others; a placement has taken its room."""
        if self._late is None and self.kept is None:
            answer = how(self.ground, gang, option)
        else:
            answer = self._beside(how, gang, option)
        if isinstance(answer, Placement):
            self.placed.append((gang, option, answer))
            if self.tracked:
                self._occupy(gang, answer)
        return answer

    def trial(self, how: Place, gang: Gang, option: Option) -> Placement | Refusal | None:
        """What ``place`` would answer; nothing is taken."""
        ground, _ = self._bounded(gang)
        mark = ground.snapshot()
        answer = how(ground, gang, option)
        ground.restore(mark)
        return answer

    def _bounded(self, gang: Gang) -> tuple[Ground, bool]:
        """The room that the gang may take, and whether something of what is free is kept for others."""
        kept = self.kept if self.kept is not None and not self.excuses(gang) else None
        late = self._late if self.claimed is not None else None
        bounds = late is not None or kept is not None
        return (self._shared(late, kept) if bounds else self.ground), bounds

    def _beside(self, how: Place, gang: Gang, option: Option) -> Placement | Refusal | None:
        kept = self.kept if self.kept is not None and not self.excuses(gang) else None
        ground, bounds = self._bounded(gang)
        mark = ground.snapshot()
        answer = how(ground, gang, option)
        if isinstance(answer, Placement):
            others = [one for one in (self._late, kept) if one is not None]
            taken = ground.taken(mark)
            if bounds:
                self.ground.put(taken.at, self.ground.free[taken.at] - taken.amounts, ground.busy[taken.at])
                if self.ground.fabrics is not None and taken.fabrics is not None:
                    self.ground.fabrics.lose(taken.fabrics)
            for one in others:
                one.take(taken.at, taken.amounts, taken.fabrics)
        elif isinstance(answer, Refusal) and bounds and answer.reason in BLOCKING and self._fits_now(gang, option):
            first = self.claimed if self.claimed is not None else self.head
            if first is not None:
                answer = wording.kept_for(answer, first, self.start if first is self.head else None)
        return answer

    def _shared(self, late: Future | None, kept: Future | None) -> Ground:
        """The room that is free now and stays free in these futures."""
        key = late is not None, kept is not None
        common = self._common.get(key)
        if common is None:
            futures = [one.ground for one in (late, kept) if one is not None]
            common = self._common[key] = Overlap(self.ground, futures)
        return common.current()

    def _fits_now(self, gang: Gang, option: Option) -> bool:
        return probe.fits(self.ground, gang, option)

    def _occupy(self, gang: Gang, placement: Placement) -> None:
        """Let those who come later in the cycle see who sits where."""
        ground = self.ground
        pods = np.bincount([ground.position(node) for node in placement.nodes()], minlength=ground.size)
        closes = future.alone(ground, gang, placement)
        for one in (ground, self._late.ground if self._late else None, self.kept.ground if self.kept else None):
            if one is not None:
                one.held += pods
                if closes is not None:
                    one.closed[closes] += 1

    def claim(
        self, gang: Gang, option: Option, victims: Sequence[Room], later: Future | None = None
    ) -> Placement | None:
        """Keep the room that the victims leave (and what is free beside it) for this gang.

        ``later`` is the room without them where others before the gang take of it: what they take is kept too.
        """
        if later is not None:
            answer = later.place(gang, option)
            if not isinstance(answer, Placement):
                return None
            self.follow(later, [room.gang.uid for room in victims], gang)
            return answer
        late = self.late()
        late.settle(victims)
        answer = late.place(gang, option)
        if not isinstance(answer, Placement):
            late.settle(victims, -1)
            return None
        self.gone.update(room.gang.uid for room in victims)
        self.claimed = gang
        return answer

    def side(self, gang: Gang) -> tuple[bool, bool]:
        """Whether what is to come, and what is kept, bounds the gang: equal for those who find the same room."""
        late = self.claimed not in (None, gang) and self._late is not None
        return late, self.kept is not None and self.head is not gang and not self.excuses(gang)

    def beside(self, gang: Gang) -> tuple[Future, list[Room]]:
        """The room as this gang finds it beside what is kept for others, and who still holds some of it."""
        found = Future(self.ground, tracked=self.tracked)
        late, kept = self.side(gang)
        bounds = [one for one, counts in ((self._late, late), (self.kept, kept)) if one is not None and counts]
        for bound in bounds:
            np.minimum(found.raw, bound.raw, out=found.raw)
        if bounds:
            found.ground.put(np.arange(found.ground.size), np.maximum(found.raw, 0))
            found.ground.fabrics = fabrics.beside(self.ground.fabrics, [bound.ground.fabrics for bound in bounds])
        if bounds and self.tracked:
            overlap.company(found.ground, [self.ground, *(bound.ground for bound in bounds)])
        promised = self.waits if self.kept in bounds else frozenset()
        held = [room for room in self.rooms() if room.gang.uid not in self.gone | promised]
        return found, [room for room in held if not (self._late in bounds and room.gang.leaving)]

    def follow(self, late: Future, moved: Collection[str], gang: Gang | None) -> None:
        """From now on this is what is to come, with these gangs (uids) gone; what they leave is kept for the gang."""
        self.gone.update(moved)
        self._late = late
        self._common.clear()
        self.claimed = gang if gang is not None else self.claimed

    def opening(self, gang: Gang, option: Option, *, patient: bool) -> reserve.Opening | None:
        """When the gang could start at the earliest; those that were placed in this cycle end as well."""
        late = self.late()
        key = (late, late.ground.version(), len(self.gone) + len(self.placed))
        if self._exits is None or self._exits[0] != key:
            staying = [room for room in self.rooms() if room.gang.uid not in self.gone]
            staying += occupancy.rooms(self.ground, [occupancy.begun(*one, self.now) for one in self.placed])
            self._exits = key, reserve.Exits(late, staying, self.now)
        return reserve.earliest(self._exits[1], gang, option, patient=patient)

    def keep(self, gang: Gang, option: Option, opening: reserve.Opening) -> Placement | None:
        """Reserve the opening for the head."""
        answer = opening.future.place(gang, option)
        if not isinstance(answer, Placement):
            return None
        self.hold(gang, opening, opening.start)
        return answer

    def hold(self, gang: Gang, opening: reserve.Opening, start: float | None) -> None:
        """From now on an opening in which the gang has its place is kept for it until it starts."""
        self.kept, self.head, self.start = opening.future, gang, start
        self.waits = frozenset(room.gang.uid for room in opening.gone)

    def emptied(self) -> Future:
        """The room once every running gang is gone."""
        found = self.late().copy()
        found.settle([room for room in self.rooms() if not room.gang.leaving and room.gang.uid not in self.gone])
        return found
