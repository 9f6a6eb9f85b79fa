"""From the planner's answer to the pods: the whole map is in status before anything is made.

A crash at any moment is finished or taken back by whoever reads the map next. A promise whose node goes bad before the
pods are made is off, at no cost.
"""

from __future__ import annotations

from cardpool.api.jobstatus import Placement, PlacementState, Segment
from cardpool.domain import gangs
from cardpool.lifecycle import resolving, restart, sizes, starting, times
from cardpool.lifecycle.draft import Draft
from cardpool.names import Condition, Reason


def place(draft: Draft, placement: gangs.Placement) -> None:
    """Reserve: write the whole map, then either resolve the checkpoint or make the pods."""
    hold(draft, placement)
    starting.timing(draft, place_seconds=times.gap(draft.marks.torn_down, draft.marks.placed))
    draft.board.put(Condition.QUOTA_RESERVED, True, Reason.QUOTA_RESERVED, "no quota stands in the way")
    where = sorted({item.supernode for item in placement.segments if item.supernode})
    text = (
        f"{len(placement.nodes())} pods{sizes.words(draft)} on {placement.profile}: "
        f"{', '.join(where[:4])}{' …' if len(where) > 4 else ''}"
    )
    draft.board.put(Condition.PODS_SCHEDULED, False, Reason.PLACED, f"placed, not bound yet: {text}")
    draft.event(Reason.PLACED, f"placed {text}")
    if resolving.needed(draft):
        resolving.start(draft)
    else:
        starting.make_pods(draft)


def hold(draft: Draft, placement: gangs.Placement) -> None:
    """Write the whole map of the present attempt and make nothing: the room is the gang's from now on."""
    status = draft.status
    segments = tuple(
        Segment(
            group=item.group,
            from_index=item.from_index,
            profile=item.profile or None,
            supernode=item.supernode or None,
            nodes=item.nodes,
        )
        for item in placement.segments
    )
    draft.update(
        placement=Placement(
            attempt=status.attempt,
            execution_attempt=status.execution_attempt,
            time=times.at(draft.now),
            state=PlacementState.RESERVED,
            segments=segments,
        ),
        retry_after=None,
    )
    sizes.record(draft)
    draft.mark(placed=draft.now)


def reserved(draft: Draft) -> None:
    """A placement without pods: go on with the checkpoint, or with the pods; leave a place that went bad."""
    if _place_went_bad(draft):
        return
    if not resolving.needed(draft):
        starting.make_pods(draft)
        return
    resolving.go_on(draft)


def _place_went_bad(draft: Draft) -> bool:
    """Between the promise and the pods a node may be lost; then the promise is off, at no cost."""
    place, pool = draft.placement, draft.around.pool
    if place is None or pool is None:
        return False
    for node in dict.fromkeys(node for segment in place.segments for node in segment.nodes):
        record = draft.around.world.nodes.get(node)
        if record is None or not record.ready or record.unschedulable or node in pool.dead:
            restart.take_back(draft, Reason.EXCLUDED, f"planned node {node} went away", {node: Reason.NODE_LOST})
            return True
    return False
