"""Who may use how much: nominal quota, what may be borrowed of it, and what nobody may touch.

A team may always use its nominal quota. Beyond it, it uses what the others with a quota in the same dimension leave
unused and lend. So the sum stays inside the sum of all quotas unless a team takes its own back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cardpool.domain.gangs import Gang, Option, Placement, Refusal, Running
from cardpool.domain.teams import ALL, Limit, Rules, Team
from cardpool.names import Reason

_SHOWN = 3
Shares = Sequence[tuple[str, int]]


class Ledger:
    """Cards that each team holds of each profile, against the limits; ``copy`` serves a trial."""

    __slots__ = ("_spare", "held", "kept", "rules")

    def __init__(self, rules: Rules, held: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self.rules = rules
        self.held: dict[str, dict[str, int]] = {team: dict(cards) for team, cards in (held or {}).items()}
        self.kept: dict[tuple[str, str], int] = {}
        self._spare: dict[tuple[str, bool], int] = {}

    def none(self) -> Ledger:
        """The same rules while nobody holds anything."""
        return Ledger(self.rules)

    def copy(self) -> Ledger:
        """The same, to try something on."""
        return Ledger(self.rules, self.held)

    def take(self, team: str, profile: str, cards: int) -> None:
        """The team holds so many more cards (negative: fewer)."""
        own = self.held.setdefault(team, {})
        own[profile] = own.get(profile, 0) + cards
        self._spare.clear()

    def keep(self, team: str, profile: str, cards: int) -> None:
        """The same for a gang that only waits: said as such."""
        self.kept[team, profile] = self.kept.get((team, profile), 0) + cards
        self.take(team, profile, cards)

    def kept_for_waiting(self, team: str, limit: Limit) -> int:
        """What of the limit's use is for gangs of the team that wait with a reservation."""
        return self.amount(limit, [(profile, cards) for (name, profile), cards in self.kept.items() if name == team])

    def hold(self, team: str, shares: Shares, sign: int = 1) -> None:
        """The team holds these cards of each profile (sign -1: no more)."""
        for profile, cards in shares:
            self.take(team, profile, sign * cards)

    def limits(self, team: str, profile: str) -> list[Limit]:
        """The team's limits that a gang on this profile draws on."""
        known = self.rules.teams.get(team)
        return [limit for limit in known.limits if limit.profile in (profile, ALL)] if known is not None else []

    def used(self, team: str, limit: Limit) -> int:
        """What the team holds in the limit's dimension."""
        held = self.held.get(team, {})
        chosen = held.items() if limit.profile == ALL else [(limit.profile, held.get(limit.profile, 0))]
        return sum(self._amount(limit, profile, cards) for profile, cards in chosen)

    def most(self, team: str, limit: Limit) -> int:
        """What the team may hold now, borrowed included."""
        lent = self._lendable(limit.dimension) - self._contribution(team, limit)
        borrow = max(0, lent)
        return limit.nominal + (borrow if limit.borrow is None else min(limit.borrow, borrow))

    def beyond(self, team: str, profile: str, cards: int) -> Limit | None:
        """The first limit that so many more cards would break, or None."""
        return self.over(team, ((profile, cards),))

    def over(self, team: str, shares: Shares) -> Limit | None:
        """The same for cards of several profiles at once."""
        for limit in self._concerned(team, shares):
            want = self.amount(limit, shares)
            if want and self.used(team, limit) + want > self.most(team, limit):
                return limit
        return None

    def broken(self, team: str, profile: str, cards: int) -> list[Limit]:
        """Every limit that so many more cards would break."""
        return [
            limit
            for limit in self.limits(team, profile)
            if (want := self._amount(limit, profile, cards)) and self.used(team, limit) + want > self.most(team, limit)
        ]

    def inside(self, team: str, profile: str, cards: int) -> bool:
        """True where so many more cards stay inside the team's nominal quota, which exists."""
        return self.within(team, ((profile, cards),))

    def within(self, team: str, shares: Shares) -> bool:
        """The same for cards of several profiles at once: there is a quota on each, and none is passed."""
        limits = self._concerned(team, shares)
        return all(self.limits(team, profile) for profile, _ in shares) and all(
            self.used(team, limit) + self.amount(limit, shares) <= limit.nominal for limit in limits
        )

    def amount(self, limit: Limit, shares: Shares) -> int:
        """What cards of these profiles are in the limit's dimension."""
        return sum(self._amount(limit, profile, cards) for profile, cards in shares if limit.profile in (profile, ALL))

    def _concerned(self, team: str, shares: Shares) -> list[Limit]:
        """The team's limits that these profiles draw on, each once."""
        if len(shares) == 1:
            return self.limits(team, shares[0][0])
        return list(dict.fromkeys(limit for profile, _ in shares for limit in self.limits(team, profile)))

    def borrows(self, team: str, profile: str) -> bool:
        """True where the team is beyond what it is guaranteed on this profile; without a quota nothing is."""
        limits = self.limits(team, profile)
        return not limits or any(self.used(team, limit) > limit.nominal for limit in limits)

    def beyond_guarantee(self, gang: Running) -> bool:
        """True where the gang's team is beyond what it is guaranteed on every profile that the gang holds."""
        if not gang.mixed:
            return self.borrows(gang.team, gang.profile)
        return all(self.borrows(gang.team, profile) for profile, _ in gang.mixed)

    def never(self, team: str, profile: str, cards: int) -> Limit | None:
        """The first limit that so many cards would break even with every other gang gone, or None."""
        empty = Ledger(self.rules)
        return empty.beyond(team, profile, cards)

    def refusal(self, gang: Gang, option: Option, limit: Limit) -> Refusal:
        """Why quota stands in the way, in numbers."""
        pods = sum(group.replicas for group in option.groups)
        return self.refused(gang, ((option.profile, cards_of(option)),), limit, pods)

    def refused(self, gang: Gang, shares: Shares, limit: Limit, pods: int) -> Refusal:
        """The same for a gang of so many pods with cards of several profiles."""
        used, may = self.used(gang.team, limit), max(0, self.most(gang.team, limit) - limit.nominal)
        names = " and ".join(profile for profile, _ in shares)
        text = (
            f"profile {names}: team {gang.team} uses {used} of {limit.nominal} {limit.unit} "
            f"(+{may} it may borrow now), needs {self.amount(limit, shares)}"
        )
        if waiting := self.kept_for_waiting(gang.team, limit):
            text += f"; {waiting} of what it uses is kept for gangs of its own that wait before this one"
        if Ledger(self.rules).over(gang.team, shares) is not None:
            text += ", more than it can ever get"
        borrowers = self._borrowers(gang.team, limit)
        if borrowers:
            text += f"; {', '.join(borrowers[:_SHOWN])}"
        return Refusal(gang.key, Reason.QUOTA_EXCEEDED, text, want=pods)

    def _borrowers(self, team: str, limit: Limit) -> list[str]:
        found = []
        for name, other in sorted(self.rules.teams.items()):
            same = next((one for one in other.limits if one.dimension == limit.dimension), None)
            over = self.used(name, same) - same.nominal if same is not None and name != team else 0
            if over > 0:
                found.append(f"team {name} borrows {over}")
        return found

    def _lendable(self, dimension: tuple[str, bool]) -> int:
        """What all teams together leave unused and lend, less what is borrowed already."""
        if dimension not in self._spare:
            self._spare[dimension] = sum(
                self._contribution(name, limit)
                for name, team in self.rules.teams.items()
                for limit in team.limits
                if limit.dimension == dimension
            )
        return self._spare[dimension]

    def _contribution(self, team: str, limit: Limit) -> int:
        kept = 0 if limit.lend is None else max(0, limit.nominal - limit.lend)
        return limit.nominal - max(self.used(team, limit), kept)

    def _amount(self, limit: Limit, profile: str, cards: int) -> int:
        return cards * self.rules.compute.get(profile, 100) if limit.compute else cards


