"""What the loss of some members means for the others: all or nothing, and the finished are not lost."""

from __future__ import annotations

from dataclasses import replace

import pydantic
import pytest

from cardpool.api.cardpool import CardPoolSpec
from cardpool.api.trainingjob import TrainingJobSpec
from tests.support.simworld import SimCluster, job_spec, pool_spec


def silent(cluster: SimCluster, node: str) -> None:
    """The node's kubelet says nothing from now on."""
    cluster.node[node] = replace(cluster.node[node], ready=False, ready_since=cluster.now)


def gang(*groups: tuple[str, int]) -> TrainingJobSpec:
    """A job of groups of whole nodes."""
    one = job_spec(1).groups[0]
    spec = job_spec(1)
    return spec.model_copy(
        update={"groups": tuple(one.model_copy(update={"name": name, "replicas": pods}) for name, pods in groups)}
    )


def started(spec: TrainingJobSpec, **faults: int) -> tuple[SimCluster, str]:
    """A running gang in a pool whose dead nodes have this grace."""
    cluster = SimCluster(spec=pool_spec(faults={"deadNode": {**faults}}))
    key = cluster.submit("a", spec)
    cluster.settle()
    assert cluster.jobs[key].status.phase == "Running"
    return cluster, key


def test_a_silence_shorter_than_the_grace_costs_nothing() -> None:
    """The node speaks again after 59 of 60 seconds: nobody was touched."""
    cluster, key = started(gang(("w", 3)), graceSeconds=60)
    silent(cluster, "n-0")
    cluster.step(59)
    cluster.node["n-0"] = replace(cluster.node["n-0"], ready=True, ready_since=cluster.now)
    cluster.settle()
    cluster.step(60)

    assert (cluster.jobs[key].status.attempt, len(cluster.pods_of(key))) == (0, 3)


def test_the_others_go_too_once_the_grace_is_over() -> None:
    """After 61 seconds one member is lost, so the whole gang comes down once and starts again elsewhere."""
    cluster, key = started(gang(("w", 3)), graceSeconds=60)
    silent(cluster, "n-0")
    cluster.step(61)
    assert all(pod.deleting for pod in cluster.pods_of(key))
    cluster.settle()

    status = cluster.jobs[key].status
    assert (status.phase, status.attempt, status.restarts) == ("Running", 1, 0)
    assert {pod.node for pod in cluster.pods_of(key)} == {"n-1", "n-2", "n-3"}


def test_without_a_grace_they_go_at_once() -> None:
    """A grace of zero takes the first silence for death."""
    cluster, key = started(gang(("w", 3)), graceSeconds=0)
    silent(cluster, "n-0")
    cluster.step(0.1)

    assert cluster.jobs[key].status.attempt == 1


def test_a_negative_grace_is_refused() -> None:
    """A wait for ever must be said in words, not by a number that cannot be meant."""
    spec = {"selector": {}, "profiles": [{"name": "k", "vendor": "hygon"}]}
    with pytest.raises(pydantic.ValidationError):
        CardPoolSpec.model_validate({**spec, "faults": {"deadNode": {"graceSeconds": -1}}})


def test_a_group_that_is_lost_takes_the_others_down() -> None:
    """One of two groups dies as a whole: no pod of the other goes on alone."""
    cluster, key = started(gang(("ps", 1), ("w", 3)), graceSeconds=60)
    lost = next(pod.node for pod in cluster.pods_of(key) if pod.name == "a-ps-0")
    silent(cluster, lost)
    cluster.step(61)

    assert [pod.name for pod in cluster.pods_of(key) if not pod.deleting] == []
    assert cluster.jobs[key].status.attempt == 1


@pytest.mark.parametrize("collected", [False, True], ids=["its pod is there", "its pod was collected"])
def test_a_member_that_succeeded_is_not_lost(collected: bool) -> None:
    """Its node falls silent, its pod may be gone: the others run on."""
    cluster, key = started(gang(("w", 3)), graceSeconds=60)
    pod = cluster.pods_of(key)[0]
    cluster.end(f"default/{pod.name}", 0)
    cluster.settle()
    if collected:
        del cluster.pod[f"default/{pod.name}"]
    silent(cluster, pod.node)
    cluster.step(61)
    cluster.settle()

    status = cluster.jobs[key].status
    assert (status.phase, status.attempt, status.fault_restarts) == ("Running", 0, 0)
    assert len([pod for pod in cluster.pods_of(key) if not pod.finished]) == 2


def test_members_that_finish_one_by_one_take_nobody_down() -> None:
    """After each end the others run on, until all have succeeded; nobody restarts, nobody is evicted."""
    cluster, key = started(gang(("w", 4)), graceSeconds=60)
    for number in range(4):
        status = cluster.jobs[key].status
        assert (status.phase, status.attempt, status.restarts, status.fault_restarts) == ("Running", 0, 0, 0)
        running = sorted(pod.name for pod in cluster.pods_of(key) if not pod.finished)
        assert running == [f"a-w-{index}" for index in range(number, 4)]
        cluster.end(f"default/a-w-{number}", 0)
        cluster.settle()

    assert cluster.jobs[key].status.phase == "Succeeded"
    assert not any(reason == "Preempted" for _, reason, _ in cluster.events)
