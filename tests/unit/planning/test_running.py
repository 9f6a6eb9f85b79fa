"""Jobs that run: kept where they are, and moved only from what is lost, with every wait over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.planning import manifests
from tests.unit.planning.manifests import group, job, node, not_ready, pool, running, topology

SMALL = {"b1": {"r1": {"x1": 1}, "r2": {"x2": 1, "x3": 1, "x4": 1}}, "b2": {"r1": {"x5": 1}, "r2": {"x6": 2}}}
LEVELS = ("block", "rack")


def rows(*lost: str, tree: Any = SMALL, levels: Any = LEVELS) -> list[manifests.Json]:
    """The nodes of a tree, some of them silent."""
    made = manifests.nodes(tree, levels)
    return [not_ready(one) if one["metadata"]["name"] in lost else one for one in made]


def test_labels_and_a_node_are_a_running_job(tmp_path: Path) -> None:
    """No status, no uid, no requests in the pods: the job is kept, and its cards are not promised again."""
    first, second = job(group(2, 4), name="old"), job(group(1, 4), name="new")
    found = manifests.planned(tmp_path, pool(), node("a"), *running(first, ["a", "a"]), first, second)
    answers = manifests.by_name(found)

    assert (answers["old"]["decision"], manifests.seats(answers["old"])) == ("Keep", ["a", "a"])
    assert {"k100"} == {pod["profile"] for pod in answers["old"]["pods"]}
    assert answers["new"]["decision"] == "Wait"
    assert found["pools"] == [{"name": "main", "cards": {"total": 8, "healthy": 8, "free": 0}}]


def test_pods_of_another_incarnation_are_not_the_job_s(tmp_path: Path) -> None:
    """Their UID label speaks against it: they hold their room, and the job waits."""
    wanted = job(group(1, 8))
    wanted["metadata"]["uid"] = "new"
    pods = running(wanted, ["a"], **{"job-uid": "old"})
    pods[0]["spec"]["containers"] = [{"name": "main", "resources": {"requests": {manifests.RESOURCE: 8}}}]

    assert manifests.only(manifests.planned(tmp_path, pool(), node("a"), *pods, wanted))["decision"] == "Wait"


def test_a_placement_in_the_status_is_honoured(tmp_path: Path) -> None:
    """Reserved but without a pod yet: it holds its room and is kept."""
    placement = {
        "attempt": 0,
        "executionAttempt": 0,
        "time": manifests.NOW,
        "state": "Reserved",
        "segments": [{"group": "worker", "fromIndex": 0, "profile": "k100", "nodes": ["b"]}],
    }
    marks = {"placed": manifests.NOW}
    held = {**job(group(1, 8), name="held"), "status": {"attempt": 0, "placement": placement, "marks": marks}}
    answers = manifests.by_name(
        manifests.planned(tmp_path, pool(), node("a"), node("b"), held, job(group(2, 8), name="other"))
    )

    assert (answers["held"]["decision"], manifests.seats(answers["held"])) == ("Keep", ["b"])
    assert "1 of 2 pods fit" in answers["other"]["message"]


def test_a_finished_job_is_not_told_of(tmp_path: Path) -> None:
    """It is no part of the queue, and its pods hold nothing."""
    done = {**job(group(1, 8), name="done"), "status": {"completionTime": manifests.NOW}}
    found = manifests.planned(tmp_path, pool(), node("a"), done, job(group(1, 8), name="next"))

    assert {name: item["decision"] for name, item in manifests.by_name(found).items()} == {"next": "Place"}


def test_only_the_lost_rank_moves_in_its_rack(tmp_path: Path) -> None:
    """Of two ranks in a rack one node dies: the other stays, the lost one goes next door."""
    wanted = job(group(2), demand=topology("rack"))
    found = manifests.planned(tmp_path, pool(LEVELS), *rows("x4"), *running(wanted, ["x4", "x2"]), wanted)
    answer = manifests.only(found)

    assert (answer["decision"], answer["reason"]) == ("Place", "NodeLost")
    assert manifests.seats(answer) == ["x3", "x2"]


def test_a_rack_without_other_room_is_no_move(tmp_path: Path) -> None:
    """The only other node of every rack with room for two is gone: it waits, and says how much fits."""
    wanted = job(group(2), demand=topology("rack"))
    tree = {"b": {"r1": {"x1": 1, "x2": 1}, "r2": {"x3": 1}}}
    found = manifests.planned(tmp_path, pool(LEVELS), *rows("x1", tree=tree), *running(wanted, ["x1", "x2"]), wanted)
    answer = manifests.only(found)

    assert (answer["decision"], answer["reason"]) == ("Wait", "TopologyUnfit")
    assert "1 of 2 pods fit" in answer["message"]


def test_a_broken_pair_pulls_the_lost_ranks_into_its_rack(tmp_path: Path) -> None:
    """Five pods a card, pairs per rack: the mate of rank 2 sits in the second rack, the others follow."""
    tree = {"b1": {"r1": {"x1": 5}, "r2": {"x2": 5, "x3": 5, "x4": 5}}, "b2": {"r1": {"x5": 5}, "r2": {"x6": 10}}}
    wanted = job(group(8), demand=topology(blocks=[(2, "rack")]))
    pods = running(wanted, ["x1"] * 3 + ["x2"] * 5)
    answer = manifests.only(manifests.planned(tmp_path, pool(LEVELS), *rows("x1", tree=tree), *pods, wanted))

    assert {name: manifests.seats(answer).count(name) for name in {*manifests.seats(answer)}} == {"x2": 5, "x3": 3}


def test_a_replacement_never_goes_by_the_beginning_of_a_name(tmp_path: Path) -> None:
    """Racks rack-a and rack-ab are two racks."""
    levels = ("rack",)
    made = rows("rack-a-1", tree={"rack-a": [8, 8, 8], "rack-ab": [8, 8]}, levels=levels)
    wanted = job(group(2, 8), demand=topology(blocks=[(2, "rack")]))
    pods = running(wanted, ["rack-a-0", "rack-a-1"])
    answer = manifests.only(manifests.planned(tmp_path, pool(levels), *made, *pods, wanted))

    assert manifests.seats(answer) == ["rack-a-0", "rack-a-2"]


def test_a_node_that_is_not_in_the_input_is_lost(tmp_path: Path) -> None:
    """Its rank moves, the other keeps its node."""
    wanted = job(group(2, 8))
    made = [node("a"), node("b")]
    answer = manifests.only(manifests.planned(tmp_path, pool(), *made, *running(wanted, ["gone", "b"]), wanted))

    assert (answer["decision"], manifests.seats(answer)) == ("Place", ["a", "b"])


def test_a_rank_whose_pod_is_gone_starts_again_with_the_gang(tmp_path: Path) -> None:
    """A gang without one of its pods is none: all start again, the others where they were."""
    wanted = job(group(3, 4))
    pods = running(wanted, ["b", "b", "a"])[:2]
    answer = manifests.only(manifests.planned(tmp_path, pool(), node("a"), node("b"), *pods, wanted))

    assert (answer["decision"], answer["reason"], manifests.seats(answer)) == ("Place", "PodLost", ["b", "b", "a"])


def test_cards_lost_under_a_running_job_move_it(tmp_path: Path) -> None:
    """The node offers six of eight cards and the job holds eight: debounce is over, and nobody else gets the six."""
    weak = node("a")
    weak["status"]["allocatable"][manifests.RESOURCE] = "6"
    wanted, later = job(group(1, 8), name="old"), job(group(1, 7), name="later")
    found = manifests.by_name(
        manifests.planned(tmp_path, pool(), weak, node("b"), *running(wanted, ["a"]), wanted, later)
    )

    assert (
        found["old"]["decision"],
        found["old"]["reason"],
        manifests.seats(found["old"]),
    ) == ("Place", "CardsShrunk", ["b"])
    assert found["later"]["decision"] == "Wait"


HOSTS: dict[str, tuple[int, str]] = {"a job that is hit": (8, "Wait"), "a job that is not": (6, "Keep")}


@pytest.mark.parametrize(("cards", "decision"), HOSTS.values(), ids=HOSTS)
def test_the_host_that_lost_cards_takes_no_other_job(tmp_path: Path, cards: int, decision: str) -> None:
    """Eight cards became six under a running job: six more do not fit there while its pod is there."""
    weak = node("a")
    weak["status"]["allocatable"][manifests.RESOURCE] = "6"
    wanted, later = job(group(1, cards), name="old"), job(group(1, 6), name="later")
    found = manifests.by_name(manifests.planned(tmp_path, pool(), weak, *running(wanted, ["a"]), wanted, later))

    assert (found["old"]["decision"], found["later"]["decision"]) == (decision, "Wait")


def test_what_a_moving_gang_leaves_is_not_given_away_at_once(tmp_path: Path) -> None:
    """Both ranks move to the rack that has room for both; the node that lives is free only in the next cycle."""
    tree = {"b": {"r1": {"x1": 1, "x2": 1}, "r2": {"x3": 1, "x4": 1}}}
    wanted, later = job(group(2), demand=topology("rack"), name="old"), job(group(1), name="later")
    pods = running(wanted, ["x1", "x2"])
    made = rows("x1", tree=tree)
    found = manifests.by_name(manifests.planned(tmp_path, pool(LEVELS), *made, *pods, wanted, later))

    assert (found["old"]["decision"], manifests.seats(found["old"])) == ("Place", ["x3", "x4"])
    assert (found["later"]["decision"], found["later"]["reason"]) == ("Wait", "InsufficientCards")


def test_others_are_placed_beside_a_gang_that_comes_back(tmp_path: Path) -> None:
    """One rank moves, one stays; of two nodes that are free the gang takes one and the next job the other."""
    made = [not_ready(node("a")), node("b"), node("c"), node("d")]
    wanted, later = job(group(2, 8), name="old"), job(group(1, 8), name="later")
    found = manifests.by_name(manifests.planned(tmp_path, pool(), *made, *running(wanted, ["a", "b"]), wanted, later))

    assert {name: (item["decision"], manifests.seats(item)) for name, item in found.items()} == {
        "old": ("Place", ["c", "b"]),
        "later": ("Place", ["d"]),
    }


def test_waits_are_over(tmp_path: Path) -> None:
    """The second profile's wait, the backoff after failed binds and the attribution of an exit do not hold a job back."""
    both = pool()
    both["spec"]["profiles"].append({"name": "h100", "vendor": "nvidia"})
    second = node("a")
    for amounts in (second["status"]["capacity"], second["status"]["allocatable"]):
        amounts["nvidia.com/gpu"] = amounts.pop(manifests.RESOURCE)
    accept = [{"profile": "h100", "afterSeconds": 600}]
    waiting = {**job(group(1, 8), name="waits", accept=accept), "status": {"retryAfter": "2026-01-01T01:00:00Z"}}
    fault = {"reason": "PodFailed", "attribution": "Pending", "time": manifests.NOW, "exitCode": 1}
    failed = {**job(group(1, 8), name="failed"), "status": {"attempt": 1, "lastFault": fault}}
    found = manifests.by_name(manifests.planned(tmp_path, both, second, node("b"), waiting, failed))

    assert {name: (item["decision"], manifests.seats(item)) for name, item in found.items()} == {
        "waits": ("Place", ["a"]),
        "failed": ("Place", ["b"]),
    }


