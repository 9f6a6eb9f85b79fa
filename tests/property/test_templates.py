"""YAML read by templates is what the parser reads, whatever the text."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cardpool import errors
from cardpool.planning import documents, streams, templates

SCALARS = st.one_of(
    st.sampled_from(
        ["", "a", "on", "~", "null", "1e3", "0x1f", "012", "12:30:45", "2026-01-01T00:00:00Z", "a b", "a: b", "a #b"]
    ),
    st.sampled_from(
        [
            "- a",
            "-a",
            "--a b",
            "--",
            "-.5",
            "$(A)",
            "-:",
            "it's",
            'say "x"',
            "back\\slash",
            "-",
            "---",
            "...",
            "=",
            "<<",
            "*a",
            "&a",
            "!a",
            "k:",
            "é",
        ]
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
    found = templates.Templates(streams.parsed, streams.Loader.yaml_implicit_resolvers)
    for text in before:
        found.json(text)
    return found


def agrees(text: bytes, *before: bytes) -> None:
    """None, or what the parser says; where the parser sees several documents or none, or raises, there is no JSON."""
    made = known(*before).json(text)
    if made is None:
        return
    values = list(yaml.load_all(text, Loader=streams.Loader))
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
        for number, value in enumerate(yaml.load_all(data, Loader=streams.Loader), 1):
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
        for one in documents._yaml("all", data, documents.Heads()):
            value = msgspec.json.decode(one.raw)
            items = [msgspec.json.decode(item) for item in one.items or ()]
            found.append((one.number, {**value, "items": items} if items else value))
    except errors.InputError as error:
        found.append(str(error).partition(", ")[2].partition(":")[0].partition(",")[0])
    return found


TWICE = re.compile(rb"(?m)^[?\"' ]{0,3}items")


def same(data: bytes) -> None:
    """The same objects with the same numbers; a fault in the same document, before which more may have been told.

    A list that has its items twice may be refused, of which the parser takes the last: the first were told by then.
    """
    expected, found = plainly(data), cleverly(data)
    if expected and isinstance(expected[-1], str):
        assert expected[-1:] == found[-1:]
        assert expected[:-1] == found[: len(expected) - 1]
    elif found and isinstance(found[-1], str) and len(TWICE.findall(data)) > 1:
        assert expected[: len(found) - 1] == found[:-1]
    else:
        assert expected == found


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
@example(parts=["apiVersion: v1\nitems:", "- a: b", "- a: b", "apiVersion: v1\nitems:", "- a: b"])
def test_streams_are_cut_where_the_parser_cuts_them(parts: list[str]) -> None:
    """The same objects with the same numbers, and a fault in the same document."""
    data = "\n".join(parts).encode()
    same(data)


FORMS = st.lists(
    st.sampled_from(["a: b\nc:", "a:\n- b: x\n- c:", "a:", "a: {}\nb:\n  c: d\n  e:", "- a\n- b:", "kind:"]),
    min_size=1,
    max_size=2,
)
VALUES = st.one_of(
    st.sampled_from(
        ["x", "y y", '"q"', "'q'", "012", "1e3", "on", "~", "a: b", "k:", "a #b", "- a", "é", "\tx", "'", "{}"]
    ),
    st.sampled_from(
        ["x\n  y", '"x\n  y"', "|\n   x", "&a x", "*a", "x\r", "a\x00b", "!x y", "x\n...", "x\n--- y", "x "]
    ),
    st.text(alphabet="ab:# -'\"\\{}[],&*!|>%@`0.~\té", max_size=4),
    st.integers(-5, 10**25).map(str),
)
PLAIN = st.sampled_from(
    ["x", "y", "z-1", "0", "012", "true", "'q'", '"x y"', "--x=y", "-c", "-1", "$(A)", "--", "- -x"]
)


@settings(max_examples=700, deadline=None)
@given(FORMS, st.lists(st.tuples(st.integers(0, 1), st.one_of(PLAIN, VALUES)), max_size=14))
def test_streams_of_few_forms(forms: list[str], values: list[tuple[int, str]]) -> None:
    """Documents of which every next one is like those before it, or nearly."""
    data = "".join(f"---\n{forms[form % len(forms)]} {value}\n" for form, value in values).encode()

    same(data)


HEADS = st.sampled_from(
    ["apiVersion: v1\n", "", "kind: List\n", "apiVersion: v1\nkind: List\n", "---\napiVersion: v1\n"]
)
TAILS = st.sampled_from(
    [
        "",
        "kind: List\n",
        "kind: List\nmetadata:\n  resourceVersion: ''\n",
        "items: []\n",
        "x: *a\n",
        "---\nkind: A\n",
        "...\n",
    ]
)
ITEMS = st.one_of(
    st.builds("a: {}\n  b:\n  - c: {}\n".format, PLAIN, PLAIN),
    st.builds("a: {}\n".format, VALUES),
    st.sampled_from(['a: "x\n- y"\n', "[a,\n- b]\n", "a: |\n    - x\n", "a: &a x\n", "a: *a\n", "x\nitems:\n", "? a\n", "a: # b\n"]),
    st.sampled_from(["{a: 1,\nb: 2}\n", "\n  a: b\n-\n  c: d\n", "- a\n  - b\n", "a: b\n\n", "a: b\n# c\n", "~\n", "1: x\n", "~: x\n"]),
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(HEADS, st.lists(ITEMS, min_size=1, max_size=9), TAILS, st.sampled_from(["", "  "]))
@example(head="", items=["a: &a x\n", "a: *a\n"], tail="kind: List\n", indent="")
@example(head="", items=["a: x\n", "x\nitems:\n", "a: z\n"], tail="", indent="")
def test_lists_are_cut_where_the_parser_cuts_them(head: str, items: list[str], tail: str, indent: str) -> None:
    """The same items, or a fault where the parser finds one; a list that stands twice is a fault as well.

    PyYAML refuses an anchor that is set again, which YAML allows; items that are read each for themselves may.
    """
    inner = "".join("- " + item for item in items)
    data = (head + "items:\n" + "".join(indent + line for line in inner.splitlines(keepends=True)) + tail).encode()

    assume(data.count(b"&a") < 2)
    if (b"\n" + data).count(b"\nitems:") < 2 or cleverly(data)[-1:] != ["document 1"]:
        same(data)


def test_a_form_is_read_once() -> None:
    """The parser reads the first node; the second of the same form is filled in, with the types that YAML gives."""
    asked = []

    def parse(text: bytes) -> Any:
        asked.append(text)
        return streams.parsed(text)

    node = b"---\nkind: Node\nmetadata:\n  name: %s\n  labels: {}\nspec:\n- taint: %s\n- 'x'\n"
    found = templates.Templates(parse, streams.Loader.yaml_implicit_resolvers)
    first, second = found.json(node % (b"a-1", b"soft")), found.json(node % (b"a-2", b'"say"'))
    typed = found.json(node % (b"012", b"true"))

    assert len([text for text in asked if b"kind" in text]) == 1
    assert [first, second, typed] == [
        b'{"kind":"Node","metadata":{"name":%s,"labels":{}},"spec":[{"taint":%s},"x"]}' % one
        for one in ((b'"a-1"', b'"soft"'), (b'"a-2"', b'"say"'), (b"10", b"true"))
    ]


def test_a_shape_is_one_pattern() -> None:
    """What differed in two texts may differ in the third; what never did has to be the same, or the form tells again."""
    texts = [
        b"a: %s\nb: %s\n" % pair for pair in ((b"1", b"x"), (b"2", b"x"), (b"'3'", b"x"), (b"4", b"y"), (b"# 5", b"x"))
    ]
    found = known(*texts[:2])
    data = b"---\n".join(texts)
    begins = [data.index(text) for text in texts]

    assert [found.ahead(data, begin, len(data), b"---\n") for begin in begins] == [
        (b'{"a":1,"b":"x"}', begins[1] - 4),
        (b'{"a":2,"b":"x"}', begins[2] - 4),
        (b'{"a":"3","b":"x"}', begins[3] - 4),
        None,
        None,
    ]


def test_an_odd_item_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser sees an item with a comment, and not the list around it."""
    asked = []
    parse = streams.parsed

    def parsed(text: bytes) -> Any:
        asked.append(text)
        return parse(text)

    monkeypatch.setattr(streams, "parsed", parsed)
    items = b"".join(b"- a: %s\n" % value for value in (b"x", b"y", b"z # odd", b"z", b"u"))
    [found] = cleverly(b"apiVersion: v1\nitems:\n" + items + b"kind: List\n")

    assert found == (1, {"apiVersion": "v1", "kind": "List", "items": [{"a": value} for value in "xyzzu"]})
    assert [text for text in asked if b"odd" in text] == [b"- a: z # odd\n"]
    assert max(text.count(b"- a") for text in asked) == 1


