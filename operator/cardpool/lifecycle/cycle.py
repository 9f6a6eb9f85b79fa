"""One cycle, pure: the world in, the decision out, in numbered phases.

Same world in, same decision out. ``Memory`` only saves work (what was derived from records that did not change) and
remembers the room of placements that are still being written; a restart rebuilds it from the world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cardpool.domain.changes import Table
from cardpool.domain.gangs import PlanResult, Running
from cardpool.domain.world import World
from cardpool.engine.build import NodeRow
from cardpool.faults import cards
from cardpool.faults.signals import NodeFacts
from cardpool.lifecycle import (
    answers,
    cardpool,
    casting,
    draft,
    finishing,
    invalid,
    labelling,
    learning,
    membership,
    queueing,
    reporting,
    resting,
    roll,
    rooms,
    stock,
    supernode,
    survey,
    tally,
    teams,
    times,
    trainingjob,
)
from cardpool.lifecycle.actions import Decision, Step
from cardpool.lifecycle.draft import Draft, PoolView, Surroundings
from cardpool.lifecycle.membership import Membership
from cardpool.names import OPERATOR
from cardpool.vendors.registry import Registry


@dataclass(frozen=True, slots=True)
class CycleSettings:
    """What the core needs to know of the installation."""

    resolver_image: str = "cardpool/operator"
    status_seconds: float = 2.0


@dataclass(slots=True)
class Memory:
    """Derived values by the identity of what they were derived from, and promises still being written."""

    seating: membership.Seating = field(default_factory=membership.Seating)
    survey: survey.Survey = field(default_factory=survey.Survey)
    known: supernode.Remembered = field(default_factory=dict)
    standing: supernode.Standing = field(default_factory=dict)
    labels: labelling.LabelMemory = field(default_factory=labelling.LabelMemory)
    settled: reporting.Settled = field(default_factory=dict)
    pending: dict[str, rooms.Promises] = field(default_factory=dict)
    layout: stock.LayoutMemory = field(default_factory=stock.LayoutMemory)
    inventory: stock.Kept = field(default_factory=dict)
    record: queueing.Record = field(default_factory=queueing.Record)
    roll: roll.Roll = field(default_factory=roll.Roll)
    answers: dict[str, answers.Answer] = field(default_factory=dict)
    runtimes: learning.Estimates = field(default_factory=dict)


def decide(world: World, registry: Registry, settings: CycleSettings, memory: Memory | None = None) -> Decision:
    """Everything that is to be written now."""
    return _Cycle(world, registry, settings, memory if memory is not None else Memory()).run()


@dataclass(frozen=True, slots=True)
class Study:
    """What a cycle found and would answer, nothing of it on its way to be written.

    ``drafts`` are the judged jobs by key, the rest goes by pool; totals and ``rows`` are what was there before the
    answers, ``running`` who holds cards then.
    """

    place: Membership
    drafts: Mapping[str, Draft]
    answers: Mapping[str, PlanResult]
    totals: Mapping[str, tally.Total]
    rows: Mapping[str, Table[NodeRow]] = field(default_factory=dict)
    running: Mapping[str, Sequence[Running]] = field(default_factory=dict)


def study(world: World, registry: Registry, settings: CycleSettings, memory: Memory) -> Study:
    """The same cycle up to the planner's answers, for those who only ask what would be done."""
    return _Cycle(world, registry, settings, memory).study()


