"""Making one object surely once, though a POST has no precondition and its answer may be lost.

The name is the fence: the API server refuses a second live object of a name, so trying again after an unknown outcome
is safe, and AlreadyExists is answered by looking who owns what is there. Every outcome is a value.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from cardpool import errors, names
from cardpool.kube import client as kube_client
from cardpool.kube import paths
from cardpool.lifecycle import actions
from cardpool.runtime import metrics

TRIES: Final = 5
FENCE_LABELS: Final = (names.LABEL_ATTEMPT, names.LABEL_EXECUTION)
Sleep = Callable[[float], Awaitable[None]]


class Outcome(Enum):
    """What became of one creation."""

    MADE = auto()
    OLD = auto()
    REFUSED = auto()
    FOREIGN = auto()
    DROPPED = auto()


@dataclass(frozen=True, slots=True)
class Made:
    """The outcome: ``raw`` is our object, ``code`` and ``message`` tell a refusal, ``uid`` names an old object."""

    outcome: Outcome
    raw: bytes = b""
    code: int = 0
    message: str = ""
    uid: str = ""


class Creator:
    """Makes objects for their owner; raises LeaseLostError only, and UnreachableError when nothing can be learnt."""

    def __init__(self, api: kube_client.Client, instruments: metrics.Metrics, sleep: Sleep = asyncio.sleep) -> None:
        self._api = api
        self._metrics = instruments
        self._sleep = sleep

    async def create(self, item: actions.CreateObject, owner_uid: str, allowed: Callable[[], bool]) -> Made:
        """POST until the answer is definite, asking ``allowed`` before each try."""
        kind = str(item.manifest["kind"])
        path = paths.of_manifest(item.manifest)
        refusal: errors.ApiError | None = None
        for turn in range(TRIES):
            if not allowed():
                return Made(Outcome.DROPPED, message="the owner is gone or has moved on")
            try:
                raw = await self._api.post(path, item.manifest, params={"fieldManager": names.FIELD_MANAGER})
            except errors.ApiError as error:
                self._metrics.requests.labels(verb="create", kind=kind, code=str(error.code)).inc()
                exists = error.code == 409 and error.reason == "AlreadyExists"
                if not exists and not _transient(error):
                    return Made(Outcome.REFUSED, code=error.code, message=error.message)
                refusal = None if exists else error
                found = await self._look(item, owner_uid) if exists or error.code >= 500 else None
            except errors.UnreachableError:
                self._metrics.requests.labels(verb="create", kind=kind, code="0").inc()
                refusal, found = None, await self._look(item, owner_uid)
            else:
                self._metrics.requests.labels(verb="create", kind=kind, code="201").inc()
                return Made(Outcome.MADE, raw=raw)
            if found is not None:
                return found
            self._metrics.retries.labels(kind=kind).inc()
            await self._sleep(0.1 * 2**turn)
        if refusal is not None:
            return Made(Outcome.REFUSED, code=refusal.code, message=refusal.message)
        raise errors.UnreachableError(f"no definite answer about {kind} {item.name} after {TRIES} tries")

    async def _look(self, item: actions.CreateObject, owner_uid: str) -> Made | None:
        """Whose object is under the name; None where there is none any more."""
        try:
            raw = await self._api.get(f"{paths.of_manifest(item.manifest)}/{item.name}")
        except errors.ApiError as error:
            if error.code == 404:
                return None
            raise errors.UnreachableError(f"{item.name} cannot be looked up: {error}") from error
        return judge(raw, item.manifest, owner_uid)


def judge(raw: bytes, wanted: Mapping[str, Any], owner_uid: str) -> Made:
    """Whether the object that is there is the wanted one, an older or dying one of ours, or somebody else's."""
    there = json.loads(raw).get("metadata", {})
    owners = [ref.get("uid") for ref in there.get("ownerReferences") or () if ref.get("controller")]
    if owner_uid not in owners:
        whose = f"is controlled by UID {owners[0]}" if owners else "has no controller"
        return Made(Outcome.FOREIGN, code=409, message=f"{there.get('name')} exists already and {whose}")
    labels, wanted_labels = there.get("labels") or {}, wanted["metadata"].get("labels") or {}
    same = all(labels.get(key) == wanted_labels[key] for key in FENCE_LABELS if key in wanted_labels)
    if same and not there.get("deletionTimestamp"):
        return Made(Outcome.MADE, raw=raw)
    return Made(Outcome.OLD, uid=str(there.get("uid", "")), message=f"{there.get('name')} of an older attempt is there")


def _transient(error: errors.ApiError) -> bool:
    """Answers that say nothing of the object: an ended token, overload, internal errors, colliding quota updates."""
    return error.code in {401, 429} or error.code >= 500 or (error.code == 409 and error.reason == "Conflict")
