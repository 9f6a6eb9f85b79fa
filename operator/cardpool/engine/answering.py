"""One gang's answer from the room that is free: where it was before, then its options in order, a mix, a smaller size.

The first of these that quota and room allow is taken, so what a user prefers comes before what would be larger or
tidier elsewhere. Gangs that ask for the same get the same answer until something is taken, without a second look.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

from cardpool.domain.gangs import Gang, Option, Placement, Refusal
from cardpool.engine import elastic, order, place, quota, wording
from cardpool.engine.cycle import Cycle
from cardpool.engine.mixing import Mixer
from cardpool.engine.outlook import BLOCKING
from cardpool.names import Reason


class Answerer:
    """Places gangs in what is free in this cycle; ``asked`` is equal for gangs that ask for the same."""

    __slots__ = ("asked", "cycle", "mixer")

    def __init__(self, cycle: Cycle, mixer: Mixer) -> None:
        self.cycle, self.mixer = cycle, mixer
        self.asked: Hashable = None

    def answer(self, gang: Gang) -> Placement | Refusal:
        """The gang's place, or why it has none; equal gangs in an unchanged pool get equal answers at no cost."""
        cycle = self.cycle
        excused = tuple(one.excuses(gang) for one in cycle.outlooks.values() if one.start is not None)
        key = self.asked = gang.team, excused, order.likeness(gang)
        if key in cycle.refused:
            return cycle.refused[key].told(gang.key)
        answer = self._try(gang)
        if isinstance(answer, Placement):
            cycle.refused.clear()
            cycle.ledger.hold(gang.team, answer.shares or quota.shares_placed(gang, answer))
        else:
            cycle.refused[key] = answer
        return answer

    def _try(self, gang: Gang) -> Placement | Refusal:
        """The gang in the first way that quota and room allow; a placement has taken its room."""
        if not gang.options and gang.mix is None:
            return wording.without_options(gang)
        if gang.previous and gang.mix is not None:
            again = self.mixer.keep(gang, gang.mix)
            if again is not None:
                return again
        refusals = {one.profile: refusal for one in gang.options if (refusal := self.cycle.stopped(gang, one))}
        open_ones = [option for option in gang.options if option.profile not in refusals]
        placed = self._kept(gang, open_ones) or self._fresh(gang, open_ones, refusals)
        if placed is not None:
            return placed
        mixed = self.mixer.place(gang, gang.mix) if gang.mix is not None else None
        if isinstance(mixed, Placement):
            return mixed
        less = self._smaller(gang, refusals)
        if less is not None:
            return less
        why = [refusals[option.profile] for option in gang.options]
        return wording.combined([*why, mixed] if mixed is not None else why)

    def _kept(self, gang: Gang, options: list[Option]) -> Placement | None:
        """A gang that has run before, with every rank that can where it was."""
        for option in options if gang.previous else ():
            kept = self.cycle.outlook(option.profile).place(place.keep, gang, option)
            if isinstance(kept, Placement):
                return kept
        return None

    def _fresh(self, gang: Gang, options: list[Option], refusals: dict[str, Refusal]) -> Placement | None:
        """The gang in the first of these options that has room; adds why the others have none."""
        for option in options:
            answer = self.cycle.outlook(option.profile).place(place.place, gang, option)
            if isinstance(answer, Placement):
                return answer
            if answer is not None:
                refusals[option.profile] = answer
        return None

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
            stop = self.cycle.stopped(gang, few)
            most = elastic.allowed(scale, option, partial(self._may, gang.team, option.profile))
            if stop is None and most is not None:
                able.append((option, few, elastic.largest(gang, option, scale, most)))
            elif stop is not None:
                refusals[option.profile] = wording.at_least(stop, few, option)
        if len(able) > 1:
            able.sort(key=lambda one: -self._part(lowest, *one))
        for option, few, how in able:
            answer = self.cycle.outlook(option.profile).place(how, lowest, few)
            if isinstance(answer, Placement):
                return answer
            if answer is not None:
                refusals[option.profile] = wording.at_least(answer, few, option)
        return None

    def _part(self, lowest: Gang, option: Option, few: Option, how: elastic.Place) -> float:
        """How much of its full size the gang would have in this profile."""
        answer = self.cycle.outlook(option.profile).trial(how, lowest, few)
        whole = sum(shape.replicas for shape in option.groups)
        return len(answer.nodes()) / whole if isinstance(answer, Placement) else 0.0

    def _may(self, team: str, profile: str, cards: int) -> bool:
        return self.cycle.ledger.beyond(team, profile, cards) is None
