"""In the queue: which profiles the job takes now, what it asks the planner, and the reason while it waits."""

from __future__ import annotations

import math
from typing import Final

from cardpool.api.jobstatus import QueuePlace
from cardpool.domain.gangs import Advice, Gang, Refusal
from cardpool.engine import wording
from cardpool.lifecycle import charging, learning, mixes, restart, shapes, sizes, times
from cardpool.lifecycle.draft import Draft
from cardpool.names import Attribution, Condition, Reason

FIRST_TOLD: Final = 50  # whose place and advice is kept up to date
MESSAGE_SECONDS_MAX: Final = 900.0
MESSAGE_GRID: Final = 10.0  # those far behind are told at common moments: one cycle for all of them


def profiles(draft: Draft) -> tuple[str, ...]:
    """The profiles that the job takes now, in its order of preference; those whose wait is not over come later."""
    pool, spec = draft.around.pool, draft.spec
    if pool is None:
        return ()
    waited = draft.now - times.epoch(draft.status.queued_time)
    accepted = [(item.profile, item.after_seconds) for item in spec.accept]
    if not accepted:
        accepted = [(profile.name, 0) for profile in pool.spec.profiles]
    found = []
    for profile, after in accepted:
        if profile not in pool.usable or not any(mixes.runs_on(spec, group, profile) for group in spec.groups):
            continue
        if waited < after:
            draft.again(draft.now + after - waited)
            continue
        found.append(profile)
    return tuple(found)


def ask(draft: Draft, priority: int) -> None:
    """Put the gang into this cycle's queue, unless it has to wait for something of its own."""
    retry = times.epoch(draft.status.retry_after)
    if draft.now < retry:
        draft.again(retry)
        return
    spec, pool = draft.spec, draft.around.pool
    tolerate, able = pool is not None and pool.spec.taint_nodes, profiles(draft)
    whole = [name for name in able if all(mixes.runs_on(spec, group, name) for group in spec.groups)]
    chosen = tuple(sizes.asked(draft, shapes.option(spec, name, tolerate_pool=tolerate)) for name in whole)
    mix = sizes.mixed(draft, mixes.mix(spec, able, tolerate_pool=tolerate))
    if not chosen and mix is None:
        _no_profile(draft)
        return
    excluded: dict[str, str] = {}
    for item in draft.status.excluded:
        until = times.epoch(item.until)
        if item.until is None or until > draft.now:
            excluded[item.node] = item.reason
            draft.again(until or None)
    previous = sizes.by_rank(draft, chosen, mix, restart.previous_nodes(draft))
    fault = draft.status.last_fault
    why = fault.attribution if fault is not None else Attribution.PREEMPTION
    told = draft.status.size is not None and draft.status.size.next is not None
    stays = bool(previous) and (why is not Attribution.PREEMPTION or told)
    repair = stays and why not in charging.OWN
    declared = draft.spec.expected_runtime_seconds
    learned = learning.asked(draft, chosen) if mix is None else None  # nothing is learned of how mixes run
    draft.gang = Gang(
        key=draft.job.key,
        uid=draft.job.uid,
        priority=priority,
        created=draft.job.created,
        options=chosen,
        topology=shapes.topology_request(draft.spec.topology),
        previous=previous if stays else {},
        excluded=excluded,
        repair=repair,
        asked_first=draft.job.key in draft.around.world.first,
        team=draft.team,
        queued=times.epoch(draft.job.status.queued_time),
        runtime=float(declared) if declared is not None else learned,
        mix=mix,
    )


def _no_profile(draft: Draft) -> None:
    pool = draft.around.pool
    if draft.wake is not None or pool is None:
        draft.board.put(Condition.PODS_SCHEDULED, False, Reason.PENDING, "waits for spec.accept[].afterSeconds")
        return
    text = f"pool {pool.name} has no profile that this job accepts and has a variant for"
    draft.board.put(Condition.PODS_SCHEDULED, False, Reason.NO_VARIANT, text)


def waits(draft: Draft, refusal: Refusal, total: int, advice: Advice | None) -> bool:
    """Keep the planner's reason where people look; an Event only when the reason changes.

    A new reason is told at once; new counts, a new place among the ``total`` in the queue and new advice wait until
    what stands is old enough: two seconds (as all status that is not urgent) for the first, longer for those far
    behind, whom nobody watches. False where all of it stands already.
    """
    moved = draft.board.reason(Condition.PODS_SCHEDULED) != refusal.reason
    if not moved and _stands(draft, refusal, total):
        return False
    text = wording.line(refusal, total, _said(draft), advice.of(refusal.gang) if advice is not None else "")
    quota: tuple[bool | None, Reason, str] = (None, Reason.PENDING, "not the cause of the wait; taken with the room")
    if refusal.reason is Reason.QUOTA_EXCEEDED:
        quota = (False, refusal.reason, text)
    same = text == draft.board.message(Condition.PODS_SCHEDULED)
    if same and not moved and draft.board.stands(Condition.QUOTA_RESERVED, *quota):
        return False
    draft.board.put(Condition.QUOTA_RESERVED, *quota)
    if not same or moved:
        draft.update(queue=QueuePlace(position=refusal.position, of=total, time=times.at(draft.now)))
    draft.board.put(Condition.PODS_SCHEDULED, False, refusal.reason, text)
    if moved:
        draft.event(refusal.reason, text)
    return True


def _said(draft: Draft) -> str:
    """Why kube-scheduler refused the last attempt's pods, as long as nodes are avoided for it."""
    for item in reversed(draft.status.excluded):
        if item.message and (item.until is None or times.epoch(item.until) > draft.now):
            return f"kube-scheduler refused {item.node}: {item.message}"
    return ""


def _stands(draft: Draft, refusal: Refusal, total: int) -> bool:
    """True where what was told has to do for now; it is looked at again when it is old enough and may be wrong."""
    told = draft.status.queue
    if told is None:
        return False
    near = refusal.position <= FIRST_TOLD
    same = told.position == refusal.position and told.of == total
    same = same and draft.board.message(Condition.PODS_SCHEDULED).startswith(refusal.message)
    least = draft.around.status_seconds
    due = times.epoch(told.time) + min(MESSAGE_SECONDS_MAX, least * max(1.0, refusal.position / 4))
    if draft.now >= due:
        return same and not near
    if near or not same:
        draft.again(due if near else math.ceil(due / MESSAGE_GRID) * MESSAGE_GRID)
    return True
