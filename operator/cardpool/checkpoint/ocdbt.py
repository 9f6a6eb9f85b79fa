"""Reading the index of an OCDBT database (the B+tree in which Orbax keeps arrays) without tensorstore.

The format is public: each manifest and node carries its length and a CRC-32C, and each node says at which offset of
which data file its children and values lie. So walking the tree proves every index byte, and that no data file is
shorter than what the index expects. Values themselves carry no checksum here. Bytes whose checksum is right and that
still cannot be understood are of a newer format, not damaged: then nothing is claimed and nothing refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Final

from cardpool.checkpoint import zstd
from cardpool.checkpoint.crc32c import crc32c
from cardpool.checkpoint.folder import Folder
from cardpool.checkpoint.records import Damage, Reason

MANIFEST: Final = "manifest.ocdbt"
_MANIFEST_MAGIC: Final = 0x0CDB3A2A
_NODE_MAGIC: Final = 0x0CDB20DE
_MAX_NODE: Final = 1 << 28
_MAX_COUNT: Final = 1 << 24
_NO_FILE: Final = (1 << 64) - 1
_MAX_HEIGHT: Final = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """A value of the database: its bytes when they stand in the index, else where they lie in a data file."""

    inline: bytes | None
    file: str = ""
    offset: int = 0
    length: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    """A stretch of a data file; `base` is the part of the path that children inherit."""

    base: str
    file: str
    offset: int
    length: int


class NotDecodableError(Exception):
    """The index is of a kind that cannot be read here, so only its outside can be judged; the text says which."""


def read(folder: Folder, below: str) -> Mapping[bytes, Value]:
    """All keys and values of the newest version of the database in the sub-folder, proved as the module says."""
    prefix = f"{below}/" if below else ""
    roots = _roots(folder, prefix)
    if not roots:
        return {}
    keys: dict[bytes, Value] = {}
    seen: set[tuple[str, int]] = set()
    pending = [(*roots[-1], b"")]
    while pending:
        place, height, inherited = pending.pop()
        if (place.file, place.offset) in seen:
            continue
        seen.add((place.file, place.offset))
        body = _body(_block(folder, prefix, place), _NODE_MAGIC, place.file)
        for key, item in _node(body, place, height, inherited):
            if isinstance(item, _Place):
                pending.append((item, height - 1, key))
                continue
            if item.inline is None:
                _extent(folder, prefix, item.file, item.offset + item.length)
            keys[key] = item
    _old_roots(folder, prefix, roots[:-1])
    return keys


def _old_roots(folder: Folder, prefix: str, roots: list[tuple[_Place, int]]) -> None:
    """Older versions are not loaded, but where their files still are they must not be cut short."""
    for place, _ in roots:
        if prefix + place.file in folder.sizes():
            _extent(folder, prefix, place.file, place.offset + place.length)


def _roots(folder: Folder, prefix: str) -> list[tuple[_Place, int]]:
    name = prefix + MANIFEST
    size = folder.size(name)
    if size > _MAX_NODE:
        raise Damage(Reason.BAD_MANIFEST, f"{name} has {size} bytes")
    body = _body(folder.read(name, 0, size), _MANIFEST_MAGIC, name)
    body.skip(16)
    if body.varint() != 0:
        raise NotDecodableError("the index keeps its versions in numbered manifests")
    body.column(2)
    body.skip(1)
    if body.varint() == 1:
        body.skip(4)
    files = body.files("")
    count = body.count()
    body.column(count)
    heights = [body.byte() for _ in range(count)]
    ids, offsets, lengths = body.column(count), body.column(count), body.column(count)
    roots = []
    for index in range(count):
        if offsets[index] == _NO_FILE:
            continue
        roots.append((_place(files, ids[index], offsets[index], lengths[index], name), heights[index]))
    return roots


def _node(body: _Body, place: _Place, height: int, inherited: bytes) -> Iterator[tuple[bytes, Value | _Place]]:
    name = place.file
    found = body.byte()
    if found != height or height > _MAX_HEIGHT:
        raise NotDecodableError(f"{name} holds a node of height {found}, {height} is expected")
    files = body.files(place.base)
    count = body.count()
    if height:
        return _children(body, files, count, inherited, name)
    return _values(body, files, count, inherited, name)


def _children(
    body: _Body, files: list[tuple[str, str]], count: int, inherited: bytes, name: str
) -> Iterator[tuple[bytes, _Place]]:
    prefixes, suffixes = [0, *body.column(count - 1)], body.column(count)
    common = body.column(count)
    keys = body.keys(prefixes, suffixes)
    ids, offsets, lengths = body.column(count), body.column(count), body.column(count)
    for index in range(count):
        key = inherited + keys[index][: common[index]]
        yield key, _place(files, ids[index], offsets[index], lengths[index], name)


def _values(
    body: _Body, files: list[tuple[str, str]], count: int, inherited: bytes, name: str
) -> Iterator[tuple[bytes, Value]]:
    prefixes, suffixes = [0, *body.column(count - 1)], body.column(count)
    keys = body.keys(prefixes, suffixes)
    lengths, kinds = body.column(count), body.column(count)
    outside = sum(1 for kind in kinds if kind)
    places = iter(zip(body.column(outside), body.column(outside), strict=True))
    for index in range(count):
        if kinds[index]:
            file_id, offset = next(places)
            place = _place(files, file_id, offset, lengths[index], name)
            yield inherited + keys[index], Value(None, place.file, place.offset, place.length)
        else:
            yield inherited + keys[index], Value(body.take(lengths[index]))


def _place(files: list[tuple[str, str]], file_id: int, offset: int, length: int, name: str) -> _Place:
    if file_id >= len(files):
        raise NotDecodableError(f"{name} names data file {file_id} of {len(files)}")
    base, relative = files[file_id]
    path = base + relative
    if path.startswith("/") or {"", ".", ".."} & set(path.split("/")):
        raise Damage(Reason.BAD_MANIFEST, f"{name} names a data file outside its folder")
    return _Place(base, path, offset, length)


def _extent(folder: Folder, prefix: str, file: str, end: int) -> None:
    size = folder.size(prefix + file)
    if size < end:
        raise Damage(Reason.TRUNCATED, f"{prefix}{file} has {size} of at least {end} bytes")


def _block(folder: Folder, prefix: str, place: _Place) -> bytes:
    _extent(folder, prefix, place.file, place.offset + place.length)
    if place.length > _MAX_NODE:
        raise Damage(Reason.BAD_MANIFEST, f"{place.file} should hold a node of {place.length} bytes")
    return folder.read(prefix + place.file, place.offset, place.length)


def _body(data: bytes, magic: int, name: str) -> _Body:
    """The decoded content of a manifest or node after its magic, length and checksum were compared."""
    if len(data) < 18:
        raise Damage(Reason.TRUNCATED, f"{name} has {len(data)} bytes where its index should begin")
    if int.from_bytes(data[:4], "big") != magic:
        raise Damage(Reason.CHECKSUM_MISMATCH, f"{name} does not begin as an index should")
    length = int.from_bytes(data[4:12], "little")
    if length > len(data):
        raise Damage(Reason.TRUNCATED, f"{name} has {len(data)} of {length} bytes of an index node")
    if length != len(data) or crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise Damage(Reason.CHECKSUM_MISMATCH, f"{name}: the checksum of an index node differs")
    if data[12] != 0:
        raise NotDecodableError(f"{name} is of a newer version ({data[12]}) than is known")
    if data[13] == 0:
        return _Body(data[14:-4], name)
    if data[13] != 1:
        raise NotDecodableError(f"{name} is compressed by an unknown method ({data[13]})")
    try:
        return _Body(zstd.decode(data[14:-4], _MAX_NODE), name)
    except zstd.ZstdError as error:
        raise NotDecodableError(f"{name} does not decode: {error}") from error


class _Body:
    """A cursor over a decoded node; reading past its end is NotDecodable."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data = data
        self._name = name
        self._at = 0

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise NotDecodableError(f"{self._name}: an index node ends inside a field")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def skip(self, length: int) -> None:
        self.take(length)

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise NotDecodableError(f"{self._name}: an index node holds a number that is too long")

    def count(self) -> int:
        value = self.varint()
        if value > _MAX_COUNT:
            raise NotDecodableError(f"{self._name}: an index node claims {value} entries")
        return value

    def column(self, count: int) -> list[int]:
        return [self.varint() for _ in range(max(count, 0))]

    def keys(self, prefixes: list[int], suffixes: list[int]) -> list[bytes]:
        keys: list[bytes] = []
        previous = b""
        for prefix, suffix in zip(prefixes, suffixes, strict=False):
            previous = previous[:prefix] + self.take(suffix)
            keys.append(previous)
        return keys

    def files(self, transitive: str) -> list[tuple[str, str]]:
        """The data file table as pairs of inherited base path and rest."""
        count = self.count()
        prefixes, suffixes = [0, *self.column(count - 1)], self.column(count)
        bases = self.column(count)
        paths = self.keys(prefixes, suffixes)
        try:
            return [
                (transitive + path[:base].decode(), path[base:].decode())
                for path, base in zip(paths, bases, strict=True)
            ]
        except UnicodeDecodeError as error:
            raise NotDecodableError(f"{self._name}: a data file has no readable name") from error
