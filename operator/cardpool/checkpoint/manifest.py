"""The `cardpool` format: a manifest written last that names every file with its size and sha256.

Invariant: the manifest appears in one rename after everything that it names is on disk, so its presence means a
complete save, and its content lets anyone prove that nothing changed since. It may seal a folder of any other format.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cardpool.checkpoint import folder as folders
from cardpool.checkpoint.records import Damage, Reason

NAME: Final = "cardpool-manifest.json"
VERSION: Final = 1
_TEMPORARY: Final = f".{NAME}.tmp"
_SHA256: Final = 64
_KEYS: Final = ("version", "step", "attempt", "worldSize", "createdAt", "files", "digest")


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One file: path relative to the step folder, size in bytes, sha256 in hex."""

    path: str
    size: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """What a step folder must hold; `world_size` is the number of ranks that saved it."""

    step: int
    attempt: int
    world_size: int
    files: tuple[Entry, ...]
    created_at: str = ""


def load(folder: folders.Folder) -> Manifest | None:
    """The folder's manifest; None when there is none, Damage when it cannot be trusted."""
    if NAME not in folder.sizes():
        return None
    return parse(folder.json(NAME))


def parse(document: object) -> Manifest:
    """The manifest in a JSON document, or Damage(BadManifest) with the field."""
    if not isinstance(document, dict):
        raise Damage(Reason.BAD_MANIFEST, f"{NAME} is no JSON object")
    if document.get("version") != VERSION:
        raise Damage(Reason.BAD_MANIFEST, f"version is {document.get('version')!r:.20}, {VERSION} is known")
    unknown = next((key for key in document if key not in _KEYS), None)
    if unknown is not None:
        raise Damage(Reason.BAD_MANIFEST, f"{unknown!r:.40} is no field of a manifest")
    if "digest" in document and document["digest"] != _digest(document):
        raise Damage(Reason.CHECKSUM_MISMATCH, f"{NAME} does not have the digest that it states")
    files = document.get("files")
    if not isinstance(files, list):
        raise Damage(Reason.BAD_MANIFEST, "files is no list")
    entries = tuple(_entry(item, index) for index, item in enumerate(files))
    if len({entry.path for entry in entries}) != len(entries):
        raise Damage(Reason.BAD_MANIFEST, "files names one path twice")
    created = document.get("createdAt", "")
    return Manifest(
        step=_whole(document, "step"),
        attempt=_whole(document, "attempt"),
        world_size=_whole(document, "worldSize"),
        files=entries,
        created_at=created if isinstance(created, str) else "",
    )


def check_sizes(folder: folders.Folder, manifest: Manifest) -> None:
    """Every named file is there with its size; Damage otherwise."""
    if not manifest.files:
        raise Damage(Reason.EMPTY, f"{NAME} names no file")
    for entry in manifest.files:
        size = folder.size(entry.path)
        if size < entry.size:
            raise Damage(Reason.TRUNCATED, f"{entry.path} has {size} of {entry.size} bytes")
        if size > entry.size:
            raise Damage(Reason.CHECKSUM_MISMATCH, f"{entry.path} has {size} bytes, {entry.size} were saved")


def check_bytes(folder: folders.Folder, manifest: Manifest) -> None:
    """Every named file has the sha256 that was saved; Damage otherwise. Reads the whole checkpoint."""
    for entry in manifest.files:
        digest = hashlib.sha256()
        for piece in folder.chunks(entry.path):
            digest.update(piece)
        if digest.hexdigest() != entry.sha256:
            raise Damage(Reason.CHECKSUM_MISMATCH, entry.path)


def seal(directory: Path | str, *, step: int, attempt: int, world_size: int = 1) -> Manifest:
    """Flush and hash every file below the directory and write its manifest last; seals any format's step folder."""
    root = Path(directory)
    (root / NAME).unlink(missing_ok=True)
    (root / _TEMPORARY).unlink(missing_ok=True)
    entries = tuple(_hashed(root, file) for file in sorted(root.rglob("*")) if file.is_file())
    for parent in sorted(path for path in root.rglob("*") if path.is_dir()):
        sync(parent)
    sync(root)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    manifest = Manifest(step, attempt, world_size, entries, created)
    temporary = root / _TEMPORARY
    with temporary.open("w", encoding="utf-8") as out:
        json.dump(_document(manifest), out, separators=(",", ":"))
        out.flush()
        os.fsync(out.fileno())
    temporary.rename(root / NAME)
    sync(root)
    return manifest


def sync(path: Path) -> None:
    """Flush a file or a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hashed(root: Path, file: Path) -> Entry:
    digest = hashlib.sha256()
    size = 0
    with file.open("rb") as data:
        while piece := data.read(1 << 20):
            digest.update(piece)
            size += len(piece)
        os.fsync(data.fileno())
    return Entry(file.relative_to(root).as_posix(), size, digest.hexdigest())


def _digest(document: Mapping[str, object]) -> str:
    """sha256 of the document's own fields, as sorted compact JSON, so that a flipped byte in the manifest shows too."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _document(manifest: Manifest) -> dict[str, object]:
    document: dict[str, object] = {
        "version": VERSION,
        "step": manifest.step,
        "attempt": manifest.attempt,
        "worldSize": manifest.world_size,
        "createdAt": manifest.created_at,
        "files": [dataclasses.asdict(entry) for entry in manifest.files],
    }
    return {**document, "digest": _digest(document)}


def _entry(item: object, index: int) -> Entry:
    if not isinstance(item, dict):
        raise Damage(Reason.BAD_MANIFEST, f"files[{index}] is no object")
    path, digest = item.get("path"), item.get("sha256")
    if not isinstance(path, str) or not _plain(path):
        raise Damage(Reason.BAD_MANIFEST, f"files[{index}].path is no plain relative path")
    if not isinstance(digest, str) or len(digest) != _SHA256:
        raise Damage(Reason.BAD_MANIFEST, f"files[{index}].sha256 is no sha256 in hex")
    return Entry(path, _whole(item, "size"), digest.lower())


def _plain(path: str) -> bool:
    return not path.startswith("/") and "\0" not in path and not {"", ".", ".."} & set(path.split("/"))


def _whole(document: Mapping[object, object], key: str) -> int:
    value = document.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Damage(Reason.BAD_MANIFEST, f"{key} is {value!r:.40}, not a whole number")
    return value
