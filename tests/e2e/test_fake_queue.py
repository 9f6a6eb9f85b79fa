"""The queue on a real API server: quota, preemption of a whole gang, a reservation for the head, a domain for one job."""

from __future__ import annotations

import pytest

from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


async def test_quota_of_a_team(scene: Scene) -> None:
    """Room there is, quota there is not: the job waits and says so, and starts when its team has quota again."""
    team = {"name": "a", "namespaces": [scene.name], "quota": [{"profile": "nvidia", "cards": 16}]}
    await scene.usual(3, teams=[team])
    await scene.submit("first", pods=2)
    await scene.until_running("first")
    await scene.submit("second", pods=1)
    message = await scene.until_waiting("QuotaExceeded", "second")

    assert "team a uses 16 of 16 nvidia cards" in message
    await scene.until_condition("QuotaReserved", "False", "QuotaExceeded", "second")
    assert scene.pod_events("second") == []
    await scene.succeed("first")
    await scene.until_running("second")
    await scene.verify()


async def test_a_whole_gang_goes_for_a_higher_priority_and_comes_back(scene: Scene) -> None:
    """One gang goes, as a whole and charged to nobody; the other starts in its room; then the first runs again."""
    high, low = await scene.priority("high", 100), await scene.priority("low", 1)
    await scene.usual(3, queue={"preemption": {"withinTeam": "LowerPriority"}})
    await scene.submit("old", pods=3, priorityClassName=low)
    await scene.until_running("old")
    await scene.submit("new", pods=2, priorityClassName=high)
    await scene.until_running("new")

    status = await scene.until_job(lambda status: status.get("attempt") == 1, "in its second attempt", "old")
    assert status["lastFault"]["attribution"] == "Preemption"
    assert scene.last_counts("old") == 0
    await scene.until(lambda: scene.events("Preempted", "old"), "an Event on the one that goes")
    await scene.until(lambda: scene.events("WaitingForPreemption", "new"), "an Event on the one that comes")
    await scene.until_waiting("InsufficientCards", "old")
    await scene.succeed("new")
    await scene.until_running("old", attempt=1)
    await scene.verify()


async def test_the_head_of_the_queue_is_not_passed_by_what_would_delay_it(scene: Scene) -> None:
    """A node is free; who has declared to be gone in time may use it, who has not may not."""
    await scene.usual(3)
    await scene.submit("runs", pods=2, expectedRuntimeSeconds=600)
    await scene.until_running("runs")
    await scene.submit("head", pods=3)
    assert "first in line: 3 nodes are kept for it" in await scene.until_waiting("InsufficientCards", "head")
    await scene.submit("long", pods=1)
    await scene.until_waiting("ReservedForOther", "long")
    await scene.submit("short", pods=1, expectedRuntimeSeconds=60)
    await scene.until_running("short")
    await scene.succeed("short")
    await scene.succeed("runs")
    await scene.until_running("head")

    assert scene.pod_events("long") == []
    await scene.verify()


async def test_a_supernode_for_one_job(scene: Scene) -> None:
    """Nobody joins a job that has its supernode for itself, and it joins nobody."""
    await scene.add_nodes(2, supernode="SN_0")
    await scene.add_nodes(1, supernode="SN_1")
    await scene.add_pool()
    await scene.submit("alone", pods=1, cards=1, topology={"exclusive": "supernode"})
    await scene.until_running("alone")
    home = scene.nodes_of("alone")[0]
    await scene.submit("other", pods=1, cards=1)
    await scene.until_running("other")

    together = set(scene.nodes[:2])
    assert (home in together) != (scene.nodes_of("other")[0] in together)
    await scene.submit("second", pods=1, cards=1, topology={"exclusive": "supernode"})
    await scene.until_condition("PodsScheduled", "False", "", "second")
    assert scene.pod_events("second") == []
    await scene.succeed("other")
    await scene.until_running("second")
    await scene.verify()
