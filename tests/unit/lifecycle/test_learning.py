"""Learned run times: of jobs that come back, never twice of one run, and used with care."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cardpool.api.cardpool import LearnedRuntime
from cardpool.lifecycle import actions, cycle, learning, times
from cardpool.lifecycle.learning import Run
from cardpool.names import Kind
from cardpool.runtime.pacing import Pacing
from tests.support.simworld import SimCluster, job_spec

STEMS = {
    "a running number": ("llm-ft-0012", "llm-ft"),
    "a date": ("llm-2026-01-31", "llm"),
    "a time": ("llm-20260131t0830", "llm"),
    "a commit": ("llm-ft-3f9a1c7", "llm-ft"),
    "generated letters": ("llm-ft-x7k2p", "llm-ft"),
    "an owner's number and a hash": ("nightly-28912345-zq5tx", "nightly"),
    "a size that is a name": ("llama-70b", "llama-70b"),
    "words": ("llm-train-large", "llm-train-large"),
    "nothing but a number is left alone": ("1234567", "1234567"),
}


@pytest.mark.parametrize(("name", "stem"), STEMS.values(), ids=STEMS)
def test_what_only_numbers_a_run_is_left_out(name: str, stem: str) -> None:
    """The kind of job stays."""
    assert learning.stem(name) == stem


def entries(*seconds: int, key: str = "a/x/k100/8") -> tuple[LearnedRuntime, ...]:
    """What is known after runs of so many seconds."""
    return learning.learned((), [Run(f"u{at}", key, value, times.at(at)) for at, value in enumerate(seconds)])


def test_a_decayed_maximum_from_the_third_run_on() -> None:
    """A longer run counts at once, a shorter one pulls a quarter of the way; a tenth is added."""
    assert [item.seconds for item in entries(100, 200, 100)] == [175]
    assert learning.estimates(entries(100, 200)) == {}
    assert learning.estimates(entries(100, 200, 100)) == {"a/x/k100/8": 193}


def test_the_kind_that_came_longest_ago_goes() -> None:
    """Two hundred are kept."""
    runs = [Run(f"u{at}", f"a/{at:03d}/k100/8", 1, times.at(at)) for at in range(201)]
    found = learning.learned((), runs)
    assert (len(found), found[0].key) == (200, "a/001/k100/8")


def finish(cluster: SimCluster, key: str) -> None:
    """The job's pods succeed."""
    for pod in cluster.pods_of(key):
        cluster.end(f"{pod.namespace}/{pod.name}", 0)


def run(cluster: SimCluster, name: str, seconds: float, pods: int = 1) -> str:
    """A job that runs for so long and succeeds."""
    key = cluster.submit(name, job_spec(pods))
    cluster.settle()
    cluster.now += seconds
    finish(cluster, key)
    cluster.settle()
    return key


def known(cluster: SimCluster) -> list[tuple[str, int, int]]:
    """What the pool has learned: kind, seconds, number of runs."""
    return [(item.key, item.seconds, item.count) for item in cluster.pool.status.runtimes]


def message(cluster: SimCluster, key: str) -> str:
    """Why the job waits."""
    return next(item.message for item in cluster.jobs[key].status.conditions if item.type == "PodsScheduled")


def test_the_head_s_start_is_known_by_earlier_runs() -> None:
    """Three runs, then one more holds the room: the reservation has a time, says whence, and a short kind may pass."""
    cluster = SimCluster(nodes=2)
    for number in range(3):
        run(cluster, f"llm-ft-{number:04d}", 1000.0)
        run(cluster, f"eval-{number}", 10.0)
    cluster.step(1.0)
    assert known(cluster) == [("default/eval/k100/8", 11, 3), ("default/llm-ft/k100/8", 1001, 3)]

    cluster.submit("llm-ft-0003", job_spec(1))
    cluster.settle()
    head = cluster.submit("head", job_spec(2))
    cluster.settle()
    assert "when 1 gangs should have ended (1 of them by earlier runs)" in message(cluster, head)

    strange = cluster.submit("strange", job_spec(1))
    cluster.settle()
    assert cluster.condition(strange, "PodsScheduled")[1] == "ReservedForOther"
    short = cluster.submit("eval-9", job_spec(1))
    cluster.settle()
    assert cluster.jobs[short].status.phase == "Running"

    cluster.step(1200.0)
    assert "not all with a known end" in message(cluster, head)


