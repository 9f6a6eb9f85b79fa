"""Defragmentation: which running gangs may be restarted elsewhere, within which budget, and how one moves.

A gang moves whole or not at all, on the profile that it runs on, and takes its new place with it: restart and placement
are one write, so a crash leaves it where it was or on its way. That write is the only witness of a move. The pool's
status keeps the moves of the last hour, compiled from the jobs' histories, so that they count when a job is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from cardpool.api.cardpool import CardPoolSpec, MovedGang
from cardpool.api.jobstatus import Segment
from cardpool.domain.gangs import Gang, GroupShape, Move, Option
from cardpool.domain.teams import Moving
from cardpool.domain.topology import TopologyRequest
from cardpool.domain.world import PoolRecord
from cardpool.engine import moves
from cardpool.lifecycle import reserving, restart, shapes, times, trainingjob
from cardpool.lifecycle.draft import Draft
from cardpool.lifecycle.restart import Cause
from cardpool.names import Attribution, Reason

REST: Final = 3600.0
KEPT: Final = 128


@dataclass(slots=True)
class Memory:
    """Moves that are being written (by UID: pool, job, when), looks that were in vain, and options of running gangs."""

    writing: dict[str, tuple[str, MovedGang]] = field(default_factory=dict)
    vain: dict[str, float] = field(default_factory=dict)
    options: dict[str, tuple[object, object, Option]] = field(default_factory=dict)

    def forget(self, uids: set[str], busy: frozenset[str], now: float) -> None:
        """Drop what belongs to these jobs, which are gone, and what is over."""
        for uid in uids:
            self.options.pop(uid, None)
        for uid in self.writing.keys() - busy:
            del self.writing[uid]
        for key in [key for key, since in self.vain.items() if now >= since + moves.VAIN]:
            del self.vain[key]

    def wish(self, draft: Draft | None) -> Gang | None:
        """What the gang asks for when it moves, its nodes by rank in ``previous``; None where it may not move."""
        return _wish(draft, self.options) if draft is not None else None


def wish(draft: Draft) -> Gang | None:
    """What the gang asks for when it moves, with the nodes that it has in ``previous``; None where it may not move.

    One that has a domain for itself alone, that has not started as a whole, or some of whose ranks have done their
    work stays where it is.
    """
    return _wish(draft, {})


def _wish(draft: Draft, known: dict[str, tuple[object, object, Option]]) -> Gang | None:
    place, pool = draft.placement, draft.around.pool
    if place is None or pool is None or draft.marks.running is None or draft.status.completion_time is not None:
        return None
    topology = shapes.topology_request(draft.spec.topology)
    if draft.spec.suspend or draft.old or draft.deletions or draft.succeeded or topology.exclusive:
        return None
    if {segment.profile for segment in place.segments} != {draft.profile}:
        return None
    kept = known.get(draft.job.uid)
    if kept is None or kept[0] is not draft.spec or kept[1] is not place:
        whole = shapes.option(draft.spec, draft.profile, tolerate_pool=pool.spec.taint_nodes)
        option = _as_placed(whole, place.segments)
        kept = known[draft.job.uid] = draft.spec, place, option
    option = kept[2]
    nodes = tuple(node for segment in place.segments for node in segment.nodes)
    if sum(group.replicas for group in option.groups) != len(nodes) or not all(one.replicas for one in option.groups):
        return None
    until = {item.node: times.epoch(item.until) for item in draft.status.excluded}
    excluded = {item.node: item.reason for item in draft.status.excluded}
    return Gang(
        key=draft.job.key,
        uid=draft.job.uid,
        priority=trainingjob.priority(draft),
        created=draft.job.created,
        options=(option,),
        topology=topology,
        previous=dict(enumerate(nodes)),
        excluded={node: why for node, why in excluded.items() if not until[node] or until[node] > draft.now},
        team=draft.team,
    )


def _as_placed(option: Option, segments: Iterable[Segment]) -> Option:
    """The option with as many pods in each group as it has now: a move does not change the size of an elastic gang."""
    pods: dict[str, int] = {}
    for segment in segments:
        pods[segment.group] = pods.get(segment.group, 0) + len(segment.nodes)
    groups = (replace(shape, replicas=pods.get(shape.name, 0), min_replicas=0) for shape in option.groups)
    return Option(option.profile, tuple(groups))


def lately(pool: PoolRecord, drafts: Iterable[Draft], now: float) -> tuple[MovedGang, ...]:
    """The pool's moves of the last hour that are in some status, one a gang, by UID."""
    found = {item.uid: item for item in pool.status.moves if now < times.epoch(item.time) + REST}
    for one in drafts:
        for entry in one.job.status.history:
            ended = times.epoch(entry.end_time)
            if entry.reason == Reason.DEFRAGMENTED and now < ended + REST and one.spec.pool == pool.name:
                found[one.job.uid] = MovedGang(uid=one.job.uid, job=one.job.key, time=times.at(ended))
    newest = sorted(found.values(), key=lambda item: (-times.epoch(item.time), item.uid))[:KEPT]
    return tuple(sorted(newest, key=lambda item: item.uid))


def policy(
    pool: PoolRecord, moved: Iterable[MovedGang], drafts: Mapping[str, Draft], memory: Memory, now: float
) -> Moving | None:
    """What the pool allows now; None where it moves nobody."""
    rules = pool.spec.queue.defragmentation if pool.spec is not None else None
    if rules is None or pool.spec is None:
        return None
    known = {item.uid: times.epoch(item.time) for item in moved}
    known |= {uid: times.epoch(item.time) for uid, (name, item) in memory.writing.items() if name == pool.name}
    return Moving(
        wish=lambda key: memory.wish(drafts.get(key)),
        left=max(0, rules.max_moves_per_hour - len(known)),
        due=min(known.values()) + REST if known and rules.max_moves_per_hour else None,
        most_lost=rules.max_lost_card_seconds,
        resting=frozenset(known),
        vain=frozenset(memory.vain),
        after=float(rules.after_seconds),
        ahead=kept_gang(pool.spec),
    )


def kept_gang(spec: CardPoolSpec) -> tuple[Gang, ...]:
    """The gang for which the pool keeps room together, as if it waited; its key says what it is."""
    rules = spec.queue.defragmentation
    wanted = rules.gang if rules is not None else None
    if wanted is None:
        return ()
    profile = wanted.profile or spec.profiles[0].name
    option = Option(profile, (GroupShape("worker", wanted.pods, wanted.cards_per_pod),))
    where = f"/{wanted.level}" if wanted.level else ""
    key = f"a gang of {wanted.pods}x{wanted.cards_per_pod}@{profile}{where}"
    return (Gang(key, key, 0, 0.0, (option,), TopologyRequest(required=wanted.level or "")),)


def move(draft: Draft, decided: Move, memory: Memory) -> None:
    """Take the gang down and give it its next place in the same write."""
    memory.writing[draft.job.uid] = (
        draft.spec.pool,
        MovedGang(uid=draft.job.uid, job=draft.job.key, time=times.at(draft.now)),
    )
    restart.restart(draft, Cause(Reason.DEFRAGMENTED, decided.message, Attribution.PREEMPTION, draft.now))
    draft.old += draft.live.values()
    draft.live.clear()
    reserving.hold(draft, decided.placement)
