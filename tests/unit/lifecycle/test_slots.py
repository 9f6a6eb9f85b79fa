"""How many gangs of each size would fit now: in one supernode, over the pool, and kept up as things change."""

from __future__ import annotations

import random

import pytest

from cardpool.lifecycle import cycle, slots
from cardpool.runtime import metrics
from tests.support.simworld import SimCluster, job_spec, pool_spec


def of(nodes: list[tuple[int, int]], fabrics: dict[int, int] | None = None) -> slots.Slots:
    """One supernode's nodes as (cards, free)."""
    return slots.of_supernode((cards, free, fabrics) for cards, free in nodes)


def listed(found: slots.Slots) -> dict[int, tuple[int, int | None]]:
    """Count and spread of each size."""
    return {one.gang: (one.count, one.spread) for one in found.listed()}


NODES: dict[str, tuple[list[tuple[int, int]], dict[int, tuple[int, int]]]] = {
    "four whole nodes": ([(8, 8)] * 4, {1: (32, 32), 8: (4, 4)}),
    "eighty whole nodes": ([(8, 8)] * 80, {1: (640, 640), 8: (80, 80), 64: (10, 10), 512: (1, 1)}),
    "a broken node holds small gangs alone": ([(8, 8)] * 8 + [(8, 7)], {1: (71, 71), 8: (8, 8), 64: (1, 1)}),
    "full": ([(8, 0)] * 2, {1: (0, 0), 8: (0, 0)}),
    "sixteen cards a node": ([(16, 16), (16, 8), (16, 15)], {1: (39, 39), 8: (4, 4)}),
    "nodes that do not divide the gang": ([(12, 12)] * 11, {1: (132, 132), 8: (11, 11), 64: (1, 1)}),
    "only the widest nodes hold large gangs": ([(16, 16)] * 4 + [(8, 8)] * 8, {1: (128, 128), 8: (16, 16), 64: (1, 1)}),
    "no cards": ([(0, 0)], {}),
    "nobody": ([], {}),
}


@pytest.mark.parametrize(("nodes", "expected"), NODES.values(), ids=NODES)
def test_of_one_supernode(nodes: list[tuple[int, int]], expected: dict[int, tuple[int, int]]) -> None:
    """Up to a node's cards one pod, above pods of whole nodes; no size beyond all cards."""
    assert expected == listed(of(nodes))


def test_over_supernodes() -> None:
    """Two supernodes of 40 cards: none holds 64, both together do."""
    both = slots.Slots()
    both.add(of([(8, 8)] * 5))
    both.add(of([(8, 8)] * 5))
    assert listed(both) == {1: (80, 80), 8: (10, 10), 64: (0, 1)}


def test_a_sum_comes_apart_again() -> None:
    """What was put in and taken out leaves no trace."""
    both = slots.Slots()
    one, two = of([(8, 8), (16, 3)]), of([(8, 4)])
    for part in (one, two):
        both.add(part)
    both.add(two, -1)
    assert both == one


def status(cluster: SimCluster) -> dict[int, tuple[int, int | None]]:
    """The pool's slots as they were written."""
    return {one.gang: (one.count, one.spread) for one in cluster.pool.status.slots}


def test_status_of_pool_and_supernode() -> None:
    """Nodes in use, spares and cordoned ones are no slots; the largest free block is the largest gang."""
    cluster = SimCluster(nodes=8, per_supernode=4, spec=pool_spec(spares={"perSupernode": 1}))
    cluster.submit("small", job_spec(1, 2))
    cluster.settle(3.0)
    assert status(cluster) == {1: (46, 46), 8: (5, 5), 64: (0, 0)}
    homes = sorted(cluster.supernodes.values(), key=lambda one: one.name)
    assert sorted(one.status.largest_free_block for one in homes) == [16, 24]
    found = sorted([(slot.gang, slot.count) for slot in one.status.profiles[0].slots] for one in homes)
    assert found == [[(1, 22), (8, 2)], [(1, 24), (8, 3)]]
    assert [(one.profile, one.slots[1].count) for one in cluster.pool.status.profiles] == [("k100", 5)]


def test_a_broken_node_is_the_largest_block_where_there_is_no_whole_one() -> None:
    """Six free cards on one node are a gang of six."""
    cluster = SimCluster(nodes=1, per_supernode=1)
    cluster.submit("small", job_spec(1, 2))
    cluster.settle(3.0)
    assert [one.status.largest_free_block for one in cluster.supernodes.values()] == [6]


def test_metrics() -> None:
    """A series for each pool, profile, size and scope, and for each supernode and size."""
    cluster = SimCluster()
    cluster.settle()
    gauges = cluster.decide().gauges
    assert gauges is not None
    shown = metrics.Metrics()
    shown.decided(gauges)
    text = shown.expose().decode()
    assert 'cardpool_slots{gang_cards="8",pool="main",profile="k100",scope="supernode"} 4.0' in text
    assert 'cardpool_slots{gang_cards="1",pool="main",profile="k100",scope="pool"} 32.0' in text
    assert text.count("cardpool_supernode_slots{") == 2 * 2


def test_kept_up_as_things_change() -> None:
    """After any history what was kept from cycle to cycle equals what a new operator counts."""
    lots = random.Random(7)
    cluster = SimCluster(nodes=12, per_supernode=3)
    for number in range(60):
        match lots.randrange(5):
            case 0:
                cluster.submit(f"j{number}", job_spec(lots.randint(1, 3), lots.choice([1, 4, 8])))
            case 1 if cluster.jobs:
                del cluster.jobs[lots.choice(sorted(cluster.jobs))]
                owners = {job.uid for job in cluster.jobs.values()}
                cluster.pod = {key: pod for key, pod in cluster.pod.items() if pod.owner in owners}
            case 2:
                cluster.allocatable(lots.choice(sorted(cluster.node)), lots.choice([0, 6, 8, 8]))
            case 3 if number > 30 and f"n-{number % 12}" in cluster.node and number % 3 == 0:
                gone = f"n-{number % 12}"
                del cluster.node[gone]
                cluster.pod = {key: pod for key, pod in cluster.pod.items() if pod.node != gone}
            case _:
                pass
        cluster.step(3.0)
        kept = cluster.memory
        world = cluster.world()
        own = cycle.study(world, cluster.registry, cycle.CycleSettings("operator:1"), kept).totals
        new = cycle.study(world, cluster.registry, cycle.CycleSettings("operator:1"), cycle.Memory()).totals
        assert own["main"].by_profile() == new["main"].by_profile()
        assert own["main"].counts == new["main"].counts
