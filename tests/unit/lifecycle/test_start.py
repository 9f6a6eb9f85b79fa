"""A gang starts whole, or not at all, and says why it waits."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

from cardpool.lifecycle import cycle
from cardpool.names import LABEL_ATTEMPT
from tests.support.simworld import SimCluster, job_spec, pool_spec


def test_gang_starts_whole() -> None:
    """All pods are made at once, bound where they were planned, and the job runs."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(3))

    cluster.settle()

    assert sorted(pod.node for pod in cluster.pods_of(key)) == ["n-0", "n-1", "n-2"]
    assert cluster.condition(key, "Running") == ("True", "Running")
    assert cluster.jobs[key].status.ready == "3/3"
    assert cluster.jobs[key].status.phase == "Running"


def test_gang_that_lacks_a_card_makes_no_pod() -> None:
    """One card short: no pod at all, a message that counts, and a start by itself when room appears."""
    cluster = SimCluster(nodes=2)
    cluster.foreign("other", "n-1", 1)
    key = cluster.submit("a", job_spec(2))

    cluster.settle()

    assert cluster.created == []
    assert cluster.condition(key, "PodsScheduled") == ("False", "InsufficientCards")
    message = next(item.message for item in cluster.jobs[key].status.conditions if item.type == "PodsScheduled")
    assert "1 of 2 pods fit" in message

    del cluster.pod["default/other"]
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"


def test_two_jobs_never_share_room() -> None:
    """Two gangs that each fill the pool: the older one runs, the other waits."""
    cluster = SimCluster(nodes=2)
    first = cluster.submit("b", job_spec(2))
    cluster.now += 1
    second = cluster.submit("a", job_spec(2))

    cluster.settle()

    assert cluster.jobs[first].status.phase == "Running"
    assert cluster.jobs[second].status.phase == "Queued"
    assert cluster.pods_of(second) == []


def test_room_of_a_placement_that_is_being_written_is_taken() -> None:
    """While the winner's status is still in flight the loser is not given the same room."""
    cluster = SimCluster(nodes=2)
    first = cluster.submit("b", job_spec(2))
    decision = cluster.decide()
    assert any(step.key == first and step.pods for step in decision.steps)
    cluster.now += 1
    second = cluster.submit("a", job_spec(2))

    busy = replace(cluster.world(), busy=frozenset({"job-b"}))
    again = cycle.decide(busy, cluster.registry, cycle.CycleSettings(), cluster.memory)

    placed = [step.key for step in again.steps if step.pods]
    assert placed == []
    assert any(step.key == second for step in again.steps)


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


def test_crash_after_half_of_the_pods() -> None:
    """A new process without memory makes the missing ranks of the same attempt and no other."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(4))
    cluster.step()
    for name in ("default/a-w-2", "default/a-w-3"):
        del cluster.pod[name]
    cluster.memory = type(cluster.memory)()

    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"
    assert {"0"} == {pod.labels[LABEL_ATTEMPT] for pod in cluster.pods_of(key)}
    assert cluster.jobs[key].status.attempt == 0


def test_planning_again_without_a_change_writes_nothing() -> None:
    """A world at rest gives an empty decision, with or without memory."""
    cluster = SimCluster()
    cluster.submit("a", job_spec(2))
    cluster.submit("b", job_spec(9))
    cluster.settle()
    cluster.memory = type(cluster.memory)()

    decision = cluster.decide()

    assert decision.steps + decision.labels + decision.supernodes + decision.removals == ()


def test_same_world_same_decision() -> None:
    """Two cores without memory decide alike."""
    cluster = SimCluster()
    cluster.submit("a", job_spec(2))
    first = cluster.decide()
    cluster.memory = type(cluster.memory)()

    assert first == cluster.decide()


def test_missing_priority_class_makes_no_pod() -> None:
    """Without the gang PriorityClass the pool is Stalled and the job says so."""
    cluster = SimCluster()
    cluster.priorities.clear()
    key = cluster.submit("a", job_spec(2))

    cluster.settle()

    stalled = next(item for item in cluster.pool.status.conditions if item.type == "Stalled")
    assert (stalled.status.value, stalled.reason) == ("True", "PriorityClassMissing")
    assert cluster.condition(key, "PodsScheduled") == ("False", "PoolNotReady")
    assert cluster.created == []


def test_wrong_names_end_in_a_condition() -> None:
    """Unknown pool, profile, level and priority class are named with the field."""
    cluster = SimCluster()
    cases = {
        "UnknownPool": {"pool": "other"},
        "UnknownProfile": {"accept": [{"profile": "h100"}]},
        "UnknownLevel": {"topology": {"required": "row"}},
        "UnknownPriorityClass": {"priorityClassName": "nope"},
    }
    keys = {
        reason: cluster.submit(f"j{place}", job_spec(1, **fields))
        for place, (reason, fields) in enumerate(cases.items())
    }

    cluster.settle()

    for reason, key in keys.items():
        assert ("False", reason) == cluster.condition(key, "Accepted")
        assert ("True", reason) == cluster.condition(key, "Stalled")


def test_nodes_carry_our_labels_until_they_leave() -> None:
    """Pool and profile on every node of the pool; nothing on a node that left it."""
    cluster = SimCluster(spec=pool_spec(selector={"matchExpressions": [{"key": "out", "operator": "DoesNotExist"}]}))
    cluster.settle()
    assert {"main"} == {node.labels["cardpool.dev/pool"] for node in cluster.node.values()}

    node = cluster.node["n-0"]
    cluster.node["n-0"] = replace(node, labels={**node.labels, "out": "1"})
    cluster.settle()

    assert dict(cluster.node["n-0"].labels) == {"sn": "s0", "out": "1"}


def test_environment_and_pin_of_a_pod() -> None:
    """A pod knows its rank and world, is pinned to its node, and carries the gang's priority class only."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(2, rendezvous={"style": "jax"}, priorityClassName="cardpool-gang"))
    cluster.settle()
    manifest = json.loads(json.dumps(cluster.manifest["default/a-w-1"]))
    env = {item["name"]: item["value"] for item in manifest["spec"]["containers"][0]["env"]}

    assert env["JAX_PROCESS_ID"] == "1"
    assert env["JAX_COORDINATOR_ADDRESS"] == "a-w-0.a:29500"
    assert manifest["spec"]["containers"][0]["resources"]["limits"]["hygon.com/dcu"] == "8"
    assert manifest["spec"]["priorityClassName"] == "cardpool-gang"
    assert manifest["spec"]["restartPolicy"] == "Never"
    assert key == "default/a"


def test_fields_without_effect_are_said() -> None:
    """Whoever asks for what this version does not do reads it in the Accepted condition."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(2, restart={"subHealth": "MoveNow"}))

    cluster.settle()

    said = next(item.message for item in cluster.jobs[key].status.conditions if item.type == "Accepted")
    assert said == "without effect in this version: spec.restart.subHealth"
