"""Orbax step folders: committed by an atomic rename, and by `commit_success.txt` where there is no such rename.

Light proves that every metadata file parses, that the index is whole (lengths and CRC-32C), that each data file is as
long as the index needs, that each array has all its chunks, and that compressed chunks begin (files of their own: and
end) where they should. The bytes inside a chunk are not proved: Orbax stores no checksum of them. `manifest.seal` does.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Final

from cardpool.checkpoint import manifest, ocdbt, zarr, zstd
from cardpool.checkpoint.folder import Folder, read_exactly
from cardpool.checkpoint.records import Damage, Level, Proof, Reason

STEP_METADATA: Final = "_CHECKPOINT_METADATA"
TREE_METADATA: Final = "_METADATA"
COMMITTED: Final = "commit_success.txt"
_JSON: Final = (STEP_METADATA, TREE_METADATA, "_sharding", "zarr.json", ".zarray", ".zattrs", "_strings.json")
_MAX_HEADS: Final = 10_000
_BESIDE: Final = re.compile(r"(?:^|(?<=/))array_metadatas/process_\d+$")


class Orbax:
    """Steps saved by a CheckpointManager, with or without a step prefix."""

    folder_name = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*_)?0*(?P<step>\d+)")

    def committed(self, folder: Folder) -> None:
        """The step's own marker file is there, or its metadata tells when it was committed."""
        sizes = folder.sizes()
        if COMMITTED in sizes:
            return
        if STEP_METADATA not in sizes:
            raise Damage(Reason.NOT_COMMITTED, f"neither {COMMITTED} nor {STEP_METADATA}")
        metadata = folder.json(STEP_METADATA)
        if not isinstance(metadata, dict) or not metadata.get("commit_timestamp_nsecs"):
            raise Damage(Reason.NOT_COMMITTED, f"{STEP_METADATA} names no time of commit")

    def light(self, folder: Folder) -> Proof:
        """As the module says; Marker, with a note, where the index is compressed and cannot be decoded here."""
        metadata = folder.json(STEP_METADATA)
        if not isinstance(metadata, dict):
            raise Damage(Reason.BAD_MANIFEST, f"{STEP_METADATA} is no JSON object")
        for item, handler in _items(metadata).items():
            if not folder.names(item):
                raise Damage(Reason.MISSING_FILE, f"item {item}")
            if "JsonCheckpointHandler" in handler:
                folder.json(f"{item}/metadata")
        for name in folder.sizes():
            if name.rsplit("/", 1)[-1] in _JSON or "/array_metadatas/" in f"/{name}":
                folder.json(name)
        for item in sorted(_tree_items(folder)):
            _tree_has_data(folder, item)
        databases = [name.removesuffix(ocdbt.MANIFEST).rstrip("/") for name in _named(folder, ocdbt.MANIFEST)]
        try:
            for database in databases:
                _database(folder, database)
        except ocdbt.NotDecodableError as error:
            return Proof(Level.MARKER, f"{error}, so only the marker is proved")
        _plain_arrays(folder)
        return Proof(Level.LIGHT)


def _items(metadata: Mapping[str, object]) -> dict[str, str]:
    """Items of the step and the handlers that saved them."""
    handlers = metadata.get("item_handlers")
    found = handlers.items() if isinstance(handlers, dict) else ()
    return {name: str(handler) for name, handler in found if isinstance(name, str)}


def _tree_items(folder: Folder) -> set[str]:
    """Items that hold a tree of arrays: those with its metadata, or with a file that is only written beside it."""
    found = {name.removesuffix(TREE_METADATA) for name in _named(folder, TREE_METADATA)}
    found |= {name.removesuffix("_sharding") for name in _named(folder, "_sharding")}
    found |= {name[: match.start()] for name in folder.sizes() if (match := _BESIDE.search(name))}
    return {item.rstrip("/") for item in found}


def _named(folder: Folder, last: str) -> list[str]:
    return [name for name in folder.sizes() if name == last or name.endswith(f"/{last}")]


def _tree(folder: Folder, item: str) -> Mapping[str, object]:
    name = f"{item}/{TREE_METADATA}" if item else TREE_METADATA
    if name not in folder.sizes():
        return {}
    document = folder.json(name)
    return document if isinstance(document, dict) else {}


def _tree_has_data(folder: Folder, item: str) -> None:
    """What the tree's own metadata says lies beside it is there: a database or plain arrays, and its strings."""
    prefix = f"{item}/" if item else ""
    folder.size(prefix + TREE_METADATA)
    tree = _tree(folder, item)
    arrays = _arrays_of(tree)
    if "string" in _kinds(tree).values():
        folder.size(f"{prefix}_strings.json")
    if tree.get("use_ocdbt") is True and arrays:
        folder.size(prefix + ocdbt.MANIFEST)
    if tree.get("use_ocdbt") is False:
        sizes = folder.sizes()
        for name in arrays:
            if not any(f"{prefix}{name}/{metadata}" in sizes for metadata in zarr.METADATA):
                raise Damage(Reason.MISSING_FILE, f"array {name} has no metadata")


