"""Zstandard as far as the proofs need it: frames are walked, and decoded by a library where one is installed.

A frame is a chain of blocks whose headers hold their length, so a truncated frame shows without being decoded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

from cardpool.checkpoint import zstd_decoder

MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = 0x184D2A50
_DICTIONARY_BYTES: Final = (0, 1, 2, 4)
_CONTENT_BYTES: Final = (0, 2, 4, 8)
_RLE: Final = 1
_RESERVED: Final = 3

Read = Callable[[int, int], bytes]


class ZstdError(ValueError):
    """The bytes are no whole Zstandard data."""


def decode(data: bytes, limit: int) -> bytes:
    """The content of the frame, at most `limit` bytes; ZstdError when it is damaged or larger."""
    frame_length(lambda offset, length: data[offset : offset + length], len(data))
    library = _library()
    try:
        if library is None:
            return zstd_decoder.decode_frame(data, limit)
        decoder = library.ZstdDecompressor()
        if library.__name__ == "zstandard":
            content: bytes = decoder.stream_reader(data).read(limit + 1)
        else:
            content = decoder.decompress(data, max_length=limit + 1)
    except Exception as error:
        raise ZstdError(str(error)) from error
    if len(content) > limit:
        raise ZstdError(f"holds more than {limit} bytes")
    return content


def frame_length(read: Read, available_bytes: int) -> int:
    """The length in bytes of the frames at offset 0, read by `read(offset, length)`; ZstdError when they break off."""
    position = 0
    while position < available_bytes:
        position = _frame_end(read, position, available_bytes)
    return position


def _frame_end(read: Read, start: int, end: int) -> int:
    header = _take(read, start, 5, end)
    if header[:4] != MAGIC:
        magic = int.from_bytes(header[:4], "little")
        if magic & 0xFFFFFFF0 != _SKIPPABLE:
            raise ZstdError(f"no frame begins at byte {start}")
        return _checked(start + 8 + int.from_bytes(_take(read, start + 4, 4, end), "little"), end)
    descriptor = header[4]
    single = bool(descriptor & 0x20)
    content = _CONTENT_BYTES[descriptor >> 6] or int(single)
    position = start + 5 + (0 if single else 1) + _DICTIONARY_BYTES[descriptor & 3] + content
    last = False
    while not last:
        block = int.from_bytes(_take(read, position, 3, end), "little")
        last, kind, size = bool(block & 1), block >> 1 & 3, block >> 3
        if kind == _RESERVED:
            raise ZstdError(f"a reserved block begins at byte {position}")
        position = _checked(position + 3 + (1 if kind == _RLE else size), end)
    return _checked(position + (4 if descriptor & 4 else 0), end)


def _take(read: Read, offset: int, length: int, end: int) -> bytes:
    _checked(offset + length, end)
    return read(offset, length)


def _checked(position: int, end: int) -> int:
    if position > end:
        raise ZstdError(f"breaks off: {end} bytes, at least {position} are needed")
    return position


def _library() -> Any:
    for name in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None
