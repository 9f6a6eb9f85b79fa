"""Which pods of the input are a job's own, and where a job runs whose status does not say so.

A running job is one whose pods are in the input: labels and nodeName are enough. The status is honoured where it has
a placement; without one the placement is read from the pods, a rank without a pod being a rank that was lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cardpool.api.jobstatus import Marks, Placement, PlacementState, Segment
from cardpool.domain.world import JobRecord, PodRecord, World
from cardpool.lifecycle import membership, ranks, sizes, times
from cardpool.lifecycle.membership import Member
from cardpool.names import (
    LABEL_ATTEMPT,
    LABEL_EXECUTION,
    LABEL_GROUP,
    LABEL_INDEX,
    LABEL_JOB,
    LABEL_JOB_UID,
    LABEL_PROFILE,
    LABEL_RANK,
    LABEL_ROLE,
)
from cardpool.planning.inputs import STAND_IN, Inputs
from cardpool.vendors.registry import Registry

LONG: Final = 86_400.0  # how long a gang has run whose pods do not say, in seconds


def adopt(inputs: Inputs, registry: Registry, now: float) -> None:
    """Give each pod its owner and full labels, and each job that runs its placement."""
    own: dict[str, list[PodRecord]] = {}
    for key, pod in inputs.pods.items():
        job = inputs.jobs.get(f"{pod.namespace}/{pod.labels.get(LABEL_JOB, '')}")
        if job is None or not _belongs(pod, job):
            continue
        inputs.pods[key] = replace(pod, owner=job.uid)
        if job.spec is not None and LABEL_ROLE not in pod.labels:
            own.setdefault(job.key, []).append(inputs.pods[key])
    if not own:
        return
    cards = sorted(registry.all_card_resources())
    world = World(now=now, nodes=inputs.nodes, pools=inputs.pools, supernodes=inputs.supernodes)
    members = membership.assign(world, registry, membership.Seating()).members
    for key, pods in own.items():
        job = _told_by(inputs.jobs[key], pods, members, now)
        inputs.jobs[key] = job
        for pod in pods:
            if job.status.placement is not None and not pod.node and _silent(inputs.jobs[key]):
                del inputs.pods[pod.key]
                continue
            inputs.pods[pod.key] = _with_cards(_labelled(pod, job), job, members.get(pod.node), cards)


def _belongs(pod: PodRecord, job: JobRecord) -> bool:
    """Whether the UIDs that are known do not speak against it."""
    word = pod.owner or pod.labels.get(LABEL_JOB_UID, "")
    return not word or word == job.uid or job.uid.startswith(STAND_IN)


def _silent(job: JobRecord) -> bool:
    """Whether the status had no placement of its own: one that was read from pods has no time."""
    return job.status.placement is not None and job.status.placement.time is None


def _told_by(job: JobRecord, pods: list[PodRecord], members: Mapping[str, Member], now: float) -> JobRecord:
    """The job with the placement that its pods show, where its status has none."""
    status, spec = job.status, job.spec
    bound = [pod for pod in pods if pod.node]
    if spec is None or status.placement is not None or status.completion_time is not None or not bound:
        return job
    attempt = max(_number(pod.labels.get(LABEL_ATTEMPT), status.attempt) for pod in bound)
    if attempt < status.attempt:
        return job
    same = [pod for pod in bound if _number(pod.labels.get(LABEL_ATTEMPT), attempt) == attempt]
    floor = status.execution_attempt if attempt == status.attempt else attempt
    execution = max(_number(pod.labels.get(LABEL_EXECUTION), floor) for pod in same)
    bare = Placement(attempt=attempt, execution_attempt=execution, state=PlacementState.BOUND)
    placement = bare.model_copy(update={"segments": _segments(job, same, members)})
    known = [moment for pod in same if (moment := pod.started_at or pod.created)]
    since = times.at(min(known) if known else now - LONG)
    update = {
        "attempt": attempt,
        "execution_attempt": execution,
        "placement": placement,
        "start_time": status.start_time or (since if known else None),
        "marks": status.marks or Marks(placed=since, bound=since, running=since),
        "size": status.size or sizes.of(spec, placement, fixed=True),
    }
    return replace(job, status=status.model_copy(update=update))


def _segments(job: JobRecord, pods: list[PodRecord], members: Mapping[str, Member]) -> tuple[Segment, ...]:
    """The placement that pods show; a rank without one has no node, and the profile of its group's others."""
    first = next((word for pod in pods if (word := _profile(pod, members.get(pod.node)))), "")
    profiles = {
        pod.labels.get(LABEL_GROUP, ""): word
        for pod in reversed(pods)
        if (word := _profile(pod, members.get(pod.node)))
    }
    counts = _counts(job, pods, profiles, first)
    seen = {rank: pod for pod in pods if (rank := _rank(pod, job, first, counts)) >= 0}
    segments, start = [], 0
    for group in job.spec.groups if job.spec is not None else ():
        common = profiles.get(group.name, first)
        size = counts[group.name]
        own = [seen.get(rank) for rank in range(start, start + size)]
        told = [(_profile(pod, members.get(pod.node)) or common) if pod is not None else common for pod in own]
        for profile, run in itertools.groupby(range(size), key=told.__getitem__):
            indexes = list(run)
            # Built unchecked: a rank without a pod has no node.
            segment = Segment.model_construct(
                group=group.name,
                from_index=indexes[0],
                profile=profile or None,
                supernode=None,
                nodes=tuple(pod.node if (pod := own[index]) is not None else "" for index in indexes),
            )
            segments.append(segment)
        start += size
    return tuple(segments)


