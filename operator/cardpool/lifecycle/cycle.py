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
from cardpool.domain.gangs import Gang
from cardpool.domain.inventory import Cause, Inventory
from cardpool.domain.world import JobRecord, NodeRecord, PodRecord, PoolRecord, World
from cardpool.engine import build, plan
from cardpool.engine.build import NodeRow
from cardpool.faults import cards, signals
from cardpool.faults.signals import NodeFacts
from cardpool.lifecycle import (
    cardpool,
    draft,
    invalid,
    membership,
    rooms,
    starting,
    supernode,
    tally,
    times,
    trainingjob,
)
from cardpool.lifecycle.actions import ApplyNodeLabels, Decision, Step
from cardpool.lifecycle.draft import Draft, PoolView, Surroundings
from cardpool.lifecycle.membership import Member, Membership
from cardpool.names import OPERATOR, Condition
from cardpool.vendors.registry import Registry

Faulted = dict[str, Mapping[str, CardFault]]
Gauges = dict[str, dict[tuple[tuple[str, str], ...], float]]


@dataclass(frozen=True, slots=True)
class CycleSettings:
    """What the core needs to know of the installation."""

    resolver_image: str = "cardpool/operator"


@dataclass(slots=True)
class Memory:
    """Derived values by the identity of what they were derived from, and promises still being written."""

    facts: dict[str, tuple[NodeRecord, str, tuple[PodRecord, ...], NodeFacts]] = field(default_factory=dict)
    pending: dict[str, rooms.Promises] = field(default_factory=dict)
    inventory: dict[str, tuple[object, Inventory]] = field(default_factory=dict)


def decide(world: World, registry: Registry, settings: CycleSettings, memory: Memory | None = None) -> Decision:
    """Everything that is to be written now."""
    return _Cycle(world, registry, settings, memory if memory is not None else Memory()).run()


