"""What a cycle tells of pools and supernodes: their statuses, node labels, gauges, and finished jobs beyond retention.

Everything here is read off what the numbered phases found; nothing is decided about a job's life but that the oldest
finished ones go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cardpool.api.supernode import SpareCounts
from cardpool.domain.world import World
from cardpool.lifecycle import cardpool, labelling, lacking, queueing, stock, supernode, survey, tally, times
from cardpool.lifecycle.actions import ApplyNodeLabels, Step
from cardpool.lifecycle.answers import Answer
from cardpool.lifecycle.draft import Draft, PoolView
from cardpool.lifecycle.membership import Membership
from cardpool.names import Condition
from cardpool.vendors.registry import Registry

Gauges = dict[str, dict[tuple[tuple[str, str], ...], float]]
Settled = dict[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Account:
    """What the phases of one cycle found, to be told."""

    world: World
    registry: Registry
    place: Membership
    faults: Mapping[str, survey.Records]
    survey: survey.Survey
    stock: stock.Stock
    court: queueing.Court
    answers: Mapping[str, Answer]
    totals: dict[str, tally.Total] = field(default_factory=dict)


def retain(drafts: Iterable[Draft], views: Mapping[str, PoolView]) -> None:
    """Beyond the pool's count of finished jobs in a namespace the oldest go, jobs with a TTL of their own apart."""
    finished: dict[tuple[str, str], list[Draft]] = {}
    for one in drafts:
        if one.board.holds(Condition.FINISHED) and one.spec.ttl_seconds_after_finished is None:
            finished.setdefault((one.spec.pool, one.job.namespace), []).append(one)
    for (pool, _), done in finished.items():
        view = views.get(pool)
        kept = view.spec.retention.finished_jobs_per_namespace if view and view.spec.retention else None
        if kept is None:
            continue
        done.sort(key=lambda one: (times.epoch(one.status.completion_time), one.job.key), reverse=True)
        for one in done[kept:]:
            one.delete_self = True


def supernode_steps(account: Account, settled: Settled) -> list[Step]:
    """The Supernodes whose status changes; ``settled`` keeps what those that stand were judged by."""
    steps = []
    for name, record in account.world.supernodes.items():
        if record.deleting or record.uid in account.world.busy:
            continue
        area = account.stock.areas.get(name)
        nodes = account.place.by_supernode.get(name, ())
        hurt = [node for node in nodes if node in account.faults] if account.faults else ()
        faults = [fault for node in hurt for fault in account.faults[node].values()]
        spares = account.stock.spares.get(name, SpareCounts())
        conflicts = account.place.conflicts.get(name, [])
        inputs = (record, area, faults, spares, conflicts)
        old = settled.get(name)
        if old is not None and old[0] is record and old[1] is area and old[2:] == inputs[2:]:
            continue
        total = area.total if area is not None else tally.Total()
        step = supernode.step(record, total, faults, spares, conflicts, account.world.now)
        if step is None:
            settled[name] = inputs
        else:
            settled.pop(name, None)
            steps.append(step)
    return steps


def pool_steps(account: Account, labels: labelling.LabelMemory) -> tuple[list[Step], list[ApplyNodeLabels]]:
    """The pools whose status changes, and the node labels to apply."""
    world, place, court = account.world, account.place, account.court
    actions, foreign = labelling.label_nodes(world, place, account.registry, labels)
    if labels.place is None or lacking.may_differ(world.pools, labels.place, place):
        labels.lacking = lacking.found(world.pools, place)
    labels.place = place
    queued, running = ({pool: number for pool, _, number in court.roll.counted(kind)} for kind in ("queued", "running"))
    steps = []
    for pool in world.pools.values():
        if pool.deleting or pool.uid in world.busy:
            continue
        conflicts = place.conflicts.get(pool.name, [])
        clashes = court.teams(pool.name, pool.spec)[1] if pool.spec is not None else []
        findings = cardpool.Findings(
            total=pool_total(account, pool.name),
            supernodes=sum(1 for item in place.domains.values() if item.pool == pool.name),
            queued=queued.get(pool.name, 0),
            running=running.get(pool.name, 0),
            blocked=cardpool.blocked(pool, account.registry, world.priority_classes),
            degraded=cardpool.degradation(
                pool,
                account.registry,
                conflicts,
                foreign.get(pool.name, []),
                clashes,
                labels.lacking.get(pool.name, []),
            ),
            usage=court.usage.get(pool.name, pool.status.usage),
            runs=court.runs(pool.name),
            moves=court.moved.get(pool.name, pool.status.moves),
            active=bool(court.running.get(pool.name)) or _starts(account, pool.name),
        )
        step = cardpool.step(pool, findings, world.now)
        if step is not None:
            steps.append(step)
    return steps, actions


def _starts(account: Account, pool: str) -> bool:
    return pool in account.answers and bool(account.answers[pool].result.placements)


def pool_total(account: Account, pool: str) -> tally.Total:
    """The pool's cards: the sum of its supernodes and of the nodes that are in none; not to be changed."""
    if pool not in account.totals:
        place, views = account.place, account.survey.views
        total = account.totals[pool] = tally.Total()
        total.add(account.survey.sum_up(pool, account.stock.areas, place.domains))
        stray = [views[node] for node in account.survey.strays(pool, place)]
        total.add(tally.total((view.member, view.counts, view.spare, view.slots) for view in stray))
    return account.totals[pool]


def gauges(account: Account) -> Gauges:
    """Cards by state, jobs by phase, cards by team and waiting jobs by reason."""
    slots = account.survey.slot_gauges(account.stock.areas, account.place.domains)
    found: Gauges = {"cards": {}, "jobs": {}, "slots": {}, "supernode_slots": slots}
    for pool in account.place.by_pool:
        for name, share in pool_total(account, pool).profiles.items():
            own = (("pool", pool), ("profile", name))
            for state, amount in share.counts.items():
                found["cards"][*own, ("state", state)] = amount
            for slot in share.slots.listed():
                gang = ("gang_cards", str(slot.gang))
                found["slots"][*own, gang, ("scope", "supernode")] = slot.count
                found["slots"][*own, gang, ("scope", "pool")] = slot.spread or 0
    for phase, pool, number in account.court.roll.counted("phase"):
        found["jobs"][("phase", phase), ("pool", pool)] = float(number)
    return found | queueing.gauges(account.court, account.answers)
