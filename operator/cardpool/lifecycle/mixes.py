"""What a job's gang may be mixed of, and what it does without when it is: nothing of it is left unsaid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cardpool.api.trainingjob import Group, Mixing, TrainingJobSpec
from cardpool.domain.gangs import Mix
from cardpool.domain.topology import Level, Tree
from cardpool.lifecycle import ranks, shapes


def runs_on(spec: TrainingJobSpec, group: Group, profile: str) -> bool:
    """Without ``accept`` a group that has variants runs only on profiles that it has one for."""
    return bool(spec.accept) or not group.variants or ranks.variant_of(group, profile) is not None


def mix(spec: TrainingJobSpec, profiles: Sequence[str], *, tolerate_pool: bool) -> Mix | None:
    """What the gang may be mixed of, None where it may not be or where some group runs on none of these profiles."""
    if spec.mixing is Mixing.NONE or len(profiles) < 2:
        return None
    groups = tuple(
        tuple(
            shapes.group_shape(group, profile, tolerate_pool=tolerate_pool) if runs_on(spec, group, profile) else None
            for profile in profiles
        )
        for group in spec.groups
    )
    return Mix(tuple(profiles), groups, spec.mixing is Mixing.ANY) if all(any(kinds) for kinds in groups) else None


def notes(spec: TrainingJobSpec, trees: Mapping[str, Tree]) -> list[str]:
    """What people should know of a gang that may be mixed of the profiles of these trees."""
    if spec.mixing is Mixing.NONE or len(trees) < 2:
        return []
    found = ["while it waits to be mixed the gang preempts nobody"]
    for group in spec.groups if spec.mixing is Mixing.ANY else ():
        sizes = {name: ranks.replicas(group, name) for name in trees if runs_on(spec, group, name)}
        if len(set(sizes.values())) > 1:
            told = ", ".join(f"{number} on {name}" for name, number in sizes.items())
            found.append(f"pods of group {group.name} are mixed only where their number is the same: {told}")
    topology = shapes.topology_request(spec.topology)
    for name in dict.fromkeys(filter(None, (topology.required, topology.exclusive))):
        kinds = {_level(tree, name) for tree in trees.values()}
        if len(kinds) > 1:
            found.append(f"profiles whose level {name} is not the same are not mixed with each other")
    return found


def _level(tree: Tree, name: str) -> Level | None:
    return next((level for level in tree.levels if level.name == name), None)
