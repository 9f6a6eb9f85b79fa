"""A client that answers from a table of objects, and fails where a test's script says so; builders of steps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from cardpool import errors, names
from cardpool.kube import store
from cardpool.lifecycle import actions
from cardpool.names import Kind
from cardpool.runtime import creation, metrics, steps
from tests.support import builders

UID = "job-uid"
JOB = "team/llm"
JOB_PATH = "/apis/cardpool.dev/v1alpha1/namespaces/team/trainingjobs/llm"
PODS = "/api/v1/namespaces/team/pods"
SERVICES = "/api/v1/namespaces/team/services"


class Lost(Exception):  # noqa: N818 (a script's word, no error)
    """The request arrives and is carried out, its answer is lost."""


class Dropped(Exception):  # noqa: N818 (a script's word, no error)
    """The request never arrives, and nobody can tell."""


def refused(code: int, reason: str = "Forbidden", message: str = "no") -> errors.ApiError:
    """An error answer."""
    return errors.ApiError(code, reason, message)


class Api:
    """Objects by path. ``fail(verb, part, *answers)`` scripts the next answers to requests whose path has the part."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.version = 100
        self.before: Callable[[str, str], None] | None = None
        self._script: list[tuple[str, str, Exception | Callable[[], None]]] = []

    def fail(self, verb: str, part: str, *answers: Exception | Callable[[], None]) -> None:
        """Script the next answers, one a request; a callable is called and the request then goes through."""
        self._script.extend((verb, part, answer) for answer in answers)

    def writes(self) -> list[tuple[str, str]]:
        """Everything that was sent but reads."""
        return [entry for entry in self.log if entry[0] != "get"]

    async def get(self, path: str, **_: Any) -> bytes:
        return await self._do("get", path, None, lambda: self._found(path))

    async def post(self, path: str, body: Any, **_: Any) -> bytes:
        return await self._do("post", f"{path}/{body['metadata']['name']}", body, lambda: self._make(path, body))

    async def put(self, path: str, body: Any, **_: Any) -> bytes:
        return await self._do("put", path, body, lambda: self._status(path, body))

    async def patch(self, path: str, body: Any, **_: Any) -> bytes:
        return await self._do("patch", path, body, lambda: self._checked(path, body))

    async def apply(self, path: str, body: Any, **_: Any) -> bytes:
        return await self._do("apply", path, body, lambda: self._merge(path, body))

    async def delete(self, path: str, *, uid: str | None = None, **_: Any) -> bytes:
        return await self._do("delete", path, uid, lambda: self._remove(path, uid))

    def put_object(self, path: str, obj: dict[str, Any]) -> None:
        """Let an object exist without a request."""
        self.version += 1
        obj["metadata"].setdefault("uid", f"uid-{obj['metadata']['name']}")
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = obj

    async def _do(self, verb: str, path: str, body: Any, work: Callable[[], bytes]) -> bytes:
        if self.before is not None and verb != "get":
            self.before(verb, path)
        self.log.append((verb, path))
        self.bodies.append(body)
        await asyncio.sleep(0)
        for index, (wanted, part, answer) in enumerate(self._script):
            if wanted == verb and part in path:
                del self._script[index]
                return self._scripted(answer, work)
        return work()

    def _scripted(self, answer: Exception | Callable[[], None], work: Callable[[], bytes]) -> bytes:
        match answer:
            case Lost():
                work()
                raise errors.UnreachableError("answer lost")
            case Dropped():
                raise errors.UnreachableError("request lost")
            case Exception():
                raise answer
            case _:
                answer()
                return work()

    def _found(self, path: str) -> bytes:
        if path not in self.objects:
            raise refused(404, "NotFound", f"{path} not found")
        return json.dumps(self.objects[path]).encode()

    def _make(self, collection: str, body: Mapping[str, Any]) -> bytes:
        path = f"{collection}/{body['metadata']['name']}"
        if path in self.objects:
            raise refused(409, "AlreadyExists", "exists")
        self.put_object(path, json.loads(json.dumps(body)))
        return self._found(path)

    def _status(self, path: str, body: Mapping[str, Any]) -> bytes:
        target = path.removesuffix("/status")
        there = json.loads(self._found(target))
        if body["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"]:
            raise refused(409, "Conflict", "modified")
        self.put_object(target, {**there, "status": body["status"]})
        return self._found(target)

    def _checked(self, path: str, body: Mapping[str, Any]) -> bytes:
        there = json.loads(self._found(path))
        if body["metadata"].get("resourceVersion") not in {None, there["metadata"]["resourceVersion"]}:
            raise refused(409, "Conflict", "modified")
        return self._merge(path, body)

    def _merge(self, path: str, body: Mapping[str, Any]) -> bytes:
        there = self.objects.get(path, {"metadata": {}})
        merged = {**there, **body, "metadata": {**there["metadata"], **body["metadata"]}}
        self.put_object(path, merged)
        return self._found(path)

    def _remove(self, path: str, uid: str | None) -> bytes:
        there = json.loads(self._found(path))
        if uid not in {None, there["metadata"]["uid"]}:
            raise refused(409, "Conflict", "another UID")
        del self.objects[path]
        return b'{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}'


