"""Files of manifests as a stream of single objects, each still raw JSON with the place it came from.

JSON is only cut into objects here, never built as Python values; YAML is turned into the same bytes, most of a large
dump by templates. So there is one way of decoding behind this module, and a million cards cost seconds.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

from cardpool import errors
from cardpool.kube import wire
from cardpool.planning import streams

SUFFIXES: Final = (".yaml", ".yml", ".json")
STDIN: Final = "-"
_BOM: Final = b"\xef\xbb\xbf"
_JSON_START: Final = re.compile(rb"\s*[{\[]")
_PATH: Final = re.compile(r"^(?P<text>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_SPACE: Final = re.compile(r"\s*")


class Head(wire.Struct):
    """What tells one object from a list of them."""

    kind: str = ""
    api_version: str = ""
    items: list[msgspec.Raw] | None = None


class Node(wire.Node):
    """A Node that says what it is, read in one go."""

    kind: str = ""
    api_version: str = ""


class Pod(wire.Pod):
    """A Pod that says what it is, read in one go."""

    kind: str = ""
    api_version: str = ""


Typed = Node | Pod


_HEAD: Final = msgspec.json.Decoder(Head)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TYPED: Final[dict[str, msgspec.json.Decoder[Typed]]] = {
    "Node": msgspec.json.Decoder(Node),
    "Pod": msgspec.json.Decoder(Pod),
}


class Found(NamedTuple):
    """A document with its number, and the items where it is a list."""

    number: int
    head: Head | Typed
    raw: bytes | msgspec.Raw
    items: Iterable[bytes | msgspec.Raw] | None = None


class Place(NamedTuple):
    """Where an object stands: the file, its document from 1, and the item inside a list (0: no list)."""

    source: str
    number: int
    item: int = 0


class Document(NamedTuple):
    """One object; ``read`` where reading what it is has read all of it."""

    place: Place
    kind: str
    api: str
    raw: bytes | msgspec.Raw
    read: Typed | None = None

    def where(self) -> str:
        """File, document and item, for people."""
        return where(self.place)


class Heads:
    """What an object is. Those of one kind stand together: the next is read as one more of the kind before at once."""

    def __init__(self) -> None:
        self._kind = ""

    def of(self, place: Place, raw: bytes | msgspec.Raw) -> Head | Typed:
        """The whole object where it is what the one before was, else the head; InputError where it has none."""
        decoder = _TYPED.get(self._kind)
        if decoder is not None:
            try:
                found = decoder.decode(raw)
            except (TypeError, ValueError, OverflowError, RecursionError):
                self._kind = ""  # what is wrong with it is told of the kind that it says it is
            else:
                if found.kind == self._kind and found.api_version == "v1":
                    return found
        head = _head(place, raw)
        self._kind = head.kind if head.api_version == "v1" else ""
        return head


def read(places: Iterable[str]) -> Iterator[Document]:
    """The objects of these files and folders (``-``: standard input) in order; InputError says where one is wrong."""
    heads = Heads()
    for name, path in _files(places):
        try:
            data = sys.stdin.buffer.read() if path is None else path.read_bytes()
        except OSError as error:
            raise errors.InputError(f"{name}: cannot be read: {error.strerror or error}") from None
        for found in _documents(name, data.removeprefix(_BOM), heads):
            yield from _unfold(Place(name, found.number), found, heads)


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


def _documents(name: str, data: bytes, heads: Heads) -> Iterator[Found]:
    if _JSON_START.match(data):
        found = _json(data)
        if found is not None:
            yield from (Found(number, head, raw) for number, (head, raw) in enumerate(found, 1))
            return
    yield from _yaml(name, data, heads)


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


def _yaml(name: str, data: bytes, heads: Heads) -> Iterator[Found]:
    """The objects of a YAML text; what is wrong is told by the parser that reads the text as a whole."""
    number = 0
    try:
        for number, value in enumerate(streams.values(data), 1):
            place = Place(name, number)
            if isinstance(value, streams.Listed):
                yield Found(number, _head(place, value.rest), value.rest, _inner(place, data, value.items))
            elif (raw := value if isinstance(value, bytes) else _encoded(place, value)) is not None:
                yield Found(number, heads.of(place, raw), raw)
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
        for _ in yaml.load_all(data, Loader=streams.Loader):
            at += 1
    except (yaml.YAMLError, ValueError, RecursionError) as whole:
        place, error = place._replace(number=at + 1), whole
    text = " ".join(str(error).split())
    return errors.InputError(f"{where(place)}: is neither YAML nor JSON: {text[:300]}")


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


def _unfold(place: Place, found: Found, heads: Heads, kind: str = "", api: str = "") -> Iterator[Document]:
    """The object itself, or the objects of a list; those of a typed list need not say their kind again."""
    head = found.head
    kind, api = head.kind or kind, head.api_version or api
    if not kind:
        raise errors.InputError(f"{where(place)}: kind: is missing")
    if not isinstance(head, Head):
        yield Document(place, kind, api, found.raw, head)
        return
    if not kind.endswith("List"):
        for _ in found.items or ():
            pass  # nobody wants these items, but what is wrong with them is told
        yield Document(place, kind, api, found.raw)
        return
    typed = kind.removesuffix("List")
    for number, inner in enumerate(found.items or head.items or (), 1):
        inside = Place(place.source, place.number, number)
        item = Found(number, heads.of(inside, inner), inner)
        if isinstance(item.head, Head):
            yield from _unfold(inside, item, heads, typed, api if typed else "")
        else:
            yield Document(inside, item.head.kind, item.head.api_version, inner, item.head)
