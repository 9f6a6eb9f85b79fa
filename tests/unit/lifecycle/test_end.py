"""How a job ends, rests and is cleaned up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardpool.lifecycle import finishing
from tests.support.simworld import SimCluster, job_spec


def started(cluster: SimCluster, **fields: object) -> str:
    """A running gang of two."""
    key = cluster.submit("a", job_spec(2, **fields))
    cluster.settle()
    return key


def test_all_ranks_succeed() -> None:
    """Succeeded at once, Finished when the clean-up is done, settled without a TTL."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.end("default/a-w-0", 0)
    cluster.settle()
    assert cluster.jobs[key].status.phase == "Running"
    cluster.end("default/a-w-1", 0)
    cluster.settle()

    status = cluster.jobs[key].status
    assert (status.phase, status.settled, status.succeeded_ranks) == ("Succeeded", True, "0-1")
    assert cluster.condition(key, "Finished") == ("True", "Succeeded")


def test_rank0_decides_where_asked() -> None:
    """Success Rank0: the others are taken away."""
    cluster = SimCluster()
    key = started(cluster, success="Rank0")
    cluster.end("default/a-w-0", 0)
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Succeeded"
    assert [pod.name for pod in cluster.pods_of(key)] == ["a-w-0"]


@pytest.mark.parametrize(("policy", "left"), [("None", 2), ("Running", 1), ("All", 0)])
def test_clean_pod_policy(policy: str, left: int) -> None:
    """Which pods stay after a final failure of rank 0."""
    cluster = SimCluster(goes=lambda _pod: True)
    key = started(cluster, cleanPodPolicy=policy)
    cluster.end("default/a-w-0", 42)
    cluster.settle()

    assert left == len(cluster.pods_of(key))
    assert cluster.condition(key, "Finished") == ("True", "NonRetryableExit")


def test_ttl_deletes_the_job() -> None:
    """Gone ttlSecondsAfterFinished after its end, not before."""
    cluster = SimCluster()
    key = started(cluster, ttlSecondsAfterFinished=100)
    cluster.end("default/a-w-0", 0)
    cluster.end("default/a-w-1", 0)
    cluster.settle()
    cluster.step(90)
    assert key in cluster.jobs

    cluster.step(11)

    assert key not in cluster.jobs


def ended(cluster: SimCluster, **fields: object) -> str:
    """A gang that has succeeded and is settled."""
    key = started(cluster, **fields)
    for rank in range(2):
        cluster.end(f"default/a-w-{rank}", 0)
    cluster.settle()
    assert cluster.jobs[key].status.settled
    return key


def test_a_ttl_that_comes_late_counts_from_the_end() -> None:
    """A settled job that is given a TTL is taken up again and goes when that time since its end is over."""
    cluster = SimCluster()
    key = ended(cluster)
    cluster.step(50)
    cluster.change(key, ttl_seconds_after_finished=100)
    cluster.settle()
    assert not cluster.jobs[key].status.settled
    assert cluster.condition(key, "Finished") == ("True", "Succeeded")
    cluster.step(40)
    assert key in cluster.jobs

    cluster.step(11)

    assert key not in cluster.jobs


def test_a_late_ttl_that_is_over_already_deletes_at_once() -> None:
    """Where more than the TTL has passed since the end, nothing is left to wait for."""
    cluster = SimCluster()
    key = ended(cluster)
    cluster.step(500)
    cluster.change(key, ttl_seconds_after_finished=100)
    cluster.settle()

    assert key not in cluster.jobs


def test_a_late_ttl_taken_away_again_settles_the_job() -> None:
    """A job whose TTL is gone before it was over is settled as before, and stays."""
    cluster = SimCluster()
    key = ended(cluster)
    cluster.change(key, ttl_seconds_after_finished=100)
    cluster.settle()
    cluster.change(key, ttl_seconds_after_finished=None)
    cluster.settle()
    cluster.step(500)

    assert cluster.jobs[key].status.settled


@pytest.mark.parametrize("case", ["of another manager", "being deleted", "open again already", "of no known form"])
def test_late_jobs_that_are_left_alone(case: str) -> None:
    """What is not ours to judge, on its way out, or taken up by a write that its watch has not shown yet."""
    cluster = SimCluster()
    key = ended(cluster)
    cluster.change(key, ttl_seconds_after_finished=100)
    job = cluster.jobs[key]
    assert job.spec is not None
    seen = {}
    match case:
        case "of another manager":
            job = replace(job, spec=job.spec.model_copy(update={"managed_by": "example.com/other"}))
        case "being deleted":
            job = replace(job, deleting=True)
        case "of no known form":
            job = replace(job, spec=None, invalid="spec.groups: missing")
        case _:
            seen = {key: job}
    world = replace(cluster.world(), late={key: job}, jobs=seen)

    assert finishing.reopen(world) == []


def test_suspend_and_resume() -> None:
    """Suspended only when the last pod is gone; the resume is a new execution of the same attempt."""
    cluster = SimCluster(goes=lambda _pod: False)
    key = started(cluster)
    cluster.change(key, suspend=True)
    cluster.step(1)
    assert cluster.condition(key, "Suspended") == ("False", "Suspended")
    cluster.goes = lambda _pod: True
    cluster.settle()
    assert cluster.condition(key, "Suspended") == ("True", "Suspended")
    assert cluster.jobs[key].status.phase == "Suspended"

    cluster.change(key, suspend=False)
    cluster.settle()

    status = cluster.jobs[key].status
    assert (status.phase, status.attempt, status.execution_attempt, status.fault_restarts) == ("Running", 0, 1, 0)


def test_born_suspended_makes_nothing() -> None:
    """A job created suspended waits without a pod."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(2, suspend=True))
    cluster.settle()

    assert (cluster.jobs[key].status.phase, cluster.created) == ("Suspended", [])


@pytest.mark.parametrize(("field", "wait"), [("activeSeconds", 101), ("pendingSeconds", 101)])
def test_deadlines(field: str, wait: float) -> None:
    """A declared deadline ends the job with its field in the message."""
    cluster = SimCluster(nodes=1 if field == "pendingSeconds" else 4)
    key = cluster.submit("a", job_spec(2, deadlines={field: 100}))
    cluster.settle()
    cluster.step(wait)
    cluster.settle()

    assert cluster.condition(key, "Succeeded") == ("False", "DeadlineExceeded")
    assert cluster.pods_of(key) == []


def test_terminal_state_stays() -> None:
    """Deleting the pods of a finished job brings nothing back."""
    cluster = SimCluster()
    key = started(cluster)
    cluster.end("default/a-w-0", 0)
    cluster.end("default/a-w-1", 0)
    cluster.settle()
    made = len(cluster.created)
    cluster.pod.clear()
    cluster.settle()

    assert ("Succeeded", made) == (cluster.jobs[key].status.phase, len(cluster.created))
