"""Records of our own kinds: a spec is parsed once per UID and generation.

One that does not parse becomes a record with ``invalid``, because its author has to be told; so does one beside a
status that cannot be read.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import pydantic

from cardpool import names
from cardpool.api.cardpool import CardPoolSpec, CardPoolStatus
from cardpool.api.jobstatus import TrainingJobStatus
from cardpool.api.supernode import SupernodeSpec, SupernodeStatus
from cardpool.api.trainingjob import TrainingJobSpec
from cardpool.domain.world import JobRecord, PoolRecord, SupernodeRecord
from cardpool.kube import metadata, wire

_Spec = TypeVar("_Spec", bound=pydantic.BaseModel)
_Status = TypeVar("_Status", bound=pydantic.BaseModel)


class Customs:
    """Makes the records, and remembers parsed specs."""

    def __init__(self) -> None:
        self._specs: dict[str, tuple[int, Any, str]] = {}

    def job(self, obj: wire.Custom) -> JobRecord:
        """Return a TrainingJob's record."""
        meta = obj.metadata
        spec, status, invalid = self._parsed(TrainingJobSpec, TrainingJobStatus, obj)
        return JobRecord(
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            created=metadata.epoch(meta.creation_timestamp),
            deleting=meta.deletion_timestamp is not None,
            spec=spec,
            status=status,
            invalid=invalid,
            owner=next((owner.name for owner in meta.owner_references or () if owner.controller), ""),
            runtime_key=(meta.labels or {}).get(names.LABEL_RUNTIME_KEY, ""),
        )

    def pool(self, obj: wire.Custom) -> PoolRecord:
        """Return a CardPool's record."""
        meta = obj.metadata
        spec, status, invalid = self._parsed(CardPoolSpec, CardPoolStatus, obj)
        return PoolRecord(
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            created=metadata.epoch(meta.creation_timestamp),
            deleting=meta.deletion_timestamp is not None,
            spec=spec,
            status=status,
            invalid=invalid,
        )

    def supernode(self, obj: wire.Custom) -> SupernodeRecord:
        """Return a Supernode's record."""
        meta = obj.metadata
        spec, status, invalid = self._parsed(SupernodeSpec, SupernodeStatus, obj)
        return SupernodeRecord(
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            created=metadata.epoch(meta.creation_timestamp),
            deleting=meta.deletion_timestamp is not None,
            spec=spec,
            status=status,
            discovered=names.LABEL_DISCOVERED in (meta.labels or {}),
            user_fields=metadata.written_by_others(meta),
            owner=metadata.controller(meta),
            invalid=invalid,
        )

    def forget(self, uid: str) -> None:
        """Drop what is remembered of an object that is gone."""
        self._specs.pop(uid, None)

    def _spec(self, model: type[_Spec], obj: wire.Custom) -> tuple[_Spec | None, str]:
        meta = obj.metadata
        held = self._specs.get(meta.uid)
        if held is not None and held[0] == meta.generation:
            return held[1], held[2]
        spec, invalid = _parse(model, obj.spec, "spec")
        self._specs[meta.uid] = (meta.generation, spec, invalid)
        return spec, invalid

    def _parsed(
        self, spec_model: type[_Spec], status_model: type[_Status], obj: wire.Custom
    ) -> tuple[_Spec | None, _Status, str]:
        """The spec, the status, and what is wrong; nothing is done by a spec beside a status that cannot be read."""
        spec, invalid = self._spec(spec_model, obj)
        status, damage = _parse(status_model, obj.status, "status")
        return None if damage else spec, status if status is not None else status_model(), invalid or damage


def _parse(model: type[_Spec], raw: msgspec.Raw, root: str) -> tuple[_Spec | None, str]:
    """Return the parsed part of an object and "", or None and the first error as ``spec.groups[0].replicas: …``."""
    try:
        return model.model_validate_json(bytes(raw) or b"{}"), ""
    except pydantic.ValidationError as error:
        return None, _describe(error, root)


def _describe(error: pydantic.ValidationError, root: str) -> str:
    """Return the first error with its field path, and how many more there are."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{path}: {first['msg']}{more}"
