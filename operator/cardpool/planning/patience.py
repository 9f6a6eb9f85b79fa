"""Every wait counted as over: debounce, grace, backoff, ``afterSeconds``, attribution, and pods on their way out.

Nothing of the lifecycle is repeated here. Waits are taken out of the input, and gangs that must come down are taken
down in the same world, round by round, until the queue is asked in a world that has come to rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from cardpool.domain.world import JobRecord, PodRecord, PoolRecord, World
from cardpool.lifecycle import cycle
from cardpool.lifecycle.draft import Draft
from cardpool.names import LABEL_JOB, Attribution
from cardpool.vendors.registry import Registry

ROUNDS: Final = 8  # a fault takes three: down, accounted, queued again
LONG: Final = timedelta(days=1)
_TURNS: Final = ("attempt", "execution_attempt", "retry_after", "completion_time", "last_fault")


@dataclass(frozen=True, slots=True)
class Rest:
    """A world at rest with what the cycle found in it.

    ``struck`` are the jobs that came down on the way, by key; ``fallen`` are their pods, which are not gone yet.
    """

    world: World
    study: cycle.Study
    struck: frozenset[str]
    fallen: Mapping[str, tuple[PodRecord, ...]]


def come_to_rest(world: World, registry: Registry) -> Rest:
    """Let everything happen that does not need the planner, then ask the planner once."""
    settings, memory = cycle.CycleSettings(), cycle.Memory()
    pools = {name: _hasty(pool) for name, pool in world.pools.items()}
    leaving = [pod.uid for pod in world.pods.values() if pod.deleting and LABEL_JOB in pod.labels]
    world = without(replace(world, pools=pools, jobs=_unbound(world.jobs)), leaving)
    fallen: dict[str, tuple[PodRecord, ...]] = {}
    for _ in range(ROUNDS):
        study = cycle.study(world, registry, settings, memory)
        moved = {key: one for key, one in study.drafts.items() if _moves(one)}
        if not moved:
            break
        for key, one in moved.items():
            if one.status.attempt != one.job.status.attempt:
                fallen[key] = (*fallen.get(key, ()), *(pod for pod in one.live.values() if pod.uid in one.deletions))
        world = _advance(world, moved)
    return Rest(world, study, frozenset(fallen), fallen)


def indexed(world: World) -> World:
    """The world with its pods by owner and by node, each in the order of their keys."""
    by_owner: dict[str, list[PodRecord]] = {}
    by_node: dict[str, list[PodRecord]] = {}
    for _, pod in sorted(world.pods.items()):
        if pod.owner:
            by_owner.setdefault(pod.owner, []).append(pod)
        if pod.holds:
            by_node.setdefault(pod.holds, []).append(pod)
    return replace(
        world,
        pods_by_owner={uid: tuple(pods) for uid, pods in by_owner.items()},
        pods_by_node={name: tuple(pods) for name, pods in by_node.items()},
    )


def without(world: World, uids: Iterable[str]) -> World:
    """The world without these pods."""
    gone = frozenset(uids)
    if not gone:
        return world
    return indexed(replace(world, pods={key: pod for key, pod in world.pods.items() if pod.uid not in gone}))


def _hasty(pool: PoolRecord) -> PoolRecord:
    """The pool, believing every signal at once."""
    if pool.spec is None:
        return pool
    faults = pool.spec.faults
    dead = faults.dead_node.model_copy(update={"grace_seconds": 0})
    hasty = faults.model_copy(update={"debounce_seconds": 0, "dead_node": dead})
    queue, moves = pool.spec.queue, pool.spec.queue.defragmentation
    if moves is not None:
        queue = queue.model_copy(update={"defragmentation": moves.model_copy(update={"after_seconds": 0})})
    return replace(pool, spec=pool.spec.model_copy(update={"faults": hasty, "queue": queue}))


def _unbound(jobs: Mapping[str, JobRecord]) -> dict[str, JobRecord]:
    """The jobs with every profile open to them at once, and no backoff."""
    found = {}
    for key, job in jobs.items():
        spec, status = job.spec, job.status
        if spec is not None and any(item.after_seconds for item in spec.accept):
            accept = tuple(item.model_copy(update={"after_seconds": 0}) for item in spec.accept)
            spec = spec.model_copy(update={"accept": accept})
        if status.retry_after is not None:
            status = status.model_copy(update={"retry_after": None})
        fault = status.last_fault
        if fault is not None and fault.attribution is Attribution.PENDING and fault.time is not None:
            # As if the exit were long ago: the attribution is due, and every signal since may explain it.
            fault = fault.model_copy(update={"time": fault.time - LONG})
            status = status.model_copy(update={"last_fault": fault})
        changed = spec is not job.spec or status is not job.status
        found[key] = replace(job, spec=spec, status=status) if changed else job
    return found


def _moves(draft: Draft) -> bool:
    """Whether the job takes a step of its own before it can be asked for."""
    if draft.gang is not None:
        return False
    if draft.deletions:
        return True
    return any(getattr(draft.status, name) != getattr(draft.job.status, name) for name in _TURNS)


def _advance(world: World, moved: Mapping[str, Draft]) -> World:
    """The world once these steps are done."""
    jobs = dict(world.jobs)
    for key, one in moved.items():
        status = one.status.model_copy(update={"conditions": one.board.result()})
        jobs[key] = replace(one.job, status=status)
    gone = [uid for one in moved.values() for uid in one.deletions]
    return without(replace(world, jobs=_unbound(jobs)), gone)
