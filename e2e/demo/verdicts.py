"""What the demo claims, judged from what the API and the training itself showed; nothing is taken on trust.

Pure: history and curve in, verdicts out. A verdict that cannot be judged is a failure, never left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from e2e.demo import picture, timeline
from e2e.demo.curve import Curve
from e2e.demo.timeline import Broken, Timeline
from tests.support import invariants
from tests.support.history import PREFIX, History, status_of

OWN_SECONDS = 1.0
FLOAT_PRECISION = 2.0**-22  # of float32, in which the training computes


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim, whether it holds, and the figures that say so."""

    claim: str
    holds: bool
    detail: str

    def __str__(self) -> str:
        return f"{'PASS' if self.holds else 'FAIL'}  {self.claim}: {self.detail}"


def continues(curve: Curve, status: Mapping[str, Any], attempt: int) -> tuple[Verdict, ...]:
    """The training went on from the checkpoint that the operator proved."""
    checkpoint = status.get("checkpoint") or {}
    step = checkpoint.get("step")
    first = next(iter(curve.of("step", attempt)), None)
    restored = curve.last("restored", attempt)
    before = next((one for one in reversed(curve.of("checkpoint")) if one.step == step and one.attempt < attempt), None)
    verified = f"status.checkpoint {checkpoint.get('path')} ({checkpoint.get('verified')})"
    went_on = step is not None and first is not None and first.step == step + 1
    known = restored is not None and before is not None and restored.loss is not None and before.loss is not None
    same = (
        restored is not None
        and before is not None
        and restored.loss is not None
        and before.loss is not None
        and math.isclose(restored.loss, before.loss, rel_tol=FLOAT_PRECISION)
    )
    losses = f"{restored.loss!r} against {before.loss!r}" if known and restored and before else "a loss is missing"
    return (
        Verdict("the first step after the resume is the checkpoint's + 1", went_on,
                f"{verified}, then step {first.step if first else None}"),
        Verdict("the restored loss is the one that was saved", same, f"{losses} at step {step}"),
    )  # fmt: skip


def repeats(curve: Curve, attempt: int) -> Verdict:
    """The steps that were lost and done again have the losses that they had; without any, nothing is compared."""
    before, again = curve.losses("step", attempt - 1), curve.losses("step", attempt)
    twice = sorted(before.keys() & again.keys())
    other = [step for step in twice if not math.isclose(before[step], again[step], rel_tol=FLOAT_PRECISION)]
    which = f"{len(twice)} steps were done again" + (f"; step {other[0]} differs" if other else "")
    return Verdict("steps that were lost are computed to the same losses", not other, which)


def card_unused(history: History, job: str, broken: Broken, attempt: int) -> Verdict:
    """No pod of the new attempt ever held the card that broke."""
    claim = "the broken card is not used again"
    ids: dict[str, set[str]] = {}
    for seen in history.kind("Pod"):
        ours = seen.labels.get(f"{PREFIX}attempt") == str(attempt) and f"{PREFIX}rank" in seen.labels
        if ours and f"{seen.body['metadata']['namespace']}/{seen.labels.get(f'{PREFIX}job')}" == job:
            node = str((seen.body.get("spec") or {}).get("nodeName", ""))
            ids.setdefault(node, set()).update(picture.held(seen.body))
    told = {node: sorted(cards) for node, cards in sorted(ids.items()) if node}
    if not told or not all(told.values()):
        return Verdict(claim, False, f"kubelet never named the new pods' cards: {told}")
    clean = broken.card not in ids.get(broken.node, set())
    where = "; ".join(f"{node}: {', '.join(cards)}" for node, cards in told.items())
    return Verdict(claim, clean, f"{broken.card} of {broken.node} broke; the new pods hold {where}")


def one_restart(status: Mapping[str, Any], broken: Broken) -> Verdict:
    """One restart, free of charge, and the operator knows why."""
    fault = status.get("lastFault") or {}
    counts = (status.get("attempt"), status.get("restarts"), status.get("faultRestarts"))
    blamed = (fault.get("node"), fault.get("card")) == (broken.node, broken.card)
    charged = bool(fault.get("charged"))
    return Verdict(
        "exactly one restart, uncharged, for that card", counts == (1, 0, 1) and blamed and not charged,
        f"attempt {counts[0]}, charged {counts[1]}, free {counts[2]}; {fault.get('reason')} "
        f"{fault.get('node')}/{fault.get('card')}, attribution {fault.get('attribution')}",
    )  # fmt: skip


def quick(line: Timeline) -> Verdict:
    """The operator's own gaps from the signal in the API to the last replacement bound."""
    own = [part for part in line.parts if part.whose is timeline.Whose.OPERATOR]
    parts = " + ".join(f"{part.name} {part.seconds:.2f}" for part in own)
    return Verdict(
        f"the operator's own gap is at most {OWN_SECONDS:g} s", bool(own) and line.own_seconds <= OWN_SECONDS,
        f"{line.own_seconds:.2f} s = {parts}",
    )  # fmt: skip


def agrees(line: Timeline) -> Verdict:
    """The marks in status are what the API's own timestamps and an independent watch show."""
    worst = max(line.moments, key=lambda moment: moment.apart)
    bad = [f"{one.name} by {one.apart:.2f} s" for one in line.moments if one.apart > timeline.AGREE_SECONDS]
    detail = ", ".join(bad) or f"{len(line.moments)} moments, most apart: {worst.name} by {worst.apart:.2f} s"
    return Verdict("the timeline in status agrees with the API's timestamps", not bad, detail)


def succeeded(status: Mapping[str, Any], curve: Curve | None, steps: int | None) -> Verdict:
    """The job came to its end, and so did the training."""
    last = curve.last("step") if curve is not None else None
    whole = curve is None or (last is not None and steps is not None and last.step == steps - 1)
    trained = f", last step {last.step if last else None} of {steps}" if curve is not None else ""
    return Verdict("the job succeeded", status.get("phase") == "Succeeded" and whole, f"{status.get('phase')}{trained}")


def invariants_hold(history: History, restarts: Mapping[str, int]) -> Verdict:
    """The checker that ends every test of the project, over everything that the API showed."""
    violations = invariants.check(history, invariants.Expectation(restarts=restarts))
    detail = (
        invariants.report(violations)
        if violations
        else f"{len(history.events)} events judged by {len(invariants.RULES)} rules"
    )
    return Verdict("all invariants hold", not violations, detail)


def job_of(history: History, key: str) -> Mapping[str, Any]:
    """The last status ever seen of the job, deleted or not."""
    bodies = [seen.body for seen in history.kind("TrainingJob") if seen.key == key]
    return status_of(bodies[-1]) if bodies else {}
