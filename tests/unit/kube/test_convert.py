"""Records of nodes, pools, jobs and what else is not a pod, out of wire objects."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool import names
from cardpool.domain.gangs import Taint
from cardpool.kube import convert
from cardpool.names import Kind
from tests.unit.kube import objects
from tests.unit.kube.objects import NOON, NOON_EPOCH


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


def test_a_job_tells_whose_it_is_and_what_it_is_like() -> None:
    """The name of the controlling owner alone, and the label for its kind."""
    obj = objects.job("llm")
    obj["metadata"]["labels"] = {names.LABEL_RUNTIME_KEY: "big"}
    owners = [{"uid": "1", "name": "friend"}, {"uid": "2", "name": "nightly-7", "controller": True}]
    obj["metadata"]["ownerReferences"] = owners
    record: Any = convert.Converter().record(Kind.JOB, objects.typed(Kind.JOB, obj))
    plain: Any = convert.Converter().record(Kind.JOB, objects.typed(Kind.JOB, objects.job("llm")))
    assert (record.owner, record.runtime_key, plain.owner, plain.runtime_key) == ("nightly-7", "big", "", "")
