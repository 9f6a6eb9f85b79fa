"""The placement cases of the planner's own tests, as manifests through the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cardpool.names import Reason
from tests.unit.engine.test_balance import SPREAD
from tests.unit.engine.test_groups import LEADERS, TIERS
from tests.unit.engine.test_levels import PLACED, REFUSED
from tests.unit.planning import manifests
from tests.unit.planning.manifests import group, job, node, pool, topology

REJECTED = frozenset({Reason.UNKNOWN_LEVEL, Reason.INVALID_SPEC})


@pytest.mark.parametrize(("levels_of", "levels", "pods", "demand", "level", "expected"), PLACED.values(), ids=PLACED)
def test_pods_per_domain(
    tmp_path: Path, levels_of: Any, levels: Any, pods: int, demand: Any, level: str, expected: Any
) -> None:
    """One gang of one-card pods in an untouched pool."""
    rows = manifests.nodes(levels_of, levels)
    found = manifests.planned(tmp_path, pool(levels), *rows, job(group(pods), demand=topology(**demand)))
    answer = manifests.only(found)

    assert (answer["decision"], answer["reason"], answer["message"]) == ("Place", "", "")
    assert {"k100"} == {pod["profile"] for pod in answer["pods"]}
    assert expected == manifests.domains(answer, rows, levels, level)


@pytest.mark.parametrize(("levels_of", "levels", "pods", "demand", "level", "expected"), SPREAD.values(), ids=SPREAD)
def test_equal_parts(
    tmp_path: Path, levels_of: Any, levels: Any, pods: int, demand: Any, level: str, expected: Any
) -> None:
    """The same for a gang that asks for balance."""
    rows = manifests.nodes(levels_of, levels)
    wanted = job(group(pods), demand=topology(**demand, packing="Balanced"))
    answer = manifests.only(manifests.planned(tmp_path, pool(levels), *rows, wanted))

    assert expected == manifests.domains(answer, rows, levels, level)


@pytest.mark.parametrize(
    ("levels_of", "levels", "pods", "demand", "reason", "fit", "words"), REFUSED.values(), ids=REFUSED
)
def test_refusals_count(
    tmp_path: Path, levels_of: Any, levels: Any, pods: int, demand: Any, reason: Reason, fit: int, words: list[str]
) -> None:
    """What does not fit waits and says how much would; what can never fit as it is written is refused by its field."""
    rows = manifests.nodes(levels_of, levels)
    found = manifests.planned(tmp_path, pool(levels), *rows, job(group(pods), demand=topology(**demand)))
    answer = manifests.only(found)

    assert ([], reason.value) == (answer["pods"], answer["reason"])
    if reason in REJECTED:
        assert answer["decision"] == "Reject"
        assert "topology" in answer["message"]
    else:
        assert answer["decision"] == "Wait"
        assert f"{fit} of {pods} pods fit" in answer["message"]
        assert [word for word in words if word not in answer["message"]] == []


def test_an_unknown_level_names_the_field_and_the_known_ones(tmp_path: Path) -> None:
    """A level that the pool does not have is never silently no demand."""
    found = manifests.planned(
        tmp_path, pool(("rack",)), node("a", labels={"example.com/rack": "r"}), job(group(1), demand=topology("planet"))
    )
    answer = manifests.only(found)

    assert (answer["decision"], answer["reason"]) == ("Reject", "UnknownLevel")
    assert answer["message"].startswith("spec.topology: pool main has no level planet")
    assert "it has rack, node" in answer["message"]


def test_each_group_in_a_rack_of_its_own_inside_one_zone(tmp_path: Path) -> None:
    """The zone must have a rack for each of the two-card pods; a foreign pod fills one rack of the other zone."""
    levels = ("zone", "rack")
    rows = manifests.nodes({"zone1": {"rack1": [2], "rack2": [2]}, "zone2": {"rack3": [2], "rack4": [2]}}, levels)
    foreign = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other", "namespace": "default"},
        "spec": {
            "nodeName": "zone1-rack1-0",
            "containers": [{"name": "main", "resources": {"requests": {manifests.RESOURCE: 2}}}],
        },
    }
    parts = [group(1, 2, name, topology=topology("rack")) for name in ("one", "two")]
    found = manifests.planned(tmp_path, pool(levels), *rows, foreign, job(*parts, demand=topology("zone")))
    answer = manifests.only(found)

    assert manifests.domains(answer, rows, levels, "rack") == {"zone2/rack3": 1, "zone2/rack4": 1}
    assert [(pod["group"], pod["index"], pod["rank"]) for pod in answer["pods"]] == [("one", 0, 0), ("two", 0, 1)]


@pytest.mark.parametrize(("hosts", "workers", "expected", "leader"), LEADERS.values(), ids=LEADERS)
def test_a_leader_and_larger_workers(
    tmp_path: Path, hosts: list[int], workers: int, expected: dict[str, int], leader: str
) -> None:
    """A leader of one card and workers of two fill a rack to the last card."""
    rows = manifests.nodes({"r": hosts}, ("rack",))
    wanted = job(group(1, 1, "leader"), group(workers, 2), demand=topology("rack"))
    answer = manifests.only(manifests.planned(tmp_path, pool(("rack",)), *rows, wanted))
    found = manifests.domains(answer, rows, (), "node")

    assert (expected, leader) == (found, manifests.seats(answer)[0])


def test_scattered_room_is_no_room_for_a_domain(tmp_path: Path) -> None:
    """Every second node holds a pod of four, no narrow domain of two nodes holds two."""
    levels = ("tier3", "tier2", "tier1")
    free = {f"n{at}": 6 if at % 2 else 2 for at in range(8)}
    tree = {
        top: {mid: {low: {one: free[one] for one in ones} for low, ones in lows.items()} for mid, lows in mids.items()}
        for top, mids in TIERS.items()
    }
    wanted = job(group(2, 4, topology=topology("tier1")))
    answer = manifests.only(manifests.planned(tmp_path, pool(levels), *manifests.nodes(tree, levels), wanted))

    assert (answer["decision"], answer["reason"]) == ("Wait", "TopologyUnfit")
    assert "1 of 2 pods fit" in answer["message"]


def test_every_cause_is_counted_once(tmp_path: Path) -> None:
    """Four nodes, four out: one tainted, two with the wrong label, one too small."""
    taint = {"key": "dedicated", "value": "x", "effect": "NoSchedule"}
    rows = [
        node("a", labels={"kind": "new"}, taints=[taint]),
        node("b", labels={"kind": "old"}),
        node("c"),
        node("d", 1, labels={"kind": "new"}),
    ]
    wanted = job(group(1, 2, pod={"nodeSelector": {"kind": "new"}}))
    answer = manifests.only(manifests.planned(tmp_path, pool(), *rows, wanted))

    assert (answer["decision"], answer["reason"]) == ("Wait", "InsufficientCards")
    expected = "0 of 1 pods fit; of 4 nodes: 2 not matching node selector or affinity, 1 short of cards, 1 tainted"
    assert expected in answer["message"]


SHORT: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "cpu": ({}, {"resources": {"requests": {"cpu": 65}}}, "1 short of cpu"),
    "memory": ({}, {"resources": {"requests": {"memory": "1Ti"}}}, "1 short of memory"),
    "a resource that no node has": ({}, {"resources": {"limits": {"rdma/hca": 1}}}, "1 without rdma/hca"),
    "a cordon": ({"unschedulable": True}, {}, "1 cordoned"),
}


@pytest.mark.parametrize(("spec", "container", "words"), SHORT.values(), ids=SHORT)
def test_what_kube_scheduler_would_refuse(tmp_path: Path, spec: Any, container: Any, words: str) -> None:
    """One node, one pod, one cause."""
    pod = {"containers": [{"name": "main", "image": "train:1", **container}]}
    found = manifests.planned(tmp_path, pool(), node("a", **spec), job(group(1, 1, pod=pod)))

    assert f"; of 1 nodes: {words}" in manifests.only(found)["message"]


def test_a_missing_label_is_counted(tmp_path: Path) -> None:
    """A node without the demanded label serves nobody who asks for it."""
    rows = [node("a", 1, {"example.com/rack": "r"}), node("b", 1)]
    found = manifests.planned(tmp_path, pool(("rack",)), *rows, job(group(2), demand=topology("rack")))

    assert "1 of 2 pods fit" in manifests.only(found)["message"]
    assert "1 topology label missing" in manifests.only(found)["message"]


def test_zero_nodes(tmp_path: Path) -> None:
    """A pool that selects nothing says so, and its jobs wait."""
    result = manifests.invoke("-f", manifests.write(tmp_path, pool(), job(group(1))))
    answer = manifests.only(manifests.json.loads(result.stdout))

    assert (answer["decision"], answer["reason"]) == ("Wait", "InsufficientCards")
    assert "the pool has no node of this profile" in answer["message"]
    assert "CardPool main: NoNodes" in result.stderr


def test_jobs_of_one_cycle_never_share_room(tmp_path: Path) -> None:
    """Two cards, two jobs of two: the older one, and of two without an age the first in the input."""
    first, second = job(group(2), name="zebra"), job(group(2), name="ant")
    found = manifests.by_name(manifests.planned(tmp_path, pool(), node("a", 2), first, second))
    assert (found["zebra"]["decision"], found["ant"]["decision"]) == ("Place", "Wait")

    second["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    found = manifests.by_name(manifests.planned(tmp_path, pool(), node("a", 2), first, second))
    assert (found["zebra"]["decision"], found["ant"]["decision"]) == ("Wait", "Place")


def test_priority_goes_first(tmp_path: Path) -> None:
    """The class comes with the manifests; one that does not is refused by its field."""
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 9}
    jobs = [
        job(group(2), name="low"),
        job(group(2), name="high", priorityClassName="high"),
        job(group(1), name="odd", priorityClassName="odd"),
    ]
    found = manifests.by_name(manifests.planned(tmp_path, pool(), node("a", 2), high, *jobs))

    assert {name: item["decision"] for name, item in found.items()} == {"low": "Wait", "high": "Place", "odd": "Reject"}
    assert found["odd"]["message"].startswith("spec.priorityClassName: there is no PriorityClass odd")


def foreign(name: str, cards: int) -> manifests.Json:
    """A pod that is not cardpool's and holds cards of a node."""
    container = {
        "name": "main",
        "resources": {"limits": {manifests.RESOURCE: cards}, "requests": {manifests.RESOURCE: cards}},
    }
    meta = {"name": f"other-{name}", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": name, "containers": [container]}}


def tiers(used: dict[str, int]) -> list[manifests.Json]:
    """Eight nodes of eight cards in a tree of three tiers, some in use by others."""
    tree = {
        top: {mid: {low: dict.fromkeys(ones, 8) for low, ones in lows.items()} for mid, lows in mids.items()}
        for top, mids in TIERS.items()
    }
    return [*manifests.nodes(tree, THREE), *(foreign(name, cards) for name, cards in used.items())]


THREE = ("tier3", "tier2", "tier1")


@pytest.mark.parametrize("demand", [topology(), topology(preferred="tier2")], ids=["absent", "soft"])
def test_groups_part_where_nothing_ties_them(tmp_path: Path, demand: Any) -> None:
    """Two groups of two pods, each in one narrow domain: no wider domain holds both, two narrow ones do."""
    rows = tiers({"n0": 4, "n4": 4, "n2": 6, "n3": 6, "n6": 6, "n7": 6})
    parts = [group(2, 4, name, topology=topology("tier1")) for name in ("one", "two")]
    answer = manifests.only(manifests.planned(tmp_path, pool(THREE), *rows, job(*parts, demand=demand)))
    nodes = [row for row in rows if row["kind"] == "Node"]

    assert manifests.domains(answer, nodes, THREE, "tier1") == {"s6/s4/s0": 2, "s6/s5/s2": 2}


def test_the_single_pod_goes_to_the_lone_node(tmp_path: Path) -> None:
    """Three groups of one, two and two whole nodes, each in a domain of its own."""
    levels = ("tier2", "tier1")
    rows = manifests.nodes({"t": {"a": [8, 8], "b": [8, 8], "c": [8]}}, levels)
    parts = [group(pods, 8, name, topology=topology("tier1")) for pods, name in ((1, "one"), (2, "two"), (2, "three"))]
    wanted = job(*parts, demand=topology("tier2"))
    found = manifests.seats(manifests.only(manifests.planned(tmp_path, pool(levels), *rows, wanted)))

    assert found[0] == "t-c-0"
    assert sorted(found) == ["t-a-0", "t-a-1", "t-b-0", "t-b-1", "t-c-0"]


def test_a_full_pool_is_short_of_cards_not_of_topology(tmp_path: Path) -> None:
    """Six of eight cards of every node are in use."""
    rows = tiers({f"n{at}": 6 for at in range(8)})
    answer = manifests.only(manifests.planned(tmp_path, pool(THREE), *rows, job(group(2, 4))))

    assert (answer["decision"], answer["reason"]) == ("Wait", "InsufficientCards")
    assert "0 of 2 pods fit; of 8 nodes: 8 short of cards" in answer["message"]
