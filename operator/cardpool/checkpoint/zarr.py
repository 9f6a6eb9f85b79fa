"""How many chunks an array has, and how long an uncompressed one is, by its zarr metadata (versions 2 and 3)."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from typing import Final

METADATA: Final = (".zarray", "zarr.json")
_DTYPE: Final = re.compile(r"[<>|=]?[a-zA-Z](\d+)")


@dataclasses.dataclass(frozen=True, slots=True)
class Array:
    """The chunks of one array: how many, whether they are Zstandard frames, and the bytes of one decoded chunk."""

    chunks: int
    zstd: bool
    raw: bool
    chunk_bytes: int | None


def parse(text: str | bytes, name: str) -> Array | None:
    """The array that a `.zarray` or `zarr.json` describes; None for groups and for kinds that are not known here."""
    try:
        document = json.loads(text)
        return _version_2(document) if name.endswith(METADATA[0]) else _version_3(document)
    except (ValueError, TypeError, KeyError, ZeroDivisionError, RecursionError):
        return None


def _version_2(document: Mapping[str, object]) -> Array:
    shape, chunks = _whole(document["shape"]), _whole(document["chunks"])
    compressor = document["compressor"]
    dtype = document.get("dtype")
    size = _DTYPE.fullmatch(dtype) if isinstance(dtype, str) else None
    plain = not document.get("filters")
    return Array(
        chunks=_grid(shape, chunks),
        zstd=isinstance(compressor, dict) and compressor.get("id") == "zstd",
        raw=compressor is None and plain,
        chunk_bytes=math.prod(chunks) * int(size[1]) if size and plain else None,
    )


def _version_3(document: Mapping[str, object]) -> Array:
    shape = _whole(document["shape"])
    grid = document["chunk_grid"]
    configuration = grid["configuration"] if isinstance(grid, dict) else {}
    codecs = document.get("codecs")
    last = codecs[-1] if isinstance(codecs, list) and codecs else {}
    return Array(
        chunks=_grid(shape, _whole(configuration["chunk_shape"])),
        zstd=isinstance(last, dict) and last.get("name") == "zstd",
        raw=False,
        chunk_bytes=None,
    )


def _grid(shape: list[int], chunks: list[int]) -> int:
    if len(shape) != len(chunks):
        raise ValueError("shape and chunks differ in length")
    return math.prod(-(-extent // chunk) for extent, chunk in zip(shape, chunks, strict=True))


def _whole(value: object) -> list[int]:
    if not isinstance(value, list) or not all(isinstance(item, int) and item >= 0 for item in value):
        raise ValueError("a list of whole numbers is expected")
    return value
