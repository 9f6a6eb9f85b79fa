"""An attempt whose pods are all bound: ranks that end, pods that are lost, cards that break, deadlines.

The checks stand in order of what explains most: a card or node fault first, then evictions and lost pods, then the
application's own exit, so that one episode has one cause.
"""

from __future__ import annotations

from cardpool.api.jobstatus import PlacementState
from cardpool.api.trainingjob import Success
from cardpool.domain.world import Exit, PodRecord
from cardpool.faults import episodes
from cardpool.lifecycle import fabrics, finishing, ranks, restart, sizes, starting, times
from cardpool.lifecycle.draft import Draft
from cardpool.lifecycle.restart import Cause
from cardpool.names import Attribution, Condition, Reason

REJECTED = frozenset(
    {"UnexpectedAdmissionError", "OutOfcpu", "OutOfmemory", "OutOfpods", "NodeAffinity", "NodeShutdown", "AppArmor"}
)
PREEMPTED = "PreemptionByScheduler"


def bound(draft: Draft) -> None:
    """The first cycle that sees every pod bound."""
    place = draft.placement
    if place is None or place.state is PlacementState.BOUND:
        return
    draft.update(placement=place.model_copy(update={"state": PlacementState.BOUND}), bind_failures=0, excluded=())
    draft.mark(bound=draft.now)
    sizes.hold(draft)
    text = f"all {len(starting.nodes_by_rank(draft))} pods{sizes.words(draft)} are bound"
    draft.board.put(Condition.PODS_SCHEDULED, True, Reason.PODS_SCHEDULED, text)


def struck(draft: Draft) -> bool:
    """Take the gang down where a fault, an eviction, a loss or an exit hit it; True where it did."""
    pool = draft.around.pool
    if pool is not None:
        pods = [draft.live[rank] for rank in sorted(draft.live)]
        found = episodes.hit(pods, draft.job.uid, pool.faults, pool.facts, pool.dead)
        if found is not None:
            pod = next(item for item in pods if item.name == found.pod)
            restart.restart(
                draft,
                Cause(
                    reason=found.reason,
                    message=found.message,
                    attribution=Attribution.HARDWARE,
                    seen=found.seen,
                    node=found.node,
                    card=found.card,
                    pod=pod,
                ),
            )
            return True
    return _evicted(draft) or _lost(draft) or _failed(draft)


def _evicted(draft: Draft) -> bool:
    for rank in sorted(draft.live):
        pod = draft.live[rank]
        if not pod.disruption:
            continue
        preempted = pod.disruption == PREEMPTED
        cause = Cause(
            reason=Reason.PREEMPTED if preempted else Reason.POD_EVICTED,
            message=f"pod {pod.name} on node {pod.node}: {pod.disruption} {pod.message}".strip(),
            attribution=Attribution.EVICTION,
            seen=draft.now,
            node=pod.node,
            pod=pod,
        )
        restart.restart(draft, cause)
        return True
    return False


def _lost(draft: Draft) -> bool:
    """A pod that somebody deleted: its rank is gone, and a gang without a rank is none."""
    place = draft.placement
    whole = place is not None and place.state is PlacementState.BOUND
    nodes, done = starting.nodes_by_rank(draft), draft.succeeded
    for rank, node in enumerate(nodes):
        pod = draft.live.get(rank)
        missing = pod is None and rank not in done and whole
        if not missing and (pod is None or not pod.deleting or pod.phase == "Succeeded"):
            continue
        name = pod.name if pod is not None else f"of rank {rank}"
        cause = Cause(
            reason=Reason.POD_LOST,
            message=f"pod {name} on node {node} was deleted by somebody else",
            attribution=Attribution.EVICTION,
            seen=draft.now,
            node=node,
            pod=pod,
        )
        restart.restart(draft, cause)
        return True
    return False


def _failed(draft: Draft) -> bool:
    failed = [draft.live[rank] for rank in sorted(draft.live) if draft.live[rank].phase == "Failed"]
    if not failed:
        return False
    rejected = next((pod for pod in failed if not pod.exits and _turned_away(pod)), None)
    if rejected is not None:
        text = f"kubelet of {rejected.node} refused {rejected.name}: {rejected.reason} {rejected.message}".strip()
        restart.take_back(draft, Reason.POD_REJECTED, text, {rejected.node: Reason.POD_REJECTED})
        return True
    pod = min(failed, key=lambda item: (_first_exit(item).finished, item.name))
    ended = _first_exit(pod)
    text = f"pod {pod.name} on node {pod.node} exited with code {ended.code} ({ended.reason or pod.reason or 'Error'})"
    final = ended.code in draft.spec.restart.non_retryable_exit_codes
    cause = Cause(
        reason=Reason.NON_RETRYABLE_EXIT if final else Reason.POD_FAILED,
        message=text,
        attribution=Attribution.APPLICATION if final else Attribution.PENDING,
        seen=ended.finished or draft.now,
        node=pod.node,
        pod=pod,
        exit=ended,
    )
    if final:
        restart.fail_by(draft, cause, f"{text}; spec.restart.nonRetryableExitCodes names it")
    else:
        restart.restart(draft, cause)
    return True


