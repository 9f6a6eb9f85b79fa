"""Cases of the field on manifests that belong to no other module here: members that end, others' gangs, a long queue."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.planning import manifests
from tests.unit.planning.manifests import Json, group, job, node, not_ready, pool, running, topology
from tests.unit.planning.test_cases import foreign
from tests.unit.planning.test_queue import CLASSES, PREEMPTS, decisions, queue, runs
from tests.unit.planning.test_running import LEVELS, rows

TIERS = ("tier3", "tier2", "tier1")


def cores(used: dict[int, int]) -> list[Json]:
    """Eight nodes of eight cores in a binary tree of three tiers; pods of others use some."""
    made = []
    for at in range(8):
        labels = {"example.com/tier3": "top", "example.com/tier2": str(at // 4), "example.com/tier1": str(at // 2)}
        one = node(f"n{at}", labels=labels)
        for amounts in (one["status"]["capacity"], one["status"]["allocatable"]):
            amounts["cpu"] = "8"
        made.append(one)
        if at in used:
            other = foreign(f"n{at}", 0)
            other["spec"]["containers"][0]["resources"] = {"requests": {"cpu": used[at]}}
            made.append(other)
    return made


def four_cores(name: str, **fields: Any) -> Json:
    """A group of two pods of four cores and no card."""
    container = {"name": "main", "image": "train:1", "resources": {"requests": {"cpu": 4}}}
    return group(2, 0, name, pod={"containers": [container]}, **fields)


CORES: dict[str, tuple[dict[int, int], Json, str]] = {
    "every node is nearly full": (dict.fromkeys(range(8), 6), {}, "InsufficientCards"),
    "scattered": ({at: 2 if at % 2 else 6 for at in range(8)}, {"topology": topology("tier1")}, "TopologyUnfit"),
}


@pytest.mark.parametrize(("used", "fields", "reason"), CORES.values(), ids=CORES)
def test_cores_that_are_scattered(tmp_path: Path, used: dict[int, int], fields: Json, reason: str) -> None:
    """Two pods of four cores: short of cpu everywhere, or in every narrow domain."""
    wanted = job(four_cores("worker", **fields))
    answer = manifests.only(manifests.planned(tmp_path, pool(TIERS), *cores(used), wanted))

    assert (answer["decision"], answer["reason"]) == ("Wait", reason)
    assert "short of cpu" in answer["message"]


def test_groups_part_by_cores(tmp_path: Path) -> None:
    """Two groups of two pods of four cores, each in one narrow domain, in the only two that hold one."""
    parts = [four_cores(name, topology=topology("tier1")) for name in ("one", "two")]
    made = cores({0: 4, 4: 4, 2: 6, 3: 6, 6: 6, 7: 6})
    answer = manifests.only(manifests.planned(tmp_path, pool(TIERS), *made, job(*parts)))

    assert [{int(name[1:]) // 2 for name in manifests.seats(answer)[at : at + 2]} for at in (0, 2)] == [{0}, {2}]


def test_the_rank_of_a_node_that_is_gone_moves_inside_the_rack(tmp_path: Path) -> None:
    """The node is not in the input: its mate stays, the lost rank goes to another node of the mate's rack."""
    wanted = job(group(2), demand=topology("rack"))
    found = manifests.planned(tmp_path, pool(LEVELS), *rows(), *running(wanted, ["x0", "x2"]), wanted)
    nodes = manifests.seats(manifests.only(found))

    assert nodes[1] == "x2"
    assert nodes[0] in {"x3", "x4"}


def test_a_rack_that_is_too_small_is_left_by_all_or_by_none(tmp_path: Path) -> None:
    """The mate's rack has no other node. Elsewhere is a rack for both: both go; without one nobody moves."""
    wanted = job(group(2), demand=topology("rack"))
    pods = running(wanted, ["x0", "x1"])
    nodes = manifests.seats(manifests.only(manifests.planned(tmp_path, pool(LEVELS), *rows(), *pods, wanted)))
    assert len({node[0] for node in nodes}) == 1
    assert set(nodes) <= {"x2", "x3", "x4"} or set(nodes) == {"x6"}

    others = [foreign(name, cards) for name, cards in (("x2", 1), ("x3", 1), ("x4", 1), ("x5", 1), ("x6", 2))]
    found = manifests.planned(tmp_path, pool(LEVELS), *rows(), *others, *pods, wanted)
    answer = manifests.only(found)
    assert (answer["decision"], answer["pods"], found["evictions"]) == ("Wait", [], [])
    assert "1 of 2 pods fit" in answer["message"]


