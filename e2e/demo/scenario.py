"""The story on any cluster, step by step, each with a deadline; the demo tells it, tests on real nodes replay it.

What it waits for it sees through the recorder, as any user could. A step that does not come true raises MissingError,
which names the object and the condition, so that whoever tells the story can show that object.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster import cards, real_layout
from e2e.cluster.context import Context
from e2e.demo import curve, picture
from e2e.demo.curve import Line
from e2e.demo.timeline import Broken
from tests.support.history import PREFIX, Body, condition, status_of
from tests.support.kubeclient import Kube
from tests.support.recorder import Recorder


class MissingError(Exception):
    """A step did not come true in time: which object was waited for, and what of it."""

    def __init__(self, kind: str, name: str, namespace: str, what: str, last: Body | None = None) -> None:
        self.kind, self.name, self.namespace = kind, name, namespace
        super().__init__(f"{kind} {namespace + '/' if namespace else ''}{name}: {what}; {_words(last)}")


def _words(body: Body | None) -> str:
    """What the object says of itself: its phase, and conditions that are not True and have something to say."""
    if body is None or not body.get("metadata"):
        return "there is no such object"
    status = status_of(body)
    said = [
        f"{one['type']} is {one['status']} ({one.get('reason', '')}): {one['message']}"
        for one in status.get("conditions") or ()
        if one["status"] != "True" and one.get("message") and one.get("reason") != "Pending"
    ]
    return "; ".join([f"phase {status.get('phase', '-')}", *said])


@dataclass(frozen=True, slots=True)
class Places:
    """How to reach one job's training from outside: its curve, and the cluster whose plug-ins may be told to lie."""

    ctx: Context | None = None
    checkpoints: Path | None = None

    @property
    def losses(self) -> Path | None:
        """The file that all attempts write."""
        return self.checkpoints / "loss.jsonl" if self.checkpoints is not None else None


def places(ctx: Context, path: str) -> Places:
    """Of a cluster with real nodes, for a job whose `spec.checkpoint.path` that is."""
    return Places(ctx, real_layout.shared(ctx.state) / path)


