"""The queue on manifests: who is preempted for whom, for whom room is kept, and whose quota is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.planning import manifests
from tests.unit.planning.manifests import Json, group, job, node, not_ready, pool, running

CLASSES = [
    {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": f"p{value}"}, "value": value}
    for value in (1, 2, 3)
]
PREEMPTS = {"preemption": {"withinTeam": "LowerPriority", "minRuntimeSeconds": 600}}


def queue(folder: Path, rows: list[Json], old: dict[str, tuple[Json, list[str]]], *new: Json, **spec: Any) -> Json:
    """The plan for jobs that run on these nodes and jobs that wait."""
    pods = [pod for manifest, places in old.values() for pod in running(manifest, places)]
    jobs = [manifest for manifest, _ in old.values()]
    return manifests.planned(folder, pool(**spec), *CLASSES, *rows, *pods, *jobs, *new)


def decisions(found: Json) -> dict[str, str]:
    """Decision by job."""
    return {item["name"]: item["decision"] for item in found["jobs"]}


def runs(name: str, priority: int, places: list[str], cards: int = 1) -> dict[str, tuple[Json, list[str]]]:
    """A running job of one-pod-a-place of a priority."""
    return {name: (job(group(len(places), cards), name=name, priorityClassName=f"p{priority}"), places)}


def test_the_lower_of_two_goes(tmp_path: Path) -> None:
    """Priorities 1 and 2 hold four cards each of five; 3 wants two on one host: 1 goes, named with its preemptor."""
    old = {**runs("two", 2, ["a"] * 4), **runs("one", 1, ["b"] * 4)}
    new = job(group(2), name="three", priorityClassName="p3", demand=manifests.topology("node"))
    found = queue(tmp_path, [node("a", 5), node("b", 5)], old, new, queue=PREEMPTS)

    assert decisions(found) == {"one": "Keep", "two": "Keep", "three": "Preempt"}
    assert found["evictions"] == [{"namespace": "team-a", "name": "one", "reason": "Preempted", "by": "team-a/three"}]
    answer = manifests.by_name(found)["three"]
    assert (manifests.seats(answer), answer["reason"]) == (["b", "b"], "WaitingForPreemption")


SPARED: dict[str, tuple[int, int, dict[str, Any]]] = {
    "equal priority": (2, 2, PREEMPTS),
    "not enough that is lower": (1, 9, PREEMPTS),
    "a pool that never preempts": (1, 2, {}),
}


@pytest.mark.parametrize(("priority", "cards", "policy"), SPARED.values(), ids=SPARED)
def test_nobody_goes_for_nothing(tmp_path: Path, priority: int, cards: int, policy: dict[str, Any]) -> None:
    """The job waits, and no eviction is named."""
    old = runs("old", priority, ["a"] * 4, 2)
    new = job(group(1, cards), name="new", priorityClassName="p2")
    found = queue(tmp_path, [node("a", 8)], old, new, queue=policy)

    assert (decisions(found), found["evictions"]) == ({"old": "Keep", "new": "Wait"}, [])


def test_a_gang_that_just_began_is_spared(tmp_path: Path) -> None:
    """The pool's minimum run time counts from the pods' start; pods that do not say have run for long."""
    for started, decision in (("2025-12-31T23:59:00Z", "Wait"), ("2025-12-31T22:00:00Z", "Preempt"), (None, "Preempt")):
        old = job(group(1, 8), name="old", priorityClassName="p1")
        pods = running(old, ["a"])
        if started is not None:
            pods[0]["status"] = {"startTime": started}
        new = job(group(1, 8), name="new", priorityClassName="p2")
        found = manifests.planned(tmp_path, pool(queue=PREEMPTS), *CLASSES, node("a"), *pods, old, new)

        assert decisions(found)["new"] == decision


def test_room_is_kept_for_the_head(tmp_path: Path) -> None:
    """By declared run times: a short job passes, a long one waits for the head, which is told when it starts."""
    old = job(group(1, 8), name="old", expectedRuntimeSeconds=7200)
    pods = running(old, ["a"])
    pods[0]["status"] = {"startTime": "2025-12-31T23:00:00Z"}
    head = job(group(2, 8), name="head", priorityClassName="p3")
    short = job(group(1, 4), name="short", expectedRuntimeSeconds=600)
    long = job(group(1, 4), name="long", expectedRuntimeSeconds=90_000)
    found = manifests.planned(tmp_path, pool(), *CLASSES, node("a"), node("b"), *pods, old, head, long, short)

    assert decisions(found) == {"old": "Keep", "short": "Place", "head": "Wait", "long": "Wait"}
    assert found["reservations"] == [
        {"namespace": "team-a", "name": "head", "nodes": ["a", "b"], "expectedStart": "2026-01-01T01:00:00Z"}
    ]
    assert manifests.by_name(found)["long"]["reason"] == "ReservedForOther"


def test_quota_counts_what_runs(tmp_path: Path) -> None:
    """Eight of twelve cards of the team's quota are in use by a job without a status."""
    teams = [{"name": "research", "namespaces": ["team-a"], "quota": [{"profile": "k100", "cards": 12, "borrow": 0}]}]
    old = {"old": (job(group(1, 8), name="old"), ["a"])}
    news = [job(group(1, 8), name="large"), job(group(1, 4), name="small")]
    found = queue(tmp_path, [node("a"), node("b"), node("c")], old, *news, teams=teams)

    assert decisions(found) == {"old": "Keep", "small": "Place", "large": "Wait"}
    assert manifests.by_name(found)["large"]["reason"] == "QuotaExceeded"


def test_a_gang_that_comes_back_preempts_for_itself(tmp_path: Path) -> None:
    """Its node is lost and no other is free: the lower gang is named once, and nobody else is placed in between."""
    old = {**runs("high", 3, ["a"], 8), **runs("low", 1, ["b"], 8)}
    rows = [not_ready(node("a")), node("b")]
    found = queue(tmp_path, rows, old, job(group(1, 1), name="later"), queue=PREEMPTS)

    assert decisions(found) == {"low": "Keep", "high": "Preempt", "later": "Wait"}
    assert [(item["name"], item["by"]) for item in found["evictions"]] == [("low", "team-a/high")]
