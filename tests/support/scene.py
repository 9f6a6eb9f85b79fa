"""One scenario from its setting to its verdict.

``verify`` is the end of every test: the operator has decided on everything, the scene grows still and stays so,
everything is deleted, and the checker judges the whole history.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from tests.support import decided, invariants
from tests.support.history import PREFIX, Body, Seen, controller
from tests.support.kubeclient import Kube
from tests.support.operator_process import Operator
from tests.support.recorder import Recorder
from tests.support.rules.verdict import Expectation, Quiet
from tests.support.stage import Stage
from tests.support.view import SECONDS

STILL = 0.4  # longer than the operator holds back counts, see operator_process
QUIET = 0.5  # finds writes that repeat; test_a_long_rest_is_without_a_write finds those of slow timers
COLLECTED = 60.0  # Kubernetes' garbage collector looks for new kinds every 30 s, so the first scene may wait for it
OWNED = ("Pod", "Service", "ConfigMap")


class Scene(Stage):
    """A stage whose whole history is judged at the end; ``operator`` is the one that leads then."""

    def __init__(self, name: str, kube: Kube, recorder: Recorder, operator: Operator) -> None:
        super().__init__(name, kube, recorder)
        self.operator = operator
        self.verified = False

    def concerns(self, seen: Seen) -> bool:
        """Whether an event belongs to this scene."""
        return self.has(seen.kind, seen.body)

    def has(self, kind: str, body: Body) -> bool:
        """Whether an object belongs to this scene."""
        meta = body["metadata"]
        if meta.get("namespace"):
            return meta["namespace"] in self.namespaces
        match kind:
            case "Node":
                return meta["name"] in self.nodes
            case "CardPool":
                return meta["name"] in self.pools
            case "Supernode":
                return (body.get("spec") or {}).get("pool") in self.pools
            case _:
                return False

    def ours(self, seen: Seen) -> bool:
        """Whether an event is a write that a quiet operator does not make."""
        if not self.concerns(seen) or seen.kind in {"Node", "Event", "Lease", "Namespace"}:
            return False
        return seen.kind not in OWNED or bool(_job_uid(seen.body))

    async def verify(
        self, restarts: Mapping[str, int] | None = None, *, quiet: float = QUIET, keep: bool = False, **expected: Any
    ) -> None:
        """Grow still, stay so for ``quiet`` seconds, delete all jobs (unless ``keep``), then judge the whole history."""
        windows: tuple[Quiet, ...] = tuple(expected.pop("windows", ()))
        if quiet:
            await decided.on_everything(self)
            await self.recorder.settled(self.ours, STILL, SECONDS)
            since = time.time()
            await asyncio.sleep(quiet)
            windows += (Quiet(since, time.time()),)
        if not keep:
            await self.clear()
        named = {f"{self.name}/{name}": number for name, number in (restarts or {}).items()}
        violations = invariants.check(
            self.recorder.history(self.concerns), Expectation(restarts=named, quiet=windows, **expected)
        )
        self.verified = True
        assert not violations, invariants.report(violations)

    async def clear(self) -> None:
        """Delete every job and wait until nothing that they owned is left."""
        jobs = [
            body
            for body in self.recorder.now["TrainingJob"].values()
            if body["metadata"]["namespace"] in self.namespaces
        ]
        for body in jobs:
            await self.kube.delete("TrainingJob", body["metadata"]["name"], body["metadata"]["namespace"])
        await self.until(lambda: not self.owned(), "everything of the jobs gone", COLLECTED)

    def owned(self) -> list[str]:
        """Objects that belong to a job of the scene, the jobs themselves included."""
        return [
            f"{kind} {key}"
            for kind in ("TrainingJob", *OWNED)
            for key, body in self.recorder.now[kind].items()
            if body["metadata"]["namespace"] in self.namespaces and (kind == "TrainingJob" or _job_uid(body))
        ]


def _job_uid(body: Body) -> str:
    labels = body["metadata"].get("labels") or {}
    owners = body["metadata"].get("ownerReferences") or ()
    mine = any(owner["kind"] == "TrainingJob" for owner in owners)
    return str(labels.get(f"{PREFIX}job-uid", "")) or (controller(body) if mine else "")
