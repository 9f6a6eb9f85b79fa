"""What the queue is judged by, and its answers carried out on the jobs.

Whose job is whose, what each holds, and what each team used: gathered while the jobs are judged, kept in mind while
actions are being written. Then places, reasons to wait, and gangs that go for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cardpool.api.cardpool import CardPoolSpec, MovedGang, TeamUsage
from cardpool.domain.gangs import Gang, Running
from cardpool.domain.teams import Moving
from cardpool.domain.world import PoolRecord, World
from cardpool.lifecycle import (
    casting,
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
from cardpool.lifecycle.answers import Answer
from cardpool.lifecycle.draft import Draft, PoolView
from cardpool.lifecycle.restart import Cause
from cardpool.lifecycle.roll import Roll
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

    def __init__(self, world: World, record: Record, roll: Roll) -> None:
        self.world, self.record, self.roll = world, record, roll
        self.running: Mapping[str, Sequence[Running]] = {}
        self.usage: dict[str, tuple[TeamUsage, ...]] = {}
        self.queues: dict[str, list[Gang]] = {}
        self.moved: dict[str, tuple[MovedGang, ...]] = {}
        self._spaces = frozenset({name for name, _, _ in roll.counted("space")} | world.namespaces.keys())

    def teams(self, pool: str, spec: CardPoolSpec) -> Teams:
        """The team of each namespace that matters, and the namespaces that two teams claim."""
        labels, names = self.world.namespaces, self._spaces | teams.claimed(spec)
        kept = self.record.teams.get(pool)
        if kept is None or kept[0] is not spec or kept[1] != names or kept[2] != labels:
            kept = (spec, names, labels, teams.of_namespaces(spec, names, labels))
            self.record.teams[pool] = kept
        return kept[3]

    def holds(self, one: Draft) -> None:
        """Count what the job holds; while its last actions are written what was decided then."""
        kept = self.record.holdings
        if one.job.uid in self.world.busy and one.job.uid in kept.known:
            found: Running | None = kept.known[one.job.uid]
        else:
            found = kept.judge(one, one.team, trainingjob.priority(one))
        all_ = tuple(item for item in (found, kept.moving.get(one.job.uid)) if item is not None)
        cards: dict[tuple[str, str], int] = {}
        for item in all_:
            for profile, number in kept.cards(item):
                cards[profile, item.team] = cards.get((profile, item.team), 0) + number
        self.roll.tell(one.job.key, one.spec.pool, all_, cards)

    def known(self, one: Draft) -> Running | None:
        """What the job held when it was judged last."""
        return self.record.holdings.known.get(one.job.uid)

    def policy(self, view: PoolView, drafts: casting.Cast) -> Moving | None:
        """Whom the pool may move now."""
        pool, memory, now = self.world.pools[view.name], self.record.moving, self.world.now
        return moving.policy(pool, self.moved.get(view.name, ()), drafts, memory, now)

    def look_back(self, view: PoolView, drafts: casting.Cast) -> None:
        """Gather the pool's moves of the last hour; one that keeps room together is planned though nobody waits."""
        pool = self.world.pools[view.name]
        if moving.kept_gang(view.spec):
            self.queues.setdefault(view.name, [])
        if view.spec.queue.defragmentation is not None or pool.status.moves:
            moved = (*drafts.awake.values(), *self.roll.resting(self.roll.moved))
            self.moved[view.name] = moving.lately(pool, moved, self.world.now)

    def line_up(self, drafts: casting.Cast) -> dict[str, list[Gang]]:
        """Every pool's queue: who asks now, and who waited and is only being written: nobody passes it meanwhile.

        A pool in which a gang may grow has one too, though it be empty.
        """
        self.running = self.roll.holders()
        asking = {one.job.key: (one.spec.pool, one.gang) for one in drafts.awake.values() if one.gang is not None}
        rests = self.roll.rests
        asking |= {key: (rests[key].draft.spec.pool, gang) for key, gang in self.roll.gangs.items()}
        for key in sorted(asking):
            pool, gang = asking[key]
            self.queues.setdefault(pool, []).append(gang)
        for key in self.roll.growing:
            self.queues.setdefault(self.roll.told[key][0], [])
        return self.queues

    def busy(self, one: Draft) -> None:
        """A job whose last actions are being written holds what it was given, and its place in the queue."""
        self.holds(one)
        gang = self.record.waiting.get(one.job.uid)
        if gang is not None and not one.job.deleting and not one.spec.suspend and one.around.pool is not None:
            self.queues.setdefault(one.spec.pool, []).append(gang)

    def remember(self, drafts: Iterable[Draft]) -> None:
        """Who of these waits after this cycle."""
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
        """Drop what belongs to jobs that are gone; after a cycle that broke off nobody knows which."""
        gone = self.roll.gone
        if self.roll.blank:
            known = self.record.waiting.keys() | self.record.holdings.uids() | self.record.moving.options.keys()
            gone = gone | known - self.roll.keys.keys()
        self.record.holdings.forget(gone)
        self.record.moving.forget(gone, self.world.busy, self.world.now)
        for uid in gone:
            self.record.waiting.pop(uid, None)

    def decided(self, one: Draft) -> None:
        """Keep in mind what was decided of the job's room in this cycle."""
        self.record.holdings.judge(one, one.team, trainingjob.priority(one))

    def count(self, view: PoolView, pool: PoolRecord) -> float | None:
        """What each team of the pool has used up to now; gives when it is to be written again, None for never."""
        held: dict[str, dict[str, int]] = {}
        for (name, profile, team), cards in self.roll.cards.totals.items() if view.spec.teams else ():
            if name == view.name:
                held.setdefault(team, {})[profile] = cards
        now = self.world.now
        self.usage[view.name] = teams.usage(view.spec, pool.status.usage, held, now)
        return now + teams.WRITE_SECONDS if held else None


