"""What the queue is judged by, and its answers carried out on the jobs.

Whose job is whose, what each holds, and what each team used: gathered while the jobs are judged, kept in mind while
actions are being written. Then places, reasons to wait, and gangs that go for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cardpool.api.cardpool import CardPoolSpec, MovedGang, TeamUsage
from cardpool.domain.gangs import Gang, PlanResult, Running
from cardpool.domain.teams import Moving
from cardpool.domain.world import PoolRecord, World
from cardpool.lifecycle import (
    holdings,
    learning,
    moving,
    reserving,
    restart,
    sizes,
    teams,
    trainingjob,
    waiting,
)
from cardpool.lifecycle.draft import Draft, PoolView
from cardpool.lifecycle.restart import Cause
from cardpool.names import Attribution, Reason

Labels = tuple[tuple[str, str], ...]
Teams = tuple[dict[str, str], list[str]]


@dataclass(slots=True)
class Record:
    """What is kept from cycle to cycle: rooms by identity, teams as long as nothing changed, who waited last time."""

    holdings: holdings.Holdings = field(default_factory=holdings.Holdings)
    teams: dict[str, tuple[object, frozenset[str], object, Teams]] = field(default_factory=dict)
    waiting: dict[str, Gang] = field(default_factory=dict)
    learner: learning.Learner = field(default_factory=learning.Learner)
    moving: moving.Memory = field(default_factory=moving.Memory)


class Court:
    """One cycle's teams, running gangs and use, by pool."""

    def __init__(self, world: World, record: Record) -> None:
        self.world, self.record = world, record
        self.running: dict[str, list[Running]] = {}
        self.usage: dict[str, tuple[TeamUsage, ...]] = {}
        self.queues: dict[str, list[Gang]] = {}
        self.moved: dict[str, tuple[MovedGang, ...]] = {}
        self._spaces = frozenset({job.namespace for job in world.jobs.values()} | world.namespaces.keys())

    def teams(self, pool: str, spec: CardPoolSpec) -> Teams:
        """The team of each namespace that matters, and the namespaces that two teams claim."""
        labels, names = self.world.namespaces, self._spaces | teams.claimed(spec)
        kept = self.record.teams.get(pool)
        if kept is None or kept[0] is not spec or kept[1] != names or kept[2] != labels:
            kept = (spec, names, labels, teams.of_namespaces(spec, names, labels))
            self.record.teams[pool] = kept
        return kept[3]

    def holds(self, one: Draft, told: Running | None = None) -> None:
        """Count what the job holds: what is ``told``, and while its last actions are written what was decided then."""
        kept = self.record.holdings
        if told is not None:
            found: Running | None = told
        elif one.job.uid in self.world.busy and one.job.uid in kept.known:
            found = kept.known[one.job.uid]
        else:
            found = kept.judge(one, one.team, trainingjob.priority(one))
        if found is not None:
            self.running.setdefault(one.spec.pool, []).append(found)
        left = kept.moving.get(one.job.uid)
        if left is not None:
            self.running.setdefault(one.spec.pool, []).append(left)

    def known(self, one: Draft) -> Running | None:
        """What the job held when it was judged last."""
        return self.record.holdings.known.get(one.job.uid)

    def policy(self, view: PoolView, drafts: Mapping[str, Draft]) -> Moving | None:
        """Whom the pool may move now."""
        pool, memory, now = self.world.pools[view.name], self.record.moving, self.world.now
        return moving.policy(pool, self.moved.get(view.name, ()), drafts, memory, now)

    def look_back(self, view: PoolView, drafts: Iterable[Draft]) -> None:
        """Gather the pool's moves of the last hour; one that keeps room together is planned though nobody waits."""
        pool = self.world.pools[view.name]
        if moving.kept_gang(view.spec):
            self.queues.setdefault(view.name, [])
        if view.spec.queue.defragmentation is not None or pool.status.moves:
            self.moved[view.name] = moving.lately(pool, drafts, self.world.now)

    def line_up(self, drafts: Iterable[Draft]) -> dict[str, list[Gang]]:
        """Every pool's queue: who asks now, and who waited and is only being written: nobody passes it meanwhile.

        A pool in which a gang may grow has one too, though it be empty.
        """
        for one in drafts:
            if one.gang is not None:
                self.queues.setdefault(one.spec.pool, []).append(one.gang)
        for pool, running in self.running.items():
            if any(one.elastic is not None and one.elastic.grows is not None for one in running):
                self.queues.setdefault(pool, [])
        return self.queues

    def busy(self, one: Draft) -> None:
        """A job whose last actions are being written holds what it was given, and its place in the queue."""
        self.holds(one)
        gang = self.record.waiting.get(one.job.uid)
        if gang is not None and not one.job.deleting and not one.spec.suspend and one.around.pool is not None:
            self.queues.setdefault(one.spec.pool, []).append(gang)

    def remember(self, drafts: Iterable[Draft]) -> None:
        """Who waits after this cycle."""
        for one in drafts:
            if one.gang is not None and one.placement is None:
                self.record.waiting[one.job.uid] = one.gang
            else:
                self.record.waiting.pop(one.job.uid, None)

    def learn(self, drafts: Iterable[Draft]) -> None:
        """Take in the run times of jobs that succeeded."""
        until = {name: pool.status.learned_until for name, pool in self.world.pools.items()}
        self.record.learner.watch(drafts, until)

    def runs(self, pool: str) -> list[learning.Run]:
        """Those that are to be learned now."""
        return self.record.learner.due(pool, self.world.jobs.values(), self.world.busy)

    def forget(self) -> None:
        """Drop what belongs to jobs that are gone."""
        uids = {job.uid for job in self.world.jobs.values()}
        self.record.holdings.forget(uids)
        self.record.moving.forget(uids, self.world.busy, self.world.now)
        for uid in self.record.waiting.keys() - uids:
            del self.record.waiting[uid]

    def decided(self, one: Draft) -> None:
        """Keep in mind what was decided of the job's room in this cycle."""
        self.record.holdings.judge(one, one.team, trainingjob.priority(one))

    def count(self, view: PoolView, pool: PoolRecord) -> float | None:
        """What each team of the pool has used up to now; gives when it is to be written again, None for never."""
        held: dict[str, dict[str, int]] = {}
        for one in self.running.get(view.name, ()) if view.spec.teams else ():
            own = held.setdefault(one.team, {})
            for profile, cards in self.record.holdings.cards(one):
                own[profile] = own.get(profile, 0) + cards
        now = self.world.now
        self.usage[view.name] = teams.usage(view.spec, pool.status.usage, held, now)
        return now + teams.WRITE_SECONDS if held else None


