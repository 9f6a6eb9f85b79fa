"""What a waiting job is told: the whole line, its place in the queue, and how often that is written."""

from __future__ import annotations

from cardpool.lifecycle import actions
from tests.support.simworld import SimCluster, job_spec, pool_spec

TEAMS = [{"name": "a", "namespaces": ["team-a"]}, {"name": "b", "namespaces": ["team-b"]}]


def message(cluster: SimCluster, key: str, kind: str = "PodsScheduled") -> str:
    """What a condition of a job says."""
    return next(item.message or "" for item in cluster.jobs[key].status.conditions if item.type == kind)


def full(jobs: int, **pool: object) -> SimCluster:
    """Four nodes held by one job that ends in an hour, and as many jobs that wait."""
    cluster = SimCluster(spec=pool_spec(**pool))
    cluster.submit("holder", job_spec(4, expectedRuntimeSeconds=3600))
    cluster.settle()
    for number in range(jobs):
        cluster.now += 1.0
        cluster.submit(f"w{number}", job_spec(2), ("team-a", "team-b")[number % 2])
    cluster.step()
    return cluster


def written(decision: actions.Decision) -> list[str]:
    """The jobs whose status is written."""
    return sorted(step.key for step in decision.steps if step.status is not None and "/" in step.key)


def test_the_whole_line() -> None:
    """What stands in the way, what would free it, and the place in the queue; an Event says the same."""
    cluster = full(1)
    text = message(cluster, "team-a/w0")
    assert text.startswith("first in line: 2 nodes are kept for it from 1970-01-12T14:46:4")
    assert "profile k100: 0 of 2 pods fit; of 4 nodes: 4 short of cards" in text
    assert "; fits once default/holder ends (expected 1970-01-12T14:46:4" in text
    assert text.endswith("; position 1 of 1 in the queue")
    assert ("team-a/w0", "InsufficientCards", text) in cluster.events


def test_the_place_in_the_queue_counts_all_teams_of_the_pool() -> None:
    """In the order in which they are asked: what is kept for the head counts for its team, so the others come next."""
    cluster = full(4, teams=TEAMS)
    places = {key: job.status.queue for key, job in cluster.jobs.items() if job.status.queue is not None}
    order = sorted(places, key=lambda key: places[key].position)
    assert order == ["team-a/w0", "team-b/w1", "team-b/w3", "team-a/w2"]
    assert {(place.position, place.of) for place in places.values()} == {(1, 4), (2, 4), (3, 4), (4, 4)}
    assert message(cluster, "team-b/w1").endswith(
        "unless the one before it takes the room; position 2 of 4 in the queue"
    )


def test_a_changing_count_makes_no_event_and_waits() -> None:
    """Others come and go: the reason stays, the words are renewed when they are two seconds old."""
    cluster = full(2)
    cluster.settle(0.0)
    before, events = message(cluster, "team-b/w1"), len(cluster.events)
    cluster.now += 1.0
    cluster.submit("w9", job_spec(2), "team-a")
    assert written(cluster.step(0.5)) == ["team-a/w9"]
    assert message(cluster, "team-b/w1") == before
    decision = cluster.step(0.1)
    assert decision.wake is not None
    assert decision.wake - cluster.now < 4.0
    cluster.step(4.0)
    assert message(cluster, "team-b/w1").endswith("position 2 of 3 in the queue")
    assert [event for event in cluster.events[events:] if event[0] != "team-a/w9"] == []
    cluster.settle(0.0)
    assert not cluster.step(60.0).steps


def test_far_behind_is_told_less_often() -> None:
    """A place far behind may be old: nobody watches it, and a write for each of many costs the others theirs."""
    cluster = full(0)
    for number in range(120):
        cluster.submit(f"w{number:03}", job_spec(2), "team-a")
    cluster.step()
    cluster.settle(0.0)
    del cluster.jobs["team-a/w000"]
    told = written(cluster.step(3.0))
    assert "team-a/w001" in told
    assert "team-a/w099" not in told
    assert "team-a/w119" not in told


def test_who_starts_has_no_place_in_the_queue() -> None:
    """The place goes with the waiting."""
    cluster = full(1)
    cluster.change("default/holder", suspend=True)
    cluster.settle()
    assert cluster.jobs["team-a/w0"].status.queue is None
    assert cluster.condition("team-a/w0", "PodsScheduled") == ("True", "PodsScheduled")


def test_quota_says_the_same_in_both_conditions() -> None:
    """QuotaReserved and PodsScheduled carry one line while quota stands in the way."""
    teams = [{"name": "a", "namespaces": ["team-a"], "quota": [{"profile": "k100", "cards": 8}]}]
    cluster = SimCluster(spec=pool_spec(teams=teams))
    cluster.submit("big", job_spec(2), "team-a")
    cluster.step()
    text = message(cluster, "team-a/big", "QuotaReserved")
    assert text == message(cluster, "team-a/big")
    assert "; fits with a quota of 8 k100 cards more for team a; position 1 of 1 in the queue" in text
