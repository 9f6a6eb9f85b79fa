"""Records of pods out of wire objects: what they hold, how they fare, and how they ended."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cardpool import names
from cardpool.domain.world import DeviceHealth, Exit
from cardpool.kube import convert
from cardpool.names import Kind
from tests.unit.kube import objects
from tests.unit.kube.objects import NOON, NOON_EPOCH


def pod_of(obj: dict[str, Any]) -> Any:
    """The record of a pod in JSON."""
    return convert.Converter().record(Kind.POD, objects.typed(Kind.POD, obj))


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


def test_a_bad_quantity_is_no_record() -> None:
    """A pod whose quantity cannot be read raises, so that the reflector sets it aside."""
    obj = objects.pod("a")
    obj["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "many"
    with pytest.raises(ValueError, match="cpu: 'many' is not a quantity"):
        pod_of(obj)


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
