"""One cycle in which gangs may go for others, and who goes."""

from __future__ import annotations

from cardpool.domain.gangs import Gang, PlanResult, Running
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import Rules
from cardpool.engine import plan

NOW = 1000.0

WITHIN = Rules(within_team=True)


def planned(
    inventory: Inventory, *gangs: Gang, running: tuple[Running, ...], rules: Rules = WITHIN, now: float = NOW
) -> PlanResult:
    """One cycle."""
    return plan.plan(inventory, gangs, now=now, running=running, rules=rules, strategy="Backfill")


def victims(result: PlanResult) -> list[str]:
    """Who has to go."""
    return sorted(eviction.gang for eviction in result.evictions)