class _Cycle:
    def __init__(self, world: World, registry: Registry, settings: CycleSettings, memory: Memory) -> None:
        self.world, self.registry, self.settings, self.memory = world, registry, settings, memory
        self.place = Membership()
        self.facts: Table[NodeFacts] = Table({})
        self.faults: dict[str, survey.Records] = {}
        self.views: dict[str, PoolView] = {}
        self.roll = memory.roll = memory.roll.begin(world, registry, settings)
        self.drafts = casting.Cast(self.roll, lambda one: self._around(one.job.uid, one.spec.pool))
        self.alarms: dict[str, float | None] = {}
        self.promises: dict[str, rooms.Promises] = {}
        self.stock = stock.Stock()
        self.answers: dict[str, answers.Answer] = {}
        self.wake: float | None = None
        self.court = queueing.Court(world, memory.record, self.roll)

    def run(self) -> Decision:
        self._answer()
        self._accept()  # 8. what that means for each job
        return self._decision()  # 9. what to write

    def study(self) -> Study:
        self._answer()
        account = self._account()
        totals = {name: reporting.pool_total(account, name) for name in self.views}
        told = {name: one.result for name, one in self.answers.items()}
        return Study(self.place, self.drafts, told, totals, self.stock.rows, self.court.running)

    def _answer(self) -> None:
        self.place = membership.assign(self.world, self.registry, self.memory.seating)  # 1. who belongs where
        self.facts = self.memory.survey.observe(self.world, self.place)  # 2. what each node holds and says
        self._judge_cards()  # 3. card states
        self._view_pools()  # 4. what jobs may know of their pool
        self._judge_jobs()  # 5. what each job needs
        ground = stock.Ground(self.world, self.place, self.facts, self.faults, self.memory.survey)
        self.stock = stock.lay_out(ground, self.promises, self.memory.layout)  # 6. what is free
        self._plan()  # 7. who gets it

    def _judge_cards(self) -> None:
        known = supernode.remembered(self.world.supernodes, self.memory.known)
        policies = {name: cardpool.policy_of(self.world.pools[name]) for name in self.place.by_pool}
        for name in sorted((known.keys() | self.memory.survey.loud) & self.facts.keys()):
            pool = self.place.members[name].pool
            judgement = cards.advance(self.facts[name], known.get(name, {}), policies[pool], self.world.now)
            if judgement.records:
                self.faults[name] = judgement.records
            self.wake = times.earliest(self.wake, judgement.wake)

    def _view_pools(self) -> None:
        for pool in membership.live_pools(self.world):
            spec = pool.spec
            if spec is None:
                continue
            policy = cardpool.policy_of(pool)
            dead, due = self.memory.survey.dead(self.world, policy.dead_node)
            self.wake = times.earliest(self.wake, due)
            self.views[pool.name] = PoolView(
                name=pool.name,
                spec=spec,
                policy=policy,
                members=self.place.members,
                usable=cardpool.usable_profiles(spec, self.registry),
                faults=self.faults,
                facts=self.facts,
                dead=dead,
                blocked=cardpool.blocked(pool, self.registry, self.world.priority_classes),
                teams=self.court.teams(pool.name, spec)[0],
                runtimes=learning.kept(self.memory.runtimes, pool.name, pool.status.runtimes),
            )

    def _judge_jobs(self) -> None:
        for uid in self.memory.pending.keys() - self.world.busy:
            del self.memory.pending[uid]
        hit = {node for view in self.views.values() for node in (*view.faults, *view.dead)}
        for key in self.roll.rouse(self.world, self.views, hit):
            job = self.world.jobs[key]
            if job.spec is None or job.spec.managed_by != OPERATOR:
                self.roll.tell(key, "", (), {})
                continue
            around, pods = self._around(job.uid, job.spec.pool), self.world.pods_by_owner.get(job.uid, ())
            one = draft.open_draft(job, job.spec, around, pods)
            if job.uid in self.world.busy:
                self.court.busy(one)
                self.promises[job.uid] = self.memory.pending.get(job.uid) or rooms.promised(one)
                continue
            if job.deleting:
                self.roll.tell(key, "", (), {})
                continue
            trainingjob.judge(one)
            self.court.holds(one)
            self.drafts.awake[key], self.alarms[key] = one, one.wake
            self.promises[job.uid] = rooms.promised(one)
        for key in self.roll.changing:
            self.court.holds(self.drafts[key])
        self.court.forget()

    def _around(self, uid: str, pool: str) -> Surroundings:
        return Surroundings(
            world=self.world,
            pool=self.views.get(pool),
            priorities=self.world.priority_classes,
            resolver_image=self.settings.resolver_image,
            refused=self.world.refused.get(uid),
            status_seconds=self.settings.status_seconds,
        )

    def _plan(self) -> None:
        queues = self.court.line_up(self.drafts)
        for pool, view in self.views.items():
            self.court.look_back(view, self.drafts)
            self.wake = times.earliest(self.wake, self.court.count(view, self.world.pools[pool]))
        for pool, gangs in sorted(queues.items()):
            view = self.views[pool]
            moving = self.court.policy(view, self.drafts)
            question = answers.Question(
                stock.inventory(self.memory.inventory, pool, view.spec, self.stock.rows.get(pool, Table({}))),
                gangs,
                self.court.running.get(pool, ()),
                replace(teams.rules(view.spec, self.court.usage[pool]), moving=moving),
                view.spec.queue.strategy.value,
            )
            self.answers[pool] = answers.answer(self.memory.answers, pool, question, self.world.now)

    def _accept(self) -> None:
        for answer in self.answers.values():
            for one in queueing.carry_out(answer, self.drafts, self.memory.record, self.world.now):
                self.drafts.stir(one)
                self.promises[one.job.uid] = rooms.promised(one)
                self.court.decided(one)
            self.wake = times.earliest(self.wake, answer.result.wake)
        awake = self.drafts.awake.values()
        self.court.remember(awake)
        self.court.learn(awake)

    def _decision(self) -> Decision:
        reporting.retain(self.drafts.awake.values(), self.views)
        jobs = [step for key in sorted(self.drafts.awake) if (step := self._step(key)) is not None]
        late = min(self.roll.alarms.values(), default=None)
        self.wake = times.earliest(self.wake, late)
        up = [self.world.jobs[key] for key in sorted(self.roll.up)]
        broken = [step for job in up if (step := invalid.job_step(job, self.world.now))]
        account, busy = self._account(), self.world.busy
        pools, labels = reporting.pool_steps(account, self.memory.labels)
        others = (*broken, *finishing.reopen(self.world))
        steps = [*reporting.supernode_steps(account, self.memory.settled), *pools, *jobs, *others]
        self.roll.whole = True
        return Decision(
            steps=tuple(step for step in steps if step.uid not in busy),
            labels=tuple(labels),
            supernodes=tuple(
                supernode.discover(self.place, self.world.supernodes, self.world.pools, self.memory.standing)
            ),
            removals=tuple(supernode.leftovers(self.place, self.world.supernodes)),
            wake=self.wake,
            gauges=reporting.gauges(account),
        )

    def _step(self, key: str) -> Step | None:
        """What is to be written of a job; who has nothing to write may rest."""
        one = self.drafts.awake[key]
        uid, step = one.job.uid, one.step()
        self.wake = times.earliest(self.wake, one.wake)
        if step is not None:
            self.memory.pending[uid] = self.promises.get(uid, {})
            return step
        rest = resting.rest(one, self.promises.get(uid, {}), self.court.known(one), self.alarms.get(key))
        if rest is not None:
            self.roll.lie(key, rest, self.drafts.said(key))
        return None

    def _account(self) -> reporting.Account:
        return reporting.Account(
            world=self.world,
            registry=self.registry,
            place=self.place,
            faults=self.faults,
            survey=self.memory.survey,
            stock=self.stock,
            court=self.court,
            answers=self.answers,
        )
