"""Records out of wire objects."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cardpool import names
from cardpool.domain.gangs import Taint
from cardpool.domain.world import DeviceHealth, Exit
from cardpool.kube import convert
from cardpool.names import Kind
from tests.unit.kube import objects

NOON = "2026-01-01T12:00:00Z"
NOON_EPOCH = 1767268800.0


def pod_of(obj: dict[str, Any]) -> Any:
    """The record of a pod in JSON."""
    return convert.Converter().record(Kind.POD, objects.typed(Kind.POD, obj))


def test_node() -> None:
    """A Node's record has canonical amounts, sorted taints and readiness with its time."""
    obj = objects.node("n1", cards=8, zone="a")
    obj["metadata"]["creationTimestamp"] = NOON
    obj["spec"] = {
        "unschedulable": True,
        "taints": [{"key": "z", "effect": "NoExecute"}, {"key": "a", "value": "1", "effect": "NoSchedule"}],
    }
    record: Any = convert.Converter().record(Kind.NODE, objects.typed(Kind.NODE, obj))
    assert record.allocatable == {"cpu": 64000, "memory": 256 * 2**30, "pods": 110, "example.com/card": 8}
    assert (Taint("a", "1", "NoSchedule"), Taint("z", "", "NoExecute")) == record.taints
    assert (
        record.unschedulable,
        record.ready,
        record.created,
        record.ready_since,
        record.labels,
        record.deleting,
    ) == (True, True, NOON_EPOCH, NOON_EPOCH - 43200, {"zone": "a"}, False)


def test_a_silent_node_tells_since_when() -> None:
    """A node that is not ready carries the moment it turned: the dead-node grace starts there, not at once."""
    obj = objects.node("n1")
    obj["status"]["conditions"] = [{"type": "Ready", "status": "Unknown", "lastTransitionTime": NOON}]

    record: Any = convert.Converter().record(Kind.NODE, objects.typed(Kind.NODE, obj))

    assert (record.ready, record.ready_since) == (False, NOON_EPOCH)


def test_node_owned_labels() -> None:
    """Of a node's labels only those of our own field manager count as ours."""
    obj = objects.node("n1")
    labels = {".": {}, "f:cardpool.dev/pool": {}, "f:cardpool.dev/profile": {}}
    obj["metadata"]["managedFields"] = [
        {"manager": names.FIELD_MANAGER, "fieldsV1": {"f:metadata": {"f:labels": labels}}},
        {"manager": names.FIELD_MANAGER, "fieldsV1": {"f:spec": {}}},
        {"manager": "kubelet", "fieldsV1": {"f:metadata": {"f:labels": {"f:zone": {}}}}},
        {"manager": "empty"},
    ]
    record: Any = convert.Converter().record(Kind.NODE, objects.typed(Kind.NODE, obj))
    assert {"cardpool.dev/pool", "cardpool.dev/profile"} == record.owned


PHASES = {
    "pending": ("Pending", {"cpu": 1000, "example.com/card": 1}),
    "running": ("Running", {"cpu": 1000, "example.com/card": 1}),
    "unknown": ("Unknown", {"cpu": 1000, "example.com/card": 1}),
    "succeeded": ("Succeeded", {}),
    "failed": ("Failed", {}),
}


@pytest.mark.parametrize(("phase", "requests"), PHASES.values(), ids=PHASES.keys())
def test_terminal_pods_hold_nothing(phase: str, requests: dict[str, int]) -> None:
    """A pod holds its requests until it is terminal."""
    assert requests == pod_of(objects.pod("a", phase=phase)).requests


def test_equal_requests_are_shared() -> None:
    """Ten thousand ranks of one gang keep one map of requests."""
    converter = convert.Converter()
    first: Any = converter.record(Kind.POD, objects.typed(Kind.POD, objects.pod("a")))
    second: Any = converter.record(Kind.POD, objects.typed(Kind.POD, objects.pod("b")))
    assert first.requests is second.requests


def test_a_resize_counts_its_larger_side() -> None:
    """While a container shrinks, what it still holds counts."""
    allocated = [{"name": "main", "allocatedResources": {"cpu": "3"}}]
    assert pod_of(objects.pod("a", containerStatuses=allocated)).requests == {"cpu": 3000, "example.com/card": 1}