def _counts(job: JobRecord, pods: list[PodRecord], profiles: Mapping[str, str], first: str) -> dict[str, int]:
    """Pods of each group: all, but of an elastic group as many as its pods show, at least the least."""
    if job.spec is None:
        return {}
    names = {seat.pod_name(job.name): seat for seat in ranks.seats(job.spec, first)}
    shown: dict[str, int] = {}
    for pod in pods:
        seat = names.get(pod.name)
        group = pod.labels.get(LABEL_GROUP) or (seat.group.name if seat is not None else "")
        index = _number(pod.labels.get(LABEL_INDEX), seat.index if seat is not None else -1)
        shown[group] = max(shown.get(group, 0), index + 1)
    found = {}
    for one in job.spec.groups:
        most = ranks.replicas(one, profiles.get(one.name, first))
        least = one.min_replicas if one.min_replicas is not None else most
        found[one.name] = min(max(shown.get(one.name, 0), least), most)
    return found


def _labelled(pod: PodRecord, job: JobRecord) -> PodRecord:
    """The pod with every label by which a job knows its pods."""
    status = job.status
    place = status.placement
    profile = next((item.profile or "" for item in place.segments), "") if place is not None else ""
    attempt = pod.labels.get(LABEL_ATTEMPT, str(status.attempt))
    execution = str(status.execution_attempt) if attempt == str(status.attempt) else attempt
    rank = str(_rank(pod, job, profile, sizes.placed(place)))
    known = {LABEL_ATTEMPT: attempt, LABEL_EXECUTION: execution, LABEL_RANK: rank}
    return pod if known.keys() <= pod.labels.keys() else replace(pod, labels={**known, **pod.labels})


def _rank(pod: PodRecord, job: JobRecord, profile: str, counts: Mapping[str, int]) -> int:
    """The pod's rank by its label, else by group and index, else by its name; -1 where nothing tells."""
    rank = _number(pod.labels.get(LABEL_RANK), -1)
    if rank >= 0 or job.spec is None:
        return rank
    group, index = pod.labels.get(LABEL_GROUP, ""), _number(pod.labels.get(LABEL_INDEX), -1)
    for seat in ranks.seats(job.spec, profile, counts):
        if pod.name == seat.pod_name(job.name) or (seat.group.name, seat.index) == (group, index):
            return seat.rank
    return -1


def _with_cards(pod: PodRecord, job: JobRecord, member: Member | None, cards: list[str]) -> PodRecord:
    """The pod with its cards among its requests, where a short manifest left its containers out."""
    if pod.finished or member is None or job.spec is None or any(name in pod.requests for name in cards):
        return pod
    group = next((item for item in job.spec.groups if item.name == pod.labels.get(LABEL_GROUP)), job.spec.groups[0])
    amount = ranks.cards_per_pod(group, _profile(pod, member))
    return replace(pod, requests={**pod.requests, member.resource: amount}) if member.resource and amount else pod


def _profile(pod: PodRecord, member: Member | None) -> str:
    return pod.labels.get(LABEL_PROFILE) or (member.profile if member is not None else "")


def _number(text: str | None, absent: int) -> int:
    return int(text) if text is not None and text.isdecimal() else absent
