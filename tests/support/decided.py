"""Proof that an operator has looked: what stands before "nothing happened" in place of a pause.

An operator has decided on an event when each of its watches has come at least as far as that event, a cycle has ended
that began afterwards, and nothing is left to decide or to write. It says all three on `/readyz`. Versions compare
across kinds, since one etcd counts them all; a mark on the scene's namespace makes sure that a cycle comes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from e2e.cluster import rest
from tests.support.history import Body, status_of

if TYPE_CHECKING:
    from tests.support.operator_process import Operator
    from tests.support.scene import Scene

MARK = "example.com/looked"
SEEN = ("Node", "Pod", "TrainingJob", "CardPool", "Supernode")
SECONDS = 20.0
MARKS = itertools.count()


async def on_everything(scene: Scene) -> None:
    """Return once the scene's operator, which leads, has decided on all that happened in the scene before this call."""
    operator = scene.operator
    versions = {kind: await _newest(scene, kind) for kind in SEEN}
    before = await asyncio.to_thread(_says, operator)
    assert before["leading"], f"{operator.name} does not lead"
    mark = {"metadata": {"annotations": {}, "labels": {MARK: str(next(MARKS))}}}
    versions["Namespace"] = _version(await scene.kube.patch("Namespace", scene.name, mark))

    async def decided() -> bool:
        says = await asyncio.to_thread(_says, operator)
        reached = all(int(says["watches"][kind]["version"] or 0) >= least for kind, least in versions.items())
        return reached and not says["pending"] and int(says["cycles"]) > int(before["cycles"])

    await rest.wait_for(decided, SECONDS, f"{operator.name} to decide on everything up to {versions}")


async def _newest(scene: Scene, kind: str) -> int:
    """The newest version of the scene's objects of that kind: as they are, and as the recorder saw them go."""
    live = [body for body in await scene.kube.list(kind) if scene.has(kind, body)]
    gone = [seen.body for seen in scene.recorder.events if seen.kind == kind and scene.has(kind, seen.body)]
    shown = [body for body in (*live, *gone) if not _settled(body)]
    return max((_version(body) for body in shown), default=0)


def _settled(body: Body) -> bool:
    """Whether the operator's watch does not show the object: a settled job."""
    return bool(status_of(body).get("settled"))


def _version(body: Body) -> int:
    return int(body["metadata"]["resourceVersion"])


def _says(operator: Operator) -> Mapping[str, Any]:
    answer = operator.get("/readyz")
    assert answer is not None, f"{operator.name} does not answer:\n{operator.tail()}"
    says: Mapping[str, Any] = json.loads(answer)
    return says
