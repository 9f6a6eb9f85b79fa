"""A whole cycle after one thing changed, beside one in which nothing did: its cost must follow the change.

The cluster is one in memory, brought there by the core itself: its nodes are held by gangs that run but for a few, and
jobs wait that are too large for those. Each round goes there and back, so that every measured cycle meets the same
change; records and maps follow one another as the mirror gives them.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

from cardpool.domain import changes
from cardpool.domain.changes import Table
from cardpool.domain.world import NodeRecord, PodRecord, PriorityClassRecord, World
from cardpool.lifecycle import actions, cycle
from e2e.bench.idle import SETTINGS, Busy
from tests.support.simworld import RESOURCE, job_spec

FREE = 4
WEIGHTS = (1, 2, 4, 8, 1, 2, 4, 8, 16)
Change = Callable[[Busy, World], World]
Right = Callable[[actions.Decision], bool]


def crowded(nodes: int, jobs: int, waiting: int) -> Busy:
    """So many gangs on all nodes but four, and so many jobs that wait for more than those; everything is written."""
    cluster = Busy(nodes=nodes, per_supernode=80)
    cluster.priorities["urgent"] = PriorityClassRecord("urgent", 1000, "Never")
    cluster.settle(1.0)
    left, weight = nodes - FREE, sum(WEIGHTS[number % len(WEIGHTS)] for number in range(jobs))
    for number in range(jobs):
        share = max(1, (nodes - FREE) * WEIGHTS[number % len(WEIGHTS)] // weight)
        pods = min(left, share) if number < jobs - 1 else left
        left -= pods
        if pods:
            cluster.submit(f"gang-{number:04}", job_spec(pods))
    cluster.settle(1.0)
    for number in range(waiting):
        cluster.submit(f"wait-{number:04}", job_spec(FREE + 1 + number % 40))
    for _ in range(12):  # what is told to those who wait grows old enough to be told again
        cluster.settle(100.0)
    if sum(pod.ready for pod in cluster.pod.values()) != nodes - FREE:
        raise RuntimeError("not every node is in use: the figure would mean nothing")
    return cluster


def nothing(_cluster: Busy, world: World) -> World:
    """The same world."""
    return world


def card_lost(cluster: Busy, world: World) -> World:
    """A free node's plug-in offers a card less."""
    return _node(cluster, world, cards=7)


def labelled(_cluster: Busy, world: World) -> World:
    """Somebody puts a label of his own on a node."""
    name = _held(world)
    node = world.nodes[name]
    return _with_node(world, dataclasses.replace(node, labels={**node.labels, "example.com/shelf": "7"}))


def pod_ended(_cluster: Busy, world: World) -> World:
    """A pod of a running gang succeeds."""
    name = _held(world)
    (pod,) = world.pods_by_node[name]
    return _with_pod(world, pod, dataclasses.replace(pod, phase="Succeeded", ready=False))


def pod_unready(_cluster: Busy, world: World) -> World:
    """A pod of a running gang is not ready for a moment."""
    (pod,) = world.pods_by_node[_held(world)]
    return _with_pod(world, pod, dataclasses.replace(pod, ready=False))


def fits(_cluster: Busy, world: World) -> World:
    """A job arrives that has its room."""
    return _with_job(world, FREE, priorityClassName="urgent")


def fits_not(_cluster: Busy, world: World) -> World:
    """A job arrives that has to wait, of a shape that nobody else has."""
    return _with_job(world, FREE + 61)


CHANGES: Mapping[str, tuple[Change, Right, str]] = {
    "idle": (
        nothing,
        lambda found: not found.steps,
        "a cycle among {} busy nodes, 1,000 gangs, 300 waiting; no change",
    ),
    "label": (labelled, lambda found: not found.steps, "the same after a node got a label that nobody reads"),
    "card": (card_lost, lambda found: _wrote(found, "Supernode"), "after a free node lost a card: it is planned anew"),
    "pod": (pod_unready, lambda found: _wrote(found, "TrainingJob"), "after a pod of a running gang is not ready"),
    "end": (pod_ended, lambda found: _wrote(found, "TrainingJob"), "after a pod of a running gang succeeded"),
    "fits": (fits, lambda found: any(_reserved(step) for step in found.steps), "after a job came that fits"),
    "waits": (
        fits_not,
        lambda found: "default/new" in {step.key for step in found.steps},
        "after one that has to wait",
    ),
}
SIZES = (3840, 20_000)