def _turned_away(pod: PodRecord) -> bool:
    return pod.reason in REJECTED or pod.reason.startswith("OutOf")


def _first_exit(pod: PodRecord) -> Exit:
    ended = [item for item in pod.exits if item.code != 0] or list(pod.exits)
    return min(ended, key=lambda item: item.finished, default=Exit("", -1, pod.reason, pod.message, 0.0))


def progress(draft: Draft) -> None:
    """Ranks that succeeded, pods that run, and the job's own end."""
    done = draft.succeeded | {rank for rank, pod in draft.live.items() if pod.phase == "Succeeded"}
    draft.update(succeeded_ranks=ranks.render(done))
    total = len(starting.nodes_by_rank(draft))
    running = sum(1 for rank, pod in draft.live.items() if rank not in done and pod.phase == "Running" and pod.ready)
    draft.update(ready=f"{running + len(done)}/{total}")
    if len(done) == total or (draft.spec.success is Success.RANK0 and 0 in done):
        which = "rank 0" if draft.spec.success is Success.RANK0 else f"all {total} ranks"
        finishing.succeed(draft, f"{which} succeeded")
        return
    if running + len(done) == total:
        _all_run(draft, total)
    elif not draft.board.holds(Condition.RUNNING):
        _starting_up(draft, running + len(done), total)


def _all_run(draft: Draft, total: int) -> None:
    if draft.marks.running is None:
        draft.mark(running=draft.now)
        begun = draft.marks.resolved or draft.marks.placed
        starting.timing(draft, start_seconds=times.gap(begun, draft.marks.running))
    if draft.status.start_time is None:
        draft.update(start_time=times.at(draft.now))
    if draft.board.holds(Condition.RUNNING):
        return
    again = draft.board.holds(Condition.RESTARTING)
    words, scattered = f"all {total} pods{sizes.words(draft)} run", _scattered(draft)
    text = f"{words}; {scattered}" if scattered else words
    draft.board.put(Condition.RUNNING, True, Reason.RUNNING, text)
    if scattered:
        draft.event(Reason.CARDS_ACROSS_FABRICS, scattered, warning=True)
    if again:
        text = f"attempt {draft.status.attempt} runs{sizes.words(draft)}"
        draft.board.put(Condition.RESTARTING, False, Reason.RESTARTED, text)
        draft.event(Reason.RESTARTED, text)
    else:
        draft.event(Reason.RUNNING, words)
    draft.board.put(Condition.RECONCILING, False, Reason.RUNNING, "")
    draft.board.drop(Condition.STALLED)


def _scattered(draft: Draft) -> str:
    """Pods whose cards do not lie together as their profile wants it: nobody but the plug-in chooses them."""
    members = draft.around.pool.members if draft.around.pool is not None else {}
    found = []
    for rank in sorted(draft.live):
        pod = draft.live[rank]
        member = members.get(pod.node)
        if member is None or member.fabrics is None:
            continue
        cards = [device.card for device in pod.devices if device.resource == member.resource]
        if fabrics.scattered(member.fabrics, cards):
            found.append(pod)
    if not found:
        return ""
    return f"{len(found)} pods have cards of more fabrics than they need, the first {found[0].name} on {found[0].node}"


def _starting_up(draft: Draft, running: int, total: int) -> None:
    word = next((f"{pod.name}: {pod.waiting}" for pod in draft.live.values() if pod.waiting), "")
    text = f"{running} of {total} pods run{'; ' + word if word else ''}"
    draft.board.put(Condition.RUNNING, False, Reason.STARTING, text)
    limit = draft.spec.deadlines.startup_seconds
    began = draft.marks.bound
    if limit is None or began is None:
        return
    deadline = times.epoch(began) + limit
    if draft.now < deadline:
        draft.again(deadline)
        return
    cause = Cause(
        reason=Reason.DEADLINE_EXCEEDED,
        message=f"{text} {limit} s after all were bound (spec.deadlines.startupSeconds)",
        attribution=Attribution.APPLICATION,
        seen=times.epoch(began),
    )
    restart.restart(draft, cause)
