"""A card dies under a gang: one restart, the right charge, the right place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardpool.domain.cards import CardFault, CardId
from cardpool.domain.inventory import Cause
from cardpool.lifecycle import rooms
from cardpool.lifecycle.membership import Member
from cardpool.names import CardState, Reason
from tests.support.simworld import RESOURCE, SimCluster, job_spec, pool_spec

RETRY = {"backoff": {"baseSeconds": 10, "capSeconds": 600}, "maxRestarts": 2, "windowSeconds": 3600}


def started(cluster: SimCluster, **fields: object) -> str:
    """A running gang of two whole nodes."""
    key = cluster.submit("a", job_spec(2, **fields))
    cluster.settle()
    assert cluster.jobs[key].status.phase == "Running"
    return key


def test_named_card_restarts_the_gang_once() -> None:
    """After the debounce the whole gang comes down once, uncharged, and keeps its healthy node."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.health("default/a-w-0", "card-3", "Unhealthy")
    cluster.step(0.1)
    assert cluster.jobs[key].status.phase == "Running"

    cluster.step(5.1)
    cluster.allocatable("n-0", 7)
    cluster.settle()

    status = cluster.jobs[key].status
    assert (status.attempt, status.fault_restarts, status.restarts) == (1, 1, 0)
    assert [pod.node for pod in cluster.pods_of(key)] == ["n-2", "n-1"]
    fault = status.last_fault
    assert fault is not None
    assert (
        fault.card,
        fault.node,
        fault.rank,
        fault.reason,
        fault.attribution,
        fault.charged,
    ) == ("card-3", "n-0", 0, "CardUnhealthy", "Hardware", False)
    assert status.timings.detect_seconds == "5.1"


def test_flap_inside_the_debounce_is_no_fault() -> None:
    """Unhealthy and back within the debounce time: nothing happens, now or later."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.health("default/a-w-0", "card-3", "Unhealthy")
    cluster.step(1)
    cluster.health("default/a-w-0", "card-3", "Healthy")
    cluster.step(1)
    cluster.step(20)

    assert cluster.jobs[key].status.attempt == 0
    assert cluster.supernodes[min(cluster.supernodes)].status.faults == ()


def test_plugin_gone_for_a_minute_is_no_fault() -> None:
    """Allocatable 0 without a named card is Unknown: no restart, no new gang on the node, and back again."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.allocatable("n-0", 0)
    for _ in range(6):
        cluster.step(10)
    name = next(item.name for item in cluster.supernodes.values() if item.status.faults)
    assert [entry.state for entry in cluster.supernodes[name].status.faults] == ["Unknown"]
    assert cluster.jobs[key].status.attempt == 0

    cluster.allocatable("n-0", 8)
    cluster.settle()

    assert cluster.supernodes[name].status.faults == ()
    assert cluster.jobs[key].status.attempt == 0


def test_fault_elsewhere_restarts_nobody() -> None:
    """A card of a node that the gang does not sit on."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.allocatable("n-3", 7)
    cluster.step(0.1)
    cluster.step(6)
    cluster.settle()

    assert cluster.jobs[key].status.attempt == 0
    assert cluster.pool.status.cards.faulty == 1


def test_unnamed_loss_hits_the_gang_that_holds_all() -> None:
    """Seven of eight left under a gang that holds eight: it must sit on the lost one."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.allocatable("n-1", 7)
    cluster.step(0.1)
    cluster.step(6)
    cluster.settle()

    status = cluster.jobs[key].status
    assert (status.attempt, status.fault_restarts) == (1, 1)
    assert status.last_fault.reason == "CardsShrunk"
    assert "n-1" not in {pod.node for pod in cluster.pods_of(key)}


def test_unnamed_loss_spares_the_gang_that_may_sit_elsewhere() -> None:
    """Seven of eight left under a gang that holds four: nobody can say that it sits on the lost one."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(1, cards=4))
    cluster.settle()
    node = cluster.pods_of(key)[0].node
    cluster.allocatable(node, 7)
    cluster.step(0.1)
    cluster.step(6)
    cluster.settle()

    assert cluster.jobs[key].status.attempt == 0


def test_application_exit_is_charged_after_the_attribution_time() -> None:
    """An exit without any card signal: torn down at once, charged later, next try after the backoff."""
    cluster = SimCluster()
    key = started(cluster, restart=RETRY)
    cluster.end("default/a-w-1", 1, "boom")
    cluster.step(0.1)
    status = cluster.jobs[key].status
    assert (status.last_fault.attribution, status.attempt, status.restarts) == ("Pending", 1, 0)
    cluster.step(0.1)
    assert cluster.pods_of(key) == []

    cluster.step(4)
    cluster.step(0.1)
    status = cluster.jobs[key].status
    assert (status.last_fault.attribution, status.restarts, status.fault_restarts) == ("Application", 1, 0)
    assert cluster.pods_of(key) == []

    cluster.step(10)
    cluster.settle()
    assert cluster.jobs[key].status.phase == "Running"
    assert cluster.jobs[key].status.history[-1].message == "boom"


def test_late_card_signal_explains_the_exit() -> None:
    """The process dies first, allocatable falls inside the attribution time: hardware, free of charge."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.end("default/a-w-0", 134)
    cluster.step(0.1)
    cluster.step(2)
    cluster.allocatable("n-0", 7)
    cluster.step(0.1)
    for _ in range(8):
        cluster.step(1)
    cluster.settle()

    status = cluster.jobs[key].status
    assert (status.last_fault.attribution, status.restarts, status.fault_restarts) == ("Hardware", 0, 1)
    assert status.phase == "Running"
    assert "n-0" not in {pod.node for pod in cluster.pods_of(key)}


