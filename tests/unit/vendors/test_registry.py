"""Vendor files: the built-in ones, users' ones, and every way to get one wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardpool.vendors import registry
from cardpool.vendors.model import VendorFile

_MAKERS = [
    "amd", "ascend", "biren", "cambricon", "enflame", "gaudi", "hygon", "iluvatar", "kunlunxin", "metax", "mthreads",
    "nvidia", "thead",
]  # fmt: skip
_ACME = "name: acme\nresources: [acme.io/card]\n"


@pytest.fixture(scope="module")
def builtin() -> registry.Registry:
    return registry.load_builtin()


def test_builtin_makers(builtin: registry.Registry) -> None:
    """All makers are there, without an error, each with a resource of its own."""
    assert list(builtin.vendors) == _MAKERS
    assert builtin.errors == ()
    assert all(builtin.vendor_of(name) == maker for maker, file in builtin.vendors.items() for name in file.resources)
    assert sum(len(file.resources) for file in builtin.vendors.values()) == len(builtin.all_card_resources())


def test_resource_of_a_node(builtin: registry.Registry) -> None:
    """The name is taken from what the node offers, in the maker's order, letter case included."""
    cases = {
        ("iluvatar", "iluvatar.ai/gpu"): "iluvatar.ai/gpu",
        ("ascend", "huawei.com/npu"): "huawei.com/npu",
        ("ascend", "huawei.com/ascend910"): None,
        ("nvidia", "nvidia.com/mig-1g.5gb"): None,
        ("nobody", "nvidia.com/gpu"): None,
    }
    assert cases == {(maker, name): builtin.resource_of(maker, {name: 8, "cpu": 4}) for maker, name in cases}


def test_resource_with_cards_goes_first(builtin: registry.Registry) -> None:
    """A name with a count goes before one that fell to 0; 0 alone still names the resource."""
    both = {"iluvatar.com/gpu": 0, "iluvatar.ai/gpu": 16}

    assert builtin.resource_of("iluvatar", both) == "iluvatar.ai/gpu"
    assert builtin.resource_of("nvidia", {"nvidia.com/gpu": 0}) == "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("resource", "maker"),
    [
        ("nvidia.com/gpu", "nvidia"),
        ("nvidia.com/mig-3g.40gb", "nvidia"),
        ("huawei.com/Ascend910B3-memory", "ascend"),
        ("alibabacloud.com/ppu-4u.4g48gb", "thead"),
        ("nvidia.com/gpu-operator", None),
        ("example.com/gpu", None),
        ("cpu", None),
    ],
)
def test_claims(builtin: registry.Registry, resource: str, maker: str | None) -> None:
    """Whole and split names belong to their maker; others to nobody."""
    assert maker == builtin.claims(resource)


def test_split_cards_are_not_cards(builtin: registry.Registry) -> None:
    """No split name is among the whole cards."""
    shares = {name for file in builtin.vendors.values() for name in file.share_resources}

    assert set() == shares & builtin.all_card_resources()


def test_user_adds_a_maker(builtin: registry.Registry) -> None:
    """A file from a ConfigMap adds a maker; what it does not say stays unknown."""
    merged = registry.merge(builtin, {"acme.yaml": _ACME})

    assert merged.errors == ()
    assert merged.resource_of("acme", {"acme.io/card": 8}) == "acme.io/card"
    assert "acme" not in builtin.vendors
    acme = merged.vendors["acme"]
    assert (
        acme.display_name, acme.cards_per_node, acme.recovers_by_itself, acme.in_node_fabrics,
    ) == ("acme", None, None, ())  # fmt: skip


