"""What each job holds, as the planner weighs it: the cards of its placement, or of pods that are still going.

A record is kept as long as what it was made of stands, so a cycle costs what changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cardpool.api.poolpolicy import ReclaimBorrowed
from cardpool.api.trainingjob import Group
from cardpool.domain.gangs import Running
from cardpool.domain.world import PodRecord
from cardpool.lifecycle import learning, mixes, ranks, resizing, shapes, times
from cardpool.lifecycle.draft import Draft
from cardpool.names import LABEL_ATTEMPT, Attribution, Condition

Pods = tuple[tuple[str, int, Mapping[str, int]], ...]
Shares = tuple[tuple[str, int], ...]


@dataclass(slots=True)
class Holdings:
    """Per job UID the pods of its placement, what they were made of and their cards by profile; and the last record.

    ``moving`` has what gangs still hold of the place that they moved from.
    """

    pods: dict[str, tuple[object, object, frozenset[int], Pods, Shares]] = field(default_factory=dict)
    known: dict[str, Running] = field(default_factory=dict)
    moving: dict[str, Running] = field(default_factory=dict)
    wishes: resizing.Wishes = field(default_factory=resizing.Wishes)

    def uids(self) -> set[str]:
        """Jobs of which something is kept."""
        return self.pods.keys() | self.known.keys() | self.moving.keys() | self.wishes.known.keys()

    def forget(self, uids: set[str]) -> None:
        """Drop these jobs."""
        for kept in (self.pods, self.known, self.moving, self.wishes.known):
            for uid in uids:
                kept.pop(uid, None)

    def cards(self, gang: Running) -> Shares:
        """Cards that the gang holds by profile, counted once as long as its pods stand."""
        kept = self.pods.get(gang.uid)
        if kept is not None and kept[3] is gang.pods:
            return kept[4]
        return gang.mixed or ((gang.profile, gang.cards()),)

    def judge(self, draft: Draft, team: str, priority: int) -> Running | None:
        """What the job holds now, None where it holds nothing."""
        uid = draft.job.uid
        found = self._running(draft, team, priority)
        if found is None:
            self.known.pop(uid, None)
        else:
            self.known[uid] = found
        left = _left(draft, found) if found is not None and not found.leaving else None
        if left is None:
            self.moving.pop(uid, None)
        else:
            self.moving[uid] = left
        return found

    def _running(self, draft: Draft, team: str, priority: int) -> Running | None:
        place = draft.placement
        ended = draft.status.completion_time is not None
        if place is not None and not ended and not draft.spec.suspend:
            return self._placed(draft, team, priority)
        pods, fault = _going(draft), draft.status.last_fault
        preempted = fault is not None and fault.attribution is Attribution.PREEMPTION and not ended
        returns = draft.board.holds(Condition.RESTARTING) and not draft.status.bind_failures
        wanted = {} if ended or preempted or draft.gang is not None or not returns else _last_cards(draft)
        claim = sum(wanted.values())
        if not pods and not claim:
            return None
        return Running(
            key=draft.job.key,
            uid=draft.job.uid,
            team=team,
            priority=priority,
            profile=_last_profile(draft),
            mixed=_still_mixed(draft, pods, wanted),
            pods=pods,
            started=times.epoch(draft.status.start_time),
            leaving=True,
            preempted=preempted,
            exclusive=shapes.topology_request(draft.spec.topology).exclusive,
            claim=claim,
            accepts=_accepts(draft) if preempted else (),
        )

    def _placed(self, draft: Draft, team: str, priority: int) -> Running:
        begun = draft.marks.running
        runtime: float | None = draft.spec.expected_runtime_seconds
        learned = learning.placed(draft) if runtime is None else None
        runtime = learned if learned is not None else runtime
        checkpoint = draft.status.checkpoint
        started = times.epoch(begun) if begun is not None else draft.now
        place = draft.placement
        since = times.epoch(begun or (place.time if place is not None else None))
        pods, shares = self._pods(draft)
        ends = since + runtime if runtime is not None else None
        return Running(
            key=draft.job.key,
            uid=draft.job.uid,
            team=team,
            priority=priority,
            profile=draft.profile,
            mixed=shares if len(shares) > 1 else (),
            pods=pods,
            started=started,
            checkpoint=times.epoch(checkpoint.time) if checkpoint is not None and checkpoint.path else 0.0,
            ends=ends,
            learned=learned is not None,
            exclusive=shapes.topology_request(draft.spec.topology).exclusive,
            elastic=self.wishes.of(draft, team, priority, ends),
            accepts=_accepts(draft),
        )

    def _pods(self, draft: Draft) -> tuple[Pods, Shares]:
        """The placement's pods that have not done their work, and their cards by profile."""
        place, uid = draft.placement, draft.job.uid
        if place is None:
            return (), ()
        done = draft.succeeded | {rank for rank, pod in draft.live.items() if pod.phase == "Succeeded"}
        kept = self.pods.get(uid)
        if kept is not None and kept[0] is place and kept[1] is draft.spec and kept[2] == done:
            return kept[3], kept[4]
        need = shapes.needs(draft.spec, place.segments)
        left = [seat for rank, seat in enumerate(ranks.nodes(place.segments)) if rank not in done]
        pods = tuple((node, *need[group, profile]) for node, group, profile in left)
        sums = dict.fromkeys((segment.profile or "" for segment in place.segments), 0)
        for _, group, profile in left:
            sums[profile] += need[group, profile][0]
        shares = tuple(sums.items())
        self.pods[uid] = (place, draft.spec, frozenset(done), pods, shares)
        return pods, shares


