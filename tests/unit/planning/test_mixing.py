"""``cardpool plan`` for gangs of several makers: each pod's profile, and what runs already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.planning import manifests
from tests.unit.planning.manifests import Json, group, job, node, running

NPU = "huawei.com/Ascend910"
PROFILES = [{"name": "k100", "vendor": "hygon"}, {"name": "npu", "vendor": "ascend"}]
LEVELS = ("zone",)


def pool(**spec: Any) -> Json:
    """A pool of two makers with one level."""
    return manifests.pool(LEVELS, profiles=PROFILES, **spec)


def maker(name: str, profile: str, zone: str = "z") -> Json:
    """A node of eight cards."""
    made = node(name, 8, {"example.com/zone": zone})
    if profile == "npu":
        for amounts in (made["status"]["capacity"], made["status"]["allocatable"]):
            amounts[NPU] = amounts.pop(manifests.RESOURCE)
    return made


def two(mixing: str = "PerGroup", **fields: Any) -> Json:
    """Two groups of two whole nodes each."""
    groups = [group(2, 8, "train"), group(2, 8, "judge")]
    return job(*groups, mixing=mixing, accept=[{"profile": "k100"}, {"profile": "npu"}], **fields)


ROWS = [maker("a1", "k100"), maker("a2", "k100"), maker("b1", "npu"), maker("b2", "npu")]


def test_every_pod_has_its_own_profile(tmp_path: Path) -> None:
    """Each group on its maker; the same job without mixing waits."""
    found = manifests.only(manifests.planned(tmp_path, pool(), *ROWS, two()))
    none = manifests.only(manifests.planned(tmp_path, pool(), *ROWS, two("None")))

    told = [(pod["rank"], pod["group"], pod["profile"], pod["node"]) for pod in found["pods"]]
    assert told == [
        (0, "train", "k100", "a1"),
        (1, "train", "k100", "a2"),
        (2, "judge", "npu", "b1"),
        (3, "judge", "npu", "b2"),
    ]
    assert (none["decision"], none["reason"]) == ("Wait", "InsufficientCards")


def test_a_required_zone_without_one_maker_is_refused_in_words(tmp_path: Path) -> None:
    """The makers have room in different zones."""
    rows = [maker("a1", "k100", "x"), maker("a2", "k100", "x"), maker("b1", "npu", "y"), maker("b2", "npu", "y")]

    found = manifests.only(manifests.planned(tmp_path, pool(), *rows, two(demand=manifests.topology("zone"))))

    assert found["decision"] == "Wait"
    assert "each part has room, but not all in one zone" in found["message"]


def test_a_running_mixed_gang_is_told_by_its_pods(tmp_path: Path) -> None:
    """Nothing but labels and nodes: each pod keeps its own profile, and its cards are held on both makers."""
    old = two(name="old")
    pods = running(old, ["a1", "a2", "b1", "b2"])
    late = job(group(1, 8), name="late")

    found = manifests.by_name(manifests.planned(tmp_path, pool(), *ROWS, *pods, old, late))

    assert found["old"]["decision"] == "Keep"
    assert [pod["profile"] for pod in found["old"]["pods"]] == ["k100", "k100", "npu", "npu"]
    assert found["late"]["decision"] == "Wait"


def test_a_lost_node_of_one_maker_moves_its_rank_alone(tmp_path: Path) -> None:
    """The running gang is planned again: three ranks stay, the fourth goes to the maker's free node."""
    old = two(name="old")
    rows = [*ROWS[:3], manifests.not_ready(maker("b2", "npu")), maker("b3", "npu"), maker("a3", "k100")]
    pods = running(old, ["a1", "a2", "b1", "b2"])

    found = manifests.by_name(manifests.planned(tmp_path, pool(), *rows, *pods, old))

    assert found["old"]["decision"] == "Place"
    assert manifests.seats(found["old"]) == ["a1", "a2", "b1", "b3"]
