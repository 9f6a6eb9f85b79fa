"""The CRDs on the real API server: bad specs refused with the field, what may change when, and what is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cardpool.api import common, podtemplate
from cardpool.api.jobstatus import Placement, Segment, TrainingJobStatus
from cardpool.kube import reflector
from e2e.cluster import rest
from tests.support import builders, samples, specs

if TYPE_CHECKING:
    from tests.support.kubeclient import Kube

pytestmark = pytest.mark.usefixtures("crds")


async def _refused(kube: Kube, manifest: specs.Json) -> str:
    """The API server's message; it must be a refusal, and nothing may have been made."""
    metadata = manifest["metadata"]
    path = rest.path_of(manifest["kind"], None, metadata.get("namespace"))
    with pytest.raises(rest.ApiError) as caught:
        await kube.request("POST", path, manifest, query={"fieldValidation": "Strict"})
    assert caught.value.status in {400, 422}
    assert await kube.find(manifest["kind"], metadata["name"], metadata.get("namespace")) is None
    return caught.value.message


@pytest.mark.parametrize("case", specs.JOBS.values(), ids=specs.JOBS.keys())
async def test_a_bad_job_is_refused_with_the_field(kube: Kube, namespace: str, case: specs.Bad) -> None:
    """Nothing is made, and the message names the field."""
    message = await _refused(kube, specs.changed(specs.good_job(namespace=namespace), case.change))
    assert case.field in message
    assert case.says in message


@pytest.mark.parametrize("case", specs.POOLS.values(), ids=specs.POOLS.keys())
async def test_a_bad_pool_is_refused_with_the_field(kube: Kube, case: specs.Bad) -> None:
    """The same for pools."""
    message = await _refused(kube, specs.changed(specs.good_pool("bad-pool"), case.change))
    assert case.field in message
    assert case.says in message


async def test_the_good_manifests_are_accepted_and_defaulted(kube: Kube, namespace: str) -> None:
    """What the bad ones are made from is good, and the stored object carries the documented defaults."""
    await kube.create(specs.good_pool("good-pool"), dry_run=True)
    made = await kube.create(specs.good_job(namespace=namespace))
    spec = made["spec"]
    assert spec["restart"]["stall"] == {"factor": 10, "action": "Report"}
    assert (spec["mixing"], spec["success"], spec["cleanPodPolicy"]) == ("None", "All", "Running")
    assert spec["checkpoint"]["fencing"] == "AttemptPath"
    assert not {"ttlSecondsAfterFinished", "expectedRuntimeSeconds", "priorityClassName"} & spec.keys()


async def test_the_template_is_stored_as_written(kube: Kube, namespace: str) -> None:
    """The API server adds nothing to a pod template but the protocol of a port."""
    template = builders.template(ports=[{"containerPort": 80}], resources={"requests": {"cpu": 2, "memory": "1Gi"}})
    group = builders.group(2, 8) | {"template": template}
    made = await kube.create(builders.job("as-written", namespace, "main", groups=[group]))
    template["spec"]["containers"][0]["ports"][0]["protocol"] = "TCP"
    assert made["spec"]["groups"][0]["template"] == template


async def test_the_template_schema_is_the_servers_own(kube: Kube) -> None:
    """The data file is what the pinned API server's own OpenAPI document gives."""
    published = await kube.request("GET", "/openapi/v3/api/v1")
    assert podtemplate.derive(published) == podtemplate.load()


def _largest(namespace: str) -> specs.Json:
    """A job at the limits of groups, variants, containers, blocks, accept and pods."""
    variants = [{"profile": f"p{index}", "replicas": 1024, "env": [{"name": "A", "value": "1"}]} for index in range(16)]
    env = [{"name": f"SOME_VARIABLE_{index}", "value": "x"} for index in range(32)]
    extra = [{"name": f"c{index}", "image": "train:1", "env": env} for index in range(15)]
    template = builders.template(env=env)
    template["spec"]["containers"] += extra
    groups = [builders.group(2048, 8, f"g{at}", variants=variants) | {"template": template} for at in range(8)]
    blocks = [{"pods": 1024, "level": "row"}, {"pods": 64, "level": "rack"}, {"pods": 8, "level": "node"}]
    accept = [{"profile": f"p{index}"} for index in range(16)]
    return builders.job("a" * 40, namespace, "main", groups=groups, topology={"blocks": blocks}, accept=accept)


