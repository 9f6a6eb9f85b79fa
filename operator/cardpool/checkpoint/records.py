"""The words that the resolver pod and the operator share; plain values, no input or output.

Invariant: what the resolver can say about a checkpoint is one of these reasons and levels, nothing else.
"""

from __future__ import annotations

import dataclasses
import enum


class Level(enum.StrEnum):
    """How much is proved: the writer's word, structure and sizes, or every byte by sha256."""

    MARKER = "Marker"
    LIGHT = "Light"
    MANIFEST = "Manifest"


class Fencing(enum.StrEnum):
    """How attempts are kept apart: not at all, by a folder of each attempt, or by the attempt in the manifest."""

    NONE = "None"
    ATTEMPT_PATH = "AttemptPath"
    MANIFEST = "Manifest"


class Reason(enum.StrEnum):
    """Why a checkpoint was passed over."""

    TRUNCATED = "Truncated"
    MISSING_FILE = "MissingFile"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    NOT_COMMITTED = "NotCommitted"
    UNREADABLE = "Unreadable"
    BAD_MANIFEST = "BadManifest"
    EMPTY = "Empty"


class Result(enum.StrEnum):
    """The outcome as a word; the exit codes are 0, 3, 4 and 5 in this order."""

    CHOSEN = "Chosen"
    NONE_FOUND = "NoneFound"
    ALL_INVALID = "AllInvalid"
    ERROR = "Error"


class Damage(Exception):  # noqa: N818 - a verdict on data, raised through many layers, not an error of the program
    """This checkpoint must not be used, for one of the closed reasons."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep the reason and what was seen."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ResolveError(Exception):
    """The search itself cannot be done: `code` is a word for the condition, the text says path and errno."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the word and the text."""
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True)
class Proof:
    """What a check established; `note` says why less than was asked for."""

    level: Level
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """One step folder: `path` relative to the root of the mount; attempt None where nothing tells it."""

    path: str
    step: int
    attempt: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped:
    """A checkpoint newer than the chosen one, and why it was passed over."""

    path: str
    reason: Reason
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The newest checkpoint that passed, if any, all that were skipped before it, and how many were not looked at."""

    chosen: Candidate | None
    verified: Level | None = None
    note: str = ""
    skipped: tuple[Skipped, ...] = ()
    unchecked: int = 0

    @property
    def result(self) -> Result:
        """Only unfinished saves count as nothing found: there never was a checkpoint to lose."""
        if self.chosen is not None:
            return Result.CHOSEN
        damaged = any(item.reason is not Reason.NOT_COMMITTED for item in self.skipped)
        return Result.ALL_INVALID if damaged else Result.NONE_FOUND
