"""The checker itself: a history that keeps every invariant, and for each invariant one that breaks it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.history import History
from tests.support.invariants import Expectation, Quiet, check
from tests.support.rules.gangs import expand
from tests.support.stories import GPU, KEY, job, node, opening, pod, running


def card_promised_twice() -> History:
    story = running()
    other = pod(0, "n1", "other")
    other["metadata"] |= {"name": "b-worker-0", "labels": {**other["metadata"]["labels"], "cardpool.dev/job-uid": "B"}}
    story.see("Pod", other)
    return story.history()


def card_taken_by_foreigner() -> History:
    story = opening()
    container = {"resources": {"limits": {GPU: "1"}}}
    story.see(
        "Pod", {"metadata": {"name": "x", "namespace": "y"}, "spec": {"nodeName": "n1", "containers": [container]}}
    )
    story.see("Pod", pod(0, "n1"), wait=10)
    story.see("Pod", pod(1, "n2"))
    return story.history()


def card_known_bad() -> History:
    story = opening()
    fault = {"node": "n1", "resource": GPU, "card": "card-3", "state": "Faulty", "fell": False}
    story.see(
        "Supernode",
        {"metadata": {"name": "sn", "generation": 1}, "status": {"observedGeneration": 1, "faults": [fault]}},
    )
    story.see("Pod", pod(0, "n1"), wait=10)
    story.see("Pod", pod(1, "n2"))
    return story.history()


def allocatable_fell_before() -> History:
    story = opening()
    story.see("Node", node("n1", cards=7), "MODIFIED")
    story.see("Pod", pod(0, "n1"), wait=10)
    story.see("Pod", pod(1, "n2"))
    return story.history()


def half_a_gang() -> History:
    story = opening()
    story.see("Pod", pod(0, "n1"))
    story.see("Pod", pod(1, "n2", bound=False))
    return story.history(rest=60)


def half_a_gang_never_made() -> History:
    story = opening()
    story.see("Pod", pod(0, "n1"))
    return story.history(rest=60)


def rank_twice() -> History:
    story = running(spec={})
    story.see("Pod", pod(1, "n1", "again", cards=0))
    return story.history()


def counter_fell() -> History:
    story = running(attempt=0, executionAttempt=3)
    story.see("TrainingJob", job(attempt=0, executionAttempt=2), "MODIFIED")
    return story.history()


def rose_from_the_dead() -> History:
    story = running()
    story.see("TrainingJob", job(phase="Failed"), "MODIFIED")
    story.see("TrainingJob", job(phase="Running"), "MODIFIED")
    return story.history()


def two_restarts_for_one_fault() -> History:
    story = running()
    story.see("TrainingJob", job(faultRestarts=2, attempt=0), "MODIFIED")
    return story.history()


def mixed_profiles() -> History:
    story = opening()
    story.see("Pod", pod(0, "n1"))
    story.see("Pod", pod(1, "n2", profile="ascend"))
    return story.history()


def mixed_group() -> History:
    story = opening(spec={"mixing": "PerGroup"})
    story.see("Pod", pod(0, "n1"))
    story.see("Pod", pod(1, "n2", profile="ascend"))
    return story.history()


def block_straddles() -> History:
    story = opening(spec={"topology": {"blocks": [{"pods": 2, "level": "supernode"}]}})
    story.see("Node", node("n2", labels={"pool": "main", "sn": "b"}), "MODIFIED")
    story.see("Pod", pod(0, "n1"))
    story.see("Pod", pod(1, "n2"))
    return story.history()


def required_straddles() -> History:
    story = opening(spec={"topology": {"required": "supernode"}})
    story.see("Node", node("n2", labels={"pool": "main", "sn": "b"}), "MODIFIED")
    story.see("Pod", pod(0, "n1"))
    story.see("Pod", pod(1, "n2"))
    return story.history()


def pod_outlives_its_job() -> History:
    story = running()
    story.see("TrainingJob", job(), "DELETED")
    return story.history()


def label_left_on_a_node() -> History:
    story = running()
    story.see("Node", node("n9", labels={"vendor/enable": "true"}, owned=("vendor/enable",)))
    return story.history()


def own_prefix_left_on_a_node() -> History:
    story = running()
    story.see("Node", node("n9", labels={"cardpool.dev/pool": "main"}))
    return story.history()


def resumed_from_a_bad_one() -> History:
    skipped = [{"path": "llm/6/4300", "reason": "Truncated"}]
    story = opening(checkpoint={"step": 4200, "path": "llm/6/4200", "verified": "Light", "skipped": skipped})
    env = {"CARDPOOL_RESUME_PATH": "/ckpt/llm/6/4300", "CARDPOOL_RESUME_STEP": "4200"}
    story.see("Pod", pod(0, "n1", env=env))
    story.see("Pod", pod(1, "n2", env=env))
    return story.history()


def resumed_at_another_step() -> History:
    story = opening(checkpoint={"step": 4200, "path": "llm/6/4200", "verified": "Light"})
    env = {"CARDPOOL_RESUME_PATH": "/ckpt/llm/6/4200", "CARDPOOL_RESUME_STEP": "4300"}
    story.see("Pod", pod(0, "n1", env=env))
    story.see("Pod", pod(1, "n2", env=env))
    return story.history()


def started_afresh() -> History:
    return running(checkpoint={"step": 4200, "path": "llm/6/4200", "verified": "Light"}).history()


def observed_ahead() -> History:
    return running(generation=1, observed=2).history()


def observed_behind() -> History:
    return running(generation=2, observed=1).history()


def preempted_alone() -> History:
    story = running()
    mark = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "made room"}
    story.see("Pod", pod(1, "n2", conditions=[mark]), "MODIFIED")
    return story.history()


BROKEN: dict[str, tuple[int, Callable[[], History]]] = {
    "1 a card is promised twice": (1, card_promised_twice),
    "1 a card was taken by a foreign pod before": (1, card_taken_by_foreigner),
    "1 a card is known to be bad": (1, card_known_bad),
    "1 allocatable fell before": (1, allocatable_fell_before),
    "2 half a gang stays bound": (2, half_a_gang),
    "2 half a gang was never made": (2, half_a_gang_never_made),
    "3 a rank lives twice": (3, rank_twice),
    "4 a counter falls": (4, counter_fell),
    "4 a terminal state goes": (4, rose_from_the_dead),
    "5 two restarts for no fault": (5, two_restarts_for_one_fault),
    "6 profiles are mixed": (6, mixed_profiles),
    "6 profiles are mixed in one group": (6, mixed_group),
    "6 a block straddles supernodes": (6, block_straddles),
    "6 the gang straddles its required domain": (6, required_straddles),
    "8 a pod outlives its job": (8, pod_outlives_its_job),
    "8 a plug-in label stays outside the pools": (8, label_left_on_a_node),
    "8 a label of our prefix stays outside the pools": (8, own_prefix_left_on_a_node),
    "9 a failed checkpoint is used": (9, resumed_from_a_bad_one),
    "9 the step is another one": (9, resumed_at_another_step),
    "9 a fresh start beside a good checkpoint": (9, started_afresh),
    "10 observedGeneration runs ahead": (10, observed_ahead),
    "10 observedGeneration stays behind": (10, observed_behind),
    "11 kube-scheduler preempts one pod": (11, preempted_alone),
}


@pytest.mark.parametrize(("invariant", "history"), BROKEN.values(), ids=list(BROKEN))
def test_a_broken_invariant_is_named(invariant: int, history: Callable[[], History]) -> None:
    """A history that breaks one invariant is told by that number and by no other."""
    found = {violation.invariant for violation in check(history())}

    assert {invariant} == found


def test_a_kept_history_has_no_violation() -> None:
    """A gang that starts whole and has one restart for one fault passes all rules."""
    story = running()
    story.see("TrainingJob", job(attempt=1, executionAttempt=1), "MODIFIED")
    story.see("Pod", pod(0, "n1"), "DELETED")
    story.see("Pod", pod(1, "n2"), "DELETED")
    story.see("Node", node("n3"))
    story.see("TrainingJob", job(attempt=1, executionAttempt=1, faultRestarts=1, nodes=["n1", "n3"]), "MODIFIED")
    story.see("Pod", pod(0, "n1", "pod-0b", attempt=1), wait=5)
    story.see("Pod", pod(1, "n3", "pod-1b", attempt=1))
    violations = check(story.history(rest=100), Expectation(restarts={KEY: 1}))

    assert violations == []


@pytest.mark.parametrize("invariant", [7, 10])
def test_a_write_in_a_quiet_window_is_named(invariant: int) -> None:
    """A status write, or a changed node label, in a window that had to be quiet is told under the window's number."""
    story = running()
    since = story.now
    story.see("TrainingJob", job(), "MODIFIED")
    story.see("Node", node("n1", labels={"pool": "main", "sn": "a", "x": "y"}), "MODIFIED")
    violations = check(story.history(), Expectation(quiet=(Quiet(since, story.now, invariant),)))

    assert [(invariant, f"TrainingJob {KEY}"), (invariant, "Node n1")] == [
        (violation.invariant, violation.object) for violation in violations
    ]


