"""One object's step, stage by stage: status, deletions, prerequisites, pods; what fails drops the rest.

The order makes a kill at any point harmless. The status says what is meant before anything is done about it, so the
next operator finds the intention with the pods half made, and finishes or takes back exactly that attempt. A status is
a PUT of the whole stanza with UID and resourceVersion: a 409 means that we decided on old knowledge.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeVar

from cardpool import errors, names
from cardpool.domain import world
from cardpool.kube import client as kube_client
from cardpool.kube import paths, recorder, store
from cardpool.lifecycle import actions
from cardpool.names import Kind
from cardpool.runtime import creation, metrics

logger = logging.getLogger(__name__)

MESSAGE_MAX: Final = 1024
Item = TypeVar("Item")


class End(Enum):
    """How a step ended."""

    DONE = auto()
    STALE = auto()  # decided on old knowledge: decide again at once
    FAILED = auto()  # decide again after a pause
    REFUSED = auto()  # the API server will not have an object: the core takes the attempt back


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a step; ``wrote`` says that a status went through, ``refused`` what the API server said."""

    end: End
    wrote: bool = False
    refused: world.Refused | None = None


class _Stop(Exception):  # noqa: N818 (control flow inside this module, no error)
    def __init__(self, end: End, refused: world.Refused | None = None) -> None:
        super().__init__(end)
        self.end = end
        self.refused = refused


class Steps:
    """Carries steps out. Raises LeaseLostError, then nothing more is written; every other failure is a Result."""

    def __init__(
        self,
        api: kube_client.Client,
        mirror: store.Mirror,
        events: recorder.Recorder,
        instruments: metrics.Metrics,
        *,
        wall: Callable[[], float],
        in_flight: int = 48,
        creator: creation.Creator | None = None,
    ) -> None:
        self._api = api
        self._mirror = mirror
        self._events = events
        self._metrics = instruments
        self._creator = creator or creation.Creator(api, instruments)
        self._wall = wall
        self._in_flight = in_flight

    async def perform(self, step: actions.Step, written: Callable[[], None] = lambda: None) -> Result:
        """Carry out one step, stage by stage; ``written`` is called once the status went through."""
        wrote = False
        try:
            if step.status is not None:
                await self._status(step)
                wrote = True
                written()
            self._announce(step)
            await self._all(step.deletions, self._delete)
            owner = _Owner(self._mirror, step)
            for item in step.prerequisites:
                await self._create(step, item, owner)
            await self._all(step.pods, lambda item: self._create(step, item, owner))
            if step.delete_self:
                await self._delete_self(step)
        except _Stop as stop:
            return Result(stop.end, wrote, stop.refused)
        except (errors.ApiError, errors.UnreachableError) as error:
            logger.warning("a step failed", extra={"kind": str(step.kind), "key": step.key, "error": str(error)})
            return Result(End.FAILED, wrote)
        return Result(End.DONE, wrote)

    async def _status(self, step: actions.Step) -> None:
        namespace, _, name = step.key.rpartition("/")
        metadata = {"name": name, "uid": step.uid, "resourceVersion": step.resource_version}
        if namespace:
            metadata["namespace"] = namespace
        body = {"apiVersion": names.API_VERSION, "kind": str(step.kind), "metadata": metadata, "status": step.status}
        try:
            raw = await self._api.put(
                paths.by_key(step.kind, step.key, "status"),
                body,
                params={"fieldManager": names.FIELD_MANAGER},
                lane=kube_client.Lane.STATUS,
            )
        except errors.ApiError as error:
            self._count("status", step.kind, error.code)
            if error.code == 404:
                self._mirror.forget(step.kind, step.key, step.uid)
                raise _Stop(End.STALE) from error
            if error.code == 409:
                await self._read_again(step)
                raise _Stop(End.STALE) from error
            raise
        except errors.UnreachableError:
            self._count("status", step.kind, 0)
            await self._read_again(step)
            raise
        self._count("status", step.kind, 200)
        self._mirror.overlay(step.kind, raw)

    async def _read_again(self, step: actions.Step) -> None:
        """Bring the mirror up to date by a live read, so that the next cycle does not repeat the mistake."""
        try:
            self._mirror.overlay(step.kind, await self._api.get(paths.by_key(step.kind, step.key)))
        except errors.ApiError as error:
            if error.code != 404:
                raise
            self._mirror.forget(step.kind, step.key, step.uid)

    def _announce(self, step: actions.Step) -> None:
        for event in step.events:
            self._events.record(
                step.kind, step.key, step.uid, event.reason, event.message, warning=event.warning, action=event.action
            )
            logger.log(
                logging.WARNING if event.warning else logging.INFO,
                "%s",
                event.message,
                extra={"kind": str(step.kind), "key": step.key, "reason": str(event.reason)},
            )

    async def _delete(self, item: actions.DeletePod) -> None:
        key = f"{item.namespace}/{item.name}"
        try:
            raw = await self._api.delete(paths.by_key(Kind.POD, key), uid=item.uid, grace=item.grace)
        except errors.ApiError as error:
            self._count("delete", Kind.POD, error.code)
            if error.code not in {404, 409}:
                raise
            self._mirror.forget(Kind.POD, key, item.uid)
            return
        self._count("delete", Kind.POD, 200)
        _overlay_deleted(self._mirror, Kind.POD, key, item.uid, raw)

    async def _delete_self(self, step: actions.Step) -> None:
        version = self._mirror.resource_version(step.kind, step.key) or step.resource_version
        try:
            raw = await self._api.delete(
                paths.by_key(step.kind, step.key), uid=step.uid, resource_version=version, propagation="Background"
            )
        except errors.ApiError as error:
            self._count("delete", step.kind, error.code)
            if error.code == 404:
                self._mirror.forget(step.kind, step.key, step.uid)
                return
            raise _Stop(End.STALE if error.code == 409 else End.FAILED) from error
        self._count("delete", step.kind, 200)
        _overlay_deleted(self._mirror, step.kind, step.key, step.uid, raw)

    async def _create(self, step: actions.Step, item: actions.CreateObject, owner: _Owner) -> None:
        made = await self._creator.create(item, step.uid, lambda: owner.wants(item))
        kind = str(item.manifest["kind"])
        match made.outcome:
            case creation.Outcome.MADE:
                if kind == Kind.POD:
                    self._mirror.overlay(Kind.POD, made.raw)
            case creation.Outcome.DROPPED:
                raise _Stop(End.STALE)
            case creation.Outcome.OLD:
                if kind != Kind.POD:
                    await self._api.delete(f"{paths.of_manifest(item.manifest)}/{item.name}", uid=made.uid)
                logger.info("an older object is still there", extra={"key": step.key, "object": item.name})
                raise _Stop(End.STALE)
            case creation.Outcome.REFUSED | creation.Outcome.FOREIGN:
                self._metrics.refusals.labels(code=str(made.code)).inc()
                taken = made.outcome is creation.Outcome.FOREIGN
                name = f"{kind}/{item.name}"
                logger.warning(
                    "refused: %s",
                    made.message,
                    extra={"key": step.key, "object": name, "code": made.code, "taken": taken},
                )
                raise _Stop(
                    End.REFUSED,
                    world.Refused(
                        step.uid, item.attempt, name, made.code, made.message[:MESSAGE_MAX], self._wall(), taken=taken
                    ),
                )

    async def _all(self, items: Iterable[Item], work: Callable[[Item], Awaitable[None]]) -> None:
        """Work on the items in order, a bounded number at once; after a failure none is begun, the begun are finished.

        A request that is under way is never cancelled for a neighbour's failure: its outcome would be unknown.
        """
        queue = iter(items)
        failures: list[Exception] = []

        async def worker() -> None:
            for item in queue:
                try:
                    await work(item)
                except Exception as error:  # noqa: BLE001 (raised again below, once the neighbours are done)
                    failures.append(error)
                if failures:
                    return

        async with asyncio.TaskGroup() as group:
            for _ in range(self._in_flight):
                group.create_task(worker())
        if failures:
            raise max(failures, key=_weight)

    def _count(self, verb: str, kind: Kind, code: int) -> None:
        self._metrics.requests.labels(verb=verb, kind=str(kind), code=str(code)).inc()