def test_a_declared_run_time_goes_before_a_learned_one() -> None:
    """The job says 50 s; its kind ran for 1,000."""
    cluster = SimCluster(nodes=1)
    for number in range(3):
        run(cluster, f"llm-{number}", 1000.0)
    key = cluster.submit("llm-9", job_spec(1, expectedRuntimeSeconds=50))
    cluster.settle()
    assert cluster.memory.record.holdings.known[cluster.jobs[key].uid].ends == pytest.approx(cluster.now + 50, abs=2)


def without_pool(decision: actions.Decision) -> actions.Decision:
    """The decision of which the pool's status was never written."""
    return replace(decision, steps=tuple(step for step in decision.steps if step.kind is not Kind.POOL))


def test_a_crash_between_the_two_writings_learns_once() -> None:
    """The job's end is written, the pool's status is not; the next operator learns it, and the one after does not."""
    cluster = SimCluster(nodes=1)
    key = cluster.submit("llm-1", job_spec(1, ttlSecondsAfterFinished=3600))
    cluster.settle()
    cluster.now += 100.0
    finish(cluster, key)
    for _ in range(3):
        cluster.now += 1.0
        cluster.write(without_pool(cluster.decide()))
        cluster.move()
    assert (cluster.jobs[key].status.phase, known(cluster)) == ("Succeeded", [])

    cluster.memory = cycle.Memory()
    cluster.settle(1.0)
    assert known(cluster) == [("default/llm/k100/8", 102, 1)]
    cluster.memory = cycle.Memory()
    cluster.settle(1.0)
    cluster.step(10.0)
    assert known(cluster) == [("default/llm/k100/8", 102, 1)]


def test_a_run_waits_for_those_whose_end_is_still_being_written() -> None:
    """The first job's end is not written yet: the second, which ended later, is not learned before it; then both are."""
    cluster = SimCluster(nodes=2)
    first, second = (cluster.submit(f"llm-{at}", job_spec(1)) for at in range(2))
    cluster.settle()
    finish(cluster, first)
    cluster.now += 1.0
    cluster.decide()
    uid = cluster.jobs[first].uid
    finish(cluster, second)
    for _ in range(3):
        cluster.now += 1.0
        busy = replace(cluster.world(), busy=frozenset({uid}))
        cluster.write(cycle.decide(busy, cluster.registry, cycle.CycleSettings("operator:1"), cluster.memory))
    assert (cluster.jobs[second].status.phase, known(cluster)) == ("Succeeded", [])

    cluster.settle(1.0)
    ((kind, _, count),) = known(cluster)
    assert (kind, count) == ("default/llm/k100/8", 2)
    cluster.memory = cycle.Memory()
    cluster.settle(1.0)
    assert known(cluster)[0][2] == 2


def test_an_end_that_was_not_written_is_learned_when_it_is() -> None:
    """The write of the job's end fails, the pool's succeeds: the run counts once, as it is decided in the end."""
    cluster = SimCluster(nodes=1)
    key = cluster.submit("llm-1", job_spec(1))
    cluster.settle()
    finish(cluster, key)
    for _ in range(2):
        cluster.now += 1.0
        decision = cluster.decide()
        cluster.write(replace(decision, steps=tuple(step for step in decision.steps if step.kind is Kind.POOL)))
    assert (cluster.jobs[key].status.phase, known(cluster)) == ("Running", [])
    cluster.settle(1.0)
    assert [count for _, _, count in known(cluster)] == [1]