def test_a_heartbeat_in_a_quiet_window_is_no_violation() -> None:
    """Node events that leave the labels alone, and pods that are not ours, may come at any time."""
    story = running()
    since = story.now
    story.see("Node", node("n1"), "MODIFIED")
    story.see("Pod", {"metadata": {"name": "x", "namespace": "y"}, "spec": {"containers": []}})
    violations = check(story.history(), Expectation(quiet=(Quiet(since, story.now),)))

    assert violations == []


def test_late_knowledge_is_no_violation() -> None:
    """A foreign pod, or a fall of allocatable, in the moment before the pod was made could not be known."""
    story = opening()
    container = {"resources": {"limits": {GPU: "1"}}}
    story.see(
        "Pod", {"metadata": {"name": "x", "namespace": "y"}, "spec": {"nodeName": "n1", "containers": [container]}}
    )
    story.see("Node", node("n2", cards=7), "MODIFIED", wait=0.1)
    story.see("Pod", pod(0, "n1"), wait=0.1)
    story.see("Pod", pod(1, "n2"), wait=0.1)

    assert check(story.history()) == []


def test_ranks_that_succeeded_before_are_not_missing() -> None:
    """A restarted gang lacks the ranks that had succeeded, and is whole all the same."""
    story = opening(attempt=1, succeededRanks="1")
    story.see("Pod", pod(0, "n1", attempt=1))

    assert check(story.history(rest=100)) == []


@pytest.mark.parametrize(
    ("text", "numbers"), [("", set()), ("7", {7}), ("0-3,7", {0, 1, 2, 3, 7})], ids=["none", "one", "ranges"]
)
def test_expand(text: str, numbers: set[int]) -> None:
    """Ranges of ranks are read as status writes them."""
    assert numbers == expand(text)
