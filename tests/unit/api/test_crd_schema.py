"""The generated CRDs are structural, bounded, described, small enough for client-side apply, and up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from cardpool.api import crds, podtemplate, reference, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = Path(__file__).parents[3] / "crds"
MANIFESTS = {
    name: manifest
    for name, manifest in crds.manifests(crds.vendor_resources()).items()
    if manifest["kind"] == "CustomResourceDefinition"
}
EACH = pytest.mark.parametrize("name", MANIFESTS)
# Lives in the annotation kubectl.kubernetes.io/last-applied-configuration, beside whatever else is there.
ANNOTATION_LIMIT = 256 * 1024
TEMPLATE = "spec.groups[].template"


def _root(name: str) -> dict[str, Any]:
    root: dict[str, Any] = MANIFESTS[name]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def _walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema with its path; list items end in [] and map values in {}."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _walk(child, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from _walk(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from _walk(schema["additionalProperties"], f"{path}{{}}")


def test_the_files_are_what_the_models_give() -> None:
    """crds/ is generated and nothing else lies in it."""
    assert crds.render() == {path.name: path.read_text() for path in CRDS.glob("*.yaml")}


@EACH
def test_the_text_reads_back(name: str) -> None:
    """The YAML says what was rendered, without anchors."""
    text = crds.render()[name]
    assert yaml.safe_load(text) == MANIFESTS[name]
    assert "&id" not in text


@EACH
def test_client_side_apply_has_room(name: str) -> None:
    """Kubectl's compact JSON, with < > and & escaped as Go does, stays well under the annotation's limit."""
    text = json.dumps(MANIFESTS[name], separators=(",", ":"), ensure_ascii=False)
    size = len(text.encode()) + 5 * sum(text.count(mark) for mark in "<>&")
    assert size < crds.MAX_BYTES < ANNOTATION_LIMIT


@EACH
def test_schemas_are_structural(name: str) -> None:
    """No reference, no choice of schemas, every node has a type, and objects have properties or values, not both."""
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "allOf", "not", "title", "const", "patternProperties", "nullable"}
    for path, schema in _walk(_root(name)):
        assert not forbidden & schema.keys(), path
        assert "type" in schema or schema.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert schema.get("additionalProperties") is not False, path


@EACH
def test_lists_and_maps_are_bounded(name: str) -> None:
    """Every list says how it merges and how long it may be; every map how many keys it may have."""
    for path, schema in _walk(_root(name)):
        if schema.get("type") == "array":
            assert "maxItems" in schema, path
            assert schema["x-kubernetes-list-type"] in {"map", "set", "atomic"}, path
        if "additionalProperties" in schema:
            assert "maxProperties" in schema, path


@EACH
def test_numbers_and_our_own_strings_are_bounded(name: str) -> None:
    """Numbers of ours have both ends and a size; strings of ours a length, an enumeration or a format."""
    for path, schema in _walk(_root(name)):
        if path.startswith(TEMPLATE) or path in {"apiVersion", "kind"} or _of_kubernetes(path):
            continue
        if schema.get("type") == "integer":
            assert {"minimum", "maximum", "format"} <= schema.keys(), path
        if schema.get("type") == "string":
            assert {"maxLength", "enum"} & schema.keys() or schema.get("format") == "date-time", path
        assert schema.get("type") != "number", path


def _of_kubernetes(path: str) -> bool:
    raw = ("env", "resources", "volumes", "volumeMounts", "tolerations", "securityContext")
    return path.startswith(tuple(f"spec.groups[].variants[].{part}" for part in raw))


@EACH
def test_every_field_is_described(name: str) -> None:
    """Kubectl explain has a sentence for every field, those of the pod template included."""
    bare = [
        f"{path}.{field}"
        for path, schema in _walk(_root(name))
        for field, child in schema.get("properties", {}).items()
        if not child.get("description") and not f"{path}.{field}".startswith((".metadata", "metadata"))
    ]
    assert bare == []


@EACH
def test_keys_of_map_lists_are_required_or_defaulted(name: str) -> None:
    """What the API server asks of lists of named things."""
    for path, schema in _walk(_root(name)):
        for key in schema.get("x-kubernetes-list-map-keys", ()):
            item = schema["items"]
            assert key in item.get("required", ()) or "default" in item["properties"][key], f"{path}.{key}"


@EACH
def test_status_has_no_defaults(name: str) -> None:
    """The API server fills in nothing in a status: absent means absent."""
    for path, schema in _walk(_root(name)["properties"]["status"]):
        assert "default" not in schema, path


@EACH
def test_list_items_have_no_defaults(name: str) -> None:
    """Kubectl apply patches lists as a whole, so only the keys of map lists may be filled in inside them."""
    keys = {
        f"{path}[].{key}" for path, schema in _walk(_root(name)) for key in schema.get("x-kubernetes-list-map-keys", ())
    }
    filled = {path for path, schema in _walk(_root(name)) if "[]" in path and "default" in schema}
    assert filled <= keys


@EACH
def test_rules_name_fields_that_exist(name: str) -> None:
    """Each rule has a message, and its field path leads to a field."""
    for path, schema in _walk(_root(name)):
        for rule in schema.get("x-kubernetes-validations", ()):
            assert rule["message"], path
            node = schema
            for part in filter(None, rule.get("fieldPath", "").split(".")):
                node = node["properties"][part]


def test_enumerations_are_camel_case() -> None:
    """Values are CamelCase, but for the names of foreign formats and frameworks."""
    lower = {"spec.rendezvous.style", "spec.checkpoint.format"}
    for name in MANIFESTS:
        for path, schema in _walk(_root(name)):
            if "enum" in schema and path not in lower:
                assert all(value[0].isupper() and value.isalnum() for value in schema["enum"]), path


def test_the_template_is_kubernetes_own() -> None:
    """Fields from deep inside the pod template are there, those of running pods are not."""
    template = dict(_walk(_root("cardpool.dev_trainingjobs.yaml")))
    assert template[f"{TEMPLATE}.spec.containers[].livenessProbe.grpc.port"]["type"] == "integer"
    assert template[f"{TEMPLATE}.spec.volumes[].csi.nodePublishSecretRef.name"]["type"] == "string"
    assert template[f"{TEMPLATE}.spec.containers[].ports[].protocol"]["default"] == "TCP"
    assert template[f"{TEMPLATE}.spec.affinity.nodeAffinity"]["type"] == "object"
    assert f"{TEMPLATE}.spec.ephemeralContainers" not in template
    assert set(template[f"{TEMPLATE}.metadata"]["properties"]) == {"labels", "annotations"}


def test_card_resources_come_from_the_vendor_files() -> None:
    """The rule against card resources lists every resource of every maker in the package."""
    listed = crds.vendor_resources()
    assert {"nvidia.com/gpu", "huawei.com/Ascend910", "hygon.com/dcu", "cambricon.com/mlu"} <= set(listed)
    (rule, *_) = [one for one in rules.job_rules(listed) if one.path.endswith("containers[].resources.limits")]
    assert all(f"'{name}'" in rule.rule for name in listed)


def test_descriptions_are_cut_at_a_sentence() -> None:
    """The first sentence without its stop, or as many words as fit."""
    assert podtemplate.shorten("Name of it. More info: https://example.com") == "Name of it"
    assert podtemplate.shorten("Used e.g. by pods. Then more.") == "Used e.g. by pods"
    assert podtemplate.shorten("word " * 50, 12) == "word word…"


def test_a_derived_template_is_structural() -> None:
    """References are followed, quantities become int-or-string, defaults go, and metadata is cut to its two maps."""
    reference = "#/components/schemas/"
    published = {
        podtemplate.TEMPLATE: {
            "type": "object",
            "properties": {
                "metadata": {"allOf": [{"$ref": reference + podtemplate.OBJECT_META}], "default": {}},
                "spec": {
                    "type": "object",
                    "description": "Spec. More.",
                    "properties": {
                        "size": {"allOf": [{"$ref": reference + podtemplate.QUANTITY}], "description": "Size"},
                        "names": {"type": "array", "items": {"type": "string", "default": ""}},
                        "ephemeralContainers": {"type": "array"},
                    },
                },
            },
        },
        podtemplate.OBJECT_META: {
            "type": "object",
            "properties": {
                "uid": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
        podtemplate.QUANTITY: {"type": "string"},
    }
    template = podtemplate.derive({"components": {"schemas": published}})
    spec = template["properties"]["spec"]
    assert spec["properties"] == {
        "size": {
            "x-kubernetes-int-or-string": True,
            "pattern": podtemplate.QUANTITY_PATTERN,
            "maxLength": 64,
            "description": "Size",
        },
        "names": {"type": "array", "items": {"type": "string"}, "maxItems": 64},
    }
    assert set(template["properties"]["metadata"]["properties"]) == {"labels", "annotations"}


def test_the_gangs_priority_class_never_preempts() -> None:
    """A pod of a gang must not push single pods of another gang away."""
    manifest = crds.priority_class()
    assert (manifest["metadata"]["name"], manifest["preemptionPolicy"]) == ("cardpool-gang", "Never")
    assert "globalDefault" not in manifest


def test_the_reference_is_up_to_date() -> None:
    """docs/reference.md is what the schemas give."""
    assert (CRDS.parent / "docs" / "reference.md").read_text() == reference.render()
