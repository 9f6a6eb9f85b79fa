"""Invariants 1 and 11: no card is promised twice, and kube-scheduler never takes a pod out of a gang."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.support.history import Body, History, PodLife, status_of
from tests.support.rules.verdict import Expectation, Violation

OUT_OF_USE = frozenset({"Faulty", "Quarantined"})


def promised_once(history: History, expected: Expectation) -> Iterator[Violation]:
    """1: when a pod is made, the live pods meant for its node ask for no more cards than the node was known to offer."""
    offers = _Offers(history)
    doubts = _Doubts(history)
    for pod in history.pods:
        if not (pod.is_rank and pod.cards and pod.node):
            continue
        known_since = pod.created - expected.knowledge_seconds
        beside = [other for other in history.pods if other.node == pod.node and _holds(other, pod, known_since)]
        for resource, wanted in pod.cards.items():
            promised = wanted + sum(other.cards.get(resource, 0) for other in beside)
            offered = offers.most(pod.node, resource, known_since, pod.created_version)
            if promised > offered:
                others = ", ".join(sorted(other.key for other in beside if other.cards.get(resource)))
                yield Violation(
                    1, f"Pod {pod.key}", pod.created,
                    f"node {pod.node} was promised {promised} of {offered} {resource} (others there: {others or 'none'})",
                )  # fmt: skip
            card = doubts.known(pod.node, resource, known_since)
            if card:
                yield Violation(
                    1, f"Pod {pod.key}", pod.created,
                    f"node {pod.node} still offers card {card} of {resource}, which is known to be out of use",
                )  # fmt: skip


def never_preempted_alone(history: History, expected: Expectation) -> Iterator[Violation]:
    """11: no pod of a gang carries kube-scheduler's mark of preemption."""
    for pod in history.pods:
        if pod.is_rank and pod.preempted:
            yield Violation(11, f"Pod {pod.key}", pod.ended or pod.created, pod.preempted)


def _holds(other: PodLife, pod: PodLife, known_since: float) -> bool:
    """True where another pod's cards had to be known as taken when this one was made."""
    if other is pod or not other.cards or not other.lives_at(pod.created_version):
        return False
    return other.is_rank or (other.bound is not None and other.bound < known_since)


class _Offers:
    """Allocatable of every node over time."""

    def __init__(self, history: History) -> None:
        self._steps: dict[str, list[tuple[float, int, Mapping[str, str]]]] = {}
        for seen in history.kind("Node"):
            offered = {} if seen.change == "DELETED" else status_of(seen.body).get("allocatable") or {}
            self._steps.setdefault(seen.key, []).append((seen.at, seen.version, offered))

    def most(self, node: str, resource: str, since: float, version: int) -> int:
        """The most that was offered between the time and the version, the value before that time included."""
        values = [0]
        steps = [step for step in self._steps.get(node, ()) if step[1] <= version]
        for index, (_, _, offered) in enumerate(steps):
            replaced = steps[index + 1][0] if index + 1 < len(steps) else None
            if replaced is None or replaced >= since:
                values.append(int(offered.get(resource, 0)))
        return max(values)


class _Doubts:
    """Cards that Supernode status knows as out of use while their plug-in still offers them."""

    def __init__(self, history: History) -> None:
        self._spans: list[tuple[str, str, str, float, float]] = []
        opened: dict[str, dict[tuple[str, str, str], float]] = {}
        for seen in history.kind("Supernode"):
            present = set() if seen.change == "DELETED" else _out_of_use(seen.body)
            mine = opened.setdefault(seen.key, {})
            self._spans += [(*card, mine.pop(card), seen.at) for card in set(mine) - present]
            for card in present:
                mine.setdefault(card, seen.at)
        self._spans += [(*card, since, history.end + 1) for mine in opened.values() for card, since in mine.items()]

    def known(self, node: str, resource: str, at: float) -> str:
        """The id of a card known as bad at that time, empty where there is none."""
        here = (span for span in self._spans if span[:2] == (node, resource))
        return next((card for _, _, card, since, until in here if since <= at < until), "")


def _out_of_use(body: Body) -> set[tuple[str, str, str]]:
    return {
        (str(fault["node"]), str(fault["resource"]), str(fault["card"]))
        for fault in status_of(body).get("faults") or ()
        if fault["state"] in OUT_OF_USE and not fault.get("fell")
    }
