"""Teams, their quotas, and the pool's rules for preemption: what the planner must respect beside room.

A team without a limit in a dimension is bounded by nothing there, lends nothing and is guaranteed nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cardpool.domain.gangs import Gang

DEFAULT_TEAM: Final = "default"
ALL: Final = "*"
PATIENCE: Final = 300.0


class Reclaim(StrEnum):
    """Whose gangs on borrowed quota may be taken down for a team that stays inside its own."""

    NEVER = "Never"
    LOWER_PRIORITY = "LowerPriority"
    ANY = "Any"


@dataclass(frozen=True, slots=True)
class Limit:
    """A nominal quota in one dimension: cards of one profile or of all (``*``), or percent-cards of compute.

    ``borrow`` and ``lend`` bound what goes beyond, None = no bound.
    """

    profile: str
    nominal: int
    borrow: int | None = None
    lend: int | None = None
    compute: bool = False

    @property
    def dimension(self) -> tuple[str, bool]:
        """What is counted: profile, and whether in percent-cards."""
        return self.profile, self.compute

    @property
    def unit(self) -> str:
        """How messages name the dimension."""
        what = "percent-cards" if self.compute else "cards"
        return what if self.profile == ALL else f"{self.profile} {what}"


@dataclass(frozen=True, slots=True)
class Team:
    """One team; ``lately`` is what it held on average of late, decayed, in percent-cards."""

    name: str
    weight: int = 1
    limits: tuple[Limit, ...] = ()
    lately: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Moving:
    """Which running gangs may be restarted elsewhere for a gang that enough cards are free for, but not together.

    ``wish`` gives what a gang (by its key) would ask for, None where it stays. ``left`` moves may be made now, and more
    at ``due``. One move may cost ``most_lost`` card-seconds; None: any number, but only with a proved checkpoint.
    ``resting`` are UIDs that moved lately, ``vain`` keys of gangs for which nothing was found a moment ago. Gangs wait
    for ``after`` seconds before others move for them. For each of ``ahead`` room is kept together though none waits.
    """

    wish: Callable[[str], Gang | None]
    left: int
    due: float | None = None
    most_lost: int | None = None
    resting: frozenset[str] = frozenset()
    vain: frozenset[str] = frozenset()
    after: float = 0.0
    ahead: tuple[Gang, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """Quotas and preemption of one pool; ``compute`` has the percentage of one card of each profile (absent: 100).

    ``patience`` is the age in seconds from which room, or a team's quota, is kept for the first that waits for it even
    though nobody can say when it comes. ``moving`` is None where no running gang is moved.
    """

    teams: Mapping[str, Team] = field(default_factory=dict)
    compute: Mapping[str, int] = field(default_factory=dict)
    within_team: bool = False
    reclaim: Reclaim = Reclaim.NEVER
    min_runtime: float = 0.0
    patience: float = PATIENCE
    moving: Moving | None = None

    @property
    def preempts(self) -> bool:
        """True where a running gang may be taken down for another at all."""
        return self.within_team or self.reclaim is not Reclaim.NEVER
