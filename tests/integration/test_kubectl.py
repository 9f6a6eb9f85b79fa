"""kubectl at home in the CRDs: examples and the files themselves apply, explain has words, get has columns."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cardpool.api import crds
from e2e.cluster import rest
from tests.support import kubectl, specs

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from tests.support.kubeclient import Kube

pytestmark = pytest.mark.usefixtures("crds")

ROOT = Path(__file__).parents[2]

EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.yaml"))


async def _served(kube: Kube, name: str) -> None:
    async def look() -> bool:
        conditions = (await kube.get("CustomResourceDefinition", name))["status"].get("conditions", [])
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    await rest.wait_for(look, 20, f"CRD {name} established")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_accepted(cluster: Context, namespace: str, path: Path) -> None:
    """Kubectl with its default strict validation takes each example as it stands."""
    text = re.sub(r"\bnamespace: [-a-z]+", f"namespace: {namespace}", path.read_text())
    answer = kubectl.run(cluster, "apply", "--dry-run=server", "-f", "-", text=text)
    assert (answer.returncode, answer.stderr) == (0, "")


async def test_applying_again_changes_nothing(cluster: Context, kube: Kube, namespace: str) -> None:
    """An unchanged manifest applied twice leaves generation and resourceVersion as they were."""
    text = yaml.safe_dump(specs.good_job(namespace=namespace))
    assert kubectl.run(cluster, "apply", "-f", "-", text=text).returncode == 0
    before = (await kube.get("TrainingJob", "good", namespace))["metadata"]
    assert "unchanged" in kubectl.run(cluster, "apply", "-f", "-", text=text).stdout
    after = (await kube.get("TrainingJob", "good", namespace))["metadata"]
    assert (before["generation"], before["resourceVersion"]) == (after["generation"], after["resourceVersion"])


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
    answer = kubectl.run(cluster, "explain", field)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert words in " ".join(answer.stdout.split())


def test_kubectl_refuses_a_typo_in_the_template(cluster: Context, namespace: str) -> None:
    """A wrong field name inside the pod template is an error on the way in, with its path."""
    manifest = specs.changed(specs.good_job(namespace=namespace), {f"{specs.MAIN}.imagePulPolicy": "Always"})
    answer = kubectl.run(cluster, "apply", "-f", "-", text=yaml.safe_dump(manifest))
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
    head, row = kubectl.run(cluster, "get", "tjob", "-n", namespace).stdout.splitlines()
    columns = ["NAME", "PHASE", "READY", "REASON", "RESTARTS", "FAULTS", "STEP", "CHECKPOINT", "POOL", "AGE"]
    assert head.split() == columns
    assert row.split()[:9] == ["good", "Running", "16/16", "PodsScheduled", "1", "6", "4711", "4200", "main"]
    assert "trainingjob.cardpool.dev/good" in kubectl.run(cluster, "get", "cardpool", "-n", namespace).stdout
    assert "trainingjob.cardpool.dev/good" in kubectl.run(cluster, "get", "all", "-n", namespace).stdout


@pytest.mark.parametrize("plural", [definition.plural for definition in crds.DEFINITIONS])
async def test_client_side_apply_works(cluster: Context, kube: Kube, plural: str) -> None:
    """Kubectl apply without --server-side makes a CRD anew and finds it unchanged the second time."""
    manifest = yaml.safe_load((ROOT / "crds" / f"cardpool.dev_{plural}.yaml").read_text())
    # Under another group, so that the kinds which other tests use stay as they are.
    manifest["metadata"]["name"] = f"{plural}.copy.example.com"
    manifest["spec"]["group"] = "copy.example.com"
    text = yaml.safe_dump(manifest)
    try:
        first = kubectl.run(cluster, "apply", "-f", "-", text=text)
        assert (first.returncode, first.stderr) == (0, "")
        assert "unchanged" in kubectl.run(cluster, "apply", "-f", "-", text=text).stdout
        made = await kube.get("CustomResourceDefinition", manifest["metadata"]["name"])
        applied = made["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
        assert len(applied.encode()) < crds.MAX_BYTES
        await _served(kube, manifest["metadata"]["name"])
    finally:
        await kube.delete("CustomResourceDefinition", manifest["metadata"]["name"])


def test_the_files_apply_by_kubectl(cluster: Context) -> None:
    """Kubectl apply --server-side -f crds/ on the installed kinds is harmless."""
    answer = kubectl.run(cluster, "apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("serverside-applied") == 4
