"""One cycle, pure: the world in, the decision out, in numbered phases.

Same world in, same decision out. ``Memory`` only saves work (what was derived from records that did not change) and
remembers the room of placements that are still being written; a restart rebuilds it from the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cardpool.api.cardpool import Faults
from cardpool.api.supernode import SpareCounts
from cardpool.domain.cards import CardFault
from cardpool.domain.gangs import PlanResult
from cardpool.domain.inventory import Cause, Inventory
from cardpool.domain.world import JobRecord, PoolRecord, SupernodeRecord, World
from cardpool.engine import build, plan
from cardpool.engine.build import NodeRow
from cardpool.faults import cards
from cardpool.faults.signals import NodeFacts
from cardpool.lifecycle import (
    cardpool,
    draft,
    invalid,
    membership,
    queueing,
    rooms,
    supernode,
    survey,
    tally,
    teams,
    times,
    trainingjob,
)
from cardpool.lifecycle.actions import ApplyNodeLabels, Decision, Step
from cardpool.lifecycle.draft import Draft, PoolView, Surroundings
from cardpool.lifecycle.membership import Membership
from cardpool.names import OPERATOR, Condition
from cardpool.vendors.registry import Registry

Gauges = dict[str, dict[tuple[tuple[str, str], ...], float]]
Shape = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class CycleSettings:
    """What the core needs to know of the installation."""

    resolver_image: str = "cardpool/operator"


@dataclass(slots=True)
class Memory:
    """Derived values by the identity of what they were derived from, and promises still being written."""

    seating: membership.Seating = field(default_factory=membership.Seating)
    survey: survey.Survey = field(default_factory=survey.Survey)
    known: dict[str, tuple[SupernodeRecord, dict[str, dict[str, CardFault]]]] = field(default_factory=dict)
    labels: cardpool.LabelMemory = field(default_factory=cardpool.LabelMemory)
    settled: dict[str, tuple[object, ...]] = field(default_factory=dict)
    pending: dict[str, rooms.Promises] = field(default_factory=dict)
    inventory: dict[str, tuple[dict[str, NodeRow], Shape, Inventory]] = field(default_factory=dict)
    record: queueing.Record = field(default_factory=queueing.Record)


def decide(world: World, registry: Registry, settings: CycleSettings, memory: Memory | None = None) -> Decision:
    """Everything that is to be written now."""
    return _Cycle(world, registry, settings, memory if memory is not None else Memory()).run()


@dataclass(frozen=True, slots=True)
class Study:
    """What a cycle found and would answer, nothing of it on its way to be written.

    ``drafts`` are the judged jobs by key, ``answers`` and ``totals`` go by pool; a total is what was there before the
    answers.
    """

    place: Membership
    drafts: Mapping[str, Draft]
    answers: Mapping[str, PlanResult]
    totals: Mapping[str, tally.Total]


def study(world: World, registry: Registry, settings: CycleSettings, memory: Memory) -> Study:
    """The same cycle up to the planner's answers, for those who only ask what would be done."""
    return _Cycle(world, registry, settings, memory).study()


