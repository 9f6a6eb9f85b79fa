"""Room on request: the moves that would free it, what they cost, and why there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.planning import manifests
from tests.unit.planning.manifests import Json, group, job, pool, running, topology

LEVELS = ("supernode",)
TREE = {"sn0": [8, 8], "sn1": [8, 8], "sn2": [8]}


def began(pods: list[Json], moment: str) -> list[Json]:
    """The pods, running since then."""
    return [{**pod, "status": {"startTime": moment}} for pod in pods]


def broken(folder: Path) -> Path:
    """Half of each of two supernodes is taken; the gang in the second is the younger one."""
    old, young = job(group(1, 8), name="old"), job(group(2, 4), name="young")
    pods = began(running(old, ["sn0-0"]), "2025-12-31T12:00:00Z")
    pods += began(running(young, ["sn1-1", "sn1-1"]), "2025-12-31T23:00:00Z")
    return manifests.write(folder, pool(LEVELS), *manifests.nodes(TREE, LEVELS), old, young, *pods)


def test_the_moves_for_a_shape(tmp_path: Path) -> None:
    """The one that loses less moves into what is free, whole, and the plan itself is what it was."""
    path = broken(tmp_path)
    found = manifests.plan("-f", path, "--make-room", "2x8@k100/supernode")

    (room,), (move,) = found["rooms"], found["moves"]
    assert (room["possible"], room["pool"], room["profile"], room["moves"]) == (True, "main", "k100", 1)
    assert sorted(room["nodes"]) == ["sn1-0", "sn1-1"]
    assert room["lostCardSeconds"] == move["lostCardSeconds"] == 8 * 3600
    assert (move["namespace"], move["name"], move["by"]) == ("team-a", "young", "2x8@k100/supernode")
    assert (move["from"], move["checkpoint"], move["cards"]) == (["sn1-1", "sn1-1"], False, 8)
    assert len(set(move["to"])) == 1
    assert set(move["to"]) <= {"sn0-1", "sn2-0"}
    before = manifests.plan("-f", path)
    assert before.keys() == found.keys() - {"moves", "rooms"}
    assert before["jobs"] == found["jobs"]


def test_the_moves_for_a_job_that_waits(tmp_path: Path) -> None:
    """By its name; it waits in the plan all the same."""
    path = broken(tmp_path)
    more = manifests.write(tmp_path, job(group(2, 8), name="llm", demand=topology("supernode")), name="llm.yaml")
    found = manifests.plan("-f", path, more, "--make-room", "team-a/llm")

    assert [(move["name"], move["by"]) for move in found["moves"]] == [("young", "team-a/llm")]
    assert manifests.by_name(found)["llm"]["reason"] == "TopologyUnfit"


ANSWERS = {
    "as things are": ("1x8/supernode", True, "it fits as things are"),
    "too few cards": ("4x8", False, "24 cards are free where it may run and it needs 32"),
    "no supernode so large": ("3x8/supernode", False, "it would not fit with all 2 gangs gone that may move"),
}


@pytest.mark.parametrize(("asked", "possible", "text"), ANSWERS.values(), ids=ANSWERS)
def test_no_move_without_use(tmp_path: Path, asked: str, possible: bool, text: str) -> None:
    """Where it fits nobody moves, where nothing helps neither, and the answer says which."""
    found = manifests.plan("-f", broken(tmp_path), "--make-room", asked)

    assert found["moves"] == []
    assert (found["rooms"][0]["possible"], found["rooms"][0]["moves"]) == (possible, 0)
    assert text in found["rooms"][0]["message"]


def test_the_table(tmp_path: Path) -> None:
    """Asked, possible, what it loses; then who moves from where to where."""
    text = manifests.invoke("-f", broken(tmp_path), "--make-room", "2x8/supernode", output="table").stdout
    lines = [line.split() for line in text.splitlines()]

    room = lines[lines.index(["Room", "for"]) + 2]
    move = lines[lines.index(["Moves"]) + 2]
    assert room[:4] == ["2x8/supernode", "yes", "1", "28800"]
    assert move[:3] == ["team-a/young", "2x8/supernode", "8"]
    assert move[-3:] == ["28800", "its", "start"]


WRONG = {
    "no shape": ("many", "give PODSxCARDS[@PROFILE][/LEVEL]"),
    "no profile": ("2x8@h100", "no pool has a profile h100"),
    "no level": ("2x8/zone", "no pool has a profile at all with a level zone"),
    "no job": ("team-a/none", "no TrainingJob of this name waits for a place"),
}


@pytest.mark.parametrize(("asked", "text"), WRONG.values(), ids=WRONG)
def test_wrong_use(tmp_path: Path, asked: str, text: str) -> None:
    """One line and exit code 2."""
    result = manifests.invoke("-f", broken(tmp_path), "--make-room", asked)

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert text in result.stderr


def policy(**fields: object) -> Json:
    """A pool that moves gangs."""
    return pool(LEVELS, queue={"defragmentation": {"maxLostCardSeconds": 1_000_000, **fields}})


def test_the_moves_of_the_pool_s_policy(tmp_path: Path) -> None:
    """The operator would move one gang for the job that waits; the plan names both, and the mover stays in this cycle."""
    more = manifests.write(tmp_path, job(group(2, 8), name="llm", demand=topology("supernode")), name="llm.yaml")
    text = broken(tmp_path).read_text()
    moves = manifests.write(tmp_path, policy(), name="policy.yaml")
    rest = tmp_path / "rest.yaml"
    rest.write_text("---".join(text.split("---")[1:]), encoding="utf-8")
    found = manifests.plan("-f", moves, rest, more)

    assert [(move["name"], move["by"], move["from"]) for move in found["moves"]] == [
        ("young", "team-a/llm", ["sn1-1", "sn1-1"])
    ]
    answers = manifests.by_name(found)
    assert {name: item["decision"] for name, item in answers.items()} == {
        "old": "Keep",
        "young": "Keep",
        "llm": "Preempt",
    }
    assert sorted(manifests.seats(answers["llm"])) == ["sn1-0", "sn1-1"]
    assert answers["llm"]["reason"] == "WaitingForPreemption"
    nobody = manifests.write(tmp_path, policy(maxMovesPerHour=0), name="policy.yaml")
    assert "moves" not in manifests.plan("-f", nobody, rest, more)
