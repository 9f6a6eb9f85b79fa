"""What a running elastic gang might have instead of its present size, and from when on it is worth a restart.

cardpool does not see what a training saves while it runs. So only a gang with a ``reshardable`` checkpoint grows by
itself, only after a run of ``growAfterSeconds``, and a restart counts as that much lost work: where the run's end is
known, the larger gang has to bring it back before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from cardpool.domain.gangs import Elastic, Gang
from cardpool.lifecycle import restart, shapes, sizes, times
from cardpool.lifecycle.draft import Draft


@dataclass(slots=True)
class Wishes:
    """Per job UID what its gang would ask for, and what that was made of."""

    known: dict[str, tuple[object, object, int, Gang | None]] = field(default_factory=dict)

    def of(self, draft: Draft, team: str, priority: int, ends: float | None) -> Elastic | None:
        """None where the size must stay; ``ends`` is when the gang should end, in seconds since the epoch, if known."""
        if not sizes.movable(draft) or any(pod.phase == "Succeeded" for pod in draft.live.values()):
            return None
        place, uid = draft.placement, draft.job.uid
        kept = self.known.get(uid)
        if kept is None or kept[0] is not place or kept[1] is not draft.spec or kept[2] != priority:
            kept = self.known[uid] = (place, draft.spec, priority, _gang(draft, team, priority))
        if kept[3] is None:
            return None
        grows = _grows(draft)
        return Elastic(kept[3], grows, _worth(draft, ends) if grows is not None else 0)


def _gang(draft: Draft, team: str, priority: int) -> Gang | None:
    """The gang as it would ask again, on the one profile that it has."""
    place, pool = draft.placement, draft.around.pool
    if place is None or pool is None or {segment.profile for segment in place.segments} != {draft.profile}:
        return None
    options = (shapes.option(draft.spec, draft.profile, tolerate_pool=pool.spec.taint_nodes),)
    return Gang(
        key=draft.job.key,
        uid=draft.job.uid,
        priority=priority,
        created=draft.job.created,
        options=options,
        topology=shapes.topology_request(draft.spec.topology),
        previous=sizes.by_rank(draft, options, None, restart.previous_nodes(draft)),
        team=team,
    )


def _grows(draft: Draft) -> float | None:
    """From when on the gang may be restarted to have more pods; None: never by itself."""
    size, pool, checkpoint = draft.status.size, draft.around.pool, draft.spec.checkpoint
    if size is None or pool is None or draft.marks.running is None or size.pods >= size.wanted:
        return None
    if checkpoint is None or not checkpoint.reshardable:
        return None
    return times.epoch(draft.marks.running) + pool.spec.queue.elastic.grow_after_seconds


def _worth(draft: Draft, ends: float | None) -> int:
    """The least number of pods that makes up for a restart."""
    size, pool = draft.status.size, draft.around.pool
    if size is None or pool is None:
        return 0
    policy = pool.spec.queue.elastic
    gain = policy.min_gain_percent / 100
    left = ends - draft.now if ends is not None else 0.0
    if left > 0:
        gain = max(gain, policy.grow_after_seconds / left)
    return max(size.pods + 1, math.ceil(size.pods * (1 + gain) - 1e-9))