class _Cycle:
    def __init__(self, world: World, registry: Registry, settings: CycleSettings, memory: Memory) -> None:
        self.world, self.registry, self.settings, self.memory = world, registry, settings, memory
        self.place = Membership()
        self.facts: dict[str, NodeFacts] = {}
        self.faults: dict[str, survey.Records] = {}
        self.views: dict[str, PoolView] = {}
        self.drafts: dict[str, Draft] = {}
        self.promises: dict[str, rooms.Promises] = {}
        self.rows: dict[str, dict[str, NodeRow]] = {}
        self.areas: dict[str, survey.Area] = {}
        self.spares: dict[str, SpareCounts] = {}
        self.answers: dict[str, PlanResult] = {}
        self.wake: float | None = None
        self.court = queueing.Court(world, memory.record)

    def run(self) -> Decision:
        self._answer()
        self._accept()  # 8. what that means for each job
        return self._decision()  # 9. what to write

    def study(self) -> Study:
        self._answer()
        totals = {name: self._pool_total(name) for name in self.views}
        return Study(self.place, self.drafts, self.answers, totals)

    def _answer(self) -> None:
        self.place = membership.assign(self.world, self.registry, self.memory.seating)  # 1. who belongs where
        self.facts = self.memory.survey.observe(self.world, self.place)  # 2. what each node holds and says
        self._judge_cards()  # 3. card states
        self._view_pools()  # 4. what jobs may know of their pool
        self._judge_jobs()  # 5. what each job needs
        self._lay_out_rooms()  # 6. what is free
        self._plan()  # 7. who gets it

    def _judge_cards(self) -> None:
        known = self._known_faults()
        policies = {name: policy_of(self.world.pools[name]) for name in self.place.by_pool}
        for name, facts in self.facts.items():
            before = known.get(name)
            if before is None and cards.quiet(facts):
                continue
            pool = self.place.members[name].pool
            judgement = cards.advance(facts, before or {}, policies[pool], self.world.now)
            if judgement.records:
                self.faults[name] = judgement.records
            self.wake = times.earliest(self.wake, judgement.wake)

    def _known_faults(self) -> dict[str, dict[str, CardFault]]:
        kept = self.memory.known
        found: dict[str, dict[str, CardFault]] = {}
        for name in kept.keys() - self.world.supernodes.keys():
            del kept[name]
        for name, record in self.world.supernodes.items():
            if name not in kept or kept[name][0] is not record:
                kept[name] = (record, supernode.known_faults(record))
            for node, faults in kept[name][1].items():
                found.setdefault(node, {}).update(faults)
        return found

    def _view_pools(self) -> None:
        for pool in membership.live_pools(self.world):
            spec = pool.spec
            if spec is None:
                continue
            policy = policy_of(pool)
            self.views[pool.name] = PoolView(
                name=pool.name,
                spec=spec,
                policy=policy,
                members=self.place.members,
                usable=cardpool.usable_profiles(spec, self.registry),
                faults=self.faults,
                facts=self.facts,
                dead=self._dead(policy.dead_node),
                blocked=cardpool.blocked(pool, self.registry, self.world.priority_classes),
                teams=self.court.teams(pool.name, spec)[0],
            )

    def _dead(self, grace: float) -> dict[str, float]:
        """Nodes with pods that are gone, or silent for longer than the grace, and since when."""
        found = {}
        for name in self.world.pods_by_node:
            node = self.world.nodes.get(name)
            if node is None:
                found[name] = self.world.now
            elif not node.ready:
                due = node.ready_since + grace
                if self.world.now >= due:
                    found[name] = node.ready_since
                else:
                    self.wake = times.earliest(self.wake, due)
        return found

    def _judge_jobs(self) -> None:
        for uid in self.memory.pending.keys() - self.world.busy:
            del self.memory.pending[uid]
        for key in sorted(self.world.jobs):
            job = self.world.jobs[key]
            if job.spec is None or job.spec.managed_by != OPERATOR:
                continue
            one = self._draft(job)
            if job.uid in self.world.busy:
                self.court.busy(one)
                self.promises[job.uid] = self.memory.pending.get(job.uid) or rooms.promised(one)
                continue
            if job.deleting:
                continue
            trainingjob.judge(one)
            self.court.holds(one)
            self.drafts[key] = one
            self.promises[job.uid] = rooms.promised(one)
            self.wake = times.earliest(self.wake, one.wake)

        self.court.forget()

    def _draft(self, job: JobRecord) -> Draft:
        spec = job.spec
        if spec is None:
            raise ValueError("a job without a spec is not judged")
        around = Surroundings(
            world=self.world,
            pool=self.views.get(spec.pool),
            priorities=self.world.priority_classes,
            resolver_image=self.settings.resolver_image,
            refused=self.world.refused.get(job.uid),
        )
        return draft.open_draft(job, spec, around, self.world.pods_by_owner.get(job.uid, ()))

    def _lay_out_rooms(self) -> None:
        total: rooms.Promises = {}
        for promises in self.promises.values():
            for node, promise in promises.items():
                total.setdefault(node, rooms.Promise()).join(promise)
        for name, nodes in self.place.by_supernode.items():
            self._supernode_rooms(name, nodes, total)
        for pool, nodes in self.place.by_pool.items():
            rows = self.rows.setdefault(pool, {})
            for node in nodes:
                if node not in rows:
                    rows[node] = self._look(node, total.get(node), cordoned=False, spare=False).row
        self.memory.survey.forget(self.place)

    def _look(self, node: str, promise: rooms.Promise | None, *, cordoned: bool, spare: bool) -> survey.View:
        member, records = self.place.members[node], self.faults.get(node, survey.CLEAN)
        return self.memory.survey.look(member, self.facts[node], records, promise, cordoned=cordoned, spare=spare)

    def _supernode_rooms(self, name: str, nodes: list[str], total: rooms.Promises) -> None:
        record = self.world.supernodes.get(name)
        spec = record.spec if record is not None else None
        pool = self.place.members[nodes[0]].pool
        setting = spec.spares if spec is not None else None
        declared = self.views[pool].spec.spares
        if setting is None and declared is not None:
            setting = declared.per_supernode
        cordoned = spec is not None and spec.cordoned
        wanted = rooms.spares_wanted(setting, len(nodes))
        spare = rooms.pick_spares(nodes, wanted, lambda node: self._idle(node, total, cordoned=cordoned))
        self.spares[name] = SpareCounts(wanted=wanted, healthy=len(spare), used=wanted - len(spare))
        views = [self._look(node, total.get(node), cordoned=cordoned, spare=node in spare) for node in nodes]
        self.areas[name] = self.memory.survey.area(name, views)
        rows = self.rows.setdefault(pool, {})
        for view in views:
            rows[view.member.node.name] = view.row

    def _idle(self, node: str, total: rooms.Promises, *, cordoned: bool) -> bool:
        member, facts = self.place.members[node], self.facts[node]
        cause = rooms.cause_of(member, self.faults.get(node, survey.CLEAN), cordoned=cordoned)
        return cause is Cause.NONE and not facts.used.get(member.resource) and node not in total

    def _plan(self) -> None:
        queues = self.court.line_up(self.drafts.values())
        for pool, view in self.views.items():
            self.wake = times.earliest(self.wake, self.court.count(view, self.world.pools[pool]))
        for pool, gangs in sorted(queues.items()):
            view = self.views[pool]
            self.answers[pool] = plan.plan(
                self._inventory(pool, view),
                gangs,
                now=self.world.now,
                strategy=view.spec.queue.strategy.value,
                running=self.court.running.get(pool, ()),
                rules=teams.rules(view.spec, self.court.usage[pool]),
            )

    def _accept(self) -> None:
        for answer in self.answers.values():
            for one in queueing.carry_out(answer, self.drafts):
                self.promises[one.job.uid] = rooms.promised(one)
                self.court.decided(one)
            self.wake = times.earliest(self.wake, answer.wake)
        self.court.remember(self.drafts.values())

    def _inventory(self, pool: str, view: PoolView) -> Inventory:
        profiles = tuple(profile.name for profile in view.spec.profiles)
        shape: Shape = (profiles, trees := tuple(membership.tree_of(view.spec, name) for name in profiles))
        rows = self.rows.get(pool, {})
        kept = self.memory.inventory.get(pool)
        inventory = None
        if kept is not None and kept[1] == shape and kept[0].keys() == rows.keys():
            old = kept[0]
            inventory = build.update_rows(kept[2], [row for name, row in rows.items() if row is not old[name]])
        if inventory is None:
            inventory = build.build_inventory(rows.values(), profiles, trees)
        self.memory.inventory[pool] = (rows, shape, inventory)
        return inventory

    def _decision(self) -> Decision:
        self._retain()
        jobs: list[Step] = []
        for one in self.drafts.values():
            step = one.step()
            if step is not None:
                jobs.append(step)
                self.memory.pending[one.job.uid] = self.promises.get(one.job.uid, {})
            self.wake = times.earliest(self.wake, one.wake)
        broken = [step for job in self.world.jobs.values() if (step := invalid.job_step(job, self.world.now))]
        pools, labels = self._pool_steps()
        busy = self.world.busy
        steps = [*self._supernode_steps(), *pools, *jobs, *broken]
        return Decision(
            steps=tuple(step for step in steps if step.uid not in busy),
            labels=tuple(labels),
            supernodes=tuple(supernode.discover(self.place, self.world.supernodes, self.world.pools)),
            removals=tuple(supernode.leftovers(self.place, self.world.supernodes)),
            wake=self.wake,
            gauges=self._gauges(),
        )

    def _retain(self) -> None:
        """Beyond the pool's count of finished jobs in a namespace the oldest go, jobs with a TTL of their own apart."""
        finished: dict[tuple[str, str], list[Draft]] = {}
        for one in self.drafts.values():
            if one.board.holds(Condition.FINISHED) and one.spec.ttl_seconds_after_finished is None:
                finished.setdefault((one.spec.pool, one.job.namespace), []).append(one)
        for (pool, _), drafts in finished.items():
            view = self.views.get(pool)
            kept = view.spec.retention.finished_jobs_per_namespace if view and view.spec.retention else None
            if kept is None:
                continue
            drafts.sort(key=lambda one: (times.epoch(one.status.completion_time), one.job.key), reverse=True)
            for one in drafts[kept:]:
                one.delete_self = True

    def _supernode_steps(self) -> list[Step]:
        steps = []
        for name, record in self.world.supernodes.items():
            if record.deleting or record.uid in self.world.busy:
                continue
            area = self.areas.get(name)
            nodes = self.place.by_supernode.get(name, ())
            faults = [fault for node in nodes for fault in self.faults.get(node, survey.CLEAN).values()]
            spares = self.spares.get(name, SpareCounts())
            conflicts = self.place.conflicts.get(name, [])
            inputs = (record, area, faults, spares, conflicts)
            old = self.memory.settled.get(name)
            if old is not None and old[0] is record and old[1] is area and old[2:] == inputs[2:]:
                continue
            total = area.total if area is not None else tally.Total()
            step = supernode.step(record, total, faults, spares, conflicts, self.world.now)
            if step is None:
                self.memory.settled[name] = inputs
            else:
                self.memory.settled.pop(name, None)
                steps.append(step)
        return steps

    def _pool_steps(self) -> tuple[list[Step], list[ApplyNodeLabels]]:
        actions, foreign = cardpool.label_nodes(self.world, self.place, self.registry, self.memory.labels)
        jobs: dict[str, list[int]] = {}
        for job in self.world.jobs.values():
            if job.spec is not None and job.status.completion_time is None and not job.spec.suspend:
                jobs.setdefault(job.spec.pool, [0, 0])[job.status.placement is not None] += 1
        steps = []
        for pool in self.world.pools.values():
            if pool.deleting or pool.uid in self.world.busy:
                continue
            queued, running = jobs.get(pool.name, (0, 0))
            conflicts = self.place.conflicts.get(pool.name, [])
            clashes = self.court.teams(pool.name, pool.spec)[1] if pool.spec is not None else []
            findings = cardpool.Findings(
                total=self._pool_total(pool.name),
                supernodes=sum(1 for item in self.place.domains.values() if item.pool == pool.name),
                queued=queued,
                running=running,
                blocked=cardpool.blocked(pool, self.registry, self.world.priority_classes),
                degraded=cardpool.degradation(pool, self.registry, conflicts, foreign.get(pool.name, []), clashes),
                usage=self.court.usage.get(pool.name, pool.status.usage),
                active=bool(self.court.running.get(pool.name)) or self._starts(pool.name),
            )
            step = cardpool.step(pool, findings, self.world.now)
            if step is not None:
                steps.append(step)
        return steps, actions

    def _starts(self, pool: str) -> bool:
        return pool in self.answers and bool(self.answers[pool].placements)

    def _pool_total(self, pool: str) -> tally.Total:
        total = tally.Total()
        for name, area in self.areas.items():
            if self.place.domains[name].pool == pool:
                total.add(area.total)
        members, views = self.place.members, self.memory.survey.views
        stray = [views[node] for node in self.place.by_pool.get(pool, ()) if not members[node].supernode]
        total.add(tally.total((view.member, view.counts) for view in stray))
        return total

    def _gauges(self) -> Gauges:
        found: Gauges = {"cards": {}, "jobs": {}}
        for name, area in self.areas.items():
            pool = self.place.domains[name].pool
            for profile, (_, counts, _) in area.total.profiles.items():
                for state, amount in counts.items():
                    labels = (("pool", pool), ("profile", profile), ("state", state))
                    found["cards"][labels] = found["cards"].get(labels, 0.0) + amount
        for job in self.world.jobs.values():
            pool = job.spec.pool if job.spec is not None else ""
            phase = job.status.phase.value if job.status.phase is not None else "New"
            kind = (("phase", phase), ("pool", pool))
            found["jobs"][kind] = found["jobs"].get(kind, 0.0) + 1
        return found | queueing.gauges(self.court, self.answers)


def policy_of(pool: PoolRecord) -> cards.Policy:
    """The pool's fault settings as the fault pipeline takes them."""
    settings = pool.spec.faults if pool.spec is not None else Faults()
    return replace(
        cards.Policy(),
        debounce=float(settings.debounce_seconds),
        attribution=float(settings.attribution_seconds),
        quarantine_faults=settings.quarantine.faults,
        quarantine_window=float(settings.quarantine.window_seconds),
        quarantine_release=float(settings.quarantine.release_after_seconds),
        unknown_grace=float(settings.unknown.grace_seconds),
        dead_node=float(settings.dead_node.grace_seconds),
    )