def test_budget_of_charged_restarts_ends_the_job() -> None:
    """MaxRestarts 2: the third application failure inside the window is the last."""
    cluster = SimCluster()
    key = started(cluster, restart=RETRY)
    for _ in range(3):
        cluster.end("default/a-w-0", 1)
        cluster.step(0.1)
        for _ in range(30):
            cluster.step(2)
        cluster.settle()

    status = cluster.jobs[key].status
    assert status.phase == "Failed"
    assert cluster.condition(key, "Succeeded") == ("False", "RestartsExhausted")
    assert cluster.condition(key, "Finished") == ("True", "RestartsExhausted")
    assert status.restarts == 2


def test_non_retryable_exit_code_ends_the_job_at_once() -> None:
    """Exit code 42 is declared final."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.end("default/a-w-0", 42)
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Failed"
    assert cluster.condition(key, "Succeeded") == ("False", "NonRetryableExit")
    assert cluster.jobs[key].status.last_fault.exit_code == 42


def test_deleted_pod_restarts_the_whole_gang_uncharged() -> None:
    """Somebody deletes one pod: PodLost, all ranks again."""
    cluster = SimCluster()
    key = started(cluster)
    del cluster.pod["default/a-w-1"]
    cluster.settle()

    status = cluster.jobs[key].status
    assert (status.last_fault.reason, status.fault_restarts, status.restarts, status.attempt) == ("PodLost", 1, 0, 1)
    assert status.phase == "Running"


def test_eviction_is_not_charged() -> None:
    """A pod with a disruption takes the gang down free of charge."""
    cluster = SimCluster()
    key = started(cluster)
    pod = cluster.pod["default/a-w-1"]
    cluster.pod["default/a-w-1"] = replace(pod, disruption="DeletionByTaintManager")
    cluster.settle()

    status = cluster.jobs[key].status
    assert (
        status.last_fault.reason,
        status.last_fault.attribution,
        status.fault_restarts,
    ) == ("PodEvicted", "Eviction", 1)


def test_silent_node_stalls_and_says_which_pod() -> None:
    """Pods on a dead node never go: with Wait the job names pod and node."""
    cluster = SimCluster(goes=lambda pod: pod.node != "n-0")
    key = started(cluster)
    cluster.node["n-0"] = replace(cluster.node["n-0"], ready=False, ready_since=cluster.now)
    cluster.step(61)
    cluster.step(1)
    cluster.step(1)

    assert cluster.condition(key, "Stalled") == ("True", "NodeLost")
    assert cluster.jobs[key].status.last_fault.reason == "NodeLost"
    assert cluster.jobs[key].status.attempt == 1


def test_recovered_card_is_given_again() -> None:
    """A named card that fell and returned is on probation for the debounce time, then healthy."""
    cluster = SimCluster(nodes=2, spec=pool_spec())
    key = started(cluster)
    cluster.health("default/a-w-0", "card-3", "Unhealthy")
    cluster.step(0.1)
    cluster.step(5.1)
    cluster.allocatable("n-0", 7)
    cluster.settle()
    assert cluster.jobs[key].status.phase == "Restarting"

    cluster.allocatable("n-0", 8)
    cluster.step(1)
    assert cluster.pods_of(key) == []
    cluster.step(6)
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"


def test_node_in_doubt_takes_nobody() -> None:
    """A bad card that its plug-in still offers keeps every new pod off the node."""
    cluster = SimCluster(nodes=2)
    key = cluster.submit("a", job_spec(1, cards=4))
    cluster.settle()
    node = cluster.pods_of(key)[0].node
    cluster.health("default/a-w-0", "card-1", "Unhealthy")
    cluster.step(0.1)
    cluster.step(5.1)
    cluster.settle()

    assert node != cluster.pods_of(key)[0].node


def test_rank_that_succeeded_stays_succeeded() -> None:
    """Rank 0 is done when rank 1 loses its card: only rank 1 runs again."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.end("default/a-w-0", 0)
    cluster.settle()
    cluster.health("default/a-w-1", "card-2", "Unhealthy")
    cluster.step(0.1)
    cluster.step(5.1)
    cluster.allocatable("n-1", 7)
    cluster.settle()

    assert [pod.name for pod in cluster.pods_of(key) if not pod.finished] == ["a-w-1"]
    cluster.end("default/a-w-1", 0)
    cluster.settle()
    assert cluster.jobs[key].status.phase == "Succeeded"


@pytest.mark.parametrize(
    ("state", "expected"),
    [(state, Cause.NONE if state is CardState.HEALTHY else Cause.CARDS_IN_DOUBT) for state in CardState],
    ids=[state.value for state in CardState],
)
def test_every_state_but_healthy_closes_a_node_that_offers_the_card(state: CardState, expected: Cause) -> None:
    """Probation included: nobody outside kubelet can say which card a pod will get."""
    cluster = SimCluster(nodes=1)
    node = cluster.node["n-0"]
    member = Member(node, "main", "k100", "hygon", RESOURCE, 8, 8, "", {})
    known = {"card-3": CardFault(CardId("n-0", RESOURCE, "card-3"), state, Reason.CARD_UNHEALTHY, 0.0)}
    assert expected is rooms.cause_of(member, known, cordoned=False)
    assert rooms.cause_of(replace(member, allocatable=7), known, cordoned=False) is Cause.NONE
