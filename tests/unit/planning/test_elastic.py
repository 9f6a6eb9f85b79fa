"""Elastic gangs through ``cardpool plan``: the placed pods are listed, and nobody is asked for more than there is."""

from __future__ import annotations

from pathlib import Path

from tests.unit.planning import manifests
from tests.unit.planning.manifests import group, job, node, not_ready, pool, running
from tests.unit.planning.test_queue import PREEMPTS, queue


def test_the_largest_size_that_fits_is_listed(tmp_path: Path) -> None:
    """Three nodes of four: three pods."""
    wanted = job(group(4, 8, minReplicas=2))
    found = manifests.planned(tmp_path, pool(), node("a"), node("b"), node("c"), wanted)
    answer = manifests.only(found)

    assert (answer["decision"], sorted(manifests.seats(answer))) == ("Place", ["a", "b", "c"])


def test_a_wait_says_how_far_the_least_is_away(tmp_path: Path) -> None:
    """One node, two are the least."""
    answer = manifests.only(manifests.planned(tmp_path, pool(), node("a"), job(group(4, 8, minReplicas=2))))

    assert (answer["decision"], answer["reason"]) == ("Wait", "InsufficientCards")
    assert "not even the least size of 2 of 4 pods: profile k100: 1 of 2 pods fit" in answer["message"]


def test_a_smaller_gang_that_runs_is_whole(tmp_path: Path) -> None:
    """Two pods of three, read from labels alone: nothing is missing, the job is kept as it is."""
    old = job(group(3, 8, minReplicas=1), name="old")
    pods = running(job(group(2, 8), name="old"), ["a", "b"])
    answers = manifests.by_name(manifests.planned(tmp_path, pool(), node("a"), node("b"), *pods, old))

    assert (answers["old"]["decision"], manifests.seats(answers["old"])) == ("Keep", ["a", "b"])


def test_a_lost_node_makes_it_smaller(tmp_path: Path) -> None:
    """Nothing else is free: rank 1 goes to the last rank's node."""
    old = job(group(3, 8, minReplicas=1), name="old")
    nodes = [node("a"), not_ready(node("b")), node("c")]
    answer = manifests.only(manifests.planned(tmp_path, pool(), *nodes, *running(old, ["a", "b", "c"]), old))

    assert (answer["decision"], manifests.seats(answer), answer["reason"]) == ("Place", ["a", "c"], "NodeLost")


def test_growing_is_told_of_a_job_that_is_kept(tmp_path: Path) -> None:
    """Two pods of three, and a node is free: what the operator does next is said, the pods are those of now."""
    shards = {"format": "orbax", "volumeMount": "/ckpt", "reshardable": True}
    old = job(group(3, 8, minReplicas=1), name="old", checkpoint=shards)
    pods = running(job(group(2, 8), name="old"), ["a", "b"])
    answer = manifests.only(manifests.planned(tmp_path, pool(), node("a"), node("b"), node("c"), *pods, old))

    assert (answer["decision"], manifests.seats(answer)) == ("Keep", ["a", "b"])
    assert (answer["reason"], answer["message"]) == ("Growing", "grows from 2 to 3 pods")


def shrinks(folder: Path, groups: list[manifests.Json], pods: int, cards: int) -> tuple[manifests.Json, list[str]]:
    """The answers and victims where a running elastic job on one full node is asked to make room for some cards."""
    old = job(*groups, name="old", priorityClassName="p1")
    new = job(group(1, cards), name="new", priorityClassName="p2")
    seats = ["a"] * pods
    found = queue(folder, [node("a", pods)], {"old": (old, seats)}, new, queue=PREEMPTS)
    return manifests.by_name(found), [one["name"] for one in found["evictions"]]


def test_an_elastic_victim_is_told_its_size(tmp_path: Path) -> None:
    """Eleven pods of which one will do, and one card is wanted: one eviction, and ten come back."""
    answers, victims = shrinks(tmp_path, [group(11, minReplicas=1)], 11, 1)

    assert victims == ["old"]
    assert (answers["old"]["decision"], answers["old"]["reason"]) == ("Keep", "Preempted")
    assert "shrinks from 11 to 10 pods" in answers["old"]["message"]
    assert answers["new"]["decision"] == "Preempt"


def test_the_least_of_each_role_is_kept(tmp_path: Path) -> None:
    """A parameter server and three workers of which two will do: a worker goes."""
    answers, victims = shrinks(tmp_path, [group(1, name="ps"), group(3, minReplicas=2)], 4, 1)

    assert victims == ["old"]
    assert "shrinks from 4 to 3 pods" in answers["old"]["message"]