def meanings() -> dict[str, str]:
    """What each figure is, by its name."""
    return {
        f"cycle_{name}_{nodes}_ms": text.format(f"{nodes:,}")
        for nodes in SIZES
        for name, (_, _, text) in CHANGES.items()
    }


def measured(rounds: int) -> dict[str, float]:
    """All figures, in milliseconds."""
    found = {}
    for nodes in SIZES:
        cluster = crowded(nodes, 1000, 300)
        for name in CHANGES:
            found[f"cycle_{name}_{nodes}_ms"] = measure(cluster, name, rounds)
    return found


def measure(cluster: Busy, name: str, rounds: int) -> float:
    """Milliseconds of processor time of the quickest cycle after that change."""
    change, right, _ = CHANGES[name]
    base, memory, found = cluster.world(), cluster.memory, []
    other, world = change(cluster, base), base
    for number in range(1, rounds + 1):
        world = _followed(world, base, number / 100)
        cycle.decide(world, cluster.registry, SETTINGS, memory)
        world = _followed(world, other, number / 100)
        gc.collect()
        begun = time.process_time()
        decision = cycle.decide(world, cluster.registry, SETTINGS, memory)
        found.append((time.process_time() - begun) * 1000)
        if not right(decision):
            raise RuntimeError(f"the cycle decides something else ({name}): the figure would mean nothing")
    return round(min(found), 2)


def _followed(before: World, after: World, seconds: float) -> World:
    """The second world as the mirror would show it after the first."""
    maps: dict[str, Any] = {}
    for name in ("nodes", "pods", "pods_by_owner", "pods_by_node", "jobs"):
        old, new = getattr(before, name), getattr(after, name)
        table = old if isinstance(old, Table) else Table(old)
        keys = {key for key in changes.between(old, new) if old.get(key) is not new.get(key)}
        maps[name] = table.replaced({key: new[key] for key in keys & new.keys()}, keys - new.keys())
    return dataclasses.replace(after, now=after.now + seconds, **maps)


def _wrote(found: actions.Decision, kind: str) -> bool:
    return any(step.kind == kind for step in found.steps)


def _reserved(step: actions.Step) -> bool:
    return bool(step.status and step.status.get("placement"))


def _held(world: World) -> str:
    """A node in the middle that a gang holds."""
    names = sorted(world.pods_by_node)
    return names[len(names) // 2]


def _node(cluster: Busy, world: World, cards: int) -> World:
    name = next(name for name in world.nodes if name not in world.pods_by_node)
    node = world.nodes[name]
    return _with_node(world, dataclasses.replace(node, allocatable={**node.allocatable, RESOURCE: cards}))


def _with_node(world: World, node: NodeRecord) -> World:
    return dataclasses.replace(world, nodes={**world.nodes, node.name: node})


def _with_pod(world: World, old: PodRecord, pod: PodRecord) -> World:
    def swapped(group: tuple[PodRecord, ...]) -> tuple[PodRecord, ...]:
        return tuple(pod if one is old else one for one in group)

    return dataclasses.replace(
        world,
        pods={**world.pods, pod.key: pod},
        pods_by_owner={**world.pods_by_owner, pod.owner: swapped(world.pods_by_owner[pod.owner])},
        pods_by_node={**world.pods_by_node, pod.node: swapped(world.pods_by_node[pod.node])},
    )


def _with_job(world: World, pods: int, **fields: Any) -> World:
    some = next(iter(world.jobs.values()))
    job = dataclasses.replace(
        some,
        name="new",
        uid="job-new",
        created=world.now,
        spec=job_spec(pods, **fields),
        status=type(some.status)(),
    )
    return dataclasses.replace(world, jobs={**world.jobs, job.key: job})
