"""Everything that kube-scheduler would refuse, cause by cause, through the command: counted, named, and avoided."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.planning import manifests
from tests.unit.planning.manifests import RESOURCE, Json, group, job, node, not_ready, pool

Change = Callable[[Json], Any]
POD: Json = {
    "containers": [
        {
            "name": "main",
            "image": "train:1",
            "resources": {
                "requests": {
                    "cpu": "8",
                    "memory": "64Gi",
                    "ephemeral-storage": "10Gi",
                    "hugepages-2Mi": "1Gi",
                    "example.com/nic": "2",
                }
            },
        }
    ]
}
AMOUNTS = {
    "cpu": "64",
    "memory": "512Gi",
    "pods": "110",
    "ephemeral-storage": "1Ti",
    "hugepages-2Mi": "4Gi",
    "example.com/nic": "8",
    RESOURCE: "8",
}


def full(name: str) -> Json:
    """A node with everything that the pod asks for."""
    made = node(name, labels={"disk": "ssd", "rank": "7"})
    made["status"] = {"capacity": dict(AMOUNTS), "allocatable": dict(AMOUNTS)}
    return made


def holder(name: str = "other", where: str = "a", **fields: Any) -> Json:
    """A pod of somebody else on a node; ``fields`` replace parts of its spec."""
    spec = {"nodeName": where, "containers": [{"name": "c", "image": "x"}], **fields}
    meta = {"name": name, "namespace": "other"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": {"phase": "Running"}}


def asks(amount: Json, **fields: Any) -> Json:
    """A container that requests so much."""
    return {"name": "c", "image": "x", "resources": {"requests": amount}, **fields}


def offers(**amounts: str) -> Change:
    """The node has so much (of a name with an underscore: a domain's resource) in allocatable, capacity as ever."""
    return lambda one: one["status"]["allocatable"].update({_name(key): value for key, value in amounts.items()})


def lacks(resource: str) -> Change:
    """The node does not know the resource at all."""

    def change(one: Json) -> None:
        for part in ("capacity", "allocatable"):
            del one["status"][part][resource]

    return change


def tainted(effect: str) -> Change:
    """The node has a taint that the template does not tolerate."""
    return lambda one: one["spec"].update(taints=[{"key": "team", "value": "x", "effect": effect}])


def labelled(**labels: str) -> Change:
    """Other labels."""
    return lambda one: one["metadata"]["labels"].update(labels)


def _name(key: str) -> str:
    return {"nic": "example.com/nic", "dcu": RESOURCE, "storage": "ephemeral-storage", "huge": "hugepages-2Mi"}.get(
        key, key
    )


NODES: dict[str, tuple[Change, str]] = {
    "cpu": (offers(cpu="7999m"), "short of cpu"),
    "memory": (offers(memory="63Gi"), "short of memory"),
    "pods": (offers(pods="0"), "short of pods"),
    "ephemeral storage": (offers(storage="9Gi"), "short of ephemeral-storage"),
    "another extended resource": (offers(nic="1"), "short of example.com/nic"),
    "an extended resource that no node has": (lacks("example.com/nic"), "without example.com/nic"),
    "huge pages": (offers(huge="512Mi"), "short of hugepages-2Mi"),
    "a faulty card without a name": (offers(dcu="7"), "short of cards"),
    "NoSchedule": (tainted("NoSchedule"), "tainted (team=x)"),
    "NoExecute": (tainted("NoExecute"), "tainted (team=x)"),
    "cordoned": (lambda one: one["spec"].update(unschedulable=True), "cordoned"),
    "not ready": (not_ready, "not ready"),
    "being deleted": (lambda one: one["metadata"].update(deletionTimestamp=manifests.NOW), "being deleted"),
    "node selector": (labelled(disk="hdd"), "not matching node selector or affinity"),
    "affinity by label": (labelled(rank="6"), "not matching node selector or affinity"),
    "affinity by field": (lambda one: one["metadata"].update(name="x"), "not matching node selector or affinity"),
}
AFFINITY = {
    "nodeSelectorTerms": [
        {
            "matchExpressions": [{"key": "rank", "operator": "Gt", "values": ["6"]}],
            "matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["x"]}],
        }
    ]
}


def wanted() -> Json:
    """A job of one pod with every demand."""
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": AFFINITY}}
    return job(group(1, 8, pod={**POD, "nodeSelector": {"disk": "ssd"}, "affinity": required}))


@pytest.mark.parametrize(("change", "cause"), NODES.values(), ids=NODES)
def test_a_node_that_would_refuse(tmp_path: Path, change: Change, cause: str) -> None:
    """The pod goes to the other node; without it the job waits, and the cause is counted once."""
    bad = full("a")
    bad["spec"] = {}
    change(bad)
    both = manifests.only(manifests.planned(tmp_path, pool(), bad, full("z"), wanted()))
    alone = manifests.only(manifests.planned(tmp_path, pool(), bad, wanted()))

    assert (both["decision"], manifests.seats(both)) == ("Place", ["z"])
    assert alone["decision"] == "Wait"
    assert f"of 1 nodes: 1 {cause}" in alone["message"]


def test_the_node_itself_would_do(tmp_path: Path) -> None:
    """Without any of the changes the job is placed there."""
    assert manifests.seats(manifests.only(manifests.planned(tmp_path, pool(), full("a"), wanted()))) == ["a"]


SIDECAR = asks({"cpu": "50"}, restartPolicy="Always")
PODS: dict[str, tuple[Json, str]] = {
    "cards": (holder(containers=[asks({RESOURCE: "1"})]), "short of cards"),
    "cards by limit alone": (
        holder(containers=[{"name": "c", "image": "x", "resources": {"limits": {RESOURCE: "1"}}}]),
        "short of cards",
    ),
    "cpu": (holder(containers=[asks({"cpu": "57"})]), "short of cpu"),
    "two containers": (holder(containers=[asks({"cpu": "29"}), asks({"cpu": "28"}, name="d")]), "short of cpu"),
    "an init container": (holder(initContainers=[asks({"memory": "449Gi"}, name="i")]), "short of memory"),
    "a sidecar beside its containers": (
        holder(initContainers=[{**SIDECAR, "name": "i"}], containers=[asks({"cpu": "7"})]),
        "short of cpu",
    ),
    "a sidecar beside a later init container": (
        holder(initContainers=[{**SIDECAR, "name": "i"}, asks({"cpu": "7"}, name="j")]),
        "short of cpu",
    ),
    "overhead": (holder(overhead={"cpu": "57"}), "short of cpu"),
    "requests of the pod itself": (holder(resources={"requests": {"cpu": "57"}}), "short of cpu"),
    "huge pages": (holder(containers=[asks({"hugepages-2Mi": "4Gi"})]), "short of hugepages-2Mi"),
    "another extended resource": (holder(containers=[asks({"example.com/nic": "7"})]), "short of example.com/nic"),
}


@pytest.mark.parametrize(("other", "cause"), PODS.values(), ids=PODS)
@pytest.mark.parametrize("phase", ["Running", "Pending"])
def test_a_foreign_pod_holds_its_room(tmp_path: Path, other: Json, cause: str, phase: str) -> None:
    """From the moment it is bound, started or not."""
    other = copy.deepcopy(other)
    other["status"]["phase"] = phase
    answer = manifests.only(manifests.planned(tmp_path, pool(), full("a"), other, wanted()))
    assert answer["decision"] == "Wait"
    assert f"of 1 nodes: 1 {cause}" in answer["message"]


def test_a_foreign_pod_that_is_being_deleted_holds_its_room(tmp_path: Path) -> None:
    """Until it is gone."""
    other = holder(containers=[asks({RESOURCE: "1"})])
    other["metadata"]["deletionTimestamp"] = manifests.NOW
    assert manifests.only(manifests.planned(tmp_path, pool(), full("a"), other, wanted()))["decision"] == "Wait"


def test_a_foreign_pod_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    """Its phase says so."""
    other = holder(containers=[asks({RESOURCE: "8"})])
    other["status"]["phase"] = "Failed"
    assert manifests.only(manifests.planned(tmp_path, pool(), full("a"), other, wanted()))["decision"] == "Place"


def test_a_foreign_pod_that_is_about_to_have_its_node_holds_it(tmp_path: Path) -> None:
    """kube-scheduler keeps the room for whom it has nominated: others go, and it comes."""
    other = holder(containers=[asks({RESOURCE: "1"})])
    del other["spec"]["nodeName"]
    other["status"] = {"phase": "Pending", "nominatedNodeName": "a"}
    answer = manifests.only(manifests.planned(tmp_path, pool(), full("a"), other, wanted()))
    assert answer["decision"] == "Wait"
    assert "of 1 nodes: 1 short of cards" in answer["message"]


def test_a_foreign_pod_without_a_node_holds_nothing(tmp_path: Path) -> None:
    """Nobody knows where it will go."""
    other = holder(containers=[asks({RESOURCE: "8"})])
    del other["spec"]["nodeName"]
    other["status"] = {"phase": "Pending"}
    assert manifests.only(manifests.planned(tmp_path, pool(), full("a"), other, wanted()))["decision"] == "Place"


def test_two_jobs_of_a_cycle_never_share_anything(tmp_path: Path) -> None:
    """Cards would do for both, cpu only for one."""
    pods = [job(group(1, 4, pod={"containers": [asks({"cpu": "40"})]}), name=name) for name in ("one", "two")]
    for place, one in enumerate(pods):
        one["spec"]["groups"][0]["container"] = "c"
        one["metadata"]["creationTimestamp"] = f"2025-01-01T00:00:0{place}Z"
    answers = manifests.by_name(manifests.planned(tmp_path, pool(), full("a"), *pods))
    assert [answers[name]["decision"] for name in ("one", "two")] == ["Place", "Wait"]
    assert "1 short of cpu" in answers["two"]["message"]


BAD: dict[str, tuple[str, int, int, str]] = {
    "suspect and still offered": ("Suspect", 8, 1, "a bad card that its plug-in still offers"),
    "faulty and still offered": ("Faulty", 8, 1, "a bad card that its plug-in still offers"),
    "quarantined and offered again": ("Quarantined", 8, 1, "a bad card that its plug-in still offers"),
    "sub-healthy and still offered": ("SubHealthy", 8, 1, "a bad card that its plug-in still offers"),
    "faulty and gone": ("Faulty", 7, 8, "short of cards"),
    "quarantined and gone": ("Quarantined", 7, 8, "short of cards"),
}


def supernode_with(state: str, fell: bool) -> Json:
    """A Supernode whose status remembers one bad card of node a."""
    known = {"node": "a", "resource": RESOURCE, "card": "card-3", "state": state, "since": manifests.NOW, "fell": fell}
    return {
        "apiVersion": manifests.API,
        "kind": "Supernode",
        "metadata": {"name": "sn"},
        "spec": {"pool": "main", "selector": {}},
        "status": {"faults": [{**known, "times": [manifests.NOW]}]},
    }


@pytest.mark.parametrize(("state", "offered", "cards", "cause"), BAD.values(), ids=BAD)
def test_a_bad_card_is_no_room(tmp_path: Path, state: str, offered: int, cards: int, cause: str) -> None:
    """One that is still offered closes its node to everybody, since kubelet might give it away; a gone one is one less."""
    one = full("a")
    one["status"]["allocatable"][RESOURCE] = str(offered)
    known = supernode_with(state, offered < 8)
    answer = manifests.only(manifests.planned(tmp_path, pool(), one, known, job(group(1, cards))))
    assert answer["decision"] == "Wait"
    assert f"of 1 nodes: 1 {cause}" in answer["message"]


@pytest.mark.parametrize("state", ["Faulty", "Quarantined"])
def test_the_cards_beside_a_gone_one_are_room(tmp_path: Path, state: str) -> None:
    """Seven are left of eight."""
    one = full("a")
    one["status"]["allocatable"][RESOURCE] = "7"
    answer = manifests.only(manifests.planned(tmp_path, pool(), one, supernode_with(state, True), job(group(1, 7))))
    assert answer["decision"] == "Place"
