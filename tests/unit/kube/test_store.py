"""The mirror: newest wins, the gone stay gone, equal states wake nobody."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from cardpool.kube import store
from cardpool.names import LABEL_VENDORS, Kind
from tests.unit.kube import objects

Step = tuple[str, Any]


def play(mirror: store.Mirror, *steps: Step) -> None:
    """Feed a mirror of pods: watch events, overlays, whole lists (version, pods) and sure deletions."""
    for kind, what in steps:
        match kind:
            case "OVERLAY":
                mirror.overlay(Kind.POD, objects.raw(what))
            case "LIST":
                version, pods = what
                prepared = [mirror.prepare(Kind.POD, objects.typed(Kind.POD, pod)) for pod in pods]
                mirror.replace(Kind.POD, prepared, str(version))
            case "FORGET":
                mirror.forget(Kind.POD, *what)
            case _:
                mirror.apply(Kind.POD, kind, objects.typed(Kind.POD, what))


def held(mirror: store.Mirror) -> dict[str, tuple[str, str, str]]:
    """What the mirror holds: UID, version and node of each pod."""
    world = mirror.freeze(0.0)
    return {key: (pod.uid, mirror.resource_version(Kind.POD, key), pod.node) for key, pod in sorted(world.pods.items())}


A = "team-a/a"
STORIES: dict[str, tuple[list[Step], dict[str, tuple[str, str, str]]]] = {
    "added": ([("ADDED", objects.pod("a", 5))], {A: ("uid-a", "5", "")}),
    "modified": (
        [("ADDED", objects.pod("a", 5)), ("MODIFIED", objects.pod("a", 6, on="n1"))],
        {A: ("uid-a", "6", "n1")},
    ),
    "an older event changes nothing": (
        [("ADDED", objects.pod("a", 6, on="n1")), ("MODIFIED", objects.pod("a", 5))],
        {A: ("uid-a", "6", "n1")},
    ),
    "versions are numbers, not texts": (
        [("ADDED", objects.pod("a", 9)), ("MODIFIED", objects.pod("a", 10, on="n1"))],
        {A: ("uid-a", "10", "n1")},
    ),
    "deleted": ([("ADDED", objects.pod("a", 5)), ("DELETED", objects.pod("a", 7))], {}),
    "the deleted does not come back by an older echo": (
        [("ADDED", objects.pod("a", 5)), ("DELETED", objects.pod("a", 7)), ("MODIFIED", objects.pod("a", 6))],
        {},
    ),
    "the deleted does not come back by an overlay": (
        [("ADDED", objects.pod("a", 5)), ("DELETED", objects.pod("a", 7)), ("OVERLAY", objects.pod("a", 6))],
        {},
    ),
    "a deletion older than what is held is an echo": (
        [("ADDED", objects.pod("a", 8)), ("DELETED", objects.pod("a", 7))],
        {A: ("uid-a", "8", "")},
    ),
    "made again under the same name": (
        [
            ("ADDED", objects.pod("a", 5)),
            ("DELETED", objects.pod("a", 6)),
            ("ADDED", objects.pod("a", 7, uid="second")),
        ],
        {A: ("second", "7", "")},
    ),
    "made again, the deletion missed": (
        [("ADDED", objects.pod("a", 5)), ("ADDED", objects.pod("a", 7, uid="second"))],
        {A: ("second", "7", "")},
    ),
    "the first one's late deletion leaves the second": (
        [("OVERLAY", objects.pod("a", 7, uid="second")), ("DELETED", objects.pod("a", 6, uid="first"))],
        {A: ("second", "7", "")},
    ),
    "the first one's late event leaves the second": (
        [("OVERLAY", objects.pod("a", 7, uid="second")), ("MODIFIED", objects.pod("a", 6, uid="first"))],
        {A: ("second", "7", "")},
    ),
    "an overlay is seen at once": ([("OVERLAY", objects.pod("a", 5, on="n1"))], {A: ("uid-a", "5", "n1")}),
    "an overlay is not undone by an older event": (
        [("OVERLAY", objects.pod("a", 6, on="n1")), ("MODIFIED", objects.pod("a", 5))],
        {A: ("uid-a", "6", "n1")},
    ),
    "an overlay is not undone by an older list that has it": (
        [("OVERLAY", objects.pod("a", 6, on="n1")), ("LIST", (5, [objects.pod("a", 4)]))],
        {A: ("uid-a", "6", "n1")},
    ),
    "an overlay is not undone by a list taken before it was made": (
        [("OVERLAY", objects.pod("a", 6, on="n1")), ("LIST", (5, []))],
        {A: ("uid-a", "6", "n1")},
    ),
    "a list taken later removes it": ([("OVERLAY", objects.pod("a", 6)), ("LIST", (7, []))], {}),
    "an older overlay changes nothing": (
        [("ADDED", objects.pod("a", 6, on="n1")), ("OVERLAY", objects.pod("a", 5))],
        {A: ("uid-a", "6", "n1")},
    ),
    "a missed deletion shows in the list": (
        [("LIST", (5, [objects.pod("a", 3), objects.pod("b", 4)])), ("LIST", (9, [objects.pod("b", 4)]))],
        {"team-a/b": ("uid-b", "4", "")},
    ),
    "an echo after the list's deletion": (
        [("LIST", (5, [objects.pod("a", 3)])), ("LIST", (9, [])), ("MODIFIED", objects.pod("a", 8))],
        {},
    ),
    "a list swaps a recreated object": (
        [("LIST", (5, [objects.pod("a", 3)])), ("LIST", (9, [objects.pod("a", 8, uid="second")]))],
        {A: ("second", "8", "")},
    ),
    "history set back: the list alone is true": (
        [
            ("LIST", (100, [objects.pod("a", 90, on="n1"), objects.pod("b", 91)])),
            ("LIST", (50, [objects.pod("a", 40)])),
        ],
        {A: ("uid-a", "40", "")},
    ),
    "an answer that comes after a list without its object": (
        [("LIST", (9, [])), ("OVERLAY", objects.pod("a", 8))],
        {},
    ),
    "surely gone": (
        [
            ("ADDED", objects.pod("a", 5)),
            ("FORGET", (A, "uid-a")),
            ("MODIFIED", objects.pod("a", 6)),
        ],
        {},
    ),
    "surely gone, but another has the name": (
        [("ADDED", objects.pod("a", 5, uid="second")), ("FORGET", (A, "uid-a"))],
        {A: ("second", "5", "")},
    ),
}


@pytest.mark.parametrize(("steps", "expected"), STORIES.values(), ids=STORIES.keys())
def test_stories(steps: list[Step], expected: dict[str, tuple[str, str, str]]) -> None:
    """After each story exactly the true pods are held."""
    mirror = store.Mirror()
    play(mirror, *steps)
    assert expected == held(mirror)


def test_any_order_of_echoes_ends_alike() -> None:
    """However events and overlays of one pod's life are shuffled, a later state never loses to an earlier one."""
    life: list[Step] = [
        ("ADDED", objects.pod("a", 1)),
        ("OVERLAY", objects.pod("a", 2, on="n1")),
        ("MODIFIED", objects.pod("a", 2, on="n1")),
        ("MODIFIED", objects.pod("a", 3, on="n2")),
        ("DELETED", objects.pod("a", 4, on="n2")),
    ]
    for order in itertools.permutations(life):
        mirror = store.Mirror()
        play(mirror, *order)
        assert held(mirror) == {}
        assert mirror.freeze(0.0).pods_by_node == {}


