"""Image layers in the user's cache: found by what they are made from, stored by the digest of their bytes.

Invariant: a file under `blobs/sha256` is complete and has the digest of its name (written beside, then renamed), and
a record under `layers` names a blob that exists. One process makes layers at a time. A use sets the times of record
and blob, by which `prune` knows what no build needs any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the store: digest as "sha256:…", size in bytes."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Store:
    """Layers and other blobs below `root`."""

    root: Path

    def path(self, blob: Blob) -> Path:
        """The file that holds the blob."""
        return self.root / "blobs" / "sha256" / blob.digest.removeprefix("sha256:")

    def layer(self, title: str, recipe: Sequence[str], make: Callable[[Path], None]) -> Blob:
        """The layer of that recipe; if it is new, `make` fills an empty folder that becomes the layer's tree."""
        record = self.root / "layers" / f"{key(recipe)}.json"
        blob = self._known(record)
        if blob is not None:
            os.utime(record)
            os.utime(self.path(blob))
            return blob
        with step(f"image layer: {title}"), self.scratch() as folder:
            tree, tar = folder / "tree", folder / "layer.tar"
            tree.mkdir(mode=0o755)
            make(tree)
            pack(tree, tar)
            blob = self.add(tar)
        record.parent.mkdir(parents=True, exist_ok=True)
        partial = record.with_suffix(".partial")
        partial.write_text(json.dumps({"title": title, "digest": blob.digest, "size": blob.size}) + "\n")
        partial.replace(record)
        return blob

    def add(self, file: Path) -> Blob:
        """Move a file of the same file system into the store."""
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        blob = Blob(f"sha256:{digest}", file.stat().st_size)
        target = self.path(blob)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.utime(file)
        file.replace(target)
        return blob

    def add_bytes(self, content: bytes) -> Blob:
        """Keep a small blob, for example a manifest."""
        with self.scratch() as folder:
            (folder / "content").write_bytes(content)
            return self.add(folder / "content")

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the store's own file system that is removed at the end, whatever happens."""
        self.root.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".scratch-", dir=self.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from making the same layers meanwhile."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _known(self, record: Path) -> Blob | None:
        if not record.exists():
            return None
        content = json.loads(record.read_text())
        blob = Blob(content["digest"], content["size"])
        file = self.path(blob)
        return blob if file.exists() and file.stat().st_size == blob.size else None


def key(recipe: Sequence[str]) -> str:
    """A short name for a recipe: equal exactly for equal recipes."""
    return hashlib.sha256(json.dumps(list(recipe)).encode()).hexdigest()[:32]


def pack(tree: Path, tar: Path) -> None:
    """Archive a tree so that equal content gives equal bytes: sorted, no times, owned by root."""
    same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"]
    run(["tar", "--create", "--file", tar, "--directory", tree, *same, "--exclude=./dev/*", "."])


def run(argv: Iterable[object], **options: object) -> str:
    """Run a command to its end and return its output; ClusterError with the end of its complaint if it fails."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        tail = "\n".join(f"  {line}" for line in (done.stderr or done.stdout).splitlines()[-15:])
        raise errors.ClusterError(f"`{' '.join(words[:6])} …` ended with {done.returncode}:\n{tail}")
    return str(done.stdout)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Tell on standard error that something longer begins, and how long it took."""
    print(f"{title} …", file=sys.stderr, flush=True)
    begin = time.monotonic()
    yield
    print(f"{title}: {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)
