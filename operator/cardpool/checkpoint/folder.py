"""Reading one checkpoint folder that somebody else wrote and may still be changing.

Invariant: nothing outside the mount is ever read, nothing but regular files is opened, and every operating system error
becomes a `Damage` of that checkpoint, so one bad folder cannot stop the search.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final

from cardpool.checkpoint.records import Damage, Reason

MAX_FILES: Final = 500_000
MAX_DEPTH: Final = 16
MAX_JSON_BYTES: Final = 256 * 1024 * 1024
_CHUNK: Final = 1 << 20
_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


def no_alarm() -> None:
    """A tick that never interrupts."""


class Folder:
    """A checkpoint folder below a mount; `tick` is called between reads and may raise to stop the work."""

    def __init__(self, mount: str, path: str, tick: Callable[[], None] = no_alarm) -> None:
        """`path` is relative to `mount`; raises Damage when it leads outside."""
        self._mount = os.path.realpath(mount)
        self._tick = tick
        self.path = path
        self.root = os.path.realpath(f"{self._mount}/{path}")
        if not self._inside(self.root):
            raise Damage(Reason.UNREADABLE, "a symbolic link leads outside the volume")
        self._sizes: dict[str, int] | None = None

    def sizes(self) -> Mapping[str, int]:
        """Size in bytes of every regular file below the folder, by relative path; read once."""
        if self._sizes is None:
            self._sizes = dict(self._walk(self.root, "", 0))
        return self._sizes

    def names(self, below: str) -> list[str]:
        """Relative paths of the files in or under the folder `below` (empty: all)."""
        prefix = f"{below}/" if below else ""
        return [name for name in self.sizes() if name.startswith(prefix)]

    def size(self, name: str) -> int:
        """Size of a file that must be there."""
        size = self.sizes().get(name)
        if size is None:
            raise Damage(Reason.MISSING_FILE, name)
        return size

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`, or Truncated."""
        with self.opened(name) as file:
            return read_exactly(file, name, offset, length)

    def text(self, name: str) -> str:
        """A small text file, whole."""
        size = self.size(name)
        if size > MAX_JSON_BYTES:
            raise Damage(Reason.UNREADABLE, f"{name} has {size} bytes, more than a text file should")
        try:
            return self.read(name, 0, size).decode()
        except UnicodeDecodeError as error:
            raise Damage(Reason.BAD_MANIFEST, f"{name} is not UTF-8 text") from error

    def json(self, name: str) -> object:
        """A JSON file; one that breaks off is Truncated, any other that does not parse is BadManifest."""
        text = self.text(name)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = Reason.TRUNCATED if _breaks_off(text, error) else Reason.BAD_MANIFEST
            raise Damage(reason, f"{name} is not whole JSON ({len(text)} characters)") from error

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file in pieces of 1 MiB."""
        with self.opened(name) as file:
            while piece := self._piece(file, name):
                yield piece

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        """The file opened for reading; never blocks on a pipe, never follows a link out of the mount."""
        self._tick()
        full = f"{self.root}/{name}"
        if not self._inside(os.path.realpath(full)):
            raise Damage(Reason.UNREADABLE, f"{name} leads outside the volume")
        with _damage(name), _open(full) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Damage(Reason.UNREADABLE, f"{name} is no regular file")
            yield file

    def _piece(self, file: BinaryIO, name: str) -> bytes:
        self._tick()
        with _damage(name):
            return file.read(_CHUNK)

    def _inside(self, real: str) -> bool:
        return inside(real, self._mount)

    def _walk(self, folder: str, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
        if depth > MAX_DEPTH:
            raise Damage(Reason.UNREADABLE, f"folders are nested deeper than {MAX_DEPTH}")
        count = 0
        with _damage(prefix or "the folder"), os.scandir(folder) as entries:
            for entry in entries:
                self._tick()
                count += 1
                if count > MAX_FILES:
                    raise Damage(Reason.UNREADABLE, f"more than {MAX_FILES} entries in {prefix or 'the folder'}")
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(entry.path, f"{prefix}{entry.name}/", depth + 1)
                elif (size := self._size_of(entry)) is not None:
                    yield f"{prefix}{entry.name}", size

    def _size_of(self, entry: os.DirEntry[str]) -> int | None:
        """None for what is no file of this mount: pipes, sockets, links that lead to folders or away."""
        if entry.is_symlink() and not self._inside(os.path.realpath(entry.path)):
            return None
        try:
            info = entry.stat()
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise
        return info.st_size if stat.S_ISREG(info.st_mode) else None


def _breaks_off(text: str, error: Exception) -> bool:
    """Whether JSON failed to parse because it ends too early, not because it is something else."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    rest = text[error.pos :].strip()
    return error.msg.startswith("Unterminated") or any(word.startswith(rest) for word in ("true", "false", "null"))


def inside(real: str, mount: str) -> bool:
    """Whether a resolved path is the resolved mount or lies below it."""
    return real == mount or real.startswith(f"{mount.rstrip('/')}/")


def read_exactly(file: BinaryIO, name: str, offset: int, length: int) -> bytes:
    """`length` bytes at `offset` of an open file, or Truncated; asks for no more memory than the file has."""
    with _damage(name):
        available = os.fstat(file.fileno()).st_size
        if offset + length > available:
            raise Damage(Reason.TRUNCATED, f"{name} has {available} bytes, {offset + length} are needed")
        file.seek(offset)
        pieces: list[bytes] = []
        left = length
        while left:
            piece = file.read(left)
            if not piece:
                raise Damage(Reason.TRUNCATED, f"{name} ended {left} bytes early while it was read")
            pieces.append(piece)
            left -= len(piece)
    return b"".join(pieces)


def _open(full: str) -> BinaryIO:
    return os.fdopen(os.open(full, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", 0)


@contextlib.contextmanager
def _damage(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = Reason.MISSING_FILE if error.errno in _GONE else Reason.UNREADABLE
        word = errno.errorcode.get(error.errno or 0, "error")
        raise Damage(reason, f"{name}: {word}") from error
