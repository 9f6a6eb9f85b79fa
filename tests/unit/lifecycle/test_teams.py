"""Teams on a whole cluster: quota is kept, said, and given back; use is written and decays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cardpool.api.cardpool import TeamUsage
from cardpool.lifecycle import cycle, teams, times
from tests.support.simworld import SimCluster, job_spec, pool_spec


def quota(name: str, cards: int, *namespaces: str, **fields: Any) -> dict[str, Any]:
    """A team with a quota of the one profile."""
    return {"name": name, "namespaces": list(namespaces), "quota": [{"profile": "k100", "cards": cards}], **fields}


def message(cluster: SimCluster, key: str, kind: str) -> str:
    """What a job's condition says."""
    return next(item.message for item in cluster.jobs[key].status.conditions if item.type == kind)


def test_a_job_beyond_its_team_s_quota_waits_and_says_so() -> None:
    """Room there is, quota there is not; the job starts when one of its team is gone."""
    cluster = SimCluster(spec=pool_spec(teams=[quota("a", 16, "team-a")]))
    first = cluster.submit("first", job_spec(2), "team-a")
    cluster.settle()
    second = cluster.submit("second", job_spec(1), "team-a")
    other = cluster.submit("other", job_spec(2), "elsewhere")

    cluster.settle()

    assert cluster.condition(second, "QuotaReserved") == ("False", "QuotaExceeded")
    assert cluster.condition(second, "PodsScheduled") == ("False", "QuotaExceeded")
    assert "team a uses 16 of 16 k100 cards" in message(cluster, second, "QuotaReserved")
    assert (cluster.jobs[first].status.phase, cluster.jobs[other].status.phase) == ("Running", "Running")

    for pod in cluster.pods_of(first):
        cluster.end(f"team-a/{pod.name}", 0)
    cluster.settle()

    assert cluster.jobs[second].status.phase == "Running"
    assert cluster.condition(second, "QuotaReserved") == ("True", "QuotaReserved")


def test_two_jobs_of_one_cycle_and_a_placement_in_flight_share_the_quota() -> None:
    """What was decided counts before anybody can see it."""
    cluster = SimCluster(spec=pool_spec(teams=[quota("a", 8, "team-a")]))
    keys = [cluster.submit(name, job_spec(1), "team-a") for name in ("x", "y")]
    started = [step.key for step in cluster.decide().steps if step.pods]
    assert started == [keys[0]]
    cluster.submit("z", job_spec(1), "team-a")

    busy = replace(cluster.world(), busy=frozenset({"job-x"}))
    decision = cycle.decide(busy, cluster.registry, cycle.CycleSettings(), cluster.memory)

    assert [step.key for step in decision.steps if step.pods] == []


def test_quota_never_keeps_a_job_that_runs_from_coming_back() -> None:
    """A lost pod: the gang restarts inside the quota that it had."""
    cluster = SimCluster(spec=pool_spec(teams=[quota("a", 16, "team-a")]))
    key = cluster.submit("first", job_spec(2), "team-a")
    cluster.settle()
    waiting = cluster.submit("next", job_spec(1), "team-a")
    cluster.settle()
    del cluster.pod["team-a/first-w-0"]

    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"
    assert cluster.jobs[key].status.attempt == 1
    assert cluster.condition(waiting, "PodsScheduled") == ("False", "QuotaExceeded")


def test_teams_by_label_and_the_first_of_two_claims() -> None:
    """A namespace belongs to one team; the pool says where two want it."""
    selector = {"matchLabels": {"group": "vision"}}
    spec = pool_spec(teams=[quota("a", 8, "team-a"), quota("b", 8, namespaceSelector=selector)])
    labels = {"team-a": {"group": "vision"}, "team-b": {"group": "vision"}, "team-c": {}}
    found, clashes = teams.of_namespaces(spec, labels, labels)
    assert found == {"team-a": "a", "team-b": "b", "team-c": "default"}
    assert clashes == ["namespace team-a is in teams a, b; a has it"]

    cluster = SimCluster(spec=spec)
    cluster.namespaces = labels
    cluster.settle()

    degraded = next(item for item in cluster.pool.status.conditions if item.type == "Degraded")
    assert (degraded.status.value, degraded.reason) == ("True", "TeamConflict")


def test_use_is_written_once_a_minute_and_decays() -> None:
    """8 cards for a minute are 48,000 percent-card seconds; half of it is left after a half-life of nothing.

    Nothing is written while nobody holds anything, and a job that starts then is not charged for the time before.
    """
    cluster = SimCluster(spec=pool_spec(teams=[quota("a", 16, "team-a")]))
    key = cluster.submit("first", job_spec(1), "team-a")
    cluster.settle()
    before = cluster.pool.status.usage
    cluster.step(30)
    assert cluster.pool.status.usage == before
    cluster.step(30)
    used = {item.team: item.value for item in cluster.pool.status.usage}
    assert used["a"] == pytest.approx(8 * 100 * 60, rel=0.02)
    assert used["default"] == 0

    cluster.end(f"{key}-w-0", 0)
    cluster.settle()
    kept = {item.team: item.value for item in cluster.pool.status.usage}["a"]
    cluster.step(teams.HALF_LIFE)
    assert {item.team: item.value for item in cluster.pool.status.usage}["a"] == kept

    cluster.submit("second", job_spec(1), "team-a")
    cluster.settle()
    assert {item.team: item.value for item in cluster.pool.status.usage}["a"] == pytest.approx(kept / 2, rel=0.02)


def test_decay_in_steps_is_decay_at_once() -> None:
    """The value does not depend on how often it was written."""
    spec = pool_spec(teams=[quota("a", 16, "team-a")])
    start = (TeamUsage(team="a", value=10**9, at=times.at(0.0)), TeamUsage(team="default", value=0, at=times.at(0.0)))
    held = {"a": {"k100": 8}}
    at_once = teams.usage(spec, start, held, 36_000.0)
    in_steps: tuple[TeamUsage, ...] = start
    for hour in range(1, 11):
        in_steps = teams.usage(spec, in_steps, held, hour * 3600.0)
    assert in_steps[0].value == pytest.approx(at_once[0].value, abs=10)


def test_what_teams_hold_and_why_jobs_wait_is_measured() -> None:
    """Counted by the cycle, per team and per reason."""
    cluster = SimCluster(spec=pool_spec(teams=[quota("a", 16, "team-a")]))
    for name in ("x", "y"):
        cluster.submit(name, job_spec(2), "team-a")
    cluster.settle()
    found = cluster.decide().gauges or {}
    assert found["team_cards"] == {(("pool", "main"), ("profile", "k100"), ("team", "a")): 16.0}
    assert found["jobs_waiting"] == {(("pool", "main"), ("reason", "QuotaExceeded")): 1.0}


def test_a_pool_without_teams_keeps_no_use() -> None:
    """Nothing to share, nothing to write."""
    cluster = SimCluster()
    cluster.submit("first", job_spec(1))
    cluster.settle()
    cluster.step(120)
    assert cluster.pool.status.usage == ()
