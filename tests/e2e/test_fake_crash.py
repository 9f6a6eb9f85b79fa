"""The operator dies, sleeps or is replaced at the worst moment; the gangs do not notice."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.conftest import MakeOperator
from tests.support import decided
from tests.support.operator_process import QUICK, Operator
from tests.support.recorder import Recorder
from tests.support.rules.verdict import Quiet
from tests.support.scene import Scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

GANG = 240
IN_FLIGHT = 48  # requests that an operator has under way at once
LEASE_SECONDS = float(QUICK["CARDPOOL_LEASE_SECONDS"])


async def large(scene: Scene) -> None:
    """A pool in which a gang of ``GANG`` pods of one card fits, and the gang submitted."""
    await scene.add_nodes(GANG // 8)
    await scene.add_pool()
    await scene.submit(pods=GANG, cards=1, deadlines={"bindSeconds": 60})


async def until_first(scene: Scene) -> None:
    """Return when the first pod is seen: by the time that anything is done about it there are many, but not all."""
    await scene.until(scene.pods, "the first pods")


async def made_of(scene: Scene) -> set[str]:
    """UIDs of the gang's pods at this moment; AssertionError where with those in flight all of the gang may be there."""
    made = {pod["metadata"]["uid"] for pod in await scene.kube.list("Pod", scene.name)}
    assert 0 < len(made) < GANG - IN_FLIGHT, f"{len(made)} of {GANG} pods: the operator was not stopped in the middle"
    return made


def holders(recorder: Recorder, since: float) -> list[tuple[float, str]]:
    """Who held the operator's Lease at each write of it from that moment on (epoch seconds), as it was seen."""
    leases = [one for one in recorder.events if one.kind == "Lease" and "cardpool" in one.key and one.at >= since]
    return [(one.at, str(one.body["spec"].get("holderIdentity") or "")) for one in leases]


def lead_of(recorder: Recorder) -> str:
    """Who holds the operator's Lease."""
    leases = [one for key, one in recorder.now["Lease"].items() if "cardpool" in key]
    return str(leases[0]["spec"].get("holderIdentity") or "") if leases else ""


async def test_killed_in_the_middle_of_the_pods(scene: Scene, operator: Operator) -> None:
    """An operator killed in the middle of a gang leaves a placement; the next one makes the missing pods of it."""
    await large(scene)
    await until_first(scene)
    await operator.kill()
    made = await made_of(scene)
    await operator.start()
    status = await scene.until_running(seconds=90)

    assert status["attempt"] == 0
    assert made <= {pod["metadata"]["uid"] for pod in scene.pods()}
    await scene.verify()


async def test_a_leader_that_slept_while_another_took_over(
    scene: Scene, operator: Operator, make_operator: MakeOperator, recorder: Recorder
) -> None:
    """A leader stopped in mid-gang loses the Lease; the next finishes the gang; the sleeper wakes, writes nothing, ends."""
    standby = await make_operator("standby")
    await large(scene)
    await until_first(scene)
    operator.freeze()
    try:
        made = await made_of(scene)
        await scene.until(lambda: lead_of(recorder) == "standby", "the standby leads", 30)
        await scene.until_running(seconds=90)
        assert made <= {pod["metadata"]["uid"] for pod in scene.pods()}
        await scene.kube.delete("TrainingJob", "llm", scene.name)
        await scene.submit("next", pods=GANG // 8)
        await scene.until_running("next", seconds=90)
        await recorder.settled(scene.ours, 1, 30)
    finally:
        operator.thaw()
    before = time.time()
    await asyncio.to_thread(operator.wait, 20)
    await recorder.settled(scene.ours, 1, 30)

    assert lead_of(recorder) == "standby"
    assert standby.alive
    scene.operator = standby
    # What the sleeper had in flight may still arrive; none of it may stay, and the new gang is untouched.
    changed = [
        seen for seen in recorder.events if seen.kind == "TrainingJob" and scene.concerns(seen) and seen.at > before
    ]
    assert changed == []
    await scene.verify()


async def test_a_planned_handover_is_quick(
    scene: Scene, operator: Operator, make_operator: MakeOperator, recorder: Recorder
) -> None:
    """A leader that is asked to end releases the Lease; the standby takes it before it would end, and places the next."""
    scene.operator = await make_operator("second")
    await scene.usual(2)
    begun = time.time()
    await operator.stop()
    await scene.submit()
    await scene.until_running()
    (released, _), (taken, leader) = [one for one in holders(recorder, begun) if one[1] != "operator"][:2]

    assert leader == "second"
    assert taken - released < LEASE_SECONDS / 2
    await scene.verify()


async def test_a_restart_of_the_operator_writes_nothing(scene: Scene, operator: Operator) -> None:
    """An operator that starts on a cluster at rest finds everything as it would have it."""
    await scene.usual(3)
    await scene.submit("runs")
    await scene.submit("waits", pods=4)
    await scene.until_running("runs")
    await scene.until_waiting("InsufficientCards", "waits")
    await scene.recorder.settled(scene.ours, 1, 20)
    since = time.time()
    await operator.stop()
    await operator.start()
    await decided.on_everything(scene)
    await scene.verify(windows=[Quiet(since, time.time())])


async def test_killed_between_teardown_and_the_next_start(scene: Scene, operator: Operator) -> None:
    """An operator killed in the middle of a restart finishes exactly that restart when it is back."""
    await scene.usual(3, faults={"attributionSeconds": 4})
    await scene.submit()
    await scene.until_running()
    await scene.end_pod(scene.pods()[1], 1)
    await scene.until(lambda: scene.status().get("attempt") == 1 and not scene.pods(), "torn down")
    await operator.kill()
    await operator.start()
    status = await scene.until_running(attempt=1, seconds=40)

    assert (status["restarts"], status["faultRestarts"]) == (1, 0)
    assert status["lastFault"]["attribution"] == "Application"
    await scene.verify({"llm": 1})


async def test_a_fault_while_no_operator_runs(scene: Scene, operator: Operator) -> None:
    """A card that died while the operator was down costs one restart once it is back."""
    await scene.usual(3)
    await scene.submit()
    await scene.until_running()
    await operator.stop()
    bad = scene.pods()[0]
    await scene.break_card(bad)
    await scene.offer(bad["spec"]["nodeName"], 7)
    await operator.start()
    status = await scene.until_running(attempt=1)

    assert (status["restarts"], status["faultRestarts"]) == (0, 1)
    assert bad["spec"]["nodeName"] not in scene.nodes_of()
    await scene.verify({"llm": 1})
