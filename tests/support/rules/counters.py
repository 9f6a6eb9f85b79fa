"""Invariants 4 and 5: counters only grow, a terminal state stays, and a fault episode costs one restart."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.history import Body, History, Seen, condition, status_of
from tests.support.rules.verdict import Expectation, Violation

COUNTERS = ("attempt", "executionAttempt", "restarts", "faultRestarts")
OUTCOMES = frozenset({"Succeeded", "Failed"})


def only_grow(history: History, expected: Expectation) -> Iterator[Violation]:
    """4: no counter falls, and what has ended stays ended in the same way."""
    before: dict[str, Seen] = {}
    for seen in history.kind("TrainingJob"):
        earlier = before.get(seen.uid)
        before[seen.uid] = seen
        if earlier is None:
            continue
        old, new = status_of(earlier.body), status_of(seen.body)
        for counter in COUNTERS:
            if new.get(counter, 0) < old.get(counter, 0):
                yield _broken(seen, f"{counter} fell from {old.get(counter, 0)} to {new.get(counter, 0)}")
        outcome = _outcome(earlier.body)
        if outcome and _outcome(seen.body) != outcome:
            yield _broken(seen, f"was {outcome} and became {new.get('phase') or 'without a phase'}")
        if _finished(earlier.body) and not _finished(seen.body):
            yield _broken(seen, "Finished was True and is not any more")


def one_restart_per_episode(history: History, expected: Expectation) -> Iterator[Violation]:
    """5: charged and free restarts together are as many as the episodes that the scenario caused on the job."""
    for uid, body in {seen.uid: seen.body for seen in history.kind("TrainingJob")}.items():
        key = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
        status = status_of(body)
        counted = status.get("restarts", 0) + status.get("faultRestarts", 0)
        caused = expected.restarts.get(key, 0)
        if counted != caused:
            yield Violation(
                5, f"TrainingJob {key} (uid {uid})", history.end,
                f"{counted} restarts for {caused} fault episodes; last fault: {status.get('lastFault')}",
            )  # fmt: skip
        attempts = {pod.attempt for pod in history.pods if pod.is_rank and pod.job == uid}
        if attempts and max(attempts) > status.get("attempt", 0):
            yield Violation(
                5, f"TrainingJob {key} (uid {uid})", history.end,
                f"pods of attempt {max(attempts)} though status counts {status.get('attempt', 0)}",
            )  # fmt: skip


def _outcome(body: Body) -> str:
    status = status_of(body)
    if status.get("phase") in OUTCOMES:
        return str(status["phase"])
    if not _finished(body):
        return ""
    return "Succeeded" if condition(body, "Succeeded").get("status") == "True" else "Failed"


def _finished(body: Body) -> bool:
    return condition(body, "Finished").get("status") == "True"


def _broken(seen: Seen, message: str) -> Violation:
    return Violation(4, f"TrainingJob {seen.key} (uid {seen.uid})", seen.at, message)