def carry_out(answer: Answer, drafts: casting.Cast, record: Record, now: float) -> Iterator[Draft]:
    """Let each job know but those that are being written, who ask again; gives those whose room changed."""
    result = answer.result
    for placement in result.placements:
        one = drafts.get(placement.gang)
        if one is None:
            continue
        reserving.place(one, placement)
        trainingjob.conclude(one)
        yield one
    total = len(result.refusals)
    for refusal in answer.untold(drafts):
        one = drafts.get(refusal.gang)
        if one is None:
            continue
        if waiting.waits(one, refusal, total, result.advice):
            drafts.stir(one)
        drafts.hear(one, refusal, total)
    for eviction in result.evictions:
        victim = drafts.get(eviction.gang)
        if eviction.by in drafts and victim is not None and victim.placement is not None:
            restart.restart(victim, Cause(eviction.reason, eviction.message, Attribution.PREEMPTION, victim.now))
            sizes.shrink(victim, eviction.size)
            trainingjob.conclude(victim)
            yield victim
    for decided in result.moves:
        one = drafts.get(decided.gang)
        if one is not None and one.placement is not None and (not decided.by or decided.by in drafts):
            moving.move(one, decided, record.moving)
            yield one
    record.moving.vain |= dict.fromkeys(result.vain, now)
    for growth in result.growing:
        one = drafts.get(growth.gang)
        if one is not None and one.placement is not None:
            restart.restart(one, Cause(Reason.GROWING, growth.message, Attribution.GROWTH, one.now))
            trainingjob.conclude(one)
            yield one


def gauges(court: Court, answers: Mapping[str, Answer]) -> dict[str, dict[Labels, float]]:
    """Cards by team, and waiting jobs by reason, as the last cycle counted them."""
    cards: dict[Labels, float] = {}
    for (pool, profile, team), number in court.roll.cards.totals.items():
        cards[("pool", pool), ("profile", profile), ("team", team)] = float(number)
    waiting_: dict[Labels, float] = {}
    for pool, answer in answers.items():
        for reason, number in answer.reasons.items():
            waiting_[("pool", pool), ("reason", reason)] = float(number)
    return {"team_cards": cards, "jobs_waiting": waiting_}