def _arrays_of(tree: Mapping[str, object]) -> list[str]:
    """Names of the stored arrays in an item's tree."""
    return [name for name, kind in _kinds(tree).items() if kind in {"jax.Array", "np.ndarray", "scalar"}]


def _kinds(tree: Mapping[str, object]) -> dict[str, object]:
    """The kind of each leaf of the tree; leaves are named by their keys joined by dots."""
    entries = tree.get("tree_metadata")
    kinds: dict[str, object] = {}
    for entry in entries.values() if isinstance(entries, dict) else ():
        keys, value = entry.get("key_metadata"), entry.get("value_metadata")
        if isinstance(keys, list) and isinstance(value, dict):
            kinds[".".join(str(key.get("key")) for key in keys if isinstance(key, dict))] = value.get("value_type")
    return kinds


def _database(folder: Folder, database: str) -> None:
    keys = ocdbt.read(folder, database)
    tree = _tree(folder, database)
    for name in _arrays_of(tree):
        if not any(f"{name}/{metadata}".encode() in keys for metadata in zarr.METADATA):
            raise Damage(Reason.MISSING_FILE, f"array {name} is not in the index")
    complete = tree.get("store_array_data_equal_to_fill_value") is True
    prefix = f"{database}/" if database else ""
    frames: list[ocdbt.Value] = []
    for name, array, chunks in _grouped(keys):
        if complete and len(chunks) < array.chunks:
            raise Damage(Reason.MISSING_FILE, f"array {name} has {len(chunks)} of {array.chunks} chunks")
        values = [keys[chunk] for chunk in chunks]
        for value in values:
            _length_fits(array, value.length if value.inline is None else len(value.inline), name)
        if array.zstd:
            frames += [value for value in values if value.inline is None]
    _heads(folder, prefix, frames)


def _grouped(keys: Mapping[bytes, ocdbt.Value]) -> Iterator[tuple[str, zarr.Array, list[bytes]]]:
    """Each array with the keys of its chunks. Keys come in no order, so they are sorted first."""
    arrays: dict[bytes, tuple[zarr.Array, list[bytes]]] = {}
    for key in sorted(keys):
        stem, _, last = key.rpartition(b"/")
        inline = keys[key].inline
        if last.decode("latin-1") in zarr.METADATA and inline is not None:
            array = zarr.parse(inline, key.decode("utf-8", "replace"))
            if array is not None:
                arrays[stem] = (array, [])
    for key in keys:
        stem, _, last = key.rpartition(b"/")
        while stem and stem not in arrays:
            stem = stem.rpartition(b"/")[0]
        if stem in arrays and last.decode("latin-1") not in {*zarr.METADATA, ".zattrs"}:
            arrays[stem][1].append(key)
    for stem, (array, chunks) in arrays.items():
        yield stem.decode("utf-8", "replace"), array, chunks


def _length_fits(array: zarr.Array, length: int, name: str) -> None:
    if array.raw and array.chunk_bytes is not None and length != array.chunk_bytes:
        raise Damage(Reason.TRUNCATED, f"a chunk of {name} has {length} of {array.chunk_bytes} bytes")


def _heads(folder: Folder, prefix: str, frames: list[ocdbt.Value]) -> None:
    """Chunks begin as Zstandard frames do: a hole that a crash left reads as zeros. At most 10,000, evenly spread."""
    stride = max(1, -(-len(frames) // _MAX_HEADS))
    picked = sorted(frames[::stride], key=lambda value: (value.file, value.offset))
    for file, values in itertools.groupby(picked, key=lambda value: value.file):
        with folder.opened(prefix + file) as opened:
            for value in values:
                if read_exactly(opened, file, value.offset, len(zstd.MAGIC)) != zstd.MAGIC:
                    raise Damage(Reason.CHECKSUM_MISMATCH, f"{prefix}{file}: no chunk begins at byte {value.offset}")


def _frames(folder: Folder, file: str) -> None:
    """A file that is one chunk ends where its Zstandard frames do."""
    length = folder.size(file)
    with folder.opened(file) as opened:
        try:
            zstd.frame_length(lambda offset, count: read_exactly(opened, file, offset, count), length)
        except zstd.ZstdError as error:
            raise Damage(Reason.TRUNCATED, f"{file}: a compressed chunk {error}") from error


def _plain_arrays(folder: Folder) -> None:
    """Arrays that lie as single files, without a database."""
    stems: dict[str, zarr.Array] = {}
    for metadata in zarr.METADATA:
        for name in _named(folder, metadata):
            array = zarr.parse(folder.text(name), name)
            if array is not None:
                stems[name.removesuffix(metadata).rstrip("/")] = array
    for stem, array in stems.items():
        chunks = [name for name in folder.names(stem) if not name.endswith((*zarr.METADATA, ".zattrs", manifest.NAME))]
        if not chunks and array.chunks:
            raise Damage(Reason.MISSING_FILE, f"array {stem} has no chunk")
        for name in chunks:
            _length_fits(array, folder.size(name), stem)
            if array.zstd:
                _frames(folder, name)
