"""Elastic jobs on the simulated cluster, and the sizes that they have."""

from __future__ import annotations

from typing import Any

from cardpool.api.trainingjob import TrainingJobSpec
from tests.support.simworld import SimCluster, job_spec


def spec(pods: int = 4, least: int = 2, **fields: Any) -> TrainingJobSpec:
    """A job of one elastic group on whole nodes."""
    made = job_spec(pods, **fields)
    groups = tuple(group.model_copy(update={"min_replicas": least}) for group in made.groups)
    return made.model_copy(update={"groups": groups})


def size(world: SimCluster, key: str) -> tuple[int, int, bool]:
    """Pods, pods at full size, and whether the size must stay."""
    found = world.jobs[key].status.size
    assert found is not None
    return found.pods, found.wanted, found.fixed


def started(pods: int = 4, busy: tuple[str, ...] = ("n-3",), **fields: Any) -> tuple[SimCluster, str]:
    """An elastic job on four nodes of which some are taken by somebody else."""
    world = SimCluster()
    for node in busy:
        world.foreign(f"other-{node}", node, 8)
    key = world.submit("a", spec(pods, **fields))
    world.settle()
    return world, key
