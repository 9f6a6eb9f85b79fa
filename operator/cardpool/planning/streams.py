"""A YAML text as a stream of documents, and a list in it as a stream of items, most of them turned into JSON at once.

A cut is made only where the parser would see one, and what is not known to be a form that was met is the parser's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from cardpool.planning import templates

_DOUBTFUL: Final = ((b"%", b"\n%"), (b"\n...", b"\n..."))  # a letter is found fast
_NEW: Final = b"---\n"
_LIST: Final = re.compile(rb"(?:---\n)?((?:[A-Za-z]+: [A-Za-z0-9./]+\n)*)items:\n(?=( *- ))")
_REST: Final = re.compile(rb"(?m)^[A-Za-z]")
_AGAIN: Final = re.compile(rb"(?m)^[?\"' ]{0,3}items")


class Listed(NamedTuple):
    """A list whose items are told one after the other: JSON or, where the parser read them, values."""

    rest: bytes
    items: Iterator[Any]


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml where it is there
    """Times stay text, as in JSON."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def values(data: bytes) -> Iterator[Any]:
    """Each document as JSON (bytes), as Listed, or as the parser's value.

    From where a directive or an end mark makes a cut doubtful, the parser reads what is left as a whole; so it does
    with other line breaks.
    """
    if b"\r" in data or b"\x00" in data:
        yield from yaml.load_all(data, Loader=Loader)
        return
    known = templates.Templates(parsed, Loader.yaml_implicit_resolvers)
    begin = 0
    while begin < len(data):
        found = known.ahead(data, begin, len(data), _NEW)
        if found is not None and found[0].startswith(b"{"):
            yield found[0]
            begin = found[1]
            continue
        upto, alone = _cut(data, begin)
        if _doubtful(data, begin, upto):
            yield from yaml.load_all(data[begin:], Loader=Loader)
            return
        text = data[begin:upto]
        listed = _listed(known, text) if alone else None
        made = known.json(text) if listed is None else None
        if listed is not None:
            yield listed
        elif made is not None and made.startswith(b"{"):
            yield made
        else:
            yield from yaml.load_all(text, Loader=Loader)
        begin = upto


def _cut(data: bytes, begin: int) -> tuple[int, bool]:
    """Where the document that begins here ends, and whether it is surely one.

    A line that starts with three dashes starts a document wherever it stands; only where nothing else stands in the
    line is it cut there.
    """
    dashes, alone = data.find(b"\n---", begin), True
    while dashes >= 0:
        if data.startswith(_NEW, dashes + 1):
            return dashes + 1, alone
        alone = False
        dashes = data.find(b"\n---", dashes + 4)
    return len(data), alone


def _doubtful(data: bytes, begin: int, end: int) -> bool:
    return data.startswith((b"%", b"..."), begin) or any(
        data.find(first, begin, end) >= 0 and data.find(mark, begin, end) >= 0 for first, mark in _DOUBTFUL
    )


def _listed(known: templates.Templates, text: bytes) -> Listed | None:
    """A list as kubectl writes it; None where it is none."""
    opened = _LIST.match(text)
    if opened is None:
        return None
    last = max(opened.end(), text.rfind(b"\n" + opened[2]) + 1)
    closed = _REST.search(text, last)
    end = closed.start() if closed is not None else len(text)
    rest = known.json(text[opened.start(1) : opened.end(1)] + text[end:])
    if rest is None or b'"items":' in rest or _item(known, text[last:end]) is None:
        return None
    return Listed(rest, _items(text, opened.end(), end, opened[2]))


def _items(text: bytes, begin: int, end: int, mark: bytes) -> Iterator[Any]:
    """The items that stand here, cut at the marks in front; one in a form of its own is left to the parser.

    Where a cut part is no YAML, its item went on behind the next mark or named what stands in another one: then the
    text is read as a whole, of which the first items are those that were told already.
    """
    known = templates.Templates(parsed, Loader.yaml_implicit_resolvers)
    first, told = begin, 0
    while begin < end:
        found = known.ahead(text, begin, end, mark)
        if found is not None:
            made, begin = found
            yield made[1:-1]
        else:
            following = text.find(b"\n" + mark, begin, end)
            upto = following + 1 if following >= 0 else end
            value = _item(known, text[begin:upto])
            if value is None:
                if told and _AGAIN.search(text, first, end) is not None:
                    raise ValueError("items stands in a list twice")
                yield from parsed(text)["items"][told:]
                return
            yield value[1:-1] if isinstance(value, bytes) else value[0]
            begin = upto
        told += 1


def _item(known: templates.Templates, text: bytes) -> bytes | list[Any] | None:
    """A list of one item as JSON or as the parser's value; None where it is none."""
    made = known.json(text)
    if made is not None:
        return made
    try:
        value = parsed(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and len(value) == 1 else None


def parsed(text: bytes) -> Any:
    """The one document of a text; ValueError where there are more or none, or it is no YAML."""
    try:
        [value] = yaml.load_all(text, Loader=Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return value
