"""An attempt that never ran as a whole is taken back: for the scheduler, for the API server, for a name."""

from __future__ import annotations

import itertools
from dataclasses import replace

from tests.support.simworld import SimCluster, job_spec


def test_unbound_pod_takes_the_whole_attempt_back() -> None:
    """Past the bind deadline every pod goes, the node is avoided, and the gang starts elsewhere after the backoff."""
    cluster = SimCluster(binds=lambda pod: pod.message != "n-1")
    key = cluster.submit("a", job_spec(2, deadlines={"bindSeconds": 10}))
    cluster.settle()
    assert cluster.jobs[key].status.phase == "Starting"

    cluster.step(11)

    status = cluster.jobs[key].status
    assert status.attempt == 1
    assert cluster.condition(key, "PodsScheduled") == ("False", "BindTimeout")
    assert [item.node for item in status.excluded] == ["n-1"]
    assert cluster.pods_of(key) == []
    assert status.restarts + status.fault_restarts == 0

    cluster.step(6)
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"
    assert "n-1" not in {pod.node for pod in cluster.pods_of(key)}


def test_the_scheduler_s_words_are_shown_while_pods_wait_and_while_their_nodes_are_avoided() -> None:
    """In the condition of the attempt, of the attempt that was taken back, and of the wait for other nodes."""
    cluster = SimCluster(nodes=2, binds=lambda _pod: False, words="0/2 nodes: pod anti-affinity")
    key = cluster.submit("a", job_spec(2, deadlines={"bindSeconds": 10}))
    cluster.settle()
    assert "0 of 2 pods bound; 0/2 nodes: pod anti-affinity" in said(cluster, key)

    cluster.step(11)
    assert "2 of 2 pods not bound after 10 s; a-w-0: 0/2 nodes: pod anti-affinity" in said(cluster, key)

    cluster.step(6)
    cluster.settle()
    assert cluster.condition(key, "PodsScheduled") == ("False", "Excluded")
    assert "kube-scheduler refused n-0: 0/2 nodes: pod anti-affinity" in said(cluster, key)


def test_only_the_refused_pod_s_node_is_avoided() -> None:
    """A pod that kube-scheduler had not come to says nothing against its node."""
    cluster = SimCluster(nodes=3, binds=lambda _pod: False)
    key = cluster.submit("a", job_spec(3, deadlines={"bindSeconds": 10}))
    cluster.settle()
    pod = cluster.pods_of(key)[1]
    cluster.binds, cluster.words = (lambda one: one.key != pod.key), "no"
    cluster.move()
    cluster.pod = {name: replace(one, node="") if one.key != pod.key else one for name, one in cluster.pod.items()}
    cluster.now += 11
    cluster.write(cluster.decide())

    assert [(item.node, item.message) for item in cluster.jobs[key].status.excluded] == [(pod.message, "no")]


def test_a_scheduler_that_says_nothing_costs_one_try_elsewhere() -> None:
    """It may be down: its nodes are left out of the next try alone, and the gang starts once it is back."""
    cluster = SimCluster(nodes=2, binds=lambda _pod: False)
    key = cluster.submit("a", job_spec(2, deadlines={"bindSeconds": 10}))
    for _ in range(200):
        cluster.step(10)
    cluster.binds = lambda _pod: True
    back = cluster.now
    while cluster.jobs[key].status.phase != "Running":
        cluster.step(5)
        assert cluster.now < back + 330


def test_a_pod_that_is_always_refused_is_tried_ever_less_often() -> None:
    """An hour of refusals on every node is a handful of attempts, further and further apart, and none is charged."""
    cluster = SimCluster(nodes=6, binds=lambda _pod: False, words="never")
    key = cluster.submit("a", job_spec(2, deadlines={"bindSeconds": 10}))
    begun, made = [], 0
    for _ in range(1800):
        cluster.step(2)
        if len(cluster.created) > made:
            begun.append(cluster.now)
            made = len(cluster.created)
    gaps = [later - earlier for earlier, later in itertools.pairwise(begun)]

    assert 8 <= len(begun) <= 20
    assert gaps[-1] >= 300
    assert sorted(gaps[:6]) == gaps[:6]
    assert (cluster.jobs[key].status.restarts, cluster.jobs[key].status.fault_restarts) == (0, 0)

    cluster.binds = lambda _pod: True
    cluster.settle(5)
    while cluster.jobs[key].status.phase != "Running":
        cluster.step(10)
        assert cluster.now < begun[-1] + 1_500
    assert (cluster.jobs[key].status.bind_failures, cluster.jobs[key].status.excluded) == (0, ())


def test_a_limit_on_the_wait_ends_refusals() -> None:
    """PendingSeconds counts from the first wait on, attempts that were taken back included."""
    cluster = SimCluster(nodes=2, binds=lambda _pod: False, words="never")
    key = cluster.submit("a", job_spec(2, deadlines={"bindSeconds": 10, "pendingSeconds": 100}))
    for _ in range(100):
        cluster.step(2)
    assert cluster.jobs[key].status.phase == "Failed"
    assert cluster.condition(key, "Succeeded") == ("False", "DeadlineExceeded")
    assert cluster.pods_of(key) == []


def said(cluster: SimCluster, key: str) -> str:
    """What PodsScheduled says."""
    return next(item.message for item in cluster.jobs[key].status.conditions if item.type == "PodsScheduled")


def test_refused_pod_takes_the_whole_attempt_back() -> None:
    """A quota that refuses pod k of n leaves nothing behind, keeps the message, and is tried again."""
    quota = ["exceeded quota: pods"]
    cluster = SimCluster(refuses=lambda name: quota[0] if quota and name.endswith("-1") else "")
    key = cluster.submit("a", job_spec(3))

    for _ in range(4):
        cluster.step(0.1)

    assert cluster.pods_of(key) == []
    assert cluster.condition(key, "PodsScheduled") == ("False", "PodRefused")
    assert any("exceeded quota" in message for _, reason, message in cluster.events if reason == "PodRefused")

    quota.clear()
    cluster.step(60)
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"


def test_refusal_stays_readable_while_pods_go_and_backoff_runs() -> None:
    """The API server's words are in the condition from the refusal to the next try."""
    cluster = SimCluster(refuses=lambda name: "exceeded quota" if name.endswith("-1") else "", goes=lambda _pod: False)
    key = cluster.submit("a", job_spec(3))
    for _ in range(4):
        cluster.step(0.1)
    assert cluster.condition(key, "PodsScheduled") == ("False", "PodRefused")

    cluster.goes = lambda _pod: True
    for _ in range(4):
        cluster.step(0.1)

    assert cluster.condition(key, "PodsScheduled") == ("False", "PodRefused")
    message = next(item.message for item in cluster.jobs[key].status.conditions if item.type == "PodsScheduled")
    assert "exceeded quota" in message


def test_foreign_pod_under_a_rank_name() -> None:
    """Somebody's pod has the name of rank 1: NameTaken, nothing left, a start once it is gone."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(2))
    cluster.foreign("a-w-1", "n-3", 1)

    for _ in range(4):
        cluster.step(0.1)

    assert cluster.condition(key, "PodsScheduled") == ("False", "NameTaken")
    assert cluster.pods_of(key) == []

    del cluster.pod["default/a-w-1"]
    cluster.step(30)
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"
