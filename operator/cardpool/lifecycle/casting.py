"""The judged jobs of one cycle, those at rest among them: who is asked for is brought to this cycle first.

Only those that are awake may have something to write. One at rest stays so however often it is looked at, until
somebody who changed something of it stirs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cardpool.domain.gangs import Refusal
from cardpool.lifecycle.draft import Draft, Surroundings
from cardpool.lifecycle.roll import Roll
from cardpool.lifecycle.waiting import FIRST_TOLD

Said = tuple[Refusal, int]


class Cast(Mapping[str, Draft]):
    """Drafts by key; ``around`` gives what a job is judged against in this cycle."""

    __slots__ = ("_around", "_resumed", "_roll", "_said", "awake")

    def __init__(self, roll: Roll, around: Callable[[Draft], Surroundings]) -> None:
        self.awake: dict[str, Draft] = {}
        self._roll, self._around = roll, around
        self._resumed: dict[str, Draft] = {}
        self._said: dict[str, Said] = {}

    def __getitem__(self, key: str) -> Draft:
        """The job's draft as of this cycle."""
        one = self.awake.get(key) or self._resumed.get(key)
        if one is None:
            rest = self._roll.rests[key]
            one = self._resumed[key] = rest.resume(self._around(rest.draft))
        return one

    def __iter__(self) -> Iterator[str]:
        """All keys, in order."""
        return iter(sorted((*self.awake, *self._roll.rests)))

    def __len__(self) -> int:
        """How many are judged."""
        return len(self.awake) + len(self._roll.rests)

    def __contains__(self, key: object) -> bool:
        """True for who is judged, awake or not."""
        return key in self.awake or key in self._roll.rests

    def stir(self, one: Draft) -> None:
        """Something of it changed: its rest is over."""
        self._roll.wake(one.job.key)
        self.awake[one.job.key] = one

    def heard(self, refusal: Refusal, total: int) -> bool:
        """True where a job at rest, far behind, was told the very same: it would make the same of it."""
        return refusal.position > FIRST_TOLD and self._roll.said.get(refusal.gang) == (refusal, total)

    def hear(self, one: Draft, refusal: Refusal, total: int) -> None:
        """Remember what a job that waits was told."""
        key = one.job.key
        self._said[key] = refusal, total
        if key in self._roll.rests:
            self._roll.said[key] = refusal, total
            self._roll.alarm(key, one.wake)

    def said(self, key: str) -> Said | None:
        """What it was told in this cycle."""
        return self._said.get(key)
