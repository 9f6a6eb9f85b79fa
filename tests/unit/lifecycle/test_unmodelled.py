"""What kube-scheduler weighs and the planner does not stands in a condition, at once and truthfully."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.lifecycle import unmodelled
from tests.support.simworld import SimCluster, job_spec

PORT = {"containers": [{"name": "main", "image": "a", "ports": [{"containerPort": 80, "hostPort": 80}]}]}
OPEN = {"containers": [{"name": "main", "image": "a", "ports": [{"containerPort": 80}]}]}
CLAIM = {"name": "d", "persistentVolumeClaim": {"claimName": "d"}}
DEMANDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "nothing": ({}, ()),
    "affinity to pods": ({"affinity": {"podAffinity": {"x": 1}}}, ("inter-pod affinity",)),
    "anti-affinity to pods": ({"affinity": {"podAntiAffinity": {"x": 1}}}, ("inter-pod affinity",)),
    "affinity to nodes is modelled": ({"affinity": {"nodeAffinity": {}}}, ()),
    "topology spread": ({"topologySpreadConstraints": [{}]}, ("topology spread",)),
    "claims of devices": ({"resourceClaims": [{"name": "c"}]}, ("resource claims",)),
    "a host port": (PORT, ("host ports",)),
    "a port": (OPEN, ()),
    "a port in the host's network": ({**OPEN, "hostNetwork": True}, ("host ports",)),
    "a claimed volume": ({"volumes": [CLAIM]}, ("volumes that may be tied to a node or zone",)),
    "an ephemeral volume": (
        {"volumes": [{"name": "e", "ephemeral": {"volumeClaimTemplate": {}}}]},
        ("volumes that may be tied to a node or zone",),
    ),
    "a volume of the pod": ({"volumes": [{"name": "e", "emptyDir": {}}, {"name": "n", "nfs": {}}]}, ()),
    "a runtime class": ({"runtimeClassName": "maker"}, ("overhead and nodes of a runtime class",)),
    "a scheduling group": ({"schedulingGroup": {"podGroupName": "g"}}, ("scheduling group",)),
    "two at once": ({**PORT, "volumes": [CLAIM]}, ("host ports", "volumes that may be tied to a node or zone")),
}


def group(spec: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A group whose template has these fields."""
    template = {"spec": {"containers": [{"name": "main", "image": "a"}], **spec}}
    return {"name": "w", "replicas": 1, "cardsPerPod": 8, "template": template, **fields}


@pytest.mark.parametrize(("spec", "expected"), DEMANDS.values(), ids=DEMANDS)
def test_demands_beyond_the_planner(spec: dict[str, Any], expected: tuple[str, ...]) -> None:
    """Each has a name; what is modelled has none."""
    assert expected == unmodelled.demands(job_spec(groups=[group(spec)]))


def test_a_variant_s_demands_count() -> None:
    """What only one profile's pods would have is named too."""
    variant = {"profile": "npu", "volumes": [CLAIM], "runtimeClassName": "npu"}
    found = unmodelled.demands(job_spec(groups=[group({}, variants=[variant])]))
    assert found == ("overhead and nodes of a runtime class", "volumes that may be tied to a node or zone")


def accepted(cluster: SimCluster, key: str) -> str:
    """What the job's Accepted says."""
    return next(item.message for item in cluster.jobs[key].status.conditions if item.type == "Accepted")


def test_the_condition_names_them_at_once_and_forgets_them_with_the_spec() -> None:
    """In the first cycle, before any pod; a template that is changed while the job is suspended is judged anew."""
    cluster = SimCluster()
    key = cluster.submit("a", job_spec(groups=[group(PORT)], suspend=True))
    cluster.step()
    assert "the planner does not model host ports: kube-scheduler may refuse what it plans" in accepted(cluster, key)

    cluster.change(key, groups=job_spec(groups=[group({"volumes": [CLAIM]})]).groups)
    cluster.settle()
    assert "volumes that may be tied to a node or zone" in accepted(cluster, key)
    assert "host ports" not in accepted(cluster, key)
