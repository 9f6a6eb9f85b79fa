"""A maker of cards is a file, never code: strict parsing, and merging of users' files over the built-in ones.

Invariant: a registry never holds two makers that claim one resource name, and a bad file costs only itself. It is
left out, and a `VendorError` says which file, which field and what to do.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from importlib import resources
from typing import Final

import yaml

from cardpool.vendors import fields
from cardpool.vendors.model import Torch, VendorError, VendorFile, VisibleEnv

MAX_FILE_CHARACTERS: Final = 65_536

_READERS: Final[Mapping[str, fields.Reader]] = {
    "name": fields.dns_label,
    "displayName": fields.text,
    "resources": fields.resource_names,
    "shareResources": fields.resource_patterns,
    "enableLabels": fields.labels,
    "identifyLabels": fields.labels,
    "pciVendors": fields.pci_vendors,
    "visibleEnv": fields.table(runtime=fields.env_names, framework=fields.env_names),
    "torch": fields.table(device=fields.text, backend=fields.text),
    "nativeLibrary": fields.text,
    "cardsPerNode": fields.count,
    "diePairs": fields.flag,
    "inNodeFabrics": fields.counts,
    "fabricCards": fields.count,
    "unhealthyMayMeanBusy": fields.flag,
    "recoversByItself": fields.flag_or_unknown,
    "inventory": fields.choice("Allocatable"),
}
_REQUIRED: Final = ("name", "resources")


@dataclasses.dataclass(frozen=True, slots=True)
class Registry:
    """The makers known at one moment, by name, and what was wrong with the files that are not among them."""

    vendors: Mapping[str, VendorFile]
    errors: tuple[VendorError, ...] = ()

    def resource_of(self, vendor: str, allocatable: Mapping[str, int]) -> str | None:
        """The first of the maker's whole-card names that the node offers; a name with a count above 0 goes first.

        None when the maker is unknown or the node offers none. Names are compared exactly, letter case included.
        """
        file = self.vendors.get(vendor)
        if file is None:
            return None
        present = [name for name in file.resources if name in allocatable]
        return next((name for name in present if allocatable[name] > 0), present[0] if present else None)

    def all_card_resources(self) -> frozenset[str]:
        """Every whole-card resource name of every maker."""
        return frozenset(name for file in self.vendors.values() for name in file.resources)

    def vendor_of(self, resource: str) -> str | None:
        """The maker that counts this resource name as whole cards, or None."""
        return next((file.name for file in self.vendors.values() if resource in file.resources), None)

    def claims(self, resource: str) -> str | None:
        """The maker to whom the name belongs, whole or split: such a name is refused in a pod template."""
        return next((file.name for file in self.vendors.values() if file.claims(resource)), None)


def parse(text: str, source: str) -> VendorFile | tuple[VendorError, ...]:
    """The maker that the YAML text describes, or every error found in it (never an exception)."""
    if len(text) > MAX_FILE_CHARACTERS:
        return (VendorError(source, "", f"is longer than {MAX_FILE_CHARACTERS} characters; shorten it"),)
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return (VendorError(source, "", f"is not YAML: {' '.join(str(error).split())[:200]}"),)
    if not isinstance(document, dict):
        return (VendorError(source, "", "must be a mapping of fields such as name and resources"),)
    values, errors = _read(document, source)
    return tuple(errors) if errors else _build(values)


def merge(registry: Registry, extra: Mapping[str, str]) -> Registry:
    """The registry with each user file (source name to text) added, or put in the place of the maker of that name."""
    vendors = dict(registry.vendors)
    errors = list(registry.errors)
    given: dict[str, str] = {}
    for source in sorted(extra):
        parsed = parse(extra[source], source)
        if not isinstance(parsed, VendorFile):
            errors.extend(parsed)
            continue
        if parsed.name in given:
            message = f"the name {parsed.name} is already given by {given[parsed.name]}; keep one of them"
            errors.append(VendorError(source, "name", message))
            continue
        conflict = _conflict(parsed, vendors)
        if conflict:
            errors.append(VendorError(source, "resources", conflict))
            continue
        given[parsed.name] = source
        vendors[parsed.name] = parsed
    return Registry(types.MappingProxyType(dict(sorted(vendors.items()))), tuple(errors))


def load_builtin() -> Registry:
    """The makers that come with the package; reads package data, nothing else."""
    folder = resources.files("cardpool.vendors")
    texts = {
        f"builtin/{file.name}": file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }
    return merge(Registry(types.MappingProxyType({})), texts)


def _read(document: Mapping[object, object], source: str) -> tuple[dict[str, object], list[VendorError]]:
    values: dict[str, object] = {}
    errors: list[VendorError] = []
    for key, raw in document.items():
        reader = _READERS.get(key) if isinstance(key, str) else None
        if reader is None:
            message = f"is no known field; known are {', '.join(_READERS)}"
            errors.append(VendorError(source, str(key), message))
            continue
        try:
            values[str(key)] = reader(raw)
        except fields.FieldError as error:
            errors.append(VendorError(source, f"{key}{error.where}", error.message))
    errors.extend(
        VendorError(source, key, "is missing; every vendor file needs it") for key in _REQUIRED if key not in document
    )
    if not errors and set(_texts(values["resources"])) & set(_texts(values.get("shareResources", ()))):
        message = "names a resource that stands under resources too; a name is a whole card or a share, not both"
        errors.append(VendorError(source, "shareResources", message))
    return values, errors


def _build(values: Mapping[str, object]) -> VendorFile:
    known = {field.name for field in dataclasses.fields(VendorFile)}
    arguments = {fields.snake(key): value for key, value in values.items()}
    arguments.setdefault("display_name", arguments["name"])
    if isinstance(env := arguments.get("visible_env"), Mapping):
        arguments["visible_env"] = VisibleEnv(**env)
    if isinstance(torch := arguments.get("torch"), Mapping):
        arguments["torch"] = Torch(**torch)
    return VendorFile(**{key: value for key, value in arguments.items() if key in known})  # type: ignore[arg-type]


def _conflict(file: VendorFile, vendors: Mapping[str, VendorFile]) -> str:
    for other in vendors.values():
        if other.name == file.name:
            continue
        taken = [name for name in file.resources if other.claims(name)]
        taken += [name for name in other.resources if file.claims(name)]
        if taken:
            return f"{taken[0]} belongs to {other.name} already; replace that maker by its name, or drop the resource"
    return ""


def _texts(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