async def test_a_job_at_the_limits_is_accepted(kube: Kube, namespace: str) -> None:
    """Rules stay inside the API server's run-time budget for a job as large as the limits allow."""
    made = await kube.create(_largest(namespace))
    assert len(made["spec"]["groups"]) == 8
    changed = await kube.patch("TrainingJob", "a" * 40, {"spec": {"priorityClassName": "high"}}, namespace)
    assert changed["spec"]["priorityClassName"] == "high"


ALWAYS: dict[str, Any] = {
    "suspend": True,
    "priorityClassName": "high",
    "deadlines": {"pendingSeconds": 5},
    "restart": {"maxRestarts": 9},
    "ttlSecondsAfterFinished": 60,
    "cleanPodPolicy": "All",
    "expectedRuntimeSeconds": 3600,
}


IDLE: dict[str, Any] = {
    "groups": [builders.group(4, 4), builders.group(4, 0, "side")],
    "accept": [{"profile": "ascend"}],
    "mixing": "PerGroup",
    "topology": None,
    "checkpoint.path": {"path": "other"},
    "checkpoint": None,
    "success": "Rank0",
    "rendezvous.port": {"port": 1234},
}


NEVER: dict[str, Any] = {
    "pool": "other",
    "managedBy": "example.com/other",
    "rendezvous.style": {"style": "jax"},
    "checkpoint.format": {"format": "dcp"},
}


def _patch(path: str, value: object) -> specs.Json:
    return {"spec": {path.split(".", maxsplit=1)[0]: value}}


async def _set_suspended(kube: Kube, namespace: str, status: str) -> None:
    condition = {"type": "Suspended", "status": status, "reason": "Suspended", "observedGeneration": 1}
    body = {"status": {"phase": "Running", "conditions": [condition]}}
    await kube.patch("TrainingJob", "good", body, namespace, subresource="status")


async def _change_refused(kube: Kube, namespace: str, path: str, value: object) -> str:
    with pytest.raises(rest.ApiError) as caught:
        await kube.patch("TrainingJob", "good", _patch(path, value), namespace)
    assert caught.value.status == 422
    return caught.value.message


@pytest.mark.parametrize("path", ALWAYS)
async def test_mutable_at_any_time(kube: Kube, namespace: str, path: str) -> None:
    """These fields change while the job runs."""
    await kube.create(specs.good_job(namespace=namespace))
    await _set_suspended(kube, namespace, "False")
    made = await kube.patch("TrainingJob", "good", _patch(path, ALWAYS[path]), namespace)
    assert made["metadata"]["generation"] == 2


@pytest.mark.parametrize("path", IDLE)
async def test_mutable_while_suspended(kube: Kube, namespace: str, path: str) -> None:
    """These change only once the job is suspended and its last pod gone, and no more after it was resumed."""
    await kube.create(specs.good_job(namespace=namespace))
    await _set_suspended(kube, namespace, "False")
    assert f"spec.{path.split('.', maxsplit=1)[0]}" in await _change_refused(kube, namespace, path, IDLE[path])
    await kube.patch("TrainingJob", "good", {"spec": {"suspend": True}}, namespace)
    assert "no pod" in await _change_refused(kube, namespace, path, IDLE[path])
    await _set_suspended(kube, namespace, "True")
    await kube.patch("TrainingJob", "good", {"spec": {"suspend": False}}, namespace)
    assert "suspended" in await _change_refused(kube, namespace, path, IDLE[path])
    await kube.patch("TrainingJob", "good", {"spec": {"suspend": True}}, namespace)
    made = await kube.patch("TrainingJob", "good", _patch(path, IDLE[path]), namespace)
    assert made["metadata"]["generation"] == 5


