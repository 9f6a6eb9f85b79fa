"""Invariant 9: a resume uses what was proved, never what failed its checks, and never starts afresh beside a good one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.support.history import History, PodLife, Seen, status_of
from tests.support.rules.verdict import Expectation, Violation

PATH, STEP = "CARDPOOL_RESUME_PATH", "CARDPOOL_RESUME_STEP"


def resumes_from_the_proved(history: History, expected: Expectation) -> Iterator[Violation]:
    """9: the pods' resume path and step are those of status.checkpoint when they were made."""
    jobs: dict[str, list[Seen]] = {}
    for seen in history.kind("TrainingJob"):
        jobs.setdefault(seen.uid, []).append(seen)
    for pod in history.pods:
        if not pod.is_rank:
            continue
        shown = [seen for seen in jobs.get(pod.job, ()) if seen.version <= pod.created_version]
        checkpoints = [status_of(seen.body).get("checkpoint") or {} for seen in shown]
        verified = [one for one in checkpoints if one.get("verified") and one.get("path")]
        for message in _judge(pod, checkpoints[-1] if checkpoints else {}, bool(verified), expected):
            yield Violation(9, f"Pod {pod.key}", pod.created, message)


def _judge(pod: PodLife, present: Mapping[str, object], verified_before: bool, expected: Expectation) -> Iterator[str]:
    path, step = pod.env.get(PATH, ""), pod.env.get(STEP, "")
    if not path and verified_before:
        yield "starts afresh though a checkpoint was verified before"
    if not path:
        return
    skipped = present.get("skipped") or ()
    assert isinstance(skipped, (list, tuple))
    failed = {str(one["path"]) for one in skipped} | set(expected.bad_checkpoints)
    bad = sorted(one for one in failed if _same(path, one))
    if bad:
        yield f"resumes from {path}, which failed its checks"
    if not _same(path, str(present.get("path", ""))):
        yield f"resumes from {path} while status names {present.get('path')}"
    if step != str(present.get("step", "")):
        yield f"resumes at step {step} while status names {present.get('step')}"


def _same(path: str, relative: str) -> bool:
    """True where an absolute path in a pod is the folder that status names relative to the mount."""
    return bool(relative) and (path == relative or path.endswith("/" + relative.strip("/")))