def carry_out(answer: PlanResult, drafts: Mapping[str, Draft], record: Record, now: float) -> Iterator[Draft]:
    """Let each job know but those that are being written, who ask again; gives those whose room changed."""
    for placement in answer.placements:
        one = drafts.get(placement.gang)
        if one is None:
            continue
        reserving.place(one, placement)
        trainingjob.conclude(one)
        yield one
    for refusal in answer.refusals:
        if refusal.gang in drafts:
            waiting.waits(drafts[refusal.gang], refusal, len(answer.refusals), answer.advice)
    for eviction in answer.evictions:
        victim = drafts.get(eviction.gang)
        if eviction.by in drafts and victim is not None and victim.placement is not None:
            restart.restart(victim, Cause(eviction.reason, eviction.message, Attribution.PREEMPTION, victim.now))
            sizes.shrink(victim, eviction.size)
            trainingjob.conclude(victim)
            yield victim
    for decided in answer.moves:
        one = drafts.get(decided.gang)
        if one is not None and one.placement is not None and (not decided.by or decided.by in drafts):
            moving.move(one, decided, record.moving)
            yield one
    record.moving.vain |= dict.fromkeys(answer.vain, now)
    for growth in answer.growing:
        one = drafts.get(growth.gang)
        if one is not None and one.placement is not None:
            restart.restart(one, Cause(Reason.GROWING, growth.message, Attribution.GROWTH, one.now))
            trainingjob.conclude(one)
            yield one


def gauges(court: Court, answers: Mapping[str, PlanResult]) -> dict[str, dict[Labels, float]]:
    """Cards by team, and waiting jobs by reason, as the last cycle counted them."""
    cards: dict[Labels, float] = {}
    for pool, running in court.running.items():
        for one in running:
            for profile, number in court.record.holdings.cards(one):
                key = (("pool", pool), ("profile", profile), ("team", one.team))
                cards[key] = cards.get(key, 0.0) + number
    waiting_: dict[Labels, float] = {}
    for pool, answer in answers.items():
        for refusal in answer.refusals:
            why = (("pool", pool), ("reason", refusal.reason.value))
            waiting_[why] = waiting_.get(why, 0.0) + 1
    return {"team_cards": cards, "jobs_waiting": waiting_}
