"""The training's own word: the lines of loss.jsonl, in which all attempts of a job go on. Reading is all this does.

Invariant: a line that is still being written is not read; a file that is not there yet is an empty curve.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """One event of rank 0: fresh, restored, step, checkpoint or done; ``time`` in epoch seconds."""

    event: str
    step: int
    attempt: int
    time: float
    loss: float | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """All lines in the order in which they were written."""

    lines: tuple[Line, ...] = ()

    def of(self, event: str, attempt: int | None = None) -> tuple[Line, ...]:
        """The lines of one kind, of one attempt where it is given."""
        return tuple(one for one in self.lines if one.event == event and attempt in {None, one.attempt})

    def last(self, event: str, attempt: int | None = None) -> Line | None:
        """The newest of those, None without any."""
        found = self.of(event, attempt)
        return found[-1] if found else None

    def losses(self, event: str, attempt: int | None = None) -> dict[int, float]:
        """Step to loss of those."""
        return {one.step: one.loss for one in self.of(event, attempt) if one.loss is not None}

    @property
    def attempts(self) -> tuple[int, ...]:
        """The attempts that wrote something, in order."""
        return tuple(sorted({one.attempt for one in self.lines}))


def read(file: Path | None) -> Curve:
    """The curve so far."""
    if file is None or not file.exists():
        return Curve()
    text = file.read_text()
    whole = text[: text.rfind("\n") + 1]
    return Curve(tuple(parse(line) for line in whole.splitlines()))


def parse(text: str) -> Line:
    """One line of the file."""
    fields = json.loads(text)
    return Line(
        event=fields["event"],
        step=int(fields["step"]),
        attempt=int(fields["attempt"]),
        time=float(fields["time"]),
        loss=fields.get("loss"),
        path=str(fields.get("path", "")),
    )