class Story:
    """One TrainingJob and what happens to it."""

    def __init__(self, kube: Kube, recorder: Recorder, name: str, namespace: str, where: Places) -> None:
        self.kube, self.recorder = kube, recorder
        self.name, self.namespace = name, namespace
        self.where = where

    @property
    def key(self) -> str:
        """`namespace/name` of the job."""
        return f"{self.namespace}/{self.name}"

    @property
    def curve(self) -> curve.Curve:
        """What the training wrote so far."""
        return curve.read(self.where.losses)

    def job(self) -> Body:
        """The job as last seen, empty where it does not exist."""
        return self.recorder.find("TrainingJob", self.name, self.namespace) or {"spec": {}, "metadata": {}}

    def status(self) -> Mapping[str, Any]:
        """Its status as last seen."""
        return status_of(self.job())

    def pods(self) -> list[Body]:
        """The ranks' pods that exist, in rank order."""
        mine = [
            pod
            for pod in self.recorder.now["Pod"].values()
            if pod["metadata"]["namespace"] == self.namespace
            and (pod["metadata"].get("labels") or {}).get(f"{PREFIX}job") == self.name
            and f"{PREFIX}rank" in pod["metadata"]["labels"]
        ]
        return sorted(mine, key=lambda pod: int(pod["metadata"]["labels"][f"{PREFIX}rank"]))

    async def until(
        self, look: Callable[[], Any], what: str, seconds: float, kind: str = "TrainingJob", name: str = ""
    ) -> Any:
        """The first truthy answer, asked after every event; MissingError at the deadline."""
        named, place = name or self.name, "" if kind in {"CardPool", "Supernode", "Node"} else self.namespace
        try:
            return await self.recorder.until(look, seconds, what)
        except AssertionError as error:
            if error.__cause__ is not None:  # the recording itself broke off
                raise
            last = self.recorder.find(kind, named, place)
            text = f"{what} did not come true in {seconds:g} s"
            raise MissingError(kind, named, place, text, last) from error

    async def running(self, attempt: int, seconds: float = 90.0) -> Mapping[str, Any]:
        """The status, once all pods of that attempt run; an end of the job is not waited out."""

        def look() -> Mapping[str, Any] | None:
            status = self.status()
            ready, _, want = str(status.get("ready", "")).partition("/")
            ended = status.get("phase") == "Failed" or status.get("attempt", 0) > attempt
            whole = status.get("phase") == "Running" and ready == want and status.get("attempt", 0) == attempt
            return status if whole or ended else None

        status: Mapping[str, Any] = await self.until(look, f"all pods of attempt {attempt} running", seconds)
        if status.get("phase") != "Running" or status.get("attempt", 0) != attempt:
            raise MissingError("TrainingJob", self.name, self.namespace, f"attempt {attempt} never ran", self.job())
        return status

    async def trained(self, event: str, count: int, attempt: int, seconds: float = 90.0) -> Line:
        """The newest line of that kind, once the attempt wrote so many."""

        def look() -> Line | None:
            found = self.curve.of(event, attempt)
            return found[-1] if len(found) >= count else None

        what = f"{count} lines of “{event}” by attempt {attempt} in loss.jsonl"
        line: Line = await self.until(look, what, seconds)
        return line

    async def holds(self, rank: int = 0, seconds: float = 30.0) -> tuple[Body, str]:
        """A pod and the first of the cards that it holds, once kubelet told their names."""

        def look() -> tuple[Body, str] | None:
            pods = self.pods()
            ids = sorted(picture.held(pods[rank])) if len(pods) > rank else []
            return (pods[rank], ids[0]) if ids else None

        found: tuple[Body, str] = await self.until(
            look, "allocatedResourcesStatus with card ids", seconds, "Pod", f"{self.name}-worker-{rank}"
        )
        return found

    async def break_card(self, rank: int = 0) -> Broken:
        """Let the device plug-in call a card Unhealthy that the rank holds."""
        pod, card = await self.holds(rank)
        node = str(pod["spec"]["nodeName"])
        if self.where.ctx is None:
            raise ValueError("no device plug-in that may be told so")
        at = time.time()
        cards.set_health(self.where.ctx.state, real_layout.node(node), card, cards.Health.UNHEALTHY)
        return Broken(node, card, at, pod["metadata"]["name"])

    async def resumed(self, attempt: int, seconds: float = 120.0) -> Line:
        """The first step of the attempt after its pods run again."""
        await self.running(attempt, seconds)
        await self.trained("step", 1, attempt)
        return self.curve.of("step", attempt)[0]

    async def finished(self, seconds: float = 120.0) -> Mapping[str, Any]:
        """The status, once the job is Finished, whatever the outcome."""

        def look() -> bool:
            return condition(self.job(), "Finished").get("status") == "True"

        await self.until(look, "condition Finished", seconds)
        return self.status()

    async def gone(self, seconds: float = 60.0) -> None:
        """Delete the job and return when nothing that it owned is left."""
        await self.kube.delete("TrainingJob", self.name, self.namespace)
        await self.until(lambda: not self._owned(), "everything of the job gone", seconds)

    def _owned(self) -> list[str]:
        """What is left of the job, itself included."""
        left = [self.key] if self.recorder.find("TrainingJob", self.name, self.namespace) else []
        for kind in ("Pod", "Service", "ConfigMap"):
            left += [
                f"{kind} {key}"
                for key, body in self.recorder.now[kind].items()
                if body["metadata"].get("namespace") == self.namespace
                and (body["metadata"].get("labels") or {}).get(f"{PREFIX}job") == self.name
            ]
        return left


async def unpooled(
    kube: Kube, recorder: Recorder, pool: str, supernodes: tuple[str, ...], seconds: float = 30.0
) -> None:
    """Delete the pool and these declared supernodes; returns when no node carries the pool's label any more."""
    await kube.delete("CardPool", pool)
    for name in supernodes:
        await kube.delete("Supernode", name)

    def look() -> bool:
        nodes = recorder.now["Node"].values()
        marked = any((node["metadata"].get("labels") or {}).get(f"{PREFIX}pool") == pool for node in nodes)
        left = [one for one in recorder.now["Supernode"].values() if one["spec"]["pool"] == pool]
        return not marked and not left

    try:
        await recorder.until(look, seconds, "no node labelled and no supernode left")
    except AssertionError as error:
        text = f"labels or supernodes stayed {seconds:g} s after its deletion"
        raise MissingError("CardPool", pool, "", text, recorder.find("CardPool", pool)) from error