def test_heartbeats_wake_nobody() -> None:
    """A new version with an equal state is remembered, but neither bumps the kind nor sets ``changed``."""
    mirror = store.Mirror()
    mirror.apply(Kind.NODE, "ADDED", objects.typed(Kind.NODE, objects.node("n1", 1)))
    before = mirror.version(Kind.NODE)
    mirror.changed.clear()
    beat = objects.node("n1", 2)
    beat["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T00:05:00Z"
    mirror.apply(Kind.NODE, "MODIFIED", objects.typed(Kind.NODE, beat))
    assert (before, False, "2") == (
        mirror.version(Kind.NODE),
        mirror.changed.is_set(),
        mirror.resource_version(Kind.NODE, "n1"),
    )


def test_snapshots_are_shared_and_never_change() -> None:
    """A frozen world keeps what it showed; a kind without change is the same object in the next one."""
    mirror = store.Mirror()
    play(mirror, ("ADDED", objects.pod("a", 1, owner="job-1", on="n1")))
    mirror.apply(Kind.NODE, "ADDED", objects.typed(Kind.NODE, objects.node("n1")))
    first = mirror.freeze(1.0)
    play(mirror, ("ADDED", objects.pod("b", 2, owner="job-1", on="n1")), ("DELETED", objects.pod("a", 3)))
    second = mirror.freeze(2.0)
    assert first.nodes is second.nodes
    assert (list(first.pods), list(second.pods)) == (["team-a/a"], ["team-a/b"])
    assert (
        [pod.name for pod in first.pods_by_owner["job-1"]],
        [pod.name for pod in second.pods_by_node["n1"]],
    ) == (["a"], ["b"])


def test_indexes_follow_the_pods() -> None:
    """Pods stand under their owner and node, in order of their keys, and leave no empty entry behind."""
    mirror = store.Mirror()
    play(
        mirror,
        ("ADDED", objects.pod("b", 1, owner="job-1")),
        ("ADDED", objects.pod("a", 2, owner="job-1", on="n1")),
        ("MODIFIED", objects.pod("b", 3, owner="job-1", on="n2")),
    )
    world = mirror.freeze(0.0)
    assert {uid: [pod.name for pod in pods] for uid, pods in world.pods_by_owner.items()} == {"job-1": ["a", "b"]}
    assert {name: [pod.name for pod in pods] for name, pods in world.pods_by_node.items()} == {"n1": ["a"], "n2": ["b"]}
    play(mirror, ("DELETED", objects.pod("a", 4)))
    assert list(mirror.freeze(0.0).pods_by_node) == ["n2"]
    play(mirror, ("ADDED", objects.pod("c", 5, phase="Pending", nominatedNodeName="n3")))
    assert [pod.name for pod in mirror.freeze(0.0).pods_by_node["n3"]] == ["c"]
    play(mirror, ("MODIFIED", objects.pod("c", 6, on="n4")))
    assert list(mirror.freeze(0.0).pods_by_node) == ["n2", "n4"]


def test_overlay_of_a_deletion_marks_the_pod() -> None:
    """The answer to a DELETE that carries the held version shows the pod as going."""
    mirror = store.Mirror()
    play(mirror, ("ADDED", objects.pod("a", 5)))
    gone = objects.pod("a", 5)
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert mirror.overlay(Kind.POD, objects.raw(gone)).deleting
    assert mirror.get(Kind.POD, "team-a/a").deleting


def test_overlay_ignores_a_status_answer() -> None:
    """A DELETE answered by a Status says nothing of the object."""
    mirror = store.Mirror()
    play(mirror, ("ADDED", objects.pod("a", 5)))
    assert mirror.overlay(Kind.POD, b'{"kind": "Status", "status": "Success", "metadata": {}}') is None
    assert held(mirror) == {A: ("uid-a", "5", "")}


def test_a_settled_job_leaves_the_mirror() -> None:
    """A job that our own write settled is gone at once, as the reflector's selection will say, and stays gone."""
    mirror = store.Mirror()
    mirror.apply(Kind.JOB, "ADDED", objects.typed(Kind.JOB, objects.job("llm", 5)))
    settled = objects.job("llm", 6, status={"settled": True})
    assert mirror.overlay(Kind.JOB, objects.raw(settled)) is None
    mirror.apply(Kind.JOB, "MODIFIED", objects.typed(Kind.JOB, objects.job("llm", 5)))
    assert mirror.freeze(0.0).jobs == {}


def test_late_jobs_are_shown_apart() -> None:
    """A mirror of settled jobs feeds the world's late ones and rings the same bell; each lets go of the other's sort."""
    late = store.Mirror(settled=True)
    mirror = store.Mirror(late)
    settled = objects.typed(Kind.JOB, objects.job("llm", 6, status={"settled": True}))
    late.apply(Kind.JOB, "ADDED", settled)
    world = mirror.freeze(0.0)
    assert (set(world.late), set(world.jobs)) == ({"team-a/llm"}, set())
    assert mirror.changed.is_set()

    opened = objects.job("llm", 7)
    mirror.overlay(Kind.JOB, objects.raw(opened))
    late.apply(Kind.JOB, "DELETED", objects.typed(Kind.JOB, opened))
    world = mirror.freeze(0.0)
    assert (set(world.late), set(world.jobs)) == (set(), {"team-a/llm"})


def test_foreign_config_maps_are_not_overlaid() -> None:
    """A ConfigMap outside the reflector's selection would never be corrected, so it is not held."""
    mirror = store.Mirror()
    plain = {"metadata": objects.meta("hosts", namespace="team-a"), "data": {"hostfile": "a"}}
    vendor = {
        "metadata": objects.meta("maker", namespace="team-a", labels={LABEL_VENDORS: ""}),
        "data": {"a.yaml": "x"},
    }
    mirror.overlay(Kind.CONFIG_MAP, objects.raw(plain))
    mirror.overlay(Kind.CONFIG_MAP, objects.raw(vendor))
    assert {key: item.data for key, item in mirror.config_maps().items()} == {"team-a/maker": {"a.yaml": "x"}}


def test_namespaces_show_their_labels() -> None:
    """The world knows namespaces by their labels."""
    mirror = store.Mirror()
    obj = {"metadata": objects.meta("team-a", labels={"team": "research"})}
    mirror.apply(Kind.NAMESPACE, "ADDED", objects.typed(Kind.NAMESPACE, obj))
    assert mirror.freeze(0.0).namespaces == {"team-a": {"team": "research"}}


def test_graves_are_bounded() -> None:
    """A year of deletions does not fill the memory."""
    shelf = store.Shelf()
    for number in range(70_000):
        shelf.bury(f"uid-{number}", number)
    assert len(shelf.graves) <= 65_536
    assert "uid-69999" in shelf.graves
