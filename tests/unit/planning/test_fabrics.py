"""In-node fabrics from manifests: the ids stand in the pods' allocatedResourcesStatus."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.planning import manifests
from tests.unit.planning.manifests import Json, group, job, node, pool


def holder(*ids: int, name: str = "other") -> Json:
    """A foreign pod on node a that holds these cards."""
    resources = [{"resourceID": f"dcu-{number}", "health": "Healthy"} for number in ids]
    status = {"name": "main", "allocatedResourcesStatus": [{"name": manifests.RESOURCE, "resources": resources}]}
    container = {"name": "main", "image": "x", "resources": {"requests": {manifests.RESOURCE: str(len(ids))}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "other"},
        "spec": {"nodeName": "a", "containers": [container]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


def world(**profile: object) -> list[Json]:
    """A node of 16 cards with 6 + 2 free in two fabrics of 8."""
    profiles = [{"name": "k100", "vendor": "hygon", **profile}]
    return [pool(profiles=profiles), node("a", 16), holder(0, 1, 8, 9, 10, 11, 12, 13)]


@pytest.mark.parametrize(("cards", "decision"), [(8, "Wait"), (6, "Place"), (2, "Place")])
def test_six_and_two(tmp_path: Path, cards: int, decision: str) -> None:
    """A request of 8 does not fit 6 + 2 free cards when the profile says so."""
    found = manifests.planned(tmp_path, *world(fabricCards=8), job(group(1, cards)))
    assert decision == manifests.only(found)["decision"]


def test_the_profile_has_to_say_so(tmp_path: Path) -> None:
    """Without fabrics 8 free cards are 8 free cards."""
    answer = manifests.only(manifests.planned(tmp_path, *world(), job(group(1, 8))))
    assert (answer["decision"], manifests.seats(answer)) == ("Place", ["a"])


def test_a_running_job_s_cards_lie_where_its_pod_says(tmp_path: Path) -> None:
    """The pod of a job that is kept names its cards too; beside them a fabric is whole."""
    old = job(group(1, 8), name="old")
    (pod,) = manifests.running(old, ["a"])
    pod["status"] = holder(*range(8))["status"]
    profiles = [{"name": "k100", "vendor": "hygon", "fabricCards": 8}]
    new = job(group(1, 8), name="new")
    named = manifests.by_name(manifests.planned(tmp_path, pool(profiles=profiles), node("a", 16), pod, old, new))
    del pod["status"]
    silent = manifests.by_name(manifests.planned(tmp_path, pool(profiles=profiles), node("a", 16), pod, old, new))

    assert [named["old"]["decision"], named["new"]["decision"]] == ["Keep", "Place"]
    assert [silent["old"]["decision"], silent["new"]["decision"]] == ["Keep", "Wait"]
    assert "not known in which fabrics of 8" in silent["new"]["message"]


def test_an_odd_number_of_dies_is_named(tmp_path: Path) -> None:
    """With dies in pairs 3 of them would split a module."""
    answer = manifests.only(manifests.planned(tmp_path, *world(diePairs=True), job(group(1, 3))))
    assert (answer["decision"], answer["reason"]) == ("Reject", "InvalidSpec")
    assert "would split a module of two dies" in answer["message"]
