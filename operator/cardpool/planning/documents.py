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
_DOUBTFUL: Final = (b"\r", b"\x00", b"\n%", b"\n...")
_LIST: Final = re.compile(rb"(?:---\n)?(apiVersion: [A-Za-z0-9./]+\n)items:\n(?=- )")
_REST: Final = re.compile(rb"(?m)^[A-Za-z]")


class Head(wire.Struct):
    """What tells one object from a list of them."""

    kind: str = ""
    api_version: str = ""
    items: list[msgspec.Raw] | None = None


_HEAD: Final = msgspec.json.Decoder(Head)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])


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
        for number, head, raw in _documents(name, data.removeprefix(_BOM)):
            yield from _unfold(Place(name, number), head, raw)


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


def _documents(name: str, data: bytes) -> Iterator[tuple[int, Head, bytes | msgspec.Raw]]:
    if _JSON_START.match(data):
        found = _json(data)
        if found is not None:
            yield from ((number, *one) for number, one in enumerate(found, 1))
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


def _yaml(name: str, data: bytes) -> Iterator[tuple[int, Head, bytes]]:
    """The objects of a YAML text; what is wrong is told by the parser that reads the text as a whole."""
    number = 0
    try:
        for number, value in enumerate(_values(data), 1):
            raw = value if isinstance(value, bytes) else _encoded(name, number, value)
            if raw is not None:
                yield number, _head(name, number, raw), raw
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        told_at, error_ = _complaint(data, number + 1, error)
        text = " ".join(str(error_).split())
        raise errors.InputError(f"{where(Place(name, told_at))}: is neither YAML nor JSON: {text[:300]}") from None


def _values(data: bytes) -> Iterator[Any]:
    """Each document as JSON (bytes) or as the parser's value."""
    known = templates.Templates(_parsed, _Loader.yaml_implicit_resolvers)
    for text in _texts(data):
        made = _listed(known, text) or known.json(text)
        if made is not None and made.startswith(b"{"):
            yield made
        else:
            yield from yaml.load_all(text, Loader=_Loader)


def _texts(data: bytes) -> Iterator[bytes]:
    """The documents of a stream; all in one where a directive or an end mark makes a cut doubtful.

    A line that starts with three dashes starts a document wherever it stands.
    """
    if any(mark in data for mark in _DOUBTFUL) or data.startswith((b"%", b"...")):
        yield data
        return
    begin, dashes = 0, data.find(b"\n---")
    while dashes >= 0:
        if data[dashes + 4 : dashes + 5] == b"\n":
            yield data[begin : dashes + 1]
            begin = dashes + 1
        dashes = data.find(b"\n---", dashes + 4)
    yield data[begin:]


def _listed(known: templates.Templates, text: bytes) -> bytes | None:
    """A list as kubectl writes it, item by item; None where it is none or an item has a form of its own."""
    opened = _LIST.match(text)
    if opened is None:
        return None
    closed = _REST.search(text, max(opened.end(), text.rfind(b"\n- ")))
    end = closed.start() if closed is not None else len(text)
    rest = known.json(text[opened.start(1) : opened.end(1)] + text[end:])
    if rest is None or b'"items":' in rest:
        return None
    items = []
    begin = opened.end()
    while begin < end:
        following = text.find(b"\n- ", begin, end)
        upto = following + 1 if following >= 0 else end
        item = known.json(text[begin:upto])
        if item is None:
            return None
        items.append(item[1:-1])
        begin = upto
    return rest[:-1] + b',"items":[' + b",".join(items) + b"]}"


def _parsed(text: bytes) -> Any:
    """The one document of a text; ValueError where there are more or none, or it is no YAML."""
    try:
        [value] = yaml.load_all(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return value


def _complaint(data: bytes, number: int, error: Exception) -> tuple[int, Exception]:
    """What the parser says of the whole text, and of which document: its lines are those of the file."""
    at = 0
    try:
        for _ in yaml.load_all(data, Loader=_Loader):
            at += 1
    except (yaml.YAMLError, ValueError, RecursionError) as whole:
        return at + 1, whole
    return number, error


def _encoded(name: str, number: int, value: Any) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise errors.InputError(f"{where(Place(name, number))}: is {type(value).__name__}, not an object with a kind")
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.InputError(f"{where(Place(name, number))}: {told(error)}") from None


def _head(name: str, number: int, raw: bytes) -> Head:
    try:
        return _HEAD.decode(raw)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise errors.InputError(f"{where(Place(name, number))}: {told(error)}") from None


def _unfold(place: Place, head: Head, raw: bytes | msgspec.Raw, kind: str = "", api: str = "") -> Iterator[Document]:
    """The object itself, or the objects of a list; those of a typed list need not say their kind again."""
    kind, api = head.kind or kind, head.api_version or api
    if not kind:
        raise errors.InputError(f"{where(place)}: kind: is missing")
    if not kind.endswith("List"):
        yield Document(place, kind, api, raw)
        return
    typed = kind.removesuffix("List")
    for item, inner in enumerate(head.items or (), 1):
        inside = Place(place.source, place.number, item)
        try:
            inner_head = _HEAD.decode(inner)
        except msgspec.DecodeError as error:
            raise errors.InputError(f"{where(inside)}: {told(error)}") from None
        yield from _unfold(inside, inner_head, inner, typed, api if typed else "")
