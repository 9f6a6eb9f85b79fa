"""What is a fault on fake nodes, and what is none: one restart for one fault, on other cards, and of that gang alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support import builders, decided
from tests.support.history import Seen, condition, status_of
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

TURNS = 3

DEBOUNCE = builders.QUICK_FAULTS["debounceSeconds"]


def faults_of(scene: Scene) -> list[Mapping[str, Any]]:
    """Card faults in the status of the scene's supernodes."""
    supernodes = [one for one in scene.recorder.now["Supernode"].values() if one["spec"]["pool"] == scene.name]
    return [fault for one in supernodes for fault in status_of(one).get("faults") or ()]


def pool_condition(scene: Scene, kind: str) -> str:
    """Value of a condition of the scene's pool."""
    return str(condition(scene.recorder.find("CardPool", scene.name) or {}, kind).get("status", ""))


def unknown_cards(scene: Scene) -> int:
    """How many cards of the scene's pool are Unknown."""
    return int(status_of(scene.recorder.find("CardPool", scene.name) or {})["cards"]["unknown"])


def is_new(seen: Seen, attempt: int) -> bool:
    """The event that shows a pod of that attempt bound for the first time, not yet running."""
    labels, body = seen.labels, seen.body
    bound = seen.change == "MODIFIED" and bool(body["spec"].get("nodeName"))
    return labels["cardpool.dev/attempt"] == str(attempt) and bound and status_of(body).get("phase") == "Pending"


async def own_gap(scene: Scene, attempt: int) -> float:
    """Break a card; seconds to the replacements of that attempt, less debounce (1 s) and the old pods' time to go."""
    bad = scene.pods()[0]
    began = len(scene.pod_events())
    await scene.break_card(bad)
    await scene.until(
        lambda: len({seen.uid for seen in scene.pod_events() if is_new(seen, attempt)}) == 2, "replacements bound"
    )
    events = scene.pod_events()[began:]
    signalled = next(seen.at for seen in events if seen.uid == bad["metadata"]["uid"])
    bound = max(seen.at for seen in events if is_new(seen, attempt))
    gone = max(seen.at for seen in events if seen.change == "DELETED")
    first_delete = min(seen.at for seen in events if seen.body["metadata"].get("deletionTimestamp"))
    return (bound - signalled) - 1.0 - (gone - first_delete)


async def test_a_bad_card_costs_one_restart(scene: Scene) -> None:
    """The gang restarts once, whole, free of charge; the healthy rank keeps its node and the bad card's is avoided."""
    await scene.usual(3)
    await scene.submit()
    await scene.until_running()
    bad, healthy = scene.pods()
    await scene.break_card(bad)
    await scene.offer(bad["spec"]["nodeName"], 7)
    status = await scene.until_running(attempt=1)
    fault = status["lastFault"]

    assert (status["faultRestarts"], status["restarts"]) == (1, 0)
    assert ("card-3", bad["spec"]["nodeName"], 0) == (fault["card"], fault["node"], fault["rank"])
    assert (fault["reason"], fault["attribution"], fault["charged"]) == ("CardUnhealthy", "Hardware", False)
    assert healthy["spec"]["nodeName"] == scene.nodes_of()[1]
    assert bad["spec"]["nodeName"] not in scene.nodes_of()
    assert {"1"} == {pod["metadata"]["labels"]["cardpool.dev/attempt"] for pod in scene.pods()}
    assert {"detectSeconds", "teardownSeconds", "placeSeconds", "startSeconds"} <= set(status["timings"])
    assert [(one["card"], one["state"]) for one in faults_of(scene)] == [("card-3", "Faulty")]
    assert pool_condition(scene, "Degraded") == "True"
    await scene.until(lambda: scene.events("CardUnhealthy"), "an Event of the fault")
    await scene.verify({"llm": 1})


async def test_the_restart_itself_takes_less_than_a_second(scene: Scene) -> None:
    """From the end of the debounce to all replacements bound the operator's own gaps stay below a second.

    The best of three counts: other tests share the cores, and an operator that is slow itself is so every time.
    """
    await scene.usual(2 + TURNS, faults={"debounceSeconds": 1})
    await scene.submit()
    await scene.until_running()
    gaps: list[float] = []
    while len(gaps) < TURNS and min(gaps, default=2.0) > 1.0:
        gaps.append(await own_gap(scene, len(gaps) + 1))
        await scene.until_running(attempt=len(gaps))

    assert min(gaps) <= 1.0, f"{gaps} s of the operator's own"
    await scene.verify({"llm": len(gaps)})


async def test_a_card_that_its_plugin_still_offers_is_not_given_again(scene: Scene) -> None:
    """Unhealthy by name while allocatable never fell keeps the whole node from the next attempt."""
    await scene.usual(2)
    await scene.submit(pods=1)
    await scene.until_running()
    bad = scene.pods()[0]
    await scene.break_card(bad)
    await scene.until_running(attempt=1)

    assert scene.nodes_of() != [bad["spec"]["nodeName"]]
    await scene.verify({"llm": 1})


async def test_allocatable_shrinks_under_the_gang(scene: Scene) -> None:
    """A node that offers fewer cards than the gang holds there is a fault though no card is named."""
    await scene.usual(3)
    await scene.submit()
    await scene.until_running()
    node = scene.nodes_of()[1]
    await scene.offer(node, 7)
    status = await scene.until_running(attempt=1)

    assert ("CardsShrunk", node, "Hardware") == tuple(
        status["lastFault"][key] for key in ("reason", "node", "attribution")
    )
    assert node not in scene.nodes_of()
    await scene.verify({"llm": 1})