def test_pods_on_their_way_out_are_gone(tmp_path: Path) -> None:
    """The room of an attempt that is being taken down counts as free."""
    wanted = job(group(1, 8))
    wanted["status"] = {"attempt": 1, "executionAttempt": 1}
    pods = running(wanted, ["a"])
    pods[0]["metadata"]["deletionTimestamp"] = manifests.NOW
    answer = manifests.only(manifests.planned(tmp_path, pool(), node("a"), *pods, wanted))

    assert (answer["decision"], manifests.seats(answer)) == ("Place", ["a"])


def test_a_suspended_job_waits_and_frees_its_room(tmp_path: Path) -> None:
    """Its pods go first."""
    stopped, later = job(group(1, 8), name="stopped", suspend=True), job(group(1, 8), name="later")
    found = manifests.by_name(manifests.planned(tmp_path, pool(), node("a"), *running(stopped, ["a"]), stopped, later))

    assert (
        found["stopped"]["decision"],
        found["stopped"]["reason"],
        found["later"]["decision"],
    ) == ("Wait", "Suspended", "Place")


def test_a_lost_node_of_nested_blocks_is_replaced_under_its_switch(tmp_path: Path) -> None:
    """Eights in a rack, fours in a switch, pairs in a host: the other host of the switch takes the four."""
    levels = ("block", "rack", "switch")
    tree = {
        "b": {
            "r1": {"s1": {"x1": 4, "x2": 4}, "s2": {"x3": 4, "x4": 8}},
            "r2": {"s3": {"x5": 4, "x6": 4}, "s4": {"x7": 4, "x8": 4}},
        }
    }
    wanted = job(group(16), demand=topology(blocks=[(8, "rack"), (4, "switch"), (2, "node")]))
    pods = running(wanted, [f"x{rank // 4 + 1}" for rank in range(16)])
    made = rows("x3", tree=tree, levels=levels)
    found = manifests.seats(manifests.only(manifests.planned(tmp_path, pool(levels), *made, *pods, wanted)))

    assert {name: found.count(name) for name in found} == {"x1": 4, "x2": 4, "x4": 8}
