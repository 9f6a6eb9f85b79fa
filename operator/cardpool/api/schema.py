"""From a pydantic model to the structural OpenAPI v3 schema that a CRD wants.

pydantic's JSON schema has references, null alternatives and titles, none of which a structural schema may have.
Invariants: no `$ref`, no `anyOf`; defaults only in what users write, and not in list items; every field described.
"""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, NoDefault
from pydantic_core import core_schema

from cardpool.api import podtemplate
from cardpool.api.common import MAX_INT32

Schema = dict[str, Any]

_COPIED = (
    "type",
    "format",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)


class _WithFactories(GenerateJsonSchema):
    """Gives a part that is made by its class when absent the default `{}`."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        factory = schema.get("default_factory")
        if isinstance(factory, type) and issubclass(factory, BaseModel):
            return {}
        return super().get_default_value(schema) if factory is None else NoDefault


def structural(model: type[BaseModel], *, defaults: bool) -> Schema:
    """The structural schema of a model; `defaults` says whether absent fields are filled in by the API server."""
    generated = model.model_json_schema(by_alias=True, schema_generator=_WithFactories)
    return _convert(generated, generated.get("$defs", {}), defaults=defaults)


def _convert(node: Schema, definitions: Schema, *, defaults: bool) -> Schema:
    node = _resolve(node, definitions)
    if "x-cardpool-pod-part" in node:
        return pod_part(node["x-cardpool-pod-part"]) | {"description": node["description"]}
    out: Schema = {key: node[key] for key in ("description", *_COPIED) if key in node}
    if "exclusiveMaximum" in node:
        out["maximum"] = node["exclusiveMaximum"] - 1
    if out.get("type") == "integer":
        out["format"] = "int32" if out["maximum"] <= MAX_INT32 else "int64"
    default = node.get("default")
    if defaults and (default not in (None, "", [], {}) or (default == {} and "properties" in node)):
        out["default"] = default
    if "properties" in node:
        out["properties"] = {
            key: _convert(value, definitions, defaults=defaults) for key, value in node["properties"].items()
        }
        if "required" in node:
            out["required"] = node["required"]
    if "items" in node:
        # kubectl apply patches a list as a whole: a default inside would make every apply a patch.
        out["items"] = _undescribed(_convert(node["items"], definitions, defaults=False))
    values = node.get("additionalProperties") or next(iter(node.get("patternProperties", {}).values()), None)
    if isinstance(values, dict):
        out["additionalProperties"] = _convert(values, definitions, defaults=defaults)
    return out


def _resolve(node: Schema, definitions: Schema) -> Schema:
    """The node without reference and without its null alternative; its own words win over those referred to."""
    own = {key: value for key, value in node.items() if key not in {"$ref", "anyOf", "allOf"}}
    if "$ref" in node:
        return _resolve(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions) | own
    if "anyOf" in node:
        (only,) = (choice for choice in node["anyOf"] if choice.get("type") != "null")
        return _resolve(only, definitions) | own
    return node


def _undescribed(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "description"}


def pod_part(name: str) -> Schema:
    """The schema of the whole pod template (`template`) or of a part of it that a variant may replace."""
    template = podtemplate.load()
    if name == "template":
        return template
    pod: Schema = template["properties"]["spec"]["properties"]
    part = pod[name] if name in {"volumes", "tolerations"} else pod["containers"]["items"]["properties"][name]
    return copy.deepcopy(part)
