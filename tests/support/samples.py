"""Objects with every field set, made from the generated schema, to prove that nothing gets lost on the way."""

from __future__ import annotations

import re
from typing import Any

from cardpool.api import crds

TEXTS = ("a", "A", "1.5", "0-3,7", "/a", "4%")


def status(kind: str) -> dict[str, Any]:
    """A status of the kind in which every field of the CRD has a value and every list an item."""
    (found,) = (one for one in crds.DEFINITIONS if one.kind == kind)
    root = crds.definition(found, ())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    made: dict[str, Any] = value(root["properties"]["status"])
    return made


def value(schema: dict[str, Any]) -> Any:
    """Some value that the schema allows, as full as it can be."""
    if "enum" in schema:
        return schema["enum"][-1]
    match schema.get("type"):
        case "object":
            return {name: value(child) for name, child in schema["properties"].items()}
        case "array":
            return [value(schema["items"])]
        case "integer":
            return min(schema["maximum"], max(schema["minimum"], 1))
        case "boolean":
            return True
        case _ if schema.get("format") == "date-time":
            return "2026-01-01T00:00:00.123Z"
        case _:
            return next(text for text in TEXTS if re.search(schema.get("pattern", ""), text))
