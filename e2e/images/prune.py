"""Drops what no build uses any more from the image cache, which else grows by a few megabytes with every change.

Invariant: what was used within ``GRACE_SECONDS`` stays, since another process may be about to read blobs that it built
under the lock a moment ago; of each title the ``KEEP`` layers used last stay for good, so that checkouts which take
turns do not build their wheels anew. To be called by who holds the store's lock.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from e2e.images.store import Store

KEEP = 3  # layers of one title, and unpacked bases
GRACE_SECONDS = 3600.0  # longer than any start takes between its build and its import
ABANDONED_SECONDS = 86_400.0  # scratch of a build that was killed


def prune(store: Store, now: float | None = None) -> int:
    """Remove layers, blobs, bases and scratch that are out of use; how many bytes of blobs went."""
    moment = time.time() if now is None else now
    kept = set(_records(store.root / "layers", moment))
    freed = 0
    for blob in _files(store.root / "blobs" / "sha256"):
        if blob.name not in kept and _unused(blob, moment, GRACE_SECONDS):
            freed += blob.stat().st_size
            blob.unlink()
    for base in _oldest(_files(store.root / "rootfs"), moment):
        shutil.rmtree(base)
    for scratch in store.root.glob(".scratch-*"):
        if _unused(scratch, moment, ABANDONED_SECONDS):
            shutil.rmtree(scratch, ignore_errors=True)  # its owner may remove it at the same time
    return freed


def _records(folder: Path, now: float) -> Iterator[str]:
    """Drop the records that are out of use; the file names of the blobs that the others name."""
    titles: defaultdict[str, list[Path]] = defaultdict(list)
    blobs: dict[Path, str] = {}
    for record in folder.glob("*.json"):
        content = json.loads(record.read_text())
        titles[content["title"]].append(record)
        blobs[record] = content["digest"].removeprefix("sha256:")
    for records in titles.values():
        for old in _oldest(records, now):
            old.unlink()
            del blobs[old]
    yield from blobs.values()


def _oldest(paths: Iterable[Path], now: float) -> list[Path]:
    """What is neither among the last used nor used within the grace."""
    newest_first = sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)
    return [path for path in newest_first[KEEP:] if _unused(path, now, GRACE_SECONDS)]


def _unused(path: Path, now: float, seconds: float) -> bool:
    return path.stat().st_mtime < now - seconds


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []
