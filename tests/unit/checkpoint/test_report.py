"""The termination message, both ways."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardpool.checkpoint import report
from cardpool.checkpoint.records import Candidate, Level, Outcome, Reason, Result, Skipped


def _outcome(count: int, length: int = 20) -> Outcome:
    skipped = tuple(Skipped(f"llm/6/{'9' * length}{n}", Reason.TRUNCATED, "x" * 300) for n in range(count))
    return Outcome(Candidate("llm/6/4200", 4200, 6), Level.LIGHT, "", skipped, 5)


@pytest.mark.parametrize("count", [0, 1, 20, 60, 1_000])
def test_round_trip_within_the_limit(count: int) -> None:
    """What is chosen always arrives; skipped entries that do not fit are counted."""
    text = report.render(report.of_outcome(_outcome(count), 1.23456))

    read = report.parse_report(text, 0)

    assert len(text.encode()) <= 4_000
    assert (
        read.step, read.attempt, read.path, read.verified, read.unchecked,
    ) == (4200, 6, "llm/6/4200", Level.LIGHT, 5)  # fmt: skip
    assert count == len(read.skipped) + read.skipped_more
    assert all(item.reason is Reason.TRUNCATED for item in read.skipped)
    assert len(read.skipped) >= min(count, 20)


def test_error_round_trip() -> None:
    """An error keeps its word and its text."""
    text = report.render(report.of_error("Unreadable", "/ckpt: EACCES (Permission denied)"))

    read = report.parse_report(text, 5)

    assert (read.result, read.code, read.message) == (Result.ERROR, "Unreadable", "/ckpt: EACCES (Permission denied)")


@pytest.mark.parametrize(
    ("text", "exit_code"),
    [
        pytest.param("", 137, id="killed"),
        pytest.param("Traceback (most recent call last)", 1, id="crashed"),
        pytest.param('{"v":1,"result":"Chosen","step":1,"path":"a","verified":"Light"}', 5, id="codes differ"),
        pytest.param('{"v":1,"result":"Chosen","step":1,"path":"../a","verified":"Light"}', 0, id="path leads out"),
        pytest.param('{"v":1,"result":"Chosen","step":1,"path":"a"}', 0, id="no level"),
        pytest.param('{"v":1,"result":"Chosen","step":-1,"path":"a","verified":"Light"}', 0, id="negative step"),
        pytest.param('{"v":2,"result":"NoneFound"}', 3, id="other version"),
        pytest.param("[" * 100_000, 0, id="deep nesting"),
        pytest.param('{"v":1,"result":"AllInvalid","skipped":[{"reason":"Bored"}]}', 4, id="unknown reason"),
    ],
)
def test_garbage_is_an_error(text: str, exit_code: int) -> None:
    """Whatever is no report is an Error that says the exit code, never a choice."""
    read = report.parse_report(text, exit_code)

    assert (read.result, read.code) == (Result.ERROR, "NoReport")
    assert read.message


@given(
    st.text(max_size=200) | st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=5)).map(json.dumps)
)
def test_any_text_is_read(text: str) -> None:
    """No text raises, and none makes a choice."""
    assert Result.CHOSEN is not report.parse_report(text, 0).result


def test_command() -> None:
    """The command line that the pod runs names every part of the search."""
    argv = report.command(
        mount="/ckpt", path="llm", format_name="orbax", level="Light", candidates=3, fencing="AttemptPath", attempt=7
    )

    assert argv[:3] == ["python3", "-m", "cardpool.checkpoint.resolver"]
    assert {"--root": "/ckpt", "--path": "llm", "--attempt": "7"}.items() <= dict(
        zip(argv[3::2], argv[4::2], strict=True)
    ).items()
