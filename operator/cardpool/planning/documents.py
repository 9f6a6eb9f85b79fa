"""Files of manifests as a stream of single objects, each still raw JSON with the place it came from.

JSON is only cut into objects here, never built as Python values; YAML is turned into the same bytes, most of a large
dump by templates. So there is one way of decoding behind this module, and a million cards cost seconds.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

from cardpool import errors
from cardpool.kube import wire
from cardpool.planning import templates

SUFFIXES: Final = (".yaml", ".yml", ".json")
STDIN: Final = "-"
_BOM: Final = b"\xef\xbb\xbf"
_JSON_START: Final = re.compile(rb"\s*[{\[]")
_PATH: Final = re.compile(r"^(?P<text>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_SPACE: Final = re.compile(r"\s*")
_DOUBTFUL: Final = ((b"%", b"\n%"), (b"\n...", b"\n..."))  # a letter is found fast
_NEW: Final = b"---\n"
_LIST: Final = re.compile(rb"(?:---\n)?((?:[A-Za-z]+: [A-Za-z0-9./]+\n)*)items:\n(?=( *- ))")
_REST: Final = re.compile(rb"(?m)^[A-Za-z]")
_AGAIN: Final = re.compile(rb"(?m)^[?\"' ]{0,3}items")


class Head(wire.Struct):
    """What tells one object from a list of them."""

    kind: str = ""
    api_version: str = ""
    items: list[msgspec.Raw] | None = None


class Listed(NamedTuple):
    """A list whose items are told one after the other: JSON or, where the parser read them, values."""

    rest: bytes
    items: Iterator[Any]


_HEAD: Final = msgspec.json.Decoder(Head)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])


class Found(NamedTuple):
    """A document with its number, and the items where it is a list."""

    number: int
    head: Head
    raw: bytes | msgspec.Raw
    items: Iterable[bytes | msgspec.Raw]


class Place(NamedTuple):
    """Where an object stands: the file, its document from 1, and the item inside a list (0: no list)."""

    source: str
    number: int
    item: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """One object."""

    place: Place
    kind: str
    api: str
    raw: bytes | msgspec.Raw

    def where(self) -> str:
        """File, document and item, for people."""
        return where(self.place)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml where it is there
    """Times stay text, as in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(places: Iterable[str]) -> Iterator[Document]:
    """The objects of these files and folders (``-``: standard input) in order; InputError says where one is wrong."""
    for name, path in _files(places):
        try:
            data = sys.stdin.buffer.read() if path is None else path.read_bytes()
        except OSError as error:
            raise errors.InputError(f"{name}: cannot be read: {error.strerror or error}") from None
        for found in _documents(name, data.removeprefix(_BOM)):
            yield from _unfold(Place(name, found.number), found)


def where(place: Place) -> str:
    """The place in words."""
    return f"{place.source}, document {place.number}{f', item {place.item}' if place.item else ''}"


def told(error: Exception) -> str:
    """A decoding error with the field in front: ``metadata.labels: Expected …``."""
    found = _PATH.match(str(error))
    path = found["path"] if found else None
    return f"{path}: {found['text']}" if found and path else str(error)


def _files(places: Iterable[str]) -> Iterator[tuple[str, Path | None]]:
    """Name and path of each file once; those of a folder and the folders in it by name."""
    seen: set[Path] = set()
    for place in places:
        if place == STDIN:
            yield "standard input", None
            continue
        path = Path(place)
        found = [path]
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES and one.is_file())
            if not found:
                raise errors.InputError(f"{place}: the folder has no file *{', *'.join(SUFFIXES)}")
        for one in found:
            if one.resolve() not in seen:
                seen.add(one.resolve())
                yield str(one), one


def _documents(name: str, data: bytes) -> Iterator[Found]:
    if _JSON_START.match(data):
        found = _json(data)
        if found is not None:
            yield from (Found(number, head, raw, head.items or ()) for number, (head, raw) in enumerate(found, 1))
            return
    yield from _yaml(name, data)


def _json(data: bytes) -> list[tuple[Head, bytes | msgspec.Raw]] | None:
    """The objects of a JSON text: one, an array of them, or one after the other; None where it is no JSON."""
    try:
        if data.lstrip()[:1] == b"[":
            return [(_HEAD.decode(raw), raw) for raw in _RAWS.decode(data)]
        return [(_HEAD.decode(data), data)]
    except msgspec.DecodeError:
        return _one_after_the_other(data)