def test_another_team_s_gang_is_not_touched(tmp_path: Path) -> None:
    """Priority counts inside a team; without reclaiming nobody takes from another."""
    teams = [{"name": "a", "namespaces": ["team-a"]}, {"name": "b", "namespaces": ["team-b"]}]
    old = job(group(4, 2), name="old", priorityClassName="p1")
    pods = running(old, ["a"] * 4)
    for one in (old, *pods):
        one["metadata"]["namespace"] = "team-b"
    new = job(group(1, 4), name="new", priorityClassName="p3")
    found = manifests.planned(tmp_path, pool(queue=PREEMPTS, teams=teams), *CLASSES, node("a"), *pods, old, new)

    assert (decisions(found), found["evictions"]) == ({"old": "Keep", "new": "Wait"}, [])


def test_half_of_what_is_needed_is_no_reason_to_evict(tmp_path: Path) -> None:
    """Four cards are needed; two are a lower gang's and two a higher one's: both stay."""
    old = {**runs("low", 1, ["a"], 2), **runs("high", 3, ["b"], 2)}
    new = job(group(2, 2), name="new", priorityClassName="p2")
    found = queue(tmp_path, [node("a", 2), node("b", 2)], old, new, queue=PREEMPTS)

    assert (decisions(found), found["evictions"]) == ({"low": "Keep", "high": "Keep", "new": "Wait"}, [])


def test_one_lost_member_takes_the_whole_gang_along(tmp_path: Path) -> None:
    """The only pod of one group sits on a dead node: the three of the other are planned again with it."""
    wanted = job(group(1, 2, "ps"), group(3, 2))
    made = [not_ready(node("a", 2)), node("b"), node("c", 2)]
    found = manifests.planned(tmp_path, pool(), *made, *running(wanted, ["a", "b", "b", "b"]), wanted)
    answer = manifests.only(found)

    assert (answer["decision"], answer["reason"]) == ("Place", "NodeLost")
    assert len(manifests.seats(answer)) == 4
    assert manifests.seats(answer)[1:] == ["b", "b", "b"]


@pytest.mark.parametrize("collected", [False, True], ids=["its pod is there", "its pod was collected"])
def test_members_that_finish_one_by_one(tmp_path: Path, collected: bool) -> None:
    """However many have succeeded, on whatever node, the others are kept and nobody is evicted."""
    for done in range(1, 4):
        wanted = job(group(4, 2), name="old", priorityClassName="p1")
        pods = running(wanted, ["a", "b", "b", "b"])
        for pod in pods[:done]:
            pod["status"] = {"phase": "Succeeded"}
        if collected:
            wanted["status"] = {"succeededRanks": f"0-{done - 1}" if done > 1 else "0"}
            pods = pods[done:]
        new = job(group(1, 8), name="new", priorityClassName="p1")
        made = [not_ready(node("a")), node("b")]
        found = manifests.planned(tmp_path, pool(queue=PREEMPTS), *CLASSES, *made, *pods, wanted, new)

        assert (decisions(found)["old"], found["evictions"]) == ("Keep", [])


@dataclass
class Entry:
    """A job of the stream; times in seconds of the stream, ``start`` and ``places`` once it runs."""

    manifest: Json
    created: int
    seconds: int
    start: int = 0
    places: list[str] = field(default_factory=list)


