"""Whom the rules allow to be taken down for a waiting gang, and what that costs: whole gangs, and work done again.

A team inside its quota is left alone, and so is a gang that has not yet run for its minimum time. Who of them goes is
searched for in ``casualties``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cardpool.domain.gangs import Gang, Option, Running
from cardpool.domain.teams import Reclaim, Rules
from cardpool.engine import quota
from cardpool.engine.occupancy import Room
from cardpool.engine.quota import Ledger


@dataclass(frozen=True, slots=True)
class Candidates:
    """Gangs that may be taken down for a waiting one, and when the first that is still protected may be."""

    rooms: tuple[Room, ...]
    due: float | None = None


def candidates(gang: Gang, option: Option, rooms: Sequence[Room], ledger: Ledger, now: float) -> Candidates:
    """Whom the pool's rules allow to be taken down for this gang."""
    rules = ledger.rules
    inside = ledger.inside(gang.team, option.profile, quota.cards_of(option))
    allowed = [room for room in rooms if not room.gang.leaving and _may(rules, gang, room.gang, ledger, inside=inside)]
    ready = tuple(room for room in allowed if now >= room.gang.started + rules.min_runtime)
    later = [room.gang.started + rules.min_runtime for room in allowed if now < room.gang.started + rules.min_runtime]
    return Candidates(ready, min(later, default=None))


def _may(rules: Rules, gang: Gang, victim: Running, ledger: Ledger, *, inside: bool) -> bool:
    lower = victim.priority < gang.priority
    if victim.team == gang.team:
        return rules.within_team and lower
    if rules.reclaim is Reclaim.NEVER or not inside or not ledger.beyond_guarantee(victim):
        return False
    return lower or rules.reclaim is Reclaim.ANY


def lost(gang: Running, cards: int, now: float) -> int:
    """Card-seconds of work that would be done again."""
    return int(cards * max(0.0, now - max(gang.started, gang.checkpoint)))


def words(gang: Gang, victim: Running, now: float) -> str:
    """Why this one goes, for people."""
    if victim.team == gang.team:
        why = f"priority {gang.priority} before {victim.priority} in team {gang.team}"
    else:
        why = f"team {gang.team} takes its quota back from team {victim.team}"
    again = lost(victim, victim.cards(), now)
    return f"preempted by {gang.key}: {why}; {again} card-seconds since the last checkpoint or the start"