def test_user_replaces_a_maker(builtin: registry.Registry) -> None:
    """A file of a built-in name takes its place whole."""
    text = 'name: nvidia\nresources: [nvidia.com/gpu]\nenableLabels: {gpu: "on"}\ncardsPerNode: 4\n'

    merged = registry.merge(builtin, {"mine.yaml": text})

    assert merged.vendors["nvidia"].enable_labels == {"gpu": "on"}
    assert merged.vendors["nvidia"].cards_per_node == 4
    assert None is merged.claims("nvidia.com/mig-1g.5gb")


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        pytest.param("[", "", "YAML", id="no YAML"),
        pytest.param("- a", "", "mapping", id="no mapping"),
        pytest.param("resources: [a.io/b]", "name", "missing", id="no name"),
        pytest.param("name: acme", "resources", "missing", id="no resources"),
        pytest.param("name: acme\nresources: []", "resources", "at least one", id="empty resources"),
        pytest.param("name: acme\nresources: [gpu]", "resources[0]", "domain", id="no domain"),
        pytest.param("name: acme\nresources: [a.io/*]", "resources[0]", "domain", id="pattern as card"),
        pytest.param(f"{_ACME}speed: 9", "speed", "no known field", id="unknown field"),
        pytest.param(f"{_ACME}enableLabels: {{gpu: on}}", "enableLabels.gpu", "quotes", id="YAML's on"),
        pytest.param(f"{_ACME}pciVendors: [1002]", "pciVendors[0]", "quotes", id="number for hex"),
        pytest.param(f"{_ACME}cardsPerNode: 0", "cardsPerNode", "1 to", id="no cards"),
        pytest.param(f"{_ACME}inNodeFabrics: [4, x]", "inNodeFabrics[1]", "whole number", id="fabric"),
        pytest.param(f"{_ACME}recoversByItself: maybe", "recoversByItself", "unknown", id="maybe"),
        pytest.param(f"{_ACME}torch: {{dev: x}}", "torch.dev", "device", id="unknown torch field"),
        pytest.param(f"{_ACME}inventory: ResourceSlice", "inventory", "Allocatable", id="inventory"),
        pytest.param(f"{_ACME}shareResources: [acme.io/card]", "shareResources", "not both", id="card and share"),
        pytest.param("name: acme\nresources: [a.io/b, a.io/b]", "resources", "twice", id="name twice"),
        pytest.param("name: acme\nresources: [nvidia.com/gpu]", "resources", "nvidia already", id="taken"),
        pytest.param("name: acme\nresources: [nvidia.com/mig-x]", "resources", "nvidia already", id="taken share"),
        pytest.param(f"{_ACME}shareResources: [huawei.com/npu]", "resources", "ascend already", id="share of a card"),
        pytest.param("x" * 70_000, "", "shorten", id="too long"),
        pytest.param("[" * 5_000, "", "YAML", id="deep nesting"),
    ],
)
def test_bad_file(builtin: registry.Registry, text: str, field: str, words: str) -> None:
    """It is left out alone, and one error names file, field and what to do."""
    merged = registry.merge(builtin, {"bad.yaml": text, "good.yaml": "name: good\nresources: [good.io/card]"})

    assert [*_MAKERS, "good"] == sorted(merged.vendors, key=lambda name: (name == "good", name))
    assert [("bad.yaml", field)] == [(error.source, error.field) for error in merged.errors]
    assert words in merged.errors[0].message
    assert str(merged.errors[0]).startswith("bad.yaml: ")


def test_same_name_twice(builtin: registry.Registry) -> None:
    """Of two user files of one name the first in order stays, and the second is an error."""
    merged = registry.merge(builtin, {"b.yaml": _ACME, "a.yaml": _ACME})

    assert [(error.source, error.field) for error in merged.errors] == [("b.yaml", "name")]


def test_all_errors_of_a_file() -> None:
    """Every wrong field is reported at once."""
    errors = registry.parse("name: A\nresources: [1]\nfoo: 1\ndiePairs: 2", "x")

    assert not isinstance(errors, VendorFile)
    assert [error.field for error in errors] == ["name", "resources[0]", "foo", "diePairs"]


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    """No text raises."""
    parsed = registry.parse(text, "any")

    assert isinstance(parsed, VendorFile) or parsed