def _one_after_the_other(data: bytes) -> list[tuple[Head, bytes | msgspec.Raw]] | None:
    decoder, found = json.JSONDecoder(), list[tuple[Head, bytes | msgspec.Raw]]()
    try:
        text = data.decode()
        at = _skip(text, 0)
        while at < len(text):
            _, end = decoder.raw_decode(text, at)
            raw = text[at:end].encode()
            found.append((_HEAD.decode(raw), raw))
            at = _skip(text, end)
    except ValueError:
        return None
    return found


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space is not None else at


def _yaml(name: str, data: bytes) -> Iterator[Found]:
    """The objects of a YAML text; what is wrong is told by the parser that reads the text as a whole."""
    number = 0
    try:
        for number, value in enumerate(_values(data), 1):
            place = Place(name, number)
            if isinstance(value, Listed):
                yield Found(number, _head(place, value.rest), value.rest, _inner(place, data, value.items))
            elif (raw := value if isinstance(value, bytes) else _encoded(place, value)) is not None:
                head = _head(place, raw)
                yield Found(number, head, raw, head.items or ())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refused(Place(name, number + 1), data, error) from None


def _inner(place: Place, data: bytes, items: Iterator[Any]) -> Iterator[bytes]:
    """The items of a list as JSON."""
    try:
        for number, value in enumerate(items, 1):
            yield value if isinstance(value, bytes) else _json_of(place._replace(item=number), value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refused(place, data, error) from None


def _refused(place: Place, data: bytes, error: Exception) -> errors.InputError:
    """What the parser says of the whole text, and of which document: its lines are those of the file."""
    at = 0
    try:
        for _ in yaml.load_all(data, Loader=_Loader):
            at += 1
    except (yaml.YAMLError, ValueError, RecursionError) as whole:
        place, error = place._replace(number=at + 1), whole
    text = " ".join(str(error).split())
    return errors.InputError(f"{where(place)}: is neither YAML nor JSON: {text[:300]}")


def _values(data: bytes) -> Iterator[Any]:
    """Each document as JSON (bytes), as Listed, or as the parser's value.

    From where a directive or an end mark makes a cut doubtful, the parser reads what is left as a whole; so it does
    with other line breaks.
    """
    if b"\r" in data or b"\x00" in data:
        yield from yaml.load_all(data, Loader=_Loader)
        return
    known = templates.Templates(_parsed, _Loader.yaml_implicit_resolvers)
    begin = 0
    while begin < len(data):
        found = known.ahead(data, begin, len(data), _NEW)
        if found is not None and found[0].startswith(b"{"):
            yield found[0]
            begin = found[1]
            continue
        upto, alone = _cut(data, begin)
        if _doubtful(data, begin, upto):
            yield from yaml.load_all(data[begin:], Loader=_Loader)
            return
        text = data[begin:upto]
        listed = _listed(known, text) if alone else None
        made = known.json(text) if listed is None else None
        if listed is not None:
            yield listed
        elif made is not None and made.startswith(b"{"):
            yield made
        else:
            yield from yaml.load_all(text, Loader=_Loader)
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
    known = templates.Templates(_parsed, _Loader.yaml_implicit_resolvers)
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
                yield from _parsed(text)["items"][told:]
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
        value = _parsed(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and len(value) == 1 else None


def _parsed(text: bytes) -> Any:
    """The one document of a text; ValueError where there are more or none, or it is no YAML."""
    try:
        [value] = yaml.load_all(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return value


def _encoded(place: Place, value: Any) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise errors.InputError(f"{where(place)}: is {type(value).__name__}, not an object with a kind")
    return _json_of(place, value)


def _json_of(place: Place, value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.InputError(f"{where(place)}: {told(error)}") from None


def _head(place: Place, raw: bytes | msgspec.Raw) -> Head:
    try:
        return _HEAD.decode(raw)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.InputError(f"{where(place)}: {told(error)}") from None


def _unfold(place: Place, found: Found, kind: str = "", api: str = "") -> Iterator[Document]:
    """The object itself, or the objects of a list; those of a typed list need not say their kind again."""
    kind, api = found.head.kind or kind, found.head.api_version or api
    if not kind:
        raise errors.InputError(f"{where(place)}: kind: is missing")
    if not kind.endswith("List"):
        yield Document(place, kind, api, found.raw)
        return
    typed = kind.removesuffix("List")
    for number, inner in enumerate(found.items, 1):
        inside = Place(place.source, place.number, number)
        head = _head(inside, inner)
        yield from _unfold(inside, Found(number, head, inner, head.items or ()), typed, api if typed else "")
