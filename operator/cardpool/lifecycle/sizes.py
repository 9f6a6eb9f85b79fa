"""How many pods an elastic gang may have at its next start, and what is remembered of its size.

A job without ``checkpoint`` keeps nothing that depends on the number of ranks, and any number loads a ``reshardable``
checkpoint: their size is chosen anew at each start. Any other job chooses once: from the moment all its pods are
bound it may save what only as many ranks can load, so it keeps that size. So does a gang some of whose ranks succeeded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from cardpool.api.jobstatus import GroupSize, Placement, Size
from cardpool.api.trainingjob import TrainingJobSpec
from cardpool.domain.gangs import GroupShape, Mix, Option
from cardpool.engine import elastic
from cardpool.lifecycle import ranks, shapes
from cardpool.lifecycle.draft import Draft


def is_elastic(spec: TrainingJobSpec) -> bool:
    """True where some group may have fewer pods."""
    return any(group.min_replicas is not None for group in spec.groups)


def bound_by_checkpoint(spec: TrainingJobSpec) -> bool:
    """True where only as many ranks as saved a checkpoint can load it."""
    return spec.checkpoint is not None and not spec.checkpoint.reshardable


def movable(draft: Draft) -> bool:
    """True where the next start may have another size than the last."""
    size = draft.status.size
    if not is_elastic(draft.spec) or draft.status.succeeded_ranks:
        return False
    return not (bound_by_checkpoint(draft.spec) and size is not None and size.fixed)


def asked(draft: Draft, option: Option) -> Option:
    """The option with the sizes that are open to the gang now: any legal one, at most a told one, or the one it has."""
    size = draft.status.size
    if not is_elastic(draft.spec) or size is None:
        return option
    if not movable(draft):
        return _with(option, {item.name: item.pods for item in size.groups}, fixed=True)
    scale = elastic.scale(shapes.topology_request(draft.spec.topology), option) if size.next is not None else None
    if scale is None or size.next is None:
        return option
    pods = scale.size(scale.at_most(size.next) or scale.lowest)
    return _with(option, {shape.name: number for shape, number in zip(option.groups, pods, strict=True)})


def _with(option: Option, pods: Mapping[str, int], *, fixed: bool = False) -> Option:
    """The option with so many pods in each group; as it was where that is outside a group's bounds by now."""
    if not all(_between(shape, pods) for shape in option.groups):
        return option
    return Option(option.profile, tuple(_sized(shape, pods, fixed=fixed) for shape in option.groups))


def _between(shape: GroupShape, pods: Mapping[str, int]) -> bool:
    return (shape.min_replicas or shape.replicas) <= pods.get(shape.name, 0) <= shape.replicas


def _sized(shape: GroupShape, pods: Mapping[str, int], *, fixed: bool) -> GroupShape:
    return dataclasses.replace(shape, replicas=pods[shape.name], min_replicas=0 if fixed else shape.min_replicas)


def mixed(draft: Draft, mix: Mix | None) -> Mix | None:
    """The mix at the size that the gang has to keep; otherwise it is mixed at full size only."""
    size = draft.status.size
    if mix is None or size is None or not is_elastic(draft.spec) or movable(draft):
        return mix
    pods = {item.name: item.pods for item in size.groups}
    shapes_ = [shape for kinds in mix.groups for shape in kinds if shape is not None]
    if not all(_between(shape, pods) for shape in shapes_):
        return mix
    groups = tuple(
        tuple(_sized(shape, pods, fixed=True) if shape is not None else None for shape in kinds) for kinds in mix.groups
    )
    return dataclasses.replace(mix, groups=groups)


def by_rank(
    draft: Draft, options: Sequence[Option], mix: Mix | None, nodes: Mapping[tuple[str, int], str]
) -> dict[int, str]:
    """Nodes by group and index as nodes by rank of the full size, on the profile that the gang had last."""
    place = draft.status.placement
    last = place.segments[0].profile if place is not None and place.segments else None
    groups: Sequence[GroupShape] = ()
    if mix is not None:
        groups = [next(shape for shape in kinds if shape is not None) for kinds in mix.groups]
    if options:
        groups = next((one for one in options if one.profile == last), options[0]).groups
    seats = [(shape.name, index) for shape in groups for index in range(shape.replicas)]
    return {rank: nodes[seat] for rank, seat in enumerate(seats) if seat in nodes}


def placed(place: Placement | None) -> dict[str, int]:
    """Pods of each group in a placement."""
    found: dict[str, int] = {}
    for segment in place.segments if place is not None else ():
        found[segment.group] = found.get(segment.group, 0) + len(segment.nodes)
    return found


def record(draft: Draft) -> None:
    """Remember the size of the placement that was just written."""
    old, place = draft.status.size, draft.placement
    if place is not None and (old is not None or is_elastic(draft.spec)):
        draft.update(size=of(draft.spec, place, fixed=old is not None and old.fixed))


def of(spec: TrainingJobSpec, place: Placement, *, fixed: bool) -> Size | None:
    """What status says of the size of a placement; None for a job that is not elastic."""
    if not is_elastic(spec):
        return None
    pods = placed(place)
    profiles = {segment.group: segment.profile or "" for segment in place.segments}
    groups = tuple(GroupSize(name=name, pods=number) for name, number in pods.items())
    wanted = sum(ranks.replicas(group, profiles.get(group.name, "")) for group in spec.groups)
    return Size(pods=sum(pods.values()), wanted=wanted, groups=groups, fixed=fixed)


def hold(draft: Draft) -> None:
    """All pods are bound: what they save from now on may bind the gang to its size."""
    size = draft.status.size
    if size is not None and not size.fixed and bound_by_checkpoint(draft.spec):
        draft.update(size=size.model_copy(update={"fixed": True}))


def shrink(draft: Draft, pods: int | None) -> None:
    """The gang makes room for another: it comes back with at most so many pods (None: nothing is said of that)."""
    size = draft.status.size
    if size is not None and pods is not None:
        draft.update(size=size.model_copy(update={"next": pods}))


def words(draft: Draft) -> str:
    """How the size stands to the full one, for people; empty at full size."""
    size = draft.status.size
    if size is None or not is_elastic(draft.spec) or size.pods >= size.wanted:
        return ""
    return f" (of {size.wanted} that the job wants)"


def kept_because(spec: TrainingJobSpec) -> str:
    """Why an elastic job keeps the size of its first start, empty where it does not."""
    if not is_elastic(spec) or not bound_by_checkpoint(spec):
        return ""
    return "the gang keeps the number of pods of its first start, for spec.checkpoint.reshardable is false"
