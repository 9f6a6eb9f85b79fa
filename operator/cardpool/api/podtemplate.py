"""The schema of Kubernetes' pod template, made structural and short enough for a CRD.

It is derived from the published OpenAPI of a pinned Kubernetes (`make pod-schema`) and kept beside this module as
data. Invariants: no reference, every list and map bounded, every property described, no default but those that
keys of map lists need, so that the API server changes nothing that a user wrote.
"""

from __future__ import annotations

import argparse
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any, Final

DATA: Final = "podtemplate.schema.json"
TEMPLATE: Final = "io.k8s.api.core.v1.PodTemplateSpec"
OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING: Final = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
# A number with a binary, decimal or exponent suffix; a negative quantity is never right in a pod.
QUANTITY_PATTERN: Final = r"^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$"

DROPPED: Final = {"ephemeralContainers"}
METADATA: Final = ("annotations", "labels")
KEPT: Final = ("type", "format", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type")
LONGEST: Final = 120
MAX_ITEMS: Final = {
    "command": 1024,
    "args": 1024,
    "containers": 16,
    "initContainers": 16,
    "env": 256,
    "volumes": 128,
    "volumeMounts": 128,
}
MAX_ITEMS_ELSE: Final = 64
MAX_PROPERTIES: Final = 64
# Only strings that rules read need a bound: the rest is bounded by the size of a request.
MAX_LENGTH: Final = {"name": 253, "mountPath": 1024}

Schema = dict[str, Any]


def shorten(text: str, longest: int = LONGEST) -> str:
    """The first sentence of a description, cut at a word to at most `longest` characters."""
    first = re.split(r"(?<=[^.]{2})\.\s|\.$|\n\n|More info:", " ".join(text.split(" ")).strip(), maxsplit=1)[0]
    first = " ".join(first.split())
    if len(first) <= longest:
        return first
    return first[:longest].rsplit(" ", 1)[0].rstrip(",;:") + "…"


def derive(openapi: Schema) -> Schema:
    """The structural schema of the pod template in the API server's published OpenAPI v3 document of core/v1."""
    schemas: Schema = openapi["components"]["schemas"]
    template = _convert(schemas[TEMPLATE], schemas, "template")
    template["required"] = ["spec"]
    template["description"] = "Pod template, as in a Kubernetes Job"
    return template


def _convert(node: Schema, schemas: Schema, name: str) -> Schema:
    reference = node.get("$ref") or (node["allOf"][0]["$ref"] if "allOf" in node else None)
    if reference is None:
        return _structural(node, schemas, name)
    target = reference.rsplit("/", 1)[-1]
    if target == OBJECT_META:
        kept = {key: schemas[target]["properties"][key] for key in METADATA}
        out = _structural({"type": "object", "properties": kept}, schemas, name)
        return out | {"description": "Labels and annotations"}
    if target in {QUANTITY, INT_OR_STRING}:
        out = {"x-kubernetes-int-or-string": True}
        if target == QUANTITY:
            out |= {"pattern": QUANTITY_PATTERN, "maxLength": 64}
    else:
        out = _structural(schemas[target], schemas, name)
    return out | ({"description": shorten(node["description"])} if "description" in node else {})


def _structural(node: Schema, schemas: Schema, name: str) -> Schema:
    out: Schema = {key: node[key] for key in KEPT if key in node}
    if "description" in node:
        out["description"] = shorten(node["description"])
    if "properties" in node:
        out["properties"] = {
            key: _convert(value, schemas, key) for key, value in node["properties"].items() if key not in DROPPED
        }
        if required := [key for key in node.get("required", ()) if key not in DROPPED]:
            out["required"] = required
    if "items" in node:
        out["items"] = _items(node, schemas, name)
        if name == "containers":
            out["minItems"] = 1
        out["maxItems"] = MAX_ITEMS.get(name, MAX_ITEMS_ELSE)
    if "additionalProperties" in node:
        out["additionalProperties"] = _undescribed(_convert(node["additionalProperties"], schemas, "value"))
        out["maxProperties"] = MAX_PROPERTIES
    if out.get("type") == "string" and name in MAX_LENGTH:
        out["maxLength"] = MAX_LENGTH[name]
    return out


def _items(node: Schema, schemas: Schema, name: str) -> Schema:
    """The schema of a list's items; keys of map lists that may be absent keep their default."""
    item = _undescribed(_convert(node["items"], schemas, f"{name}[]"))
    reference = node["items"].get("$ref") or node["items"].get("allOf", [{"$ref": ""}])[0]["$ref"]
    published = schemas.get(reference.rsplit("/", 1)[-1], {}).get("properties", {})
    for key in node.get("x-kubernetes-list-map-keys", ()):
        if key not in item.get("required", ()):
            item["properties"][key]["default"] = published[key]["default"]
    return item


def _undescribed(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "description"}


def load() -> Schema:
    """The schema that ships with the package; the caller may change the copy it gets."""
    text = resources.files(__package__).joinpath(DATA).read_text(encoding="utf-8")
    schema: Schema = json.loads(text)
    return schema


def dump(template: Schema) -> str:
    """The data file's text: compact, one line for each field of the pod spec, so that a new release gives a diff."""
    spec = template["properties"]["spec"]
    fields = ",\n".join(f"{json.dumps(key)}:{_compact(value)}" for key, value in sorted(spec["properties"].items()))
    outer = _compact(template | {"properties": template["properties"] | {"spec": spec | {"properties": "@"}}})
    return outer.replace('"@"', "{\n" + fields + "\n}") + "\n"


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def main() -> None:
    """Writes the data file from a published OpenAPI v3 document."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--source", type=Path, required=True, help="api__v1_openapi.json of the pinned Kubernetes")
    parser.add_argument("--check", action="store_true", help="only compare")
    arguments = parser.parse_args()
    text = dump(derive(json.loads(arguments.source.read_text(encoding="utf-8"))))
    target = Path(__file__).with_name(DATA)
    if not arguments.check:
        target.write_text(text, encoding="utf-8")
    elif target.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{DATA} is not what {arguments.source.name} gives: run `make pod-schema`")


if __name__ == "__main__":
    main()