def _accepts(draft: Draft) -> Shares:
    """The least cards of the job on each profile that it accepts; told where quotas are reclaimed from any priority."""
    spec, pool = draft.spec, draft.around.pool
    if pool is None or pool.spec.queue.preemption.reclaim_borrowed is not ReclaimBorrowed.ANY:
        return ()
    names = [item.profile for item in spec.accept] or [profile.name for profile in pool.spec.profiles]
    able = [name for name in names if all(mixes.runs_on(spec, group, name) for group in spec.groups)]
    return tuple((name, sum(_least(group, name) for group in spec.groups)) for name in able)


def _least(group: Group, profile: str) -> int:
    return (group.min_replicas or ranks.replicas(group, profile)) * ranks.cards_per_pod(group, profile)


def _left(draft: Draft, placed: Running) -> Running | None:
    """What a gang that has its next place still holds of the one before: room that comes for whom it moved."""
    pool, present = draft.around.pool, str(draft.status.attempt)
    if pool is None or not (draft.old or draft.deletions):
        return None
    old = [pod for pod in draft.old if _holds(pod) and pod.labels.get(LABEL_ATTEMPT) != present]
    if not old:
        return None
    pods = tuple(_held(pod, pool.resources(pod.node)) for pod in old)
    return replace(placed, pods=pods, mixed=(), leaving=True, preempted=True, claim=0, ends=None, learned=False)


def _going(draft: Draft) -> Pods:
    """Pods that still hold their node though their attempt, or the job, is over."""
    pool = draft.around.pool
    if pool is None:
        return ()
    return tuple(_held(pod, pool.resources(pod.node)) for pod in (*draft.live.values(), *draft.old) if _holds(pod))


def _holds(pod: PodRecord) -> bool:
    return bool(pod.node) and not pod.finished


def _held(pod: PodRecord, resource: str) -> tuple[str, int, Mapping[str, int]]:
    rest = {name: amount for name, amount in pod.requests.items() if name != resource}
    return pod.node, pod.requests.get(resource, 0), rest


def _last_cards(draft: Draft) -> dict[str, int]:
    """Cards that the gang will want again, by profile: those of the placement that was given up."""
    place = draft.status.placement
    segments = place.segments if place is not None else ()
    names = {group.name for group in draft.spec.groups}
    kinds = [segment for segment in segments if segment.group in names]
    need, found = shapes.needs(draft.spec, kinds), dict[str, int]()
    for segment in kinds:
        profile = segment.profile or ""
        found[profile] = found.get(profile, 0) + need[segment.group, profile][0] * len(segment.nodes)
    return found


def _still_mixed(draft: Draft, pods: Pods, wanted: Mapping[str, int]) -> Shares:
    """By profile what a gang of several profiles still holds or is to have again; empty for a gang of one."""
    place, pool = draft.status.placement, draft.around.pool
    profiles = list(dict.fromkeys(segment.profile or "" for segment in place.segments)) if place is not None else []
    if len(profiles) < 2 or pool is None:
        return ()
    held = dict.fromkeys(profiles, 0)
    for node, cards, _ in pods:
        member = pool.members.get(node)
        profile = member.profile if member is not None else ""
        held[profile] = held.get(profile, 0) + cards
    return tuple((name, max(cards, wanted.get(name, 0))) for name, cards in held.items())


def _last_profile(draft: Draft) -> str:
    """The profile of the placement that was given up; a placement of an earlier attempt is a memory."""
    place = draft.status.placement
    return (place.segments[0].profile or "") if place is not None and place.segments else ""