class Stream:
    """A cluster of one node of a thousand cards on a clock, in which every decision is the command's."""

    STEP = 100

    def __init__(self, folder: Path, *, declared: bool) -> None:
        self.folder, self.declared, self.now = folder, declared, 0
        self.running: dict[str, Entry] = {}
        self.waiting: dict[str, Entry] = {}

    def submit(self, name: str, pods: int, seconds: int) -> None:
        """A job of pods of ten cards that will run for so long."""
        fields = {"expectedRuntimeSeconds": seconds} if self.declared else {}
        self.waiting[name] = Entry(job(group(pods, 10), name=name, **fields), self.now, seconds)

    def moment(self, at: int) -> str:
        """A time of the stream as the command is to see it, whose own time stands still."""
        start = datetime.fromisoformat(manifests.NOW)
        return (start + timedelta(seconds=at - self.now)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def objects(self) -> Iterator[Json]:
        """Everything as it stands."""
        quota = [{"profile": "k100", "cards": 100, "borrow": 0}]
        yield pool(teams=[{"name": "t", "namespaces": ["team-a"], "quota": quota}])
        yield node("a", 1000)
        for entry in (*self.running.values(), *self.waiting.values()):
            meta = {**entry.manifest["metadata"], "creationTimestamp": self.moment(entry.created)}
            yield {**entry.manifest, "metadata": meta}
            for pod in running(entry.manifest, entry.places) if entry.places else ():
                yield {**pod, "status": {"startTime": self.moment(entry.start)}}

    def step(self) -> int:
        """One cycle, whose placements run from now on; then time goes by, and who is done is gone. How many began."""
        found = manifests.by_name(manifests.planned(self.folder, *self.objects()))
        placed = {name: answer for name, answer in found.items() if answer["decision"] == "Place"}
        for name, answer in placed.items():
            entry = self.running[name] = self.waiting.pop(name)
            entry.start, entry.places = self.now, manifests.seats(answer)
        self.now += self.STEP
        self.running = {name: entry for name, entry in self.running.items() if entry.start + entry.seconds > self.now}
        return len(placed)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "unknown"])
def test_a_large_job_starts_under_an_endless_stream_of_small_ones(tmp_path: Path, declared: bool) -> None:
    """Quota 100, 30 + 30 in use, a 50 waits, tens never cease to come at equal priority."""
    stream, numbers = Stream(tmp_path, declared=declared), itertools.count()
    for name, seconds in (("one", 600), ("two", 900)):
        stream.submit(name, 3, seconds)
    assert stream.step() == 2
    stream.submit("large", 5, 300)
    came, began = stream.now, 0
    while "large" in stream.waiting:
        while len(stream.waiting) < 6:
            stream.submit(f"small-{next(numbers)}", 1, 400)
        began += stream.step()
        assert stream.now - came <= 300 + 900 + Stream.STEP
    assert began > 1
    assert any(name.startswith("small") for name in stream.waiting)


@pytest.mark.parametrize(("least", "placed"), [(8, 0), (6, 0), (4, 4)], ids=["four pairs", "three pairs", "two pairs"])
def test_the_least_of_an_elastic_gang_must_fit_one_domain(tmp_path: Path, least: int, placed: int) -> None:
    """Six pairs of three cores in one narrow domain, which holds two pairs: it waits unless two pairs are enough."""
    container = {"name": "main", "image": "train:1", "resources": {"requests": {"cpu": 3}}}
    wanted = job(
        group(12, 0, pod={"containers": [container]}, minReplicas=least),
        demand=topology("tier1", blocks=[(2, "tier1")]),
    )
    answer = manifests.only(manifests.planned(tmp_path, pool(TIERS), *cores({}), wanted))

    assert (answer["decision"], len(answer["pods"])) == ("Place" if placed else "Wait", placed)


def test_one_of_many_small_victims_is_enough(tmp_path: Path) -> None:
    """Eleven gangs of a card each fill a node; one card is needed, so one gang goes."""
    old = {name: entry for at in range(11) for name, entry in runs(f"old-{at:02d}", 1, ["a"]).items()}
    new = job(group(1), name="new", priorityClassName="p2")
    found = queue(tmp_path, [node("a", 11)], old, new, queue=PREEMPTS)

    assert len(found["evictions"]) == 1
    assert decisions(found)["new"] == "Preempt"