def opened(rules: Rules, running: Iterable[Running]) -> Ledger:
    """The ledger of what runs; a gang that is leaving for another counts no more."""
    ledger = Ledger(rules)
    for gang in running:
        if not gang.preempted:
            ledger.hold(gang.team, gang.shares())
    return ledger


def share(ledger: Ledger, name: str, capacity: Mapping[str, int]) -> float:
    """The team's dominant share of the pool, now and lately, over its weight; ``capacity`` in cards per profile."""
    team = ledger.rules.teams.get(name) or Team(name)
    held = ledger.held.get(name, {})
    now = max((cards / capacity[profile] for profile, cards in held.items() if capacity.get(profile)), default=0.0)
    whole = sum(cards * ledger.rules.compute.get(profile, 100) for profile, cards in capacity.items())
    lately = team.lately / whole if whole else 0.0
    return round((now + lately) / team.weight, 9)


def cards_of(option: Option) -> int:
    """Cards of the whole gang on one profile."""
    return sum(group.replicas * group.cards_per_pod for group in option.groups)


def shares_placed(gang: Gang, placement: Placement) -> tuple[tuple[str, int], ...]:
    """Cards that a placement on one profile takes: an elastic gang may have fewer pods than it asked for."""
    option = next(option for option in gang.options if option.profile == placement.profile)
    each = {group.name: group.cards_per_pod for group in option.groups}
    return ((placement.profile, sum(len(part.nodes) * each[part.group] for part in placement.segments)),)
