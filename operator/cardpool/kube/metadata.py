"""What all objects say in the same way: names, times, labels, owners, conditions, and who manages which field.

Equal texts are held once in the process, since thousands of objects say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from sys import intern
from typing import Any, Final

import msgspec

from cardpool import names
from cardpool.kube import wire

_FIELDS: Final = msgspec.json.Decoder(dict[str, Any])
_NONE: Final[frozenset[str]] = frozenset()


def key(meta: wire.Meta) -> str:
    """Return ``namespace/name``, or ``name`` for a cluster's object."""
    return f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name


def epoch(time: datetime | None) -> float:
    """Return seconds since the epoch, 0 where there is no time."""
    return time.timestamp() if time is not None else 0.0


def texts(labels: Mapping[str, str] | None) -> dict[str, str]:
    """The labels, with equal texts held once in the process."""
    return {intern(name): intern(value) for name, value in (labels or {}).items()}


def condition(conditions: Iterable[wire.Condition] | None, name: str) -> wire.Condition | None:
    """Return the condition of this type, or None."""
    for item in conditions or ():
        if item.type == name:
            return item
    return None


def controller(meta: wire.Meta) -> str:
    """Return the UID of the controlling owner, or the empty text."""
    return next((owner.uid for owner in meta.owner_references or () if owner.controller), "")


def owned_labels(meta: wire.ManagedMeta) -> frozenset[str]:
    """Label keys that our field manager holds."""
    if not meta.managed_fields:
        return _NONE
    keys: set[str] = set()
    for entry in meta.managed_fields:
        if entry.manager == names.FIELD_MANAGER:
            labels = _FIELDS.decode(entry.fields).get("f:metadata", {}).get("f:labels", {})
            keys.update(name.removeprefix("f:") for name in labels if name.startswith("f:"))
    return frozenset(keys)


def written_by_others(meta: wire.ManagedMeta) -> bool:
    """Whether anybody but us holds a field of the spec."""
    return any(
        "f:spec" in _FIELDS.decode(entry.fields)
        for entry in meta.managed_fields or ()
        if entry.manager != names.FIELD_MANAGER and entry.subresource != "status"
    )
