"""Topology labels that some nodes of a profile lack while others have them: nothing is silently unconstrained.

Such a node takes no pod of a job that demands the level. A profile none of whose nodes has a level's label is one of
plain servers: nothing is missing there, and a job that demands the level is told why it waits.
"""

from __future__ import annotations

from collections.abc import Mapping

from cardpool.domain import changes
from cardpool.domain.world import PoolRecord
from cardpool.lifecycle import membership
from cardpool.lifecycle.membership import Membership


def found(pools: Mapping[str, PoolRecord], place: Membership) -> dict[str, list[str]]:
    """By pool, in words, the levels that some nodes of a profile are not in."""
    return {name: words for name, nodes in place.by_pool.items() if (words := _of_pool(pools[name], nodes, place))}


def may_differ(pools: Mapping[str, PoolRecord], old: Membership, new: Membership) -> bool:
    """False where no node of either has another profile, or other labels of its pool's levels."""
    if old.by_pool is not new.by_pool:
        return True
    for name in changes.between(old.members, new.members):
        one, two = old.members[name], new.members[name]
        spec = pools[two.pool].spec
        if spec is None or one.profile != two.profile:
            return True
        levels = membership.tree_of(spec, two.profile).levels
        if any(one.node.labels.get(level.label) != two.node.labels.get(level.label) for level in levels):
            return True
    return False


def _of_pool(pool: PoolRecord, nodes: list[str], place: Membership) -> list[str]:
    spec = pool.spec
    if spec is None:
        return []
    by_profile: dict[str, list[str]] = {}
    for node in nodes:
        by_profile.setdefault(place.members[node].profile, []).append(node)
    words = []
    for profile in spec.profiles:
        own = by_profile.get(profile.name, [])
        for level in membership.tree_of(spec, profile.name).levels:
            without = [name for name in own if not place.members[name].node.labels.get(level.label)]
            if 0 < len(without) < len(own):
                words.append(
                    f"{len(without)} of {len(own)} nodes of {profile.name} have no label {level.label} "
                    f"(level {level.name}), for example {without[0]}"
                )
    return words
