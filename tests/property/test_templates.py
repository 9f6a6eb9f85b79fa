"""YAML read by templates is what the parser reads, whatever the text."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cardpool import errors
from cardpool.planning import documents, templates

SCALARS = st.one_of(
    st.sampled_from(
        ["", "a", "on", "~", "null", "1e3", "0x1f", "012", "12:30:45", "2026-01-01T00:00:00Z", "a b", "a: b", "a #b"]
    ),
    st.sampled_from(
        ["- a", "it's", 'say "x"', "back\\slash", "-", "---", "...", "=", "<<", "*a", "&a", "!a", "k:", "é"]
    ),
    st.text(alphabet="ab:# -'\"\\{}[],&*!|>%@`0.~\n\té", max_size=8),
    st.integers(-5, 10**12),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abk./-_1", min_size=1, max_size=4) | SCALARS.filter(bool), inner, max_size=4)
    ),
    max_leaves=12,
)
LINES = st.lists(
    st.builds(
        lambda indent, dash, key, value: " " * indent + dash + key + value,
        st.integers(0, 4),
        st.sampled_from(["", "- ", "- - ", "-"]),
        st.sampled_from(["", "a:", "b: ", "c: ", "a.b/c: ", "'q': ", "? "]),
        st.sampled_from(
            ["", "x", "x y", "x: y", "x #y", '"q"', "'q'", '"q', "|", ">-", "{}", "[]", "[a]", "&a x", "*a", "1", "yes"]
        ),
    ),
    max_size=7,
)


def known(*before: bytes) -> templates.Templates:
    """Templates that have met these texts."""
    found = templates.Templates(documents._parsed, documents._Loader.yaml_implicit_resolvers)
    for text in before:
        found.json(text)
    return found


def agrees(text: bytes, *before: bytes) -> None:
    """None, or what the parser says; where the parser sees several documents or none, or raises, there is no JSON."""
    made = known(*before).json(text)
    if made is None:
        return
    values = list(yaml.load_all(text, Loader=documents._Loader))
    assert len(values) == 1
    assert msgspec.json.decode(msgspec.json.encode(values[0])) == msgspec.json.decode(made)


@settings(max_examples=500, deadline=None)
@given(TREES, st.booleans(), st.sampled_from([None, "'", '"']))
def test_what_a_library_writes(tree: Any, flat: bool, quote: str | None) -> None:
    """Any value written as YAML, in block or flow style."""
    text = yaml.safe_dump(tree, default_flow_style=None if flat else False, default_style=quote, allow_unicode=True)
    agrees(text.encode())


@settings(max_examples=1500, deadline=None)
@given(LINES, LINES)
@example(lines=["b: x", " - x"], before=[])
@example(lines=["b: x", "b: y"], before=[])
def test_whatever_somebody_writes(lines: list[str], before: list[str]) -> None:
    """Lines that may be no YAML at all."""
    agrees("\n".join(lines).encode(), "\n".join(before).encode())


def plainly(data: bytes) -> list[Any]:
    """The objects by number as the parser alone gives them, and which document is wrong, where one is."""
    found: list[Any] = []
    number = 0
    try:
        for number, value in enumerate(yaml.load_all(data, Loader=documents._Loader), 1):
            if value is not None and not isinstance(value, dict):
                return [*found, f"document {number}"]
            if value is not None:
                documents._HEAD.decode(msgspec.json.encode(value))
                found.append((number, msgspec.json.decode(msgspec.json.encode(value))))
    except yaml.YAMLError:
        return [*found, f"document {number + 1}"]
    except (TypeError, ValueError):
        return [*found, f"document {number}"]
    return found


def cleverly(data: bytes) -> list[Any]:
    """The same as this project reads them."""
    found: list[Any] = []
    try:
        for number, _, raw in documents._yaml("all", data):
            found.append((number, msgspec.json.decode(raw)))
    except errors.InputError as error:
        found.append(str(error).partition(", ")[2].partition(":")[0])
    return found


STREAMS = st.lists(
    st.one_of(
        LINES.map("\n".join),
        st.sampled_from(["", "---", "--- ", "...", "%YAML 1.1", "--- |", "# none", "apiVersion: v1\nitems:"]),
        st.sampled_from(
            ["- a: b", "- a: b\n  c: 1", "- a:\n  - x", "kind: List", "kind: List\nitems: []", "a: b\n---\na: c"]
        ),
    ),
    max_size=7,
)


@settings(max_examples=1000, deadline=None)
@given(STREAMS)
def test_streams_are_cut_where_the_parser_cuts_them(parts: list[str]) -> None:
    """The same objects with the same numbers, and a fault in the same document."""
    data = "\n".join(parts).encode()
    expected, found = plainly(data), cleverly(data)

    assert expected == found


def test_a_form_is_read_once() -> None:
    """The parser reads the first node; the second of the same form is filled in, with the types that YAML gives."""
    asked = []

    def parse(text: bytes) -> Any:
        asked.append(text)
        return documents._parsed(text)

    node = b"---\nkind: Node\nmetadata:\n  name: %s\n  labels: {}\nspec:\n- taint: %s\n- 'x'\n"
    found = templates.Templates(parse, documents._Loader.yaml_implicit_resolvers)
    first, second = found.json(node % (b"a-1", b"soft")), found.json(node % (b"a-2", b'"say"'))
    typed = found.json(node % (b"012", b"true"))

    assert len([text for text in asked if b"kind" in text]) == 1
    assert [first, second, typed] == [
        b'{"kind":"Node","metadata":{"name":%s,"labels":{}},"spec":[{"taint":%s},"x"]}' % one
        for one in ((b'"a-1"', b'"soft"'), (b'"a-2"', b'"say"'), (b"10", b"true"))
    ]
