"""The planner's answers, kept while nobody asks anything else and the time alone changes nothing.

An answer stands for the very records that were asked with and until the moment that it names itself. Where only what
cannot be compared differs (use that decays, whom the pool may move) the planner is asked again; if it answers the same,
the old answer goes on with all that was worked out of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import is_

from cardpool.domain.gangs import Gang, PlanResult, Refusal, Running
from cardpool.domain.inventory import Inventory
from cardpool.domain.teams import Rules
from cardpool.engine import plan
from cardpool.lifecycle.casting import Cast


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Everything that a pool's answer depends on but the time."""

    inventory: Inventory
    gangs: Sequence[Gang]
    running: Sequence[Running]
    rules: Rules
    strategy: str

    def alike(self, other: Question) -> bool:
        """True where both are asked of the same room, by the same gangs, under the same quotas."""
        return (
            self.inventory is other.inventory
            and self.strategy == other.strategy
            and _same(self.gangs, other.gangs)
            and (self.running is other.running or _same(self.running, other.running))
            and _lasting(self.rules) == _lasting(other.rules)
        )


@dataclass(slots=True, eq=False)
class Answer:
    """One pool's answer; ``again`` where it is the very one of the cycle before."""

    question: Question
    result: PlanResult
    again: bool = False
    reasons: Counter[str] = field(default_factory=Counter)
    by_gang: dict[str, Refusal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Count the refusals."""
        self.by_gang = {refusal.gang: refusal for refusal in self.result.refusals}
        self.reasons = Counter(refusal.reason.value for refusal in self.result.refusals)

    def untold(self, drafts: Cast) -> list[Refusal]:
        """The refusals that have to be told: what those at rest were told already stands."""
        if self.again:
            return [self.by_gang[key] for key in drafts.awake if key in self.by_gang]
        total = len(self.result.refusals)
        return [refusal for refusal in self.result.refusals if not drafts.heard(refusal, total)]

    def stands(self, question: Question, now: float) -> bool:
        """True where asking would surely bring the same."""
        return (
            self.result.until is not None
            and now < self.result.until
            and question.rules.moving is None
            and self.question.rules == question.rules
            and self.question.alike(question)
        )


def answer(kept: dict[str, Answer], pool: str, question: Question, now: float) -> Answer:
    """The pool's answer: the one of the last cycle where it stands, or comes out again."""
    old = kept.get(pool)
    if old is not None and old.stands(question, now):
        old.again = True
        return old
    result = plan.plan(
        question.inventory,
        question.gangs,
        now=now,
        strategy=question.strategy,
        running=question.running,
        rules=question.rules,
    )
    if old is not None and _goes_on(old, question, result, now):
        old.again = True
        old.question, old.result = question, replace(result, advice=old.result.advice)
        return old
    found = kept[pool] = Answer(question, result)
    return found


def _goes_on(old: Answer, question: Question, result: PlanResult, now: float) -> bool:
    """True where the new answer is the old one, and stands as long as nothing but time passes."""
    before = old.result.until
    steady = before is not None and now < before and result.until is not None and now < result.until
    return steady and old.question.alike(question) and old.result == result


def _same(one: Sequence[object], two: Sequence[object]) -> bool:
    return len(one) == len(two) and all(map(is_, one, two))


def _lasting(rules: Rules) -> Rules:
    """The rules without what changes with every second."""
    teams = {name: replace(team, lately=0.0) for name, team in rules.teams.items()}
    return replace(rules, teams=teams, moving=None)
