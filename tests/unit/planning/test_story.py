"""What ``cardpool explain`` adds for a waiting job: nodes by cause, who comes before, quota."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cardpool import views
from cardpool.planning import asking, story
from tests.unit.planning import manifests
from tests.unit.planning.manifests import group, job, node, pool

NOW = datetime.fromisoformat(manifests.NOW).timestamp()


def told(folder: Path, key: str, *objects: manifests.Json) -> dict[str, object]:
    """The story of a job among these objects."""
    return story.of(asking.Question(NOW, [str(manifests.write(folder, *objects))]), key)


def test_nodes_by_cause_with_names(tmp_path: Path) -> None:
    """Each node under one cause, at most four names of each."""
    nodes = [node(f"n{number}", 4) for number in range(6)]
    nodes += [node("off", unschedulable=True), manifests.not_ready(node("silent"))]
    found = told(tmp_path, "team-a/job", pool(), *nodes, job(group(1, 8)))
    assert found["nodes"] == [
        {"cause": "short of cards", "nodes": 6, "examples": ["n0", "n1", "n2", "n3"]},
        {"cause": "cordoned", "nodes": 1, "examples": ["off"]},
        {"cause": "not ready", "nodes": 1, "examples": ["silent"]},
    ]


def test_who_comes_before_and_the_team_s_quota(tmp_path: Path) -> None:
    """The jobs right before it, the use of every limit, and what is kept for those that wait."""
    quota = [{"profile": "k100", "cards": 8}]
    teams = [{"name": "a", "namespaces": ["team-a"], "quota": quota}, {"name": "b", "quota": quota}]
    big = job(group(2, 8), name="big")
    found = told(tmp_path, "team-a/job", pool(teams=teams), node("n", 4), big, job(group(1, 8)))
    assert (found["position"], found["of"], found["before"]) == (2, 2, ["team-a/big"])
    assert found["team"] == "a"
    assert found["quota"] == ["0 of 8 k100 cards (+8 it may borrow now)"]


def test_nothing_of_who_does_not_wait(tmp_path: Path) -> None:
    """A job that would be placed, or that is not there, has no such story."""
    objects = (pool(), node("n"), job(group(1, 8)))
    assert told(tmp_path, "team-a/job", *objects) == {}
    assert told(tmp_path, "team-a/none", *objects) == {}


def test_the_text(tmp_path: Path) -> None:
    """One line for each part, and names where they help."""
    found = told(tmp_path, "team-a/job", pool(), node("n", 4), job(group(1, 8)))
    message = "profile k100: 0 of 1 pods fit; of 1 nodes: 1 short of cards; position 1 of 1 in the queue"
    conditions = [{"type": "PodsScheduled", "status": "False", "reason": "InsufficientCards", "message": message}]
    answer = {
        "namespace": "team-a",
        "name": "job",
        "pool": "main",
        "phase": "Queued",
        "attempt": 0,
        "ready": "",
        "size": None,
        "retryAfter": None,
        "lastFault": None,
        "checkpoint": None,
        "excluded": [],
        "history": [{"attempt": 0, "reason": "Preempted"}],
        "conditions": conditions,
        "why": views.why(conditions),
        "story": found,
    }
    lines = views.explain_text(answer).split("\n")
    assert "    of 1 nodes: 1 short of cards" in lines
    assert "    position 1 of 1 in the queue" in lines
    assert "  1 nodes short of cards: n" in lines
    assert "  before: attempt 0, reason Preempted" in lines
    assert "\n".join(lines).count(message) == 0