async def test_two_signals_of_one_fault_are_one_episode(scene: Scene) -> None:
    """The name of the card first and the shrink seconds later, after the restart began, cost one restart together."""
    await scene.usual(3)
    await scene.submit()
    await scene.until_running()
    bad = scene.pods()[0]
    await scene.break_card(bad)
    await scene.until_running(attempt=1)
    await scene.offer(bad["spec"]["nodeName"], 7)
    await scene.stays(lambda: scene.status()["attempt"] == 1, "attempt 1", DEBOUNCE + 1)
    await decided.on_everything(scene)

    assert scene.status()["attempt"] == 1
    await scene.verify({"llm": 1})


async def test_a_flap_inside_the_debounce_is_nothing(scene: Scene) -> None:
    """A card that is Healthy again before the debounce is over costs nothing, though the operator saw it fall ill."""
    await scene.usual(3, faults={"debounceSeconds": 2 * DEBOUNCE})
    await scene.submit()
    await scene.until_running()
    bad = scene.pods()[0]
    for _ in range(2):
        await scene.break_card(bad)
        await scene.offer(bad["spec"]["nodeName"], 7)
        await scene.until(lambda: "Suspect" in {fault["state"] for fault in faults_of(scene)}, "suspected")
        await scene.break_card(bad, health="Healthy")
        await scene.offer(bad["spec"]["nodeName"], 8)
        await scene.until(lambda: faults_of(scene) == [], "suspected no longer")
    await scene.stays(lambda: scene.status()["attempt"] == 0, "attempt 0", 2 * DEBOUNCE + 1)
    await decided.on_everything(scene)

    assert scene.status()["attempt"] == 0
    await scene.verify()


@pytest.mark.parametrize("how", ["one node", "one node, capacity later too", "three nodes"])
async def test_a_plugin_that_is_gone_is_no_fault(scene: Scene, how: str) -> None:
    """A plug-in that stops offers nothing; the gang runs on, the pool says Unknown, and all is well when it is back."""
    await scene.usual(3)
    await scene.submit(pods=3)
    await scene.until_running()
    gone = scene.nodes if how == "three nodes" else scene.nodes[:1]
    await asyncio.gather(*(scene.offer(node, 0) for node in gone))
    await scene.until(lambda: pool_condition(scene, "Degraded") == "True", "pool degraded")
    await scene.until(lambda: unknown_cards(scene) == 8 * len(gone), "their cards Unknown")
    if "capacity" in how:
        await scene.offer(gone[0], 0, 0)

    def as_before() -> bool:
        return pool_condition(scene, "Degraded") == "True" and scene.status()["attempt"] == 0

    await scene.stays(as_before, "degraded, in attempt 0", 2 * DEBOUNCE)
    await decided.on_everything(scene)

    assert as_before()
    assert unknown_cards(scene) == 8 * len(gone)
    await asyncio.gather(*(scene.offer(node, 8, 8) for node in gone))
    await scene.until(lambda: pool_condition(scene, "Degraded") == "False", "pool well again")
    assert scene.status()["attempt"] == 0
    await scene.verify()


async def test_without_a_replacement_the_gang_waits_and_says_so(scene: Scene) -> None:
    """A gang on a bad card is taken down though nothing can replace it, waits with a count, and starts when it can."""
    await scene.usual(2)
    await scene.submit()
    await scene.until_running()
    bad = scene.pods()[0]
    await scene.break_card(bad)
    await scene.offer(bad["spec"]["nodeName"], 7)
    message = await scene.until_waiting("InsufficientCards")
    await scene.until(lambda: not scene.pods(), "nothing holds cards")

    assert "1 of 2" in message
    await scene.add_nodes(1)
    status = await scene.until_running(attempt=1)
    assert status["faultRestarts"] == 1
    await scene.verify({"llm": 1})


async def test_a_card_that_recovers_takes_work_again(scene: Scene) -> None:
    """Allocatable that fell and came back steadily is recovery: the gang that waits starts on the same node."""
    await scene.usual(2)
    await scene.submit()
    await scene.until_running()
    bad = scene.pods()[0]["spec"]["nodeName"]
    await scene.offer(bad, 7)
    await scene.until_waiting("InsufficientCards")
    await scene.offer(bad, 8)
    status = await scene.until_running(attempt=1, seconds=40)

    assert bad in scene.nodes_of()
    assert status["faultRestarts"] == 1
    await scene.verify({"llm": 1})


async def test_only_the_gang_on_the_card_restarts(scene: Scene) -> None:
    """Two gangs side by side: the fault of one leaves pods and attempt of the other alone."""
    await scene.usual(3)
    await scene.submit("hit", pods=1)
    await scene.submit("other", pods=1)
    await scene.until_running("hit")
    await scene.until_running("other")
    before = [pod["metadata"]["uid"] for pod in scene.pods("other")]
    bad = scene.pods("hit")[0]
    await scene.break_card(bad)
    await scene.offer(bad["spec"]["nodeName"], 7)
    await scene.until_running("hit", attempt=1)

    assert before == [pod["metadata"]["uid"] for pod in scene.pods("other")]
    assert scene.status("other")["attempt"] == 0
    await scene.verify({"hit": 1})


async def test_spares_are_kept_for_replacements(scene: Scene) -> None:
    """A spare node is withheld from a new gang and used at once to replace a failed one."""
    await scene.usual(3, spares={"perSupernode": 1})
    await scene.submit("big", pods=3)
    await scene.until_waiting("InsufficientCards", "big")
    await scene.submit("llm", pods=2)
    await scene.until_running()
    bad = scene.pods()[0]
    await scene.break_card(bad)
    await scene.offer(bad["spec"]["nodeName"], 7)
    await scene.until_running(attempt=1)

    assert scene.pod_events("big") == []
    await scene.verify({"llm": 1})
