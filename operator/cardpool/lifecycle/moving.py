"""Which running gangs may be restarted elsewhere, and what each would ask for then.

A gang moves whole or not at all, on the profile that it runs on. One that has a domain for itself alone, that has not
started as a whole, or some of whose ranks have done their work stays where it is.
"""

from __future__ import annotations

from cardpool.domain.gangs import Gang
from cardpool.lifecycle import shapes, times, trainingjob
from cardpool.lifecycle.draft import Draft


def wish(draft: Draft) -> Gang | None:
    """What the gang asks for when it moves, with the nodes that it has in ``previous``; None where it may not move."""
    place, pool = draft.placement, draft.around.pool
    if place is None or pool is None or draft.marks.running is None or draft.status.completion_time is not None:
        return None
    topology = shapes.topology_request(draft.spec.topology)
    if draft.spec.suspend or draft.old or draft.succeeded or topology.exclusive:
        return None
    if {segment.profile for segment in place.segments} != {draft.profile}:
        return None
    nodes = tuple(node for segment in place.segments for node in segment.nodes)
    option = shapes.option(draft.spec, draft.profile, tolerate_pool=pool.spec.taint_nodes)
    if sum(group.replicas for group in option.groups) != len(nodes):
        return None
    ends = {item.node: times.epoch(item.until) if item.until is not None else None for item in draft.status.excluded}
    reasons = {item.node: item.reason for item in draft.status.excluded}
    return Gang(
        key=draft.job.key,
        uid=draft.job.uid,
        priority=trainingjob.priority(draft),
        created=draft.job.created,
        options=(option,),
        topology=topology,
        previous=dict(enumerate(nodes)),
        excluded={node: reasons[node] for node, until in ends.items() if until is None or until > draft.now},
        team=draft.team,
    )
