"""A pool that lives from plan to plan: what the planner says is done, nodes and cards are lost, gangs end and come back.

Every cycle is judged: against the demands and the room, against teams and quotas counted again, against the same world
told in another order, and against a second cycle in the world in which everything was done. No code of the planner is
asked for its own opinion.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from cardpool.domain.gangs import Gang, Placement, PlanResult, Running
from cardpool.domain.inventory import Cause, Inventory
from cardpool.domain.teams import Rules
from cardpool.engine import build, plan
from tests.support import placements, worlds


@dataclass
class Round:
    """``nodes`` as they are without pods; ``running`` and ``leaving`` have the nodes of each gang's ranks."""

    nodes: dict[str, build.NodeRow]
    rules: Rules
    waiting: dict[str, Gang] = field(default_factory=dict)
    running: dict[str, Gang] = field(default_factory=dict)
    leaving: dict[str, Gang] = field(default_factory=dict)
    seats: dict[str, tuple[str, ...]] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    promised: dict[str, Placement] = field(default_factory=dict)
    now: float = 10_000.0

    def submit(self, gang: Gang) -> None:
        """One more that waits."""
        self.waiting[gang.key] = dataclasses.replace(gang, created=self.now)

    def finish(self, key: str) -> None:
        """A running gang is done."""
        del self.running[key], self.seats[key]

    def lose_node(self, name: str) -> None:
        """A node falls silent; the gangs that it holds pods of come down at once."""
        self.nodes[name] = dataclasses.replace(self.nodes[name], cause=Cause.NOT_READY)
        self._strike(name)

    def lose_cards(self, name: str, number: int) -> None:
        """Some cards of a node are faulty; gangs on it come down."""
        row = self.nodes[name]
        self.nodes[name] = dataclasses.replace(row, cards_usable=max(0, row.cards_usable - number))
        self._strike(name)

    def mend(self, name: str) -> None:
        """The node is as it was made."""
        row = self.nodes[name]
        self.nodes[name] = dataclasses.replace(row, cards_usable=row.cards_total, cause=Cause.NONE)

    def go(self) -> None:
        """Those that were taken down for others are gone, and wait again."""
        for key, gang in self.leaving.items():
            del self.seats[key]
            self.waiting[key] = dataclasses.replace(gang, previous={}, repair=False)
        self.leaving.clear()

    def cycle(self) -> PlanResult:
        """Plan, judge, and do what the plan says."""
        result = self._plan()
        self._judge(result)
        for placement in result.placements:
            gang = self.waiting.pop(placement.gang)
            self.running[gang.key], self.seats[gang.key] = gang, placement.nodes()
            self.started[gang.key] = self.now
        for eviction in result.evictions:
            self.leaving[eviction.gang] = self.running.pop(eviction.gang)
        self.promised = {placement.gang: placement for placement in result.preempting}
        return result

    def inventory(self, without: frozenset[str] = frozenset()) -> Inventory:
        """The nodes with every pod that holds them, but those of some gangs."""
        used: dict[str, Counter[str]] = {name: Counter() for name in self.nodes}
        for key, seats in self.seats.items():
            if key in without:
                continue
            for node, (cards, requests) in zip(seats, self._pods(key), strict=True):
                used[node].update({"cards": cards, "pods": 1, **requests})
        rows = [
            dataclasses.replace(
                row,
                used_cards=used[name]["cards"],
                pods_used=used[name]["pods"],
                used={resource: used[name][resource] for resource in ("cpu", "memory")},
            )
            for name, row in self.nodes.items()
        ]
        return build.build_inventory(rows, (worlds.PROFILE,), (worlds.tree("zone", "rack"),))

    def holders(self) -> list[Running]:
        """Those that run and those that are leaving, as the planner is told of them."""
        found = []
        for key, seats in self.seats.items():
            gang = self.running.get(key) or self.leaving[key]
            pods = tuple((node, *pod) for node, pod in zip(seats, self._pods(key), strict=True))
            gone = key in self.leaving
            found.append(
                worlds.holds(
                    key,
                    0,
                    pods=pods,
                    team=gang.team,
                    priority=gang.priority,
                    started=self.started[key],
                    ends=self.started[key] + gang.runtime if gang.runtime is not None else None,
                    leaving=gone,
                    preempted=gone,
                    exclusive=gang.topology.exclusive,
                )
            )
        return found

    def _pods(self, key: str) -> list[tuple[int, Mapping[str, int]]]:
        gang = self.running.get(key) or self.leaving[key]
        return [(shape.cards_per_pod, shape.requests) for shape in placements.shapes(gang.options[0])]

    def _strike(self, name: str) -> None:
        for key, seats in list(self.seats.items()):
            if name in seats and key in self.running:
                gang = self.running.pop(key)
                del self.seats[key]
                self.waiting[key] = dataclasses.replace(gang, previous=dict(enumerate(seats)), repair=True)

    def _plan(self, *, turned: bool = False) -> PlanResult:
        queue, holders = list(self.waiting.values()), self.holders()
        inventory = self.inventory()
        if turned:
            queue, holders = queue[::-1], holders[::-1]
            self.nodes = dict(reversed(self.nodes.items()))
            inventory = self.inventory()
        return plan.plan(inventory, queue, now=self.now, strategy="Backfill", running=holders, rules=self.rules)

    def _judge(self, result: PlanResult) -> None:
        queue = list(self.waiting.values())
        assert placements.violations(self.inventory(), queue, result) == []
        assert result == self._plan(turned=True), "the order in which the world is told counts"
        self._judge_evictions(result)
        self._judge_quotas(result)
        self._judge_company(result)

    def _judge_evictions(self, result: PlanResult) -> None:
        """Whole gangs that run, by the rules, and enough of them for those for whom they go."""
        victims = {eviction.gang: self.waiting[eviction.by] for eviction in result.evictions}
        assert len(victims) == len(result.evictions)
        assert victims.keys() <= self.running.keys()
        going = frozenset(victims) | frozenset(self.leaving)
        after = dataclasses.replace(self, seats={**self.seats}, running={**self.running}, leaving={**self.leaving})
        for placement in result.placements:
            after.running[placement.gang] = self.waiting[placement.gang]
            after.seats[placement.gang] = placement.nodes()
        preemptors = [self.waiting[placement.gang] for placement in result.preempting]
        promise = PlanResult(placements=result.preempting)
        assert placements.violations(after.inventory(going), preemptors, promise) == []
        assert {eviction.by for eviction in result.evictions} <= {placement.gang for placement in result.preempting}
        for victim, preemptor in victims.items():
            gang = self.running[victim]
            if gang.team == preemptor.team:
                assert self.rules.within_team
                assert gang.priority < preemptor.priority
                continue
            own = [key for key in victims if self.running[key].team == gang.team]
            nominal = self.nominal(gang.team)
            left = self.held(gang.team) - sum(self.cards(key) for key in own)
            assert nominal is None or left + max(self.cards(key) for key in own) > nominal, "a guarantee is crossed"

    def _judge_quotas(self, result: PlanResult) -> None:
        """No team beyond its own and what all others leave unused before they take what is theirs."""
        teams = {gang.team for gang in (*self.waiting.values(), *self.running.values())}
        going = {eviction.gang for eviction in result.evictions}
        new = {placement.gang for placement in (*result.placements, *result.preempting)}
        held = {
            team: self.held(team, going)
            + sum(_cards(self.waiting[key]) for key in new if self.waiting[key].team == team)
            for team in teams | set(self.rules.teams)
        }
        grown = {self.waiting[key].team for key in new}
        bounded = [team for team in self.rules.teams if self.nominal(team) is not None]
        total = sum(self.nominal(team) or 0 for team in bounded)
        for team in grown & set(bounded):
            others = sum(min(self.held(other, going), self.nominal(other) or 0) for other in bounded if other != team)
            assert held[team] <= max(total - others, self.nominal(team) or 0), f"team {team} holds {held[team]}"

    def _judge_company(self, result: PlanResult) -> None:
        """Nobody comes into a domain that another has alone."""
        homes = {key: (self.running.get(key) or self.leaving[key], seats) for key, seats in self.seats.items()}
        homes |= {placement.gang: (self.waiting[placement.gang], placement.nodes()) for placement in result.placements}
        inventory = self.inventory()
        for placement in result.placements:
            for key, (gang, seats) in homes.items():
                for level in {gang.topology.exclusive, self.waiting[placement.gang].topology.exclusive} - {""}:
                    if key != placement.gang:
                        mine = {placements.path(inventory, worlds.PROFILE, node, level) for node in placement.nodes()}
                        assert not mine & {placements.path(inventory, worlds.PROFILE, node, level) for node in seats}

    def held(self, team: str, without: set[str] | frozenset[str] = frozenset()) -> int:
        """Cards of the team's gangs that run, those that leave not counted."""
        return sum(self.cards(key) for key, gang in self.running.items() if gang.team == team and key not in without)

    def cards(self, key: str) -> int:
        """Cards of a gang that runs."""
        return _cards(self.running[key])

    def nominal(self, team: str) -> int | None:
        """The team's quota."""
        found = self.rules.teams.get(team)
        return found.limits[0].nominal if found is not None and found.limits else None


def _cards(gang: Gang) -> int:
    return sum(shape.cards_per_pod for shape in placements.shapes(gang.options[0]))
