"""The choice: newest step first, then newest attempt, until one folder is proved; never by time of modification.

Invariant: what is chosen passed its checks in this call, and every newer folder that was passed over is named with its
reason. Unfinished saves cost nothing; damaged ones count against the number of candidates.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Final

from cardpool.checkpoint import formats, manifest
from cardpool.checkpoint.folder import Folder, inside, no_alarm
from cardpool.checkpoint.records import (
    Candidate,
    Damage,
    Fencing,
    Level,
    Outcome,
    Reason,
    ResolveError,
    Skipped,
)

MAX_ENTRIES: Final = 1_000_000
MAX_CANDIDATES: Final = 100_000
_MAX_DIGITS: Final = 18


def choose(
    root: str,
    *,
    path: str = "",
    format_name: str,
    level: Level,
    candidates: int,
    fencing: Fencing,
    attempt: int | None = None,
    tick: Callable[[], None] = no_alarm,
) -> Outcome:
    """The newest provable checkpoint under `<root>/<path>`; at most `candidates` damaged ones are looked at.

    `attempt`: folders and manifests of later attempts are not considered. Raises ResolveError when the folder cannot be
    listed or the format has no adapter; a folder that does not exist yet holds no checkpoint.
    """
    adapter = formats.adapter(format_name)
    base = _base(root, path)
    found = [] if base is None else list(_candidates(adapter, root, base, fencing, attempt, tick))
    if fencing is Fencing.MANIFEST:
        found = [_with_attempt(root, candidate, tick) for candidate in found]
        found = [item for item in found if attempt is None or item.attempt is None or item.attempt <= attempt]
    found.sort(key=lambda item: (item.step, -1 if item.attempt is None else item.attempt, item.path), reverse=True)
    skipped: list[Skipped] = []
    damaged = 0
    for index, candidate in enumerate(found):
        if damaged >= candidates:
            return Outcome(None, skipped=tuple(skipped), unchecked=len(found) - index)
        try:
            folder = Folder(root, candidate.path, tick)
            proof = formats.prove(adapter, folder, level, candidate.step)
            chosen = _attempt_told(folder, candidate)
        except Damage as damage:
            skipped.append(Skipped(candidate.path, damage.reason, damage.detail))
            damaged += damage.reason is not Reason.NOT_COMMITTED
            continue
        return Outcome(chosen, proof.level, proof.note, tuple(skipped), len(found) - index - 1)
    return Outcome(None, skipped=tuple(skipped))


def _base(root: str, path: str) -> str | None:
    """The folder to list, relative to the mount; None while nothing was ever saved there."""
    if path.startswith("/") or ".." in path.split("/") or "\0" in path:
        raise ResolveError("BadPath", f"the path {path!r:.200} must be relative to the volume and stay inside it")
    _listable(root, "the volume is not mounted")
    base = os.path.normpath(path) if path else ""
    full = _join(root, base)
    if not os.path.lexists(full):
        return None
    if not inside(os.path.realpath(full), os.path.realpath(root)):
        raise ResolveError("BadPath", f"{full} leads outside the volume")
    _listable(full, "the checkpoint folder cannot be listed")
    return "" if base == "." else base


def _listable(folder: str, trouble: str) -> None:
    try:
        with os.scandir(folder) as entries:
            next(entries, None)
    except OSError as error:
        raise _unlistable(folder, error, trouble) from error


def _unlistable(folder: str, error: OSError, trouble: str) -> ResolveError:
    word = errno.errorcode.get(error.errno or 0, str(error.errno))
    return ResolveError("Unreadable", f"{folder}: {word} ({os.strerror(error.errno or 0)}); {trouble}")


def _candidates(
    adapter: formats.Adapter,
    root: str,
    base: str,
    fencing: Fencing,
    attempt: int | None,
    tick: Callable[[], None],
) -> Iterator[Candidate]:
    if fencing is not Fencing.ATTEMPT_PATH:
        yield from _steps(adapter, root, base, None, tick)
        return
    for name in _folders(root, base, tick):
        number = int(name) if name.isascii() and name.isdigit() and len(name) <= _MAX_DIGITS else None
        if number is not None and (attempt is None or number <= attempt):
            yield from _steps(adapter, root, _join(base, name), number, tick)


def _steps(
    adapter: formats.Adapter, root: str, base: str, attempt: int | None, tick: Callable[[], None]
) -> Iterator[Candidate]:
    count = 0
    for name in _folders(root, base, tick):
        step = formats.step_of(adapter, name)
        if step is None:
            continue
        count += 1
        if count > MAX_CANDIDATES:
            raise ResolveError("TooMany", f"{base or root} holds more than {MAX_CANDIDATES} step folders")
        yield Candidate(_join(base, name), step, attempt)


def _folders(root: str, base: str, tick: Callable[[], None]) -> Iterator[str]:
    full = _join(root, base)
    try:
        with os.scandir(full) as entries:
            for count, entry in enumerate(entries):
                tick()
                if count >= MAX_ENTRIES:
                    raise ResolveError("TooMany", f"{full} holds more than {MAX_ENTRIES} entries")
                if entry.is_dir():
                    yield entry.name
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unlistable(full, error, "it may hold the newest checkpoint, so no other is chosen") from error


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder and name else folder or name


def _with_attempt(root: str, candidate: Candidate, tick: Callable[[], None]) -> Candidate:
    """The candidate with its manifest's attempt; as it is when there is none that can be read."""
    try:
        return _attempt_told(Folder(root, candidate.path, tick), candidate)
    except Damage:
        return candidate


def _attempt_told(folder: Folder, candidate: Candidate) -> Candidate:
    if candidate.attempt is not None or manifest.NAME not in folder.sizes():
        return candidate
    sealed = manifest.load(folder)
    return candidate if sealed is None else Candidate(candidate.path, candidate.step, sealed.attempt)
