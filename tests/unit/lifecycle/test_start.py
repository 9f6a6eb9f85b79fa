"""A gang starts whole, or not at all, and says why it waits."""

from __future__ import annotations

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
