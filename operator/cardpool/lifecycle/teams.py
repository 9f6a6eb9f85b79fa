"""Whose job is whose: namespaces to teams, the pool's rules as the planner takes them, and use that decays.

The decayed use is a pure function of what was written last, the time since, and what the team holds: after a restart
of the operator nothing but the use since the last writing is judged by what is held now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from cardpool.api.cardpool import CardPoolSpec, TeamUsage
from cardpool.api.poolpolicy import Team as TeamSpec
from cardpool.api.poolpolicy import WithinTeam
from cardpool.domain.teams import DEFAULT_TEAM, Limit, Reclaim, Rules, Team
from cardpool.lifecycle import membership, times

HALF_LIFE: Final = 604_800.0
WRITE_SECONDS: Final = 60.0


def of_namespaces(
    spec: CardPoolSpec, names: Iterable[str], labels: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, str], list[str]]:
    """The team of each namespace, and in words the namespaces that two teams claim: the first has them."""
    found: dict[str, str] = {}
    clashes = []
    for name in sorted(set(names)):
        claims = [team.name for team in spec.teams if _has(team, name, labels.get(name, {}))]
        found[name] = claims[0] if claims else DEFAULT_TEAM
        if len(claims) > 1:
            clashes.append(f"namespace {name} is in teams {', '.join(claims)}; {claims[0]} has it")
    return found, clashes


def _has(team: TeamSpec, name: str, labels: Mapping[str, str]) -> bool:
    if name in team.namespaces:
        return True
    return team.namespace_selector is not None and membership.matches(team.namespace_selector, labels)


def nobodys(spec: CardPoolSpec) -> list[str]:
    """Teams that no namespace can ever be in; the default team needs to name none."""
    return [
        team.name
        for team in spec.teams
        if not team.namespaces and team.namespace_selector is None and team.name != DEFAULT_TEAM
    ]


def claimed(spec: CardPoolSpec) -> set[str]:
    """Namespaces that teams name."""
    return {name for team in spec.teams for name in team.namespaces}


def rules(spec: CardPoolSpec, usage: Iterable[TeamUsage] = ()) -> Rules:
    """Quotas, weights and preemption of the pool; ``usage`` is decayed up to now."""
    lately = {item.team: item.value * math.log(2) / HALF_LIFE for item in usage}
    preemption = spec.queue.preemption
    teams = {
        team.name: Team(
            name=team.name,
            weight=team.weight,
            limits=tuple(
                Limit(
                    profile=quota.profile,
                    nominal=(quota.cards if quota.cards is not None else quota.compute) or 0,
                    borrow=quota.borrow,
                    lend=quota.lend,
                    compute=quota.cards is None,
                )
                for quota in team.quota
            ),
            lately=lately.get(team.name, 0.0),
        )
        for team in spec.teams
    }
    teams.setdefault(DEFAULT_TEAM, Team(DEFAULT_TEAM, lately=lately.get(DEFAULT_TEAM, 0.0)))
    return Rules(
        teams=teams,
        compute={profile.name: profile.compute_percent for profile in spec.profiles},
        within_team=preemption.within_team is WithinTeam.LOWER_PRIORITY,
        reclaim=Reclaim(preemption.reclaim_borrowed.value),
        min_runtime=float(preemption.min_runtime_seconds),
    )


def decayed(value: float, seconds: float, holding: float) -> float:
    """Percent-card seconds after so many seconds of holding so many percent-cards, all of it at one half-life."""
    left = math.exp2(-max(0.0, seconds) / HALF_LIFE)
    return value * left + holding * HALF_LIFE / math.log(2) * (1.0 - left)


def usage(
    spec: CardPoolSpec, written: Iterable[TeamUsage], held: Mapping[str, Mapping[str, int]], now: float
) -> tuple[TeamUsage, ...]:
    """What each team used up to now; ``held`` are cards by team and profile. Nothing for a pool without teams."""
    if not spec.teams:
        return ()
    percent = {profile.name: profile.compute_percent for profile in spec.profiles}
    before = {item.team: item for item in written}
    found = []
    for name in sorted({DEFAULT_TEAM, *(team.name for team in spec.teams)}):
        holding = sum(cards * percent.get(profile, 100) for profile, cards in held.get(name, {}).items())
        old = before.get(name)
        since = now - times.epoch(old.at) if old is not None else 0.0
        value = int(decayed(float(old.value) if old is not None else 0.0, since, holding))
        found.append(TeamUsage(team=name, value=value, at=times.at(now)))
    return tuple(found)


def worth_writing(written: tuple[TeamUsage, ...], current: tuple[TeamUsage, ...], now: float, *, active: bool) -> bool:
    """At most once a minute while somebody holds something or begins to; at once where teams came or went.

    In a pool where nobody holds anything what was written stays true by itself.
    """
    if {item.team for item in written} != {item.team for item in current}:
        return True
    return active and bool(current) and all(now - times.epoch(item.at) >= WRITE_SECONDS for item in written)