@pytest.mark.parametrize("path", NEVER)
async def test_never_mutable(kube: Kube, namespace: str, path: str) -> None:
    """These do not change even while the job is suspended."""
    await kube.create(specs.good_job(namespace=namespace))
    await kube.patch("TrainingJob", "good", {"spec": {"suspend": True}}, namespace)
    await _set_suspended(kube, namespace, "True")
    message = await _change_refused(kube, namespace, path, NEVER[path])
    assert f"spec.{path}" in message
    assert "never changes" in message


async def test_a_job_made_suspended_is_open_at_once(kube: Kube, namespace: str) -> None:
    """Before the operator saw a suspended job it has no pods, so its groups may change."""
    await kube.create(specs.changed(specs.good_job(namespace=namespace), {"spec.suspend": True}))
    made = await kube.patch("TrainingJob", "good", _patch("groups", IDLE["groups"]), namespace)
    assert made["spec"]["groups"][0]["replicas"] == 4


@pytest.mark.parametrize("kind", ["CardPool", "Supernode", "TrainingJob"])
async def test_a_full_status_is_kept(kube: Kube, namespace: str, kind: str) -> None:
    """Every field of a status goes in and comes back: nothing is pruned, renamed or filled in."""
    manifest = {
        "CardPool": specs.good_pool("status-pool"),
        "Supernode": builders.supernode("status-sn", "main", {"a": "b"}),
        "TrainingJob": specs.good_job(namespace=namespace),
    }[kind]
    name = manifest["metadata"]["name"]
    where = namespace if kind == "TrainingJob" else None
    await kube.create(manifest)
    status = samples.status(kind)
    try:
        made = await kube.patch(kind, name, {"status": status}, where, subresource="status")
        assert made["status"] == status
        assert made["metadata"]["generation"] == 1
    finally:
        await kube.delete(kind, name, where)


async def test_the_largest_placement_is_kept(kube: Kube, namespace: str) -> None:
    """A gang of 16,384 pods on nodes with names of 30 characters fits into one status."""
    nodes = tuple(f"node-in-a-rack-of-a-row-{index:06d}" for index in range(16_384))
    status = TrainingJobStatus(placement=Placement(segments=(Segment(group="worker", nodes=nodes),)))
    await kube.create(specs.good_job(namespace=namespace))
    body = {"status": common.to_wire(status)}
    made = await kube.patch("TrainingJob", "good", body, namespace, subresource="status")
    assert made["status"] == body["status"]


async def test_settled_jobs_are_selected_away(kube: Kube, namespace: str) -> None:
    """A field selector leaves out settled jobs on the server, and selects by pool."""
    for name in ("done", "open"):
        await kube.create(specs.good_job(name, namespace))
    await kube.patch("TrainingJob", "done", {"status": {"settled": True}}, namespace, subresource="status")
    found = await kube.list("TrainingJob", namespace, fields="status.settled!=true")
    assert [one["metadata"]["name"] for one in found] == ["open"]
    assert await kube.list("TrainingJob", namespace, fields="spec.pool=other") == []


async def test_settled_jobs_with_a_ttl_are_selected(kube: Kube, namespace: str) -> None:
    """Of all settled jobs the server shows those alone that have a TTL, one of 0 seconds too."""
    for name, ttl, settled in (("late", 0, True), ("later", 60, True), ("kept", None, True), ("open", 60, False)):
        spec = {} if ttl is None else {"ttlSecondsAfterFinished": ttl}
        body = specs.good_job(name, namespace)
        await kube.create({**body, "spec": {**body["spec"], **spec}})
        await kube.patch("TrainingJob", name, {"status": {"settled": settled}}, namespace, subresource="status")
    found = await kube.list("TrainingJob", namespace, fields=reflector.LATE_SELECTOR)

    assert sorted(one["metadata"]["name"] for one in found) == ["late", "later"]
