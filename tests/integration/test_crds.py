"""The CRDs on the real API server: examples accepted, bad specs refused with the field, kubectl at home in them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cardpool.api import common, crds, podtemplate
from cardpool.api.jobstatus import Placement, Segment, TrainingJobStatus
from cardpool.kube import reflector
from e2e.cluster import rest
from tests.support import builders, samples, specs

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from tests.support.kubeclient import Kube

pytestmark = pytest.mark.usefixtures("crds")

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))


def _kubectl(cluster: Context, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [str(cluster.programs["kubectl"]), "--kubeconfig", str(cluster.kubeconfig), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


async def _refused(kube: Kube, manifest: specs.Json) -> str:
    """The API server's message; it must be a refusal, and nothing may have been made."""
    metadata = manifest["metadata"]
    path = rest.path_of(manifest["kind"], None, metadata.get("namespace"))
    with pytest.raises(rest.ApiError) as caught:
        await kube.request("POST", path, manifest, query={"fieldValidation": "Strict"})
    assert caught.value.status in {400, 422}
    assert await kube.find(manifest["kind"], metadata["name"], metadata.get("namespace")) is None
    return caught.value.message


async def _served(kube: Kube, name: str) -> None:
    async def look() -> bool:
        conditions = (await kube.get("CustomResourceDefinition", name))["status"].get("conditions", [])
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    await rest.wait_for(look, 20, f"CRD {name} established")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_accepted(cluster: Context, namespace: str, path: Path) -> None:
    """Kubectl with its default strict validation takes each example as it stands."""
    text = re.sub(r"\bnamespace: [-a-z]+", f"namespace: {namespace}", path.read_text())
    answer = _kubectl(cluster, "apply", "--dry-run=server", "-f", "-", text=text)
    assert (answer.returncode, answer.stderr) == (0, "")


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


async def test_applying_again_changes_nothing(cluster: Context, kube: Kube, namespace: str) -> None:
    """An unchanged manifest applied twice leaves generation and resourceVersion as they were."""
    text = yaml.safe_dump(specs.good_job(namespace=namespace))
    assert _kubectl(cluster, "apply", "-f", "-", text=text).returncode == 0
    before = (await kube.get("TrainingJob", "good", namespace))["metadata"]
    assert "unchanged" in _kubectl(cluster, "apply", "-f", "-", text=text).stdout
    after = (await kube.get("TrainingJob", "good", namespace))["metadata"]
    assert (before["generation"], before["resourceVersion"]) == (after["generation"], after["resourceVersion"])


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


@pytest.mark.parametrize(
    ("field", "words"),
    {
        "tjob.spec.groups.template.spec.containers.image": "Container image name",
        "tjob.spec.groups.template.spec.volumes.persistentVolumeClaim.claimName": "name of a PersistentVolumeClaim",
        "tjob.spec.groups.variants.volumes.hostPath.path": "path of the directory on the host",
        "tjob.spec.restart.maxFaultRestarts": "hardware",
        "tjob.status.lastFault.attribution": "Pending Hardware",
        "cpool.spec.faults.breaker.percent": "percent",
        "sn.status.faults.fell": "allocatable",
    }.items(),
)
def test_kubectl_explain_reaches(cluster: Context, field: str, words: str) -> None:
    """Kubectl explain has words for fields deep inside, by short names."""
    answer = _kubectl(cluster, "explain", field)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert words in " ".join(answer.stdout.split())


def test_kubectl_refuses_a_typo_in_the_template(cluster: Context, namespace: str) -> None:
    """A wrong field name inside the pod template is an error on the way in, with its path."""
    manifest = specs.changed(specs.good_job(namespace=namespace), {f"{specs.MAIN}.imagePulPolicy": "Always"})
    answer = _kubectl(cluster, "apply", "-f", "-", text=yaml.safe_dump(manifest))
    assert answer.returncode == 1
    assert 'unknown field "spec.groups[0].template.spec.containers[0].imagePulPolicy"' in answer.stderr


async def test_kubectl_shows_the_columns(cluster: Context, kube: Kube, namespace: str) -> None:
    """Kubectl get by short name and by category has the documented columns with values."""
    await kube.create(specs.good_job(namespace=namespace))
    status = {
        "phase": "Running",
        "ready": "16/16",
        "restarts": 1,
        "faultRestarts": 6,
        "progress": {"step": 4711},
        "checkpoint": {"step": 4200},
        "conditions": [
            {
                "type": "PodsScheduled",
                "status": "True",
                "reason": "PodsScheduled",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }
    await kube.patch("TrainingJob", "good", {"status": status}, namespace, subresource="status")
    head, row = _kubectl(cluster, "get", "tjob", "-n", namespace).stdout.splitlines()
    columns = ["NAME", "PHASE", "READY", "REASON", "RESTARTS", "FAULTS", "STEP", "CHECKPOINT", "POOL", "AGE"]
    assert head.split() == columns
    assert row.split()[:9] == ["good", "Running", "16/16", "PodsScheduled", "1", "6", "4711", "4200", "main"]
    assert "trainingjob.cardpool.dev/good" in _kubectl(cluster, "get", "cardpool", "-n", namespace).stdout
    assert "trainingjob.cardpool.dev/good" in _kubectl(cluster, "get", "all", "-n", namespace).stdout


@pytest.mark.parametrize("plural", [definition.plural for definition in crds.DEFINITIONS])
async def test_client_side_apply_works(cluster: Context, kube: Kube, plural: str) -> None:
    """Kubectl apply without --server-side makes a CRD anew and finds it unchanged the second time."""
    manifest = yaml.safe_load((ROOT / "crds" / f"cardpool.dev_{plural}.yaml").read_text())
    # Under another group, so that the kinds which other tests use stay as they are.
    manifest["metadata"]["name"] = f"{plural}.copy.example.com"
    manifest["spec"]["group"] = "copy.example.com"
    text = yaml.safe_dump(manifest)
    try:
        first = _kubectl(cluster, "apply", "-f", "-", text=text)
        assert (first.returncode, first.stderr) == (0, "")
        assert "unchanged" in _kubectl(cluster, "apply", "-f", "-", text=text).stdout
        made = await kube.get("CustomResourceDefinition", manifest["metadata"]["name"])
        applied = made["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
        assert len(applied.encode()) < crds.MAX_BYTES
        await _served(kube, manifest["metadata"]["name"])
    finally:
        await kube.delete("CustomResourceDefinition", manifest["metadata"]["name"])


def test_the_files_apply_by_kubectl(cluster: Context) -> None:
    """Kubectl apply --server-side -f crds/ on the installed kinds is harmless."""
    answer = _kubectl(cluster, "apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("serverside-applied") == 4
