"""A large job under an endless stream of small ones of its own priority: it starts within the bound that the docs state.

The whole core on a clock: a hundred cards, two jobs of 30 that run, a 50 that waits, and always five tens in the queue.
"""

from __future__ import annotations

import itertools
import random

import pytest

from tests.support.simworld import SimCluster, job_spec

STEP, PATIENCE = 20.0, 300.0
SLACK = 3 * STEP
BASES = (1000.0, 1500.0)
SMALL = (100.0, 600.0)


class Stream:
    """Jobs of pods of ten cards on ten nodes; each ends when its seconds are over, and is then cleaned away."""

    def __init__(self, *, declared: bool, seed: int) -> None:
        self.cluster = SimCluster(nodes=10, cards=10, per_supernode=5)
        self.declared, self.chance, self.numbers = declared, random.Random(seed), itertools.count(1)
        self.seconds: dict[str, float] = {}
        self.since: dict[str, float] = {}

    def submit(self, name: str, pods: int, seconds: float) -> str:
        """A job that will run for so long; where this stream declares it allows for the clock's steps."""
        fields = {"expectedRuntimeSeconds": int(seconds + SLACK)} if self.declared else {}
        key = self.cluster.submit(f"{name}-{next(self.numbers)}", job_spec(pods, 10, **fields))
        self.seconds[key] = seconds
        return key

    def step(self) -> None:
        """Time goes by, jobs end, one cycle decides."""
        self.cluster.now += STEP
        for key, job in list(self.cluster.jobs.items()):
            if job.status.completion_time is not None and self.cluster.now - self.since[key] > self.seconds[key] + 100:
                del self.cluster.jobs[key]
                self.cluster.pod = {name: pod for name, pod in self.cluster.pod.items() if pod.owner != job.uid}
            elif self.runs(key):
                since = self.since.setdefault(key, self.cluster.now)
                if self.cluster.now - since >= self.seconds[key]:
                    for pod in self.cluster.pods_of(key):
                        if not pod.finished:
                            self.cluster.end(f"{pod.namespace}/{pod.name}", 0)
        for _ in range(3):
            self.cluster.step(0.1)

    def runs(self, key: str) -> bool:
        """True from the moment it was first seen to run."""
        return self.cluster.jobs[key].status.phase == "Running"

    def teach(self) -> None:
        """Three runs of each kind, as long as they will be at most."""
        for _ in range(3):
            for name, pods, seconds in (("base", 3, BASES[1]), ("small", 1, SMALL[1]), ("large", 5, 600.0)):
                self.submit(name, pods, seconds)
            while any(job.status.completion_time is None for job in self.cluster.jobs.values()):
                self.step()
        self.step()
        assert {item.count for item in self.cluster.pool.status.runtimes} == {3}

    def fill(self) -> None:
        """Five tens wait at any time."""
        waiting = sum(1 for key in self.cluster.jobs if "small" in key and key not in self.since and not self.runs(key))
        for _ in range(5 - waiting):
            self.submit("small", 1, self.chance.uniform(*SMALL))


BOUNDS = {"declared": BASES[0], "learned": 1.1 * BASES[1], "unknown": PATIENCE + BASES[1]}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("known", BOUNDS)
def test_the_large_job_starts_in_time(known: str) -> None:
    """By declared ends as soon as enough have ended, else at the latest when all have that ran when patience was over."""
    stream = Stream(declared=known == "declared", seed=7)
    if known == "learned":
        stream.teach()
    for seconds in BASES:
        stream.submit("base", 3, seconds)
    stream.step()
    large, came = stream.submit("large", 5, 600.0), stream.cluster.now
    began = len(stream.since)
    while not stream.runs(large):
        stream.fill()
        stream.step()
        assert stream.cluster.now - came <= BOUNDS[known] + SLACK
    assert len(stream.since) > began
    assert any("small" in key and not stream.runs(key) for key in stream.cluster.jobs)
