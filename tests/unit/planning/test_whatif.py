"""What if: more nodes, lost ones, one more job; and the tables in which people read it."""

from __future__ import annotations

from pathlib import Path

from tests.unit.planning import manifests
from tests.unit.planning.manifests import group, job, node, pool, running, topology

LEVELS = ("supernode",)
TREE = {"sn0": [8, 8], "sn1": [8, 8]}


def test_more_nodes_stand_where_their_pattern_stands(tmp_path: Path) -> None:
    """Three nodes of one supernode are wanted, two are there: one copy is enough, and names are its own."""
    rows = manifests.nodes(TREE, LEVELS)
    wanted = job(group(3, 8), demand=topology("supernode"))
    path = manifests.write(tmp_path, pool(LEVELS), *rows, wanted)

    assert manifests.only(manifests.plan("-f", path))["decision"] == "Wait"
    found = manifests.plan("-f", path, "--add-nodes", "k100=1")
    assert sorted(manifests.seats(manifests.only(found))) == ["added-k100-0001", "sn0-0", "sn0-1"]
    assert found["pools"][0]["cards"]["total"] == 40
    other = manifests.plan("-f", path, "--add-nodes", "sn1-0=1")
    assert sorted(manifests.seats(manifests.only(other))) == ["added-sn1-0-0001", "sn1-0", "sn1-1"]


def test_a_new_node_has_nothing_of_its_patterns_troubles(tmp_path: Path) -> None:
    """The only pattern has lost two cards, is cordoned and tainted as silent: a new node is as it once was."""
    worn = manifests.node("sn0-0", labels={"example.com/supernode": "sn0"}, unschedulable=True)
    worn["spec"]["taints"] = [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]
    worn["status"]["allocatable"][manifests.RESOURCE] = "6"
    path = manifests.write(tmp_path, pool(LEVELS), worn, job(group(1, 8)))

    for pattern in ("k100", "sn0-0"):
        found = manifests.plan("-f", path, "--add-nodes", f"{pattern}=1")
        assert manifests.seats(manifests.only(found)) == [f"added-{pattern}-0001"]
        assert found["pools"][0]["cards"]["healthy"] == 14


def test_the_pattern_is_a_node_with_all_its_cards(tmp_path: Path) -> None:
    """Though one that lost a card comes first by name, and offers less cpu."""
    worn, whole = manifests.nodes({"sn0": [8, 8]}, LEVELS)
    worn["status"]["allocatable"] |= {manifests.RESOURCE: "7", "cpu": "1"}
    wanted = job(
        group(2, 8, pod={"containers": [{"name": "main", "image": "t", "resources": {"requests": {"cpu": "8"}}}]})
    )
    path = manifests.write(tmp_path, pool(LEVELS), worn, whole, wanted)

    found = manifests.plan("-f", path, "--add-nodes", "k100=1")
    assert sorted(manifests.seats(manifests.only(found))) == ["added-k100-0001", "sn0-1"]


def test_a_lost_node_moves_its_ranks(tmp_path: Path) -> None:
    """The rank on it goes to its neighbour in the supernode; by name of the node."""
    wanted = job(group(1, 8))
    path = manifests.write(tmp_path, pool(LEVELS), *manifests.nodes(TREE, LEVELS), *running(wanted, ["sn1-0"]), wanted)

    assert manifests.seats(manifests.only(manifests.plan("-f", path))) == ["sn1-0"]
    answer = manifests.only(manifests.plan("-f", path, "--lose", "sn1-0"))
    assert (answer["decision"], answer["reason"], manifests.seats(answer)) == ("Place", "NodeLost", ["sn1-1"])


def test_a_lost_supernode_moves_everything(tmp_path: Path) -> None:
    """By its label's value or by the name of its object."""
    wanted = job(group(2, 8), demand=topology("supernode"))
    rows = manifests.nodes(TREE, LEVELS)
    path = manifests.write(tmp_path, pool(LEVELS), *rows, *running(wanted, ["sn1-0", "sn1-1"]), wanted)
    declared = {
        "apiVersion": manifests.API,
        "kind": "Supernode",
        "metadata": {"name": "hall-2"},
        "spec": {"pool": "main", "selector": {"matchLabels": {"example.com/supernode": "sn1"}}},
    }
    other = manifests.write(tmp_path, declared, name="declared.yaml")

    for arguments in (("-f", path, "--lose", "sn1"), ("-f", path, other, "--lose", "hall-2")):
        answer = manifests.only(manifests.plan(*arguments))
        assert (answer["decision"], manifests.seats(answer)) == ("Place", ["sn0-0", "sn0-1"])
    refused = manifests.plan("-f", path, "--lose", "sn1", "--lose", "sn0-0")
    assert "1 of 2 pods fit" in manifests.only(refused)["message"]
    assert "3 not ready" in manifests.only(refused)["message"]


def test_one_more_job_is_told_of_first(tmp_path: Path) -> None:
    """With a higher priority it takes the room of one that would have been placed, and the table says so."""
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 9}
    path = manifests.write(tmp_path, pool(), node("a"), high, job(group(1, 8), name="first"))
    more = manifests.write(tmp_path, job(group(1, 8), name="urgent", priorityClassName="high"), name="more.yaml")
    found = manifests.plan("-f", path, "--job", more)
    table = manifests.invoke("-f", path, "--job", more, output="table").stdout

    assert [(item["name"], item["decision"]) for item in found["jobs"]] == [("urgent", "Place"), ("first", "Wait")]
    lines = [line.split() for line in table.splitlines()]
    assert lines[2][:3] == ["team-a/urgent", "Place", "1"]
    changes = lines[lines.index(["What", "changes"]) + 2 :]
    assert changes[0] == ["team-a/urgent", "-", "Place"]
    assert changes[1] == ["team-a/first", "Place", "Wait", "(InsufficientCards)"]


def test_a_job_of_the_same_name_stands_for_the_one_that_was_read(tmp_path: Path) -> None:
    """Would it fit if it were smaller?"""
    path = manifests.write(tmp_path, pool(), node("a"), job(group(2, 8)))
    more = manifests.write(tmp_path, job(group(1, 8)), name="more.yaml")

    assert manifests.only(manifests.plan("-f", path))["decision"] == "Wait"
    assert manifests.only(manifests.plan("-f", path, "--job", more))["decision"] == "Place"


def test_the_table(tmp_path: Path) -> None:
    """Position, decision, pods, supernodes with counts, and the reason in words; brackets are no markup."""
    jobs = [job(group(3, 8), name="a"), job(group(2, 8), name="b"), job(group(1, 8), name="c", pool="other")]
    tainted = node("z", taints=[{"key": "[red]x", "effect": "NoSchedule"}])
    path = manifests.write(tmp_path, pool(LEVELS), *manifests.nodes(TREE, LEVELS), tainted, *jobs)
    result = manifests.invoke("-f", path, output="table")
    lines = result.stdout.splitlines()

    assert result.exit_code == 0
    assert lines[1].split() == ["QUEUE", "JOB", "DECISION", "PODS", "WHERE", "REASON"]
    assert lines[2].split()[:3] == ["team-a/a", "Place", "3"]
    assert "main-sn0-" in lines[2]
    assert " x2, main-sn1-" in lines[2]
    assert lines[3].split()[:4] == ["1", "team-a/b", "Wait", "InsufficientCards:"]
    assert "1 of 2 pods fit" in lines[3]
    assert "1 tainted ([red]x)" in lines[3]
    assert "Reject" in lines[4]
    assert lines[-1].split() == ["main", "40", "40", "40"]
