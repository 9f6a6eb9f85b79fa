"""Invariants 2, 3 and 6: a gang is whole or nothing, a rank lives once, and its pods sit where the job allows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tests.support.history import Body, History, PodLife, status_of
from tests.support.rules.verdict import Expectation, Violation

Attempt = tuple[str, int, str]


def all_or_nothing(history: History, expected: Expectation) -> Iterator[Violation]:
    """2: no attempt holds some bound pods while others were never bound, beyond its bind deadline."""
    jobs = _jobs(history)
    for (uid, attempt, execution), pods in _attempts(history).items():
        placed = _placed_ranks(history, uid, attempt, execution)
        bound = [pod for pod in pods if pod.bound is not None]
        missing = (placed or {pod.rank for pod in pods}) - {pod.rank for pod in bound}
        if not bound:
            continue
        first = min(pod.bound or 0.0 for pod in bound)
        last = max(pod.bound or 0.0 for pod in bound)
        until = max(pod.ended if pod.ended is not None else history.end for pod in bound) if missing else last
        allowed = _bind_seconds(jobs.get(uid, {}), len(placed) or len(pods)) + expected.bind_slack_seconds
        if until - first > allowed:
            yield Violation(
                2, f"attempt {attempt} of job {_name(jobs, uid)}", first,
                f"{len(bound)} pods bound and {len(missing)} never, for {until - first:.1f} s of {allowed:.1f} s allowed",
            )  # fmt: skip


def one_live_pod_per_rank(history: History, expected: Expectation) -> Iterator[Violation]:
    """3: a pod of a rank is made only after the one before it ended, terminating ones included."""
    ranks: dict[tuple[str, int], list[PodLife]] = defaultdict(list)
    for pod in history.pods:
        if pod.is_rank:
            ranks[pod.job, pod.rank].append(pod)
    for (_, rank), pods in ranks.items():
        for index, later in enumerate(pods):
            for earlier in pods[:index]:
                if earlier.lives_at(later.created_version):
                    yield Violation(
                        3, f"Pod {later.key}", later.created,
                        f"rank {rank} already lived as {earlier.key} (uid {earlier.uid})",
                    )  # fmt: skip


def where_the_job_allows(history: History, expected: Expectation) -> Iterator[Violation]:
    """6: one profile for what may not mix (the gang, or each group); a required domain and every block hold together."""
    jobs = _jobs(history)
    pools = history.last("CardPool")
    nodes = history.last("Node")
    for (uid, attempt, _), pods in _attempts(history).items():
        spec = jobs.get(uid, {}).get("spec") or {}
        label = f"attempt {attempt} of job {_name(jobs, uid)}"
        for whole, profiles in _unmixed(str(spec.get("mixing", "None")), pods).items():
            if len(profiles) > 1:
                yield Violation(6, label, pods[0].created, f"profiles {sorted(profiles)} in one {whole}")
        pool = (pools.get(str(spec.get("pool")), {}) or {}).get("spec") or {}
        for name, level, part in _bundles(spec.get("topology") or {}, pods):
            domains = {_domain(pool, pod, nodes.get(pod.node, {}), level) for pod in part}
            if len(domains) > 1:
                yield Violation(6, label, part[0].created, f"{name} straddles {len(domains)} domains of {level}")


def _unmixed(mixing: str, pods: Sequence[PodLife]) -> dict[str, set[str]]:
    """The profiles of everything that must have one: the gang, each of its groups, or nothing."""
    found: dict[str, set[str]] = defaultdict(set)
    for pod in pods if mixing != "Any" else ():
        if pod.cards:
            whole = "gang" if mixing == "None" else f"group {pod.labels.get('cardpool.dev/group')}"
            found[whole].add(pod.labels.get("cardpool.dev/profile", ""))
    return found


def _bundles(topology: Mapping[str, object], pods: Sequence[PodLife]) -> Iterator[tuple[str, str, list[PodLife]]]:
    required = topology.get("required")
    if required:
        yield "the gang", str(required), list(pods)
    blocks = topology.get("blocks") or ()
    assert isinstance(blocks, (list, tuple))
    for block in blocks:
        size = int(block["pods"])
        runs: dict[int, list[PodLife]] = defaultdict(list)
        for pod in pods:
            runs[pod.rank // size].append(pod)
        for index, run in sorted(runs.items()):
            yield f"block {index} of {size} ranks", str(block["level"]), run


def _domain(pool: Mapping[str, object], pod: PodLife, node: Body, level: str) -> tuple[str, ...]:
    if level == "node":
        return (pod.node,)
    topology = pool.get("topology") or {}
    assert isinstance(topology, dict)
    profile = pod.labels.get("cardpool.dev/profile")
    own = [over["levels"] for over in topology.get("overrides") or () if over["profile"] == profile]
    path: list[str] = []
    for one in own[0] if own else topology.get("levels") or ():
        path.append(str((node.get("metadata", {}).get("labels") or {}).get(one["label"], "")))
        if one["name"] == level:
            break
    return tuple(path)


def _attempts(history: History) -> dict[Attempt, list[PodLife]]:
    attempts: dict[Attempt, list[PodLife]] = defaultdict(list)
    for pod in history.pods:
        if pod.is_rank:
            attempts[pod.job, pod.attempt, pod.execution].append(pod)
    return attempts


def _placed_ranks(history: History, uid: str, attempt: int, execution: str) -> set[int]:
    """Ranks that the placement of that attempt names, without those that had succeeded before it."""
    for seen in history.kind("TrainingJob"):
        status = status_of(seen.body)
        placement = status.get("placement") or {}
        same = execution in {"", str(placement.get("executionAttempt", ""))}
        if seen.uid == uid and placement.get("attempt") == attempt and same and placement.get("segments"):
            starts = _group_starts(seen.body)
            ranks = {
                starts.get(part["group"], 0) + int(part.get("fromIndex", 0)) + offset
                for part in placement["segments"]
                for offset in range(len(part["nodes"]))
            }
            return ranks - expand(str(status.get("succeededRanks", "")))
    return set()


def expand(ranges: str) -> set[int]:
    """Numbers of a text such as ``0-3,7``."""
    numbers: set[int] = set()
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def _group_starts(job: Body) -> dict[str, int]:
    """The first rank of every group, as the placement has them: variants may change the number of replicas."""
    counts: dict[str, int] = {str(group["name"]): 0 for group in job["spec"]["groups"]}
    for part in status_of(job)["placement"]["segments"]:
        counts[part["group"]] = max(counts[part["group"]], int(part.get("fromIndex", 0)) + len(part["nodes"]))
    starts = dict.fromkeys(counts, 0)
    for before, group in pairwise(counts):
        starts[group] = starts[before] + counts[before]
    return starts


def _jobs(history: History) -> dict[str, Body]:
    return {seen.uid: seen.body for seen in history.kind("TrainingJob")}


def _name(jobs: Mapping[str, Body], uid: str) -> str:
    meta = jobs.get(uid, {}).get("metadata", {})
    return f"{meta.get('namespace')}/{meta.get('name')}" if meta else uid


def _bind_seconds(job: Body, pods: int) -> float:
    declared = ((job.get("spec") or {}).get("deadlines") or {}).get("bindSeconds")
    return float(declared) if declared else max(60.0, pods / 20)
