"""A whole cycle in which nothing changed: the cost around the planner, which must not grow with the cluster.

The cluster is one in memory, all of whose cards are held by gangs that run, brought there by the core itself. Each
round is a cycle at a later moment over the very same records, with the memory of the cycle before.
"""

from __future__ import annotations

import dataclasses
import gc
import itertools
import time

from cardpool.domain.world import DeviceHealth, PodRecord
from cardpool.lifecycle import cycle
from tests.support.simworld import RESOURCE, SimCluster, job_spec

SIZES = (1, 2, 4, 8, 16, 32, 64)
SETTINGS = cycle.CycleSettings("operator:1")


class Busy(SimCluster):
    """Nodes that a gang takes whole, so that nobody has to look which cards of a node are free."""

    def _bind(self, pod: PodRecord) -> PodRecord:
        cards = tuple(DeviceHealth(RESOURCE, f"card-{number}", "Healthy") for number in range(self.cards))
        return dataclasses.replace(pod, node=pod.message, scheduled_at=self.now, devices=cards)


def busy(nodes: int) -> Busy:
    """Supernodes of 80 nodes, full of running gangs of 1 to 64 pods, everything written."""
    cluster, left = Busy(nodes=nodes, per_supernode=80), nodes
    cluster.settle(1.0)
    for number, size in enumerate(itertools.cycle(SIZES)):
        if not left:
            break
        pods = min(left, size)
        left -= pods
        cluster.submit(f"gang-{number}", job_spec(pods))
    cluster.settle(1.0)
    if sum(pod.ready for pod in cluster.pod.values()) != nodes:
        raise RuntimeError("not every node is in use: the figure would mean nothing")
    return cluster


def measure(nodes: int, rounds: int) -> float:
    """Milliseconds of processor time of the quickest idle cycle."""
    cluster, found = busy(nodes), []
    world, memory = cluster.world(), cluster.memory
    cycle.decide(world, cluster.registry, SETTINGS, memory)
    for number in range(1, rounds + 1):
        later = dataclasses.replace(world, now=world.now + number / 100)
        gc.collect()
        begun = time.process_time()
        decision = cycle.decide(later, cluster.registry, SETTINGS, memory)
        found.append((time.process_time() - begun) * 1000)
        if decision.steps or decision.labels or decision.supernodes:
            raise RuntimeError("the cycle has something to write: the figure would mean nothing")
    return round(min(found), 2)