class _Cycle:
    def __init__(self, world: World, registry: Registry, settings: CycleSettings, memory: Memory) -> None:
        self.world, self.registry, self.settings, self.memory = world, registry, settings, memory
        self.place = Membership()
        self.facts: dict[str, NodeFacts] = {}
        self.faults: Faulted = {}
        self.dead: dict[str, float] = {}
        self.views: dict[str, PoolView] = {}
        self.drafts: dict[str, Draft] = {}
        self.promises: dict[str, rooms.Promises] = {}
        self.rows: dict[str, dict[str, NodeRow]] = {}
        self.spare: dict[str, frozenset[str]] = {}
        self.wake: float | None = None

    def run(self) -> Decision:
        self.place = membership.assign(self.world, self.registry)  # 1. who belongs where
        self._observe()  # 2. what each node holds and says
        self._judge_cards()  # 3. card states
        self._view_pools()  # 4. what jobs may know of their pool
        self._judge_jobs()  # 5. what each job needs
        self._lay_out_rooms()  # 6. what is free
        self._plan()  # 7. who gets it
        return self._decision()  # 8. what to write

    def _observe(self) -> None:
        kept = self.memory.facts
        for name, member in self.place.members.items():
            pods = self.world.pods_by_node.get(name, ())
            old = kept.get(name)
            if old is None or old[0] is not member.node or old[1] != member.resource or old[2] is not pods:
                found = signals.facts(member.node, member.resource, pods)
                kept[name] = (member.node, member.resource, pods, found)
            self.facts[name] = kept[name][3]
        for name in kept.keys() - self.place.members.keys():
            del kept[name]

    def _judge_cards(self) -> None:
        known: dict[str, dict[str, CardFault]] = {}
        for record in self.world.supernodes.values():
            for node, faults in supernode.known_faults(record).items():
                known.setdefault(node, {}).update(faults)
        policies = {pool.name: policy_of(pool) for pool in self.world.pools.values() if pool.spec is not None}
        for name, member in self.place.members.items():
            facts = self.facts[name]
            before = known.get(name, {})
            if not before and not facts.lost and not facts.unhealthy:
                continue
            judgement = cards.advance(facts, before, policies[member.pool], self.world.now)
            self.faults[name] = judgement.records
            self.wake = times.earliest(self.wake, judgement.wake)

    def _view_pools(self) -> None:
        named = {pod.node for pod in self.world.pods.values() if pod.node and pod.owner and not pod.finished}
        for pool in membership.live_pools(self.world):
            spec = pool.spec
            if spec is None:
                continue
            policy = policy_of(pool)
            members = self.place.by_pool[pool.name]
            self.views[pool.name] = PoolView(
                name=pool.name,
                spec=spec,
                policy=policy,
                resources={member.node.name: member.resource for member in members},
                usable=cardpool.usable_profiles(spec, self.registry),
                faults=self.faults,
                facts=self.facts,
                dead=self._dead(named, policy.dead_node),
                blocked=cardpool.blocked(pool, self.registry, self.world.priority_classes),
            )

    def _dead(self, named: set[str], grace: float) -> dict[str, float]:
        """Nodes with our pods that are gone, or silent for longer than the grace, and since when."""
        found = {}
        for name in named:
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
                self.promises[job.uid] = self.memory.pending.get(job.uid) or rooms.promised(one)
                continue
            if job.deleting:
                continue
            trainingjob.judge(one)
            self.drafts[key] = one
            self.promises[job.uid] = rooms.promised(one)
            self.wake = times.earliest(self.wake, one.wake)

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
        total: dict[str, rooms.Promise] = {}
        for promises in self.promises.values():
            for node, promise in promises.items():
                room = total.setdefault(node, rooms.Promise())
                room.cards += promise.cards
                room.pods += promise.pods
                for name, amount in promise.requests.items():
                    room.requests[name] = room.requests.get(name, 0) + amount
        for name, members in self.place.by_supernode.items():
            self._rooms_of_supernode(name, members, total)
        for members in self.place.by_pool.values():
            for member in members:
                if not member.supernode:
                    self._row(member, total, Cause.NO_PROFILE, spare=False)

    def _rooms_of_supernode(self, name: str, members: list[Member], total: Mapping[str, rooms.Promise]) -> None:
        record = self.world.supernodes.get(name)
        spec = record.spec if record is not None else None
        view = self.views.get(members[0].pool)
        setting = spec.spares if spec is not None else None
        if setting is None and view is not None and view.spec.spares is not None:
            setting = view.spec.spares.per_supernode
        wanted = rooms.spares_wanted(setting, len(members))
        causes = {
            member.node.name: rooms.cause_of(
                member, self.faults.get(member.node.name, {}), cordoned=spec is not None and spec.cordoned
            )
            for member in members
        }
        idle = {}
        if wanted:
            for member in members:
                node = member.node.name
                used = self.facts[node].used.get(member.resource, 0)
                idle[node] = causes[node] is Cause.NONE and not used and not total.get(node, rooms.Promise()).cards
        self.spare[name] = rooms.pick_spares(members, wanted, idle)
        for member in members:
            cause = causes[member.node.name]
            self._row(member, total, cause, spare=member.node.name in self.spare[name])

    def _row(self, member: Member, total: Mapping[str, rooms.Promise], cause: Cause, *, spare: bool) -> None:
        node = member.node.name
        row = rooms.row(member, self.facts[node], total.get(node), cause, spare=spare)
        self.rows.setdefault(member.pool, {})[node] = row

    def _plan(self) -> None:
        queues: dict[str, list[Gang]] = {}
        for one in self.drafts.values():
            if one.gang is not None:
                queues.setdefault(one.spec.pool, []).append(one.gang)
        for pool, gangs in sorted(queues.items()):
            view = self.views[pool]
            inventory = self._inventory(pool, view)
            strategy = view.spec.queue.strategy.value
            answer = plan.plan(inventory, gangs, now=self.world.now, strategy=strategy)
            for placement in answer.placements:
                one = self.drafts[placement.gang]
                starting.place(one, placement)
                trainingjob.conclude(one)
                self.promises[one.job.uid] = rooms.promised(one)
            for refusal in answer.refusals:
                starting.waits(self.drafts[refusal.gang], refusal)

    def _inventory(self, pool: str, view: PoolView) -> Inventory:
        profiles = tuple(profile.name for profile in view.spec.profiles)
        trees = tuple(membership.tree_of(view.spec, name) for name in profiles)
        rows = self.rows.get(pool, {})
        kept = self.memory.inventory.get(pool)
        if kept is not None and isinstance(kept[0], tuple):
            old_rows, old_shape = kept[0]
            if old_shape == (profiles, trees) and old_rows.keys() == rows.keys():
                changed = [row for name, row in rows.items() if row != old_rows[name]]
                updated = build.update_rows(kept[1], changed)
                if updated is not None:
                    self.memory.inventory[pool] = ((rows, old_shape), updated)
                    return updated
        inventory = build.build_inventory(rows.values(), profiles, trees)
        self.memory.inventory[pool] = ((rows, (profiles, trees)), inventory)
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
        counts = self._counts()
        pools, labels = self._pool_steps(counts)
        busy = self.world.busy
        steps = [*self._supernode_steps(counts), *pools, *jobs, *broken]
        return Decision(
            steps=tuple(step for step in steps if step.uid not in busy),
            labels=tuple(labels),
            supernodes=tuple(supernode.discover(self.place, self.world.supernodes, self.world.pools)),
            removals=tuple(supernode.leftovers(self.place, self.world.supernodes)),
            wake=self.wake,
            gauges=self._gauges(counts),
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

    def _counts(self) -> dict[str, tally.Counts]:
        found = {}
        for rows in self.rows.values():
            for name, row in rows.items():
                open_ = row.cause is Cause.NONE
                records = self.faults.get(name, {})
                found[name] = tally.of_node(self.place.members[name], records, row.used_cards, open_=open_)
        return found

    def _supernode_steps(self, counts: Mapping[str, tally.Counts]) -> list[Step]:
        steps = []
        for record in self.world.supernodes.values():
            if record.deleting or record.uid in self.world.busy:
                continue
            members = self.place.by_supernode.get(record.name, [])
            faults = [fault for member in members for fault in self.faults.get(member.node.name, {}).values()]
            view = self.views.get(record.spec.pool) if record.spec is not None else None
            vendors = {item.name: item.vendor for item in view.spec.profiles} if view is not None else {}
            pairs = [(member, counts[member.node.name]) for member in members]
            step = supernode.step(
                record,
                pairs,
                faults,
                self._spare_counts(record.name, members),
                vendors,
                self.place.conflicts.get(record.name, []),
                self.world.now,
            )
            if step is not None:
                steps.append(step)
        return steps

    def _spare_counts(self, name: str, members: list[Member]) -> SpareCounts:
        record = self.world.supernodes.get(name)
        setting = record.spec.spares if record is not None and record.spec is not None else None
        view = self.views.get(members[0].pool) if members else None
        if setting is None and view is not None and view.spec.spares is not None:
            setting = view.spec.spares.per_supernode
        wanted = rooms.spares_wanted(setting, len(members))
        healthy = len(self.spare.get(name, ()))
        return SpareCounts(wanted=wanted, healthy=healthy, used=max(0, wanted - healthy))

    def _pool_steps(self, counts: Mapping[str, tally.Counts]) -> tuple[list[Step], list[ApplyNodeLabels]]:
        actions, foreign = cardpool.label_nodes(
            dict(self.world.nodes), self.place, self.world.pools, self.registry, self.world.busy
        )
        jobs: dict[str, list[int]] = {}
        for job in self.world.jobs.values():
            if job.spec is None:
                continue
            queued_running = jobs.setdefault(job.spec.pool, [0, 0])
            if job.status.completion_time is None and not job.spec.suspend:
                queued_running[job.status.placement is not None] += 1
        steps = []
        for pool in self.world.pools.values():
            if pool.deleting or pool.uid in self.world.busy:
                continue
            members = [(member, counts[member.node.name]) for member in self.place.by_pool.get(pool.name, [])]
            queued, running = jobs.get(pool.name, [0, 0])
            facts = {
                "queued": queued,
                "running": running,
                "blocked": cardpool.blocked(pool, self.registry, self.world.priority_classes),
                "degraded": cardpool.degradation(
                    pool,
                    self.registry,
                    self.place.conflicts.get(pool.name, []),
                    foreign.get(pool.name, []),
                ),
            }
            step = cardpool.step(pool, members, facts, self.world.now)
            if step is not None:
                steps.append(step)
        return steps, actions

    def _gauges(self, counts: Mapping[str, tally.Counts]) -> Gauges:
        found: Gauges = {"cards": {}, "jobs": {}}
        for member in self.place.members.values():
            for state, amount in counts[member.node.name].items():
                labels = (("pool", member.pool), ("profile", member.profile), ("state", state))
                found["cards"][labels] = found["cards"].get(labels, 0.0) + amount
        for job in self.world.jobs.values():
            pool = job.spec.pool if job.spec is not None else ""
            phase = job.status.phase.value if job.status.phase is not None else "New"
            kind = (("phase", phase), ("pool", pool))
            found["jobs"][kind] = found["jobs"].get(kind, 0.0) + 1
        return found


def policy_of(pool: PoolRecord) -> cards.Policy:
    """The pool's fault settings as the fault pipeline takes them."""
    settings = pool.spec.faults if pool.spec is not None else Faults()
    base = cards.Policy()
    return replace(
        base,
        debounce=float(settings.debounce_seconds),
        attribution=float(settings.attribution_seconds),
        quarantine_faults=settings.quarantine.faults,
        quarantine_window=float(settings.quarantine.window_seconds),
        quarantine_release=float(settings.quarantine.release_after_seconds),
        unknown_grace=float(settings.unknown.grace_seconds),
        dead_node=float(settings.dead_node.grace_seconds),
    )