def test_sidecar_and_overhead_of_a_live_pod() -> None:
    """Sidecars, init containers, pod level amounts and overhead count as for kube-scheduler."""
    obj = objects.pod("a")
    obj["spec"]["initContainers"] = [
        {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
        {"name": "init", "resources": {"requests": {"cpu": "5", "memory": "1Gi"}}},
    ]
    obj["spec"]["overhead"] = {"cpu": "100m"}
    obj["spec"]["resources"] = {"requests": {"memory": "4Gi"}}
    assert pod_of(obj).requests == {"cpu": 6100, "memory": 4 * 2**30, "example.com/card": 1}


def condition(name: str, value: str, **more: str) -> dict[str, str]:
    """One pod condition."""
    return {"type": name, "status": value, "lastTransitionTime": NOON, **more}


def test_pod_conditions() -> None:
    """Binding, readiness and disruption come from conditions, with their times."""
    record = pod_of(
        objects.pod(
            "a",
            on="n1",
            owner="job-1",
            startTime=NOON,
            conditions=[
                condition("PodScheduled", "True"),
                condition("Ready", "True"),
                condition("DisruptionTarget", "True", reason="EvictionByEvictionAPI"),
            ],
        )
    )
    assert (
        record.owner,
        record.node,
        record.ready,
        record.scheduled_at,
        record.started_at,
        record.ready_at,
        record.disruption,
        record.scheduling,
    ) == ("job-1", "n1", True, NOON_EPOCH, NOON_EPOCH, NOON_EPOCH, "EvictionByEvictionAPI", "")


def test_pod_refused_by_the_scheduler() -> None:
    """The scheduler's message is kept while it refuses the pod."""
    refused = condition("PodScheduled", "False", reason="Unschedulable", message="0/3 nodes are available")
    record = pod_of(objects.pod("a", phase="Pending", conditions=[refused, condition("Ready", "False")]))
    assert (
        record.scheduling,
        record.scheduled_at,
        record.ready_at,
        record.ready,
    ) == ("0/3 nodes are available", 0.0, 0.0, False)


def test_exits() -> None:
    """Exits come from the present or the last state; of init containers only failures; messages keep their end."""
    ended = {"exitCode": 134, "signal": 6, "reason": "Error", "message": "x" * 2000 + "end", "finishedAt": NOON}
    record = pod_of(
        objects.pod(
            "a",
            phase="Failed",
            reason="Evicted",
            message="low on memory",
            containerStatuses=[
                {"name": "side", "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}},
                {"name": "main", "state": {"terminated": ended}},
                {"name": "quiet", "state": {"running": {}}, "lastState": {}},
            ],
            initContainerStatuses=[
                {"name": "ok", "state": {"terminated": {"exitCode": 0}}},
                {"name": "bad", "state": {"terminated": {"exitCode": 7}}},
            ],
        )
    )
    expected = (
        Exit("bad", 7, "", "", 0.0),
        Exit("main", 134, "Error", ("x" * 2000 + "end")[-1024:], NOON_EPOCH, 6),
        Exit("side", 1, "", "", 0.0),
    )
    assert (expected, "Evicted", "low on memory") == (record.exits, record.reason, record.message)


def test_message_tail_cuts_whole_characters() -> None:
    """A tail of at most 1 KiB never begins in the middle of a character."""
    ended = {"exitCode": 1, "message": "é" * 1000 + "!"}
    record = pod_of(objects.pod("a", containerStatuses=[{"name": "main", "state": {"terminated": ended}}]))
    assert record.exits[0].message == "é" * 511 + "!"


def test_the_resolver_keeps_its_whole_report() -> None:
    """A resolver pod's termination message is data and is not cut."""
    obj = objects.pod("a", containerStatuses=[{"name": "resolver", "state": {"terminated": {"message": "r" * 4000}}}])
    obj["metadata"]["labels"] = {names.LABEL_ROLE: names.ROLE_RESOLVER}
    assert pod_of(obj).exits[0].message == "r" * 4000


def test_devices_in_any_order() -> None:
    """Entries of allocatedResourcesStatus are sorted and deduplicated, for cards and for DRA claims."""
    cards = [{"resourceID": "card-3", "health": "Unhealthy"}, {"resourceID": "card-1", "health": "Healthy"}]
    claim = {"name": "claim:gpus/request-0", "resources": [{"resourceID": "d-0", "health": "Unknown", "message": "m"}]}
    statuses = [{"name": "main", "allocatedResourcesStatus": [{"name": "example.com/card", "resources": cards}, claim]}]
    turned = copy.deepcopy(statuses)
    turned[0]["allocatedResourcesStatus"].reverse()
    turned[0]["allocatedResourcesStatus"][1]["resources"].reverse()
    expected = (
        DeviceHealth("claim:gpus/request-0", "d-0", "Unknown", "m"),
        DeviceHealth("example.com/card", "card-1", "Healthy"),
        DeviceHealth("example.com/card", "card-3", "Unhealthy"),
    )
    assert expected == pod_of(objects.pod("a", containerStatuses=statuses)).devices
    assert pod_of(objects.pod("a", containerStatuses=statuses)) == pod_of(objects.pod("a", containerStatuses=turned))


WAITS = {
    "image": ({"reason": "ImagePullBackOff", "message": "no such image"}, "ImagePullBackOff: no such image"),
    "no message": ({"reason": "CrashLoopBackOff"}, "CrashLoopBackOff"),
    "just starting": ({"reason": "ContainerCreating"}, ""),
    "after init": ({"reason": "PodInitializing"}, ""),
}


@pytest.mark.parametrize(("waiting", "expected"), WAITS.values(), ids=WAITS.keys())
def test_waiting(waiting: dict[str, str], expected: str) -> None:
    """What keeps a container from starting is told, the ordinary course of things is not."""
    record = pod_of(objects.pod("a", phase="Pending", containerStatuses=[{"name": "m", "state": {"waiting": waiting}}]))
    assert expected == record.waiting


def test_nulls_everywhere() -> None:
    """Fields that the API sends as null count as absent."""
    obj = objects.pod("a", conditions=None, containerStatuses=None, reason=None, message=None)
    obj["metadata"].update(labels=None, ownerReferences=None)
    obj["spec"].update(initContainers=None, overhead=None)
    assert (pod_of(obj).labels, pod_of(obj).owner, pod_of(obj).exits) == ({}, "", ())


BAD_SPECS: dict[str, tuple[Any, str]] = {
    "wrong type": ({"pool": 7}, "spec.pool: "),
    "in a list": (
        {"pool": "main", "groups": [{"name": "w", "replicas": "x", "template": {}}]},
        "spec.groups[0].replicas: ",
    ),
    "not an object": ([], "spec: "),
    "absent": (None, "spec: "),
}


@pytest.mark.parametrize(("spec", "prefix"), BAD_SPECS.values(), ids=BAD_SPECS.keys())
def test_a_bad_spec_names_its_field(spec: Any, prefix: str) -> None:
    """A spec that does not parse gives a record without spec that says where and why."""
    record: Any = convert.Converter().record(Kind.JOB, objects.typed(Kind.JOB, objects.job("llm", spec=spec)))
    assert record.spec is None
    assert record.invalid.startswith(prefix), record.invalid


def test_a_damaged_status_is_invalid_too() -> None:
    """A status that cannot be read is never taken for a fresh one: the job is invalid and says so."""
    obj = objects.job("llm", status={"attempt": "seven"})
    record: Any = convert.Converter().record(Kind.JOB, objects.typed(Kind.JOB, obj))
    assert record.spec is None
    assert record.invalid.startswith("status.attempt: "), record.invalid


def test_specs_are_parsed_once_per_generation() -> None:
    """A status update reuses the parsed spec; a new generation is parsed; another UID is another job."""
    converter = convert.Converter()

    def spec(**more: Any) -> Any:
        record: Any = converter.record(Kind.JOB, objects.typed(Kind.JOB, objects.job("llm", **more)))
        assert record.invalid == ""
        return record.spec

    first = spec(version=1)
    assert first is spec(version=2, status={"attempt": 1})
    assert first is not spec(version=3, generation=2)
    assert first is not spec(version=4, uid="second")


def supernode(**metadata: Any) -> Any:
    """The record of a Supernode."""
    spec = {"pool": "main", "selector": {"matchLabels": {"sn": "a"}}}
    obj = {"metadata": objects.meta("sn-a", generation=1, **metadata), "spec": spec}
    record: Any = convert.Converter().record(Kind.SUPERNODE, objects.typed(Kind.SUPERNODE, obj))
    assert record.invalid == ""
    return record


MANAGERS = {
    "only ours": ([{"manager": "cardpool", "fieldsV1": {"f:spec": {"f:pool": {}}}}], False),
    "a user's spares": ([{"manager": "kubectl-edit", "fieldsV1": {"f:spec": {"f:spares": {}}}}], True),
    "a user's label": ([{"manager": "kubectl", "fieldsV1": {"f:metadata": {"f:labels": {}}}}], False),
    "a status": ([{"manager": "other", "subresource": "status", "fieldsV1": {"f:spec": {}}}], False),
    "nobody": (None, False),
}


@pytest.mark.parametrize(("managers", "expected"), MANAGERS.values(), ids=MANAGERS.keys())
def test_supernode_user_fields(managers: Any, *, expected: bool) -> None:
    """A Supernode on which somebody else holds spec fields is a user's as well."""
    assert expected == supernode(managedFields=managers).user_fields


def test_supernode_discovered_and_owned() -> None:
    """The label marks discovery, the controller reference the pool."""
    record = supernode(
        labels={names.LABEL_DISCOVERED: "true"},
        ownerReferences=[{"uid": "other"}, {"uid": "pool-1", "controller": True}],
    )
    assert (record.discovered, record.owner) == (True, "pool-1")


def test_priority_class_defaults() -> None:
    """An absent preemption policy is Kubernetes' default."""
    obj = {"metadata": objects.meta("high"), "value": 1000}
    record: Any = convert.Converter().record(Kind.PRIORITY_CLASS, objects.typed(Kind.PRIORITY_CLASS, obj))
    assert (
        record.name,
        record.value,
        record.preemption_policy,
        record.global_default,
    ) == ("high", 1000, "PreemptLowerPriority", False)


def test_a_bad_quantity_is_no_record() -> None:
    """A pod whose quantity cannot be read raises, so that the reflector sets it aside."""
    obj = objects.pod("a")
    obj["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "many"
    with pytest.raises(ValueError, match="cpu: 'many' is not a quantity"):
        pod_of(obj)


def test_a_job_tells_whose_it_is_and_what_it_is_like() -> None:
    """The name of the controlling owner alone, and the label for its kind."""
    obj = objects.job("llm")
    obj["metadata"]["labels"] = {names.LABEL_RUNTIME_KEY: "big"}
    owners = [{"uid": "1", "name": "friend"}, {"uid": "2", "name": "nightly-7", "controller": True}]
    obj["metadata"]["ownerReferences"] = owners
    record: Any = convert.Converter().record(Kind.JOB, objects.typed(Kind.JOB, obj))
    plain: Any = convert.Converter().record(Kind.JOB, objects.typed(Kind.JOB, objects.job("llm")))
    assert (record.owner, record.runtime_key, plain.owner, plain.runtime_key) == ("nightly-7", "big", "", "")


@pytest.mark.parametrize(
    ("node", "labels", "expected"),
    [("", {}, "n1"), ("n2", {}, ""), ("", {"cardpool.dev/job": "a"}, "")],
    ids=["a foreign pod", "bound", "ours: its placement has the promise"],
)
def test_room_that_is_kept_for_a_pod(node: str, labels: dict[str, str], expected: str) -> None:
    """A nominated foreign pod is to have its node; once bound it is there."""
    raw = objects.pod("a", on=node, phase="Pending", nominatedNodeName="n1")
    raw["metadata"]["labels"] = labels
    record = pod_of(raw)
    assert (expected, node or expected) == (record.nominated, record.holds)
