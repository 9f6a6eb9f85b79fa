"""What a scenario sees of its own part of a shared cluster, always through the recorder, as any user could.

Nothing here asks the API: the recorder's watches are the one source, so what a test waited for is in its history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from e2e.cluster import rest
from tests.support.history import PREFIX, Body, Seen, condition, status_of
from tests.support.kubeclient import Kube
from tests.support.recorder import Recorder

SECONDS = 20.0


class View:
    """One namespace and pool of the given name; ``kube`` acts, ``recorder`` sees."""

    def __init__(self, name: str, kube: Kube, recorder: Recorder) -> None:
        self.name = name
        self.kube = kube
        self.recorder = recorder

    def job(self, name: str = "llm") -> Body:
        """The job as last seen; empty where it does not exist."""
        return self.recorder.find("TrainingJob", name, self.name) or {}

    def status(self, name: str = "llm") -> Mapping[str, Any]:
        """The job's status as last seen."""
        return status_of(self.job(name)) if self.job(name) else {}

    def pods(self, name: str = "llm") -> list[Body]:
        """The job's pods that exist, resolver excluded, in rank order."""
        mine = [
            pod
            for pod in self.recorder.now["Pod"].values()
            if pod["metadata"]["namespace"] == self.name
            and (pod["metadata"].get("labels") or {}).get(f"{PREFIX}job") == name
            and f"{PREFIX}rank" in pod["metadata"]["labels"]
        ]
        return sorted(mine, key=lambda pod: int(pod["metadata"]["labels"][f"{PREFIX}rank"]))

    def pod_events(self, name: str = "llm") -> list[Seen]:
        """Every event ever seen of the job's pods, resolver excluded."""
        return [
            seen
            for seen in self.recorder.events
            if seen.kind == "Pod"
            and seen.body["metadata"]["namespace"] == self.name
            and seen.labels.get(f"{PREFIX}job") == name
            and f"{PREFIX}rank" in seen.labels
        ]

    def last_counts(self, name: str = "llm") -> int:
        """Restarts of both sorts in the last status ever seen of the job, which may be gone."""
        bodies = [
            seen.body
            for seen in self.recorder.events
            if seen.kind == "TrainingJob" and seen.key == f"{self.name}/{name}"
        ]
        status = status_of(bodies[-1])
        return int(status.get("restarts", 0)) + int(status.get("faultRestarts", 0))

    def events(self, reason: str, name: str = "llm") -> list[Body]:
        """Events about the job with that reason."""
        return [
            event
            for event in self.recorder.now["Event"].values()
            if event.get("reason") == reason
            and event["involvedObject"]["name"] == name
            and event["involvedObject"].get("namespace") == self.name
        ]

    def nodes_of(self, name: str = "llm") -> list[str]:
        """Nodes of the job's pods in rank order."""
        return [pod["spec"].get("nodeName", "") for pod in self.pods(name)]

    async def until(self, look: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        """The first truthy answer, asked after every event."""
        return await self.recorder.until(look, seconds, what)

    async def stays(self, look: Callable[[], Any], what: str, seconds: float) -> None:
        """Return after so many seconds in which the answer was truthy after every event."""
        await self.recorder.holds(look, seconds, what)

    async def seen(
        self,
        kind: str,
        name: str,
        namespace: str,
        look: Callable[[Body], Any],
        what: str = "exists",
        seconds: float = SECONDS,
    ) -> Body:
        """The object, once it exists and looks as asked; AssertionError with its status."""

        def found() -> Body | None:
            body = self.recorder.find(kind, name, namespace)
            return body if body is not None and look(body) else None

        try:
            return await self.recorder.until(found, seconds, f"{kind} {name} {what}")
        except AssertionError as error:
            body = self.recorder.find(kind, name, namespace)
            raise AssertionError(f"{error}; status: {status_of(body) if body else 'no such object'}") from error

    async def until_job(
        self, look: Callable[[Mapping[str, Any]], Any], what: str, name: str = "llm", seconds: float = SECONDS
    ) -> Mapping[str, Any]:
        """The job's status, once it looks as asked."""
        return status_of(
            await self.seen("TrainingJob", name, self.name, lambda body: look(status_of(body)), what, seconds)
        )

    async def until_phase(self, phase: str, name: str = "llm", seconds: float = SECONDS) -> Mapping[str, Any]:
        """The job's status, once it is in that phase."""
        return await self.until_job(lambda status: status.get("phase") == phase, f"in phase {phase}", name, seconds)

    async def until_condition(
        self, kind: str, value: str, reason: str = "", name: str = "llm", seconds: float = SECONDS
    ) -> Mapping[str, Any]:
        """The job's condition, once it has that value (and reason)."""

        def look(body: Body) -> bool:
            one = condition(body, kind)
            return one.get("status") == value and reason in {"", one.get("reason")}

        body = await self.seen("TrainingJob", name, self.name, look, f"{kind}={value} {reason}", seconds)
        return condition(body, kind)

    async def until_running(
        self, name: str = "llm", attempt: int | None = None, seconds: float = SECONDS
    ) -> Mapping[str, Any]:
        """The job's status, once all of its pods run (in that attempt) and were seen to."""

        def look(status: Mapping[str, Any]) -> bool:
            ready, _, want = str(status.get("ready", "")).partition("/")
            here = attempt is None or status.get("attempt") == attempt
            return status.get("phase") == "Running" and here and ready == want and bool(ready)

        def run() -> int:
            return sum(status_of(pod).get("phase") == "Running" for pod in self.pods(name))

        status = await self.until_job(look, f"Running in attempt {attempt}", name, seconds)
        want = int(str(status["ready"]).partition("/")[2])
        await self.until(lambda: run() >= want, f"{want} pods of {name} seen Running")  # another watch than the job's
        return status

    async def until_waiting(self, reason: str, name: str = "llm", seconds: float = SECONDS) -> str:
        """The message of PodsScheduled, once it is False for that reason."""
        return str((await self.until_condition("PodsScheduled", "False", reason, name, seconds))["message"])

    async def until_gone(self, kind: str, name: str, seconds: float = SECONDS) -> None:
        """Return when the namespaced object does not exist any more."""
        await self.until(lambda: self.recorder.find(kind, name, self.name) is None, f"{kind} {name} gone", seconds)

    async def until_quota(self, name: str) -> None:
        """Return when the API server enforces the ResourceQuota."""

        async def enforced() -> bool:
            quota = await self.kube.get("ResourceQuota", name, self.name)
            return bool(status_of(quota).get("used"))

        await rest.wait_for(enforced, SECONDS, f"quota {name} enforced")