@settings(max_examples=500, deadline=None)
@given(TREES, st.lists(ITEMS, max_size=4), st.sampled_from(["", "  "]), LINES)
def test_lists_are_told_apart(tree: Any, items: list[str], indent: str, lines: list[str]) -> None:
    """Once there are many forms, lists are cut out of a text, whatever stands in them."""
    texts = [yaml.safe_dump({"a": tree, "b": {"c": [tree, tree], "d": tree}})]
    body = "".join("- " + item for item in items) + "\n".join(lines) + "\n"
    inner = "".join("  " + indent + line for line in body.splitlines(keepends=True))
    texts.append(f"a:\n  b:\n{inner}  c: x\nd: y\n")
    texts.append("a:\n  " + "\n  ".join(lines) + "\n  z: x\n")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "_FEW", 0)
        for text in texts:
            agrees(text.encode())


def test_long_lists_are_no_forms_of_their_own() -> None:
    """Of a thousand texts with as many images as they like, the parser sees a few parts."""
    asked = []

    def parse(text: bytes) -> Any:
        asked.append(text)
        return streams.parsed(text)

    found = templates.Templates(parse, streams.Loader.yaml_implicit_resolvers)
    for number in range(1000):
        images = [
            {"names": [f"i-{at}", f"i:{at}"][at % 2 :], "sizeBytes": at} for at in range(number % 100 + number // 100)
        ]
        value = {"metadata": {"name": f"n-{number}"}, "status": {"images": images, "ready": number % 2 == 0}}
        made = found.json(yaml.safe_dump(value).encode())

        assert value == msgspec.json.decode(made or b"")
    assert len([text for text in asked if b"images" in text]) < 200
