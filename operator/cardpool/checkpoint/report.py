"""The resolver's word to the operator: JSON of at most 4,000 bytes and an exit code; pure in both directions.

Invariant: anything that is not such a document with the matching exit code is read as Error, never as a choice.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Final

from cardpool.checkpoint.records import Fencing, Level, Outcome, Reason, Result, Skipped

MAX_BYTES: Final = 4_000
EXIT_CODES: Final[Mapping[Result, int]] = {
    Result.CHOSEN: 0,
    Result.NONE_FOUND: 3,
    Result.ALL_INVALID: 4,
    Result.ERROR: 5,
}
_VERSION: Final = 1
_MAX_PATH: Final = 1_024
_MAX_MESSAGE: Final = 1_000
_DETAIL: Final = 120


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What the resolver found. `path` is relative to the mount; `code` is a word for an Error's cause."""

    result: Result
    step: int | None = None
    attempt: int | None = None
    path: str = ""
    verified: Level | None = None
    note: str = ""
    skipped: tuple[Skipped, ...] = ()
    skipped_more: int = 0
    unchecked: int = 0
    seconds: float = 0.0
    code: str = ""
    message: str = ""


def command(
    *,
    mount: str,
    path: str,
    format_name: str,
    level: str,
    candidates: int,
    fencing: str,
    attempt: int | None = None,
    timeout_seconds: float = 120,
) -> list[str]:
    """The resolver container's command line; `mount` is where the volume is mounted in that container."""
    arguments = ["python3", "-m", "cardpool.checkpoint.resolver", "--root", mount, "--path", path]
    arguments += ["--format", format_name, "--verify", level, "--candidates", str(candidates)]
    arguments += ["--fencing", fencing, "--timeout", f"{timeout_seconds:g}"]
    return arguments if attempt is None else [*arguments, "--attempt", str(attempt)]


def of_outcome(outcome: Outcome, seconds: float) -> Report:
    """The report of a finished search."""
    chosen = outcome.chosen
    return Report(
        result=outcome.result,
        step=chosen.step if chosen else None,
        attempt=chosen.attempt if chosen else None,
        path=chosen.path if chosen else "",
        verified=outcome.verified,
        note=outcome.note,
        skipped=outcome.skipped,
        unchecked=outcome.unchecked,
        seconds=round(seconds, 3),
    )


def of_error(code: str, message: str) -> Report:
    """The report of a search that could not be done."""
    return Report(Result.ERROR, code=code, message=message[:_MAX_MESSAGE])


def render(report: Report) -> str:
    """The document, at most 4,000 bytes of ASCII; skipped entries that do not fit are counted."""
    details = [_skipped(item, _DETAIL) for item in report.skipped]
    plain = [_skipped(item, 0) for item in report.skipped]
    for entries in (details, plain):
        text = _document(report, entries, report.skipped_more)
        if len(text) <= MAX_BYTES:
            return text
    while plain:
        plain.pop()
        text = _document(report, plain, report.skipped_more + len(report.skipped) - len(plain))
        if len(text) <= MAX_BYTES:
            return text
    return _document(of_error("TooLong", "the chosen path does not fit into the report"), [], 0)


def parse_report(text: str, exit_code: int) -> Report:
    """The report in a termination message; Error when text and exit code do not make one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("v") != _VERSION:
        shown = " ".join(text.split())[:200]
        message = f"the resolver ended with exit code {exit_code} and no report{': ' + shown if shown else ''}"
        return of_error("NoReport", message)
    try:
        report = _read(document)
    except (ValueError, TypeError, KeyError) as error:
        return of_error("NoReport", f"the resolver's report (exit code {exit_code}) is not well formed: {error}")
    if EXIT_CODES[report.result] != exit_code:
        return of_error("NoReport", f"the resolver reported {report.result} but ended with exit code {exit_code}")
    return report


def _document(report: Report, entries: Sequence[Mapping[str, str]], more: int) -> str:
    fields: dict[str, object] = {
        "v": _VERSION,
        "result": report.result,
        "step": report.step,
        "attempt": report.attempt,
        "path": report.path,
        "verified": report.verified,
        "note": report.note,
        "skipped": list(entries),
        "skippedMore": more,
        "unchecked": report.unchecked,
        "seconds": report.seconds,
        "code": report.code,
        "message": report.message,
    }
    kept = {key: value for key, value in fields.items() if value not in (None, "", [], 0) or key == "step"}
    return json.dumps({key: value for key, value in kept.items() if value is not None}, separators=(",", ":"))


def _skipped(item: Skipped, detail: int) -> dict[str, str]:
    entry = {"path": item.path[:_MAX_PATH], "reason": str(item.reason)}
    return {**entry, "detail": item.detail[:detail]} if detail and item.detail else entry


def _read(document: Mapping[str, object]) -> Report:
    result = Result(_text(document, "result"))
    path = _text(document, "path", _MAX_PATH)
    step = _whole(document, "step")
    if result is Result.CHOSEN and (step is None or not _inside(path)):
        raise ValueError("a chosen checkpoint needs a step and a path inside the volume")
    verified = _text(document, "verified")
    if result is Result.CHOSEN and not verified:
        raise ValueError("a chosen checkpoint needs the level that was verified")
    skipped = document.get("skipped", [])
    if not isinstance(skipped, list):
        raise TypeError("skipped is no list")
    seconds = document.get("seconds", 0.0)
    return Report(
        result=result,
        step=step,
        attempt=_whole(document, "attempt"),
        path=path,
        verified=Level(verified) if verified else None,
        note=_text(document, "note", _MAX_MESSAGE),
        skipped=tuple(_read_skipped(item) for item in skipped),
        skipped_more=_whole(document, "skippedMore") or 0,
        unchecked=_whole(document, "unchecked") or 0,
        seconds=float(seconds) if isinstance(seconds, int | float) else 0.0,
        code=_text(document, "code", 100),
        message=_text(document, "message", _MAX_MESSAGE),
    )


def _read_skipped(item: object) -> Skipped:
    if not isinstance(item, dict):
        raise TypeError("an entry of skipped is no object")
    reason = Reason(_text(item, "reason"))
    return Skipped(_text(item, "path", _MAX_PATH), reason, _text(item, "detail", _DETAIL))


def _text(document: Mapping[str, object], key: str, limit: int = 100) -> str:
    value = document.get(key, "")
    if not isinstance(value, str) or len(value) > limit:
        raise TypeError(f"{key} is no text of at most {limit} characters")
    return "".join(character if character.isprintable() else "?" for character in value)


def _whole(document: Mapping[str, object], key: str) -> int | None:
    value = document.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise TypeError(f"{key} is no whole number")
    return value


def _inside(path: str) -> bool:
    return bool(path) and not path.startswith("/") and not {"", ".", ".."} & set(path.split("/"))


__all__ = ["EXIT_CODES", "Fencing", "Level", "Report", "Result", "command", "parse_report", "render"]