class Events:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def record(self, *what: Any, **_: Any) -> None:
        self.said.append(str(what[3]))


class Bench:
    """One job on the server and in the mirror, and a Steps over both."""

    def __init__(self, *, in_flight: int = 1, attempt: int = 0) -> None:
        self.api = Api()
        self.mirror = store.Mirror()
        self.metrics = metrics.Metrics()
        self.events = Events()
        manifest = builders.job("llm", "team", "main")
        manifest["metadata"] |= {"uid": UID, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
        manifest["status"] = {"attempt": attempt, "executionAttempt": attempt, "phase": "Queued"}
        self.api.put_object(JOB_PATH, manifest)
        self.see()
        creator = creation.Creator(self.api, self.metrics, sleep=_no_sleep)  # type: ignore[arg-type]
        self.steps = steps.Steps(
            self.api,  # type: ignore[arg-type]
            self.mirror,
            self.events,  # type: ignore[arg-type]
            self.metrics,
            wall=lambda: 1000.0,
            in_flight=in_flight,
            creator=creator,
        )

    def see(self) -> None:
        """Let the mirror see the job as the server has it."""
        self.mirror.overlay(Kind.JOB, json.dumps(self.api.objects[JOB_PATH]).encode())

    def edit(self, **status: Any) -> None:
        """Somebody else writes the job's status, and the mirror sees it."""
        there = self.api.objects[JOB_PATH]
        self.api.put_object(JOB_PATH, {**there, "status": {**there["status"], **status}})
        self.see()

    def end(self) -> None:
        """Somebody deletes the job, and the mirror sees it going."""
        there = json.loads(json.dumps(self.api.objects[JOB_PATH]))
        there["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"
        self.api.put_object(JOB_PATH, there)
        self.see()

    def step(self, **fields: Any) -> actions.Step:
        """A step of the job with the version that the mirror has."""
        version = self.mirror.resource_version(Kind.JOB, JOB)
        return actions.Step(kind=Kind.JOB, key=JOB, uid=UID, resource_version=version, **fields)


async def _no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def owned(kind: str, name: str, *, attempt: int | None = 0, owner: str = UID, **metadata: Any) -> dict[str, Any]:
    """A manifest controlled by the job."""
    labels = {} if attempt is None else {names.LABEL_ATTEMPT: str(attempt), names.LABEL_EXECUTION: str(attempt)}
    reference = {"apiVersion": names.API_VERSION, "kind": "TrainingJob", "name": "llm", "uid": owner}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "team",
            "labels": labels,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{**reference, "controller": True}],
            **metadata,
        },
        "spec": {"containers": [{"name": "main", "image": "train:1"}]} if kind == "Pod" else {},
    }


def pod(name: str = "llm-worker-0", attempt: int = 0) -> actions.CreateObject:
    """A pod to be made."""
    return actions.CreateObject(owned("Pod", name, attempt=attempt), attempt)


def service(name: str = "llm") -> actions.CreateObject:
    """The Service to be made."""
    return actions.CreateObject(owned("Service", name, attempt=None), 0)