def test_a_run_with_a_suspension_is_not_learned() -> None:
    """Nobody knows how long it ran before."""
    cluster = SimCluster(nodes=1)
    key = cluster.submit("llm-1", job_spec(1))
    cluster.settle()
    cluster.change(key, suspend=True)
    cluster.settle()
    cluster.change(key, suspend=False)
    cluster.settle()
    finish(cluster, key)
    cluster.settle(1.0)
    assert (cluster.jobs[key].status.phase, known(cluster)) == ("Succeeded", [])


def test_every_attempt_counts() -> None:
    """A pod is lost after 100 s; the second attempt takes 50 s: the cards were held for 150."""
    cluster = SimCluster(nodes=1)
    key = cluster.submit("llm-1", job_spec(1))
    cluster.settle()
    cluster.now += 100.0
    del cluster.pod[f"{key}-w-0"]
    cluster.settle()
    cluster.now += 50.0
    finish(cluster, key)
    cluster.settle(1.0)
    ((kind, seconds, count),) = known(cluster)
    assert (kind, count) == ("default/llm/k100/8", 1)
    assert seconds in range(150, 153)


def test_a_label_or_an_owner_says_whose_run_time_is_meant() -> None:
    """The label as it stands, else the owner's name without its number."""
    cluster = SimCluster(nodes=1)
    for name, fields in (("x-1", {"runtime_key": "big-7"}), ("y-1", {"owner": "nightly-28912345"})):
        key = cluster.submit(name, job_spec(1))
        cluster.jobs[key] = replace(cluster.jobs[key], **fields)
        cluster.settle()
        finish(cluster, key)
        cluster.settle(1.0)
    assert [kind for kind, _, _ in known(cluster)] == ["default/big-7/k100/8", "default/nightly/k100/8"]


def test_until_when_is_in_status() -> None:
    """The moment goes with what was learned."""
    cluster = SimCluster(nodes=1)
    key = run(cluster, "llm-1", 10.0)
    cluster.step(1.0)
    assert cluster.pool.status.learned_until == cluster.jobs[key].status.completion_time


class Paced(SimCluster):
    """The pool's status is written as seldom as the runtime writes it."""

    pace = Pacing()

    def write(self, decision: actions.Decision) -> None:
        """Leave out what comes too soon after the pool's last writing; the next cycle asks for it again."""
        steps = [one for one in decision.steps if one.kind is not Kind.POOL or self._due(one)]
        super().write(replace(decision, steps=tuple(steps)))

    def _due(self, step: actions.Step) -> bool:
        due = step.urgent or not self.pace.too_soon(step.uid, self.now)
        if due:
            self.pace.wrote(step.uid, self.now)
        return due


def test_a_kill_loses_at_most_what_one_paced_write_would_have_told() -> None:
    """Jobs end and settle all the time, the process is killed now and then: older runs are all in, and none twice."""
    cluster, ended, at_stake, tick = Paced(nodes=2), dict[str, float](), set[str](), 0.4
    cluster.pace = Pacing(quiet=2.0)
    window = cluster.pace.quiet + 2 * tick
    for turn in range(1, 91):
        cluster.submit(f"llm-{turn}", job_spec(1))
        for key in cluster.jobs.keys() - ended.keys():
            finish(cluster, key)
        cluster.step(tick)
        ended |= {
            key: cluster.now
            for key, job in cluster.jobs.items()
            if job.status.completion_time is not None and key not in ended
        }
        fresh = {key for key, at in ended.items() if cluster.now - at < window}
        counted = sum(count for _, _, count in known(cluster))
        assert len(ended.keys() - fresh - at_stake) <= counted <= len(ended)
        if turn % 17 == 0:
            cluster.memory, at_stake = cycle.Memory(), at_stake | fresh
    settled = {key for key, job in cluster.jobs.items() if job.status.settled}

    assert len(settled & ended.keys() - at_stake) > 50  # what the bound above speaks of
    assert counted < len(ended)  # and some of the others were lost