class _Owner:
    """Whether the step's object still wants what is being made; looks again only when the object changed."""

    def __init__(self, mirror: store.Mirror, step: actions.Step) -> None:
        self._mirror = mirror
        self._step = step
        self._version: str | None = None
        self._record: object = None

    def wants(self, item: actions.CreateObject) -> bool:
        """True while the owner is in the mirror, lives, and is at the attempt that the object is labelled with."""
        version = self._mirror.resource_version(self._step.kind, self._step.key)
        if version != self._version or not version:
            self._record, self._version = self._mirror.get(self._step.kind, self._step.key), version
        match self._record:
            case world.JobRecord() as job:
                labels: Mapping[str, str] = item.manifest["metadata"].get("labels") or {}
                now = {names.LABEL_ATTEMPT: job.status.attempt, names.LABEL_EXECUTION: job.status.execution_attempt}
                current = all(labels.get(key, str(value)) == str(value) for key, value in now.items())
                return job.uid == self._step.uid and not job.deleting and current
            case world.PoolRecord() | world.SupernodeRecord() as owner:
                return owner.uid == self._step.uid and not owner.deleting
            case _:
                return False


def _overlay_deleted(mirror: store.Mirror, kind: Kind, key: str, uid: str, raw: bytes) -> None:
    """A DELETE answers with the object while it is still going, with a Status once it is gone."""
    if mirror.overlay(kind, raw) is None:
        mirror.forget(kind, key, uid)


def _weight(error: Exception) -> int:
    """Which of several failures tells most: the lost lease, then a refusal, then the rest."""
    if isinstance(error, errors.LeaseLostError):
        return 2
    return 1 if isinstance(error, _Stop) and error.refused is not None else 0
