"""The resolver as a process: its exit codes and its report, with nothing installed but the standard library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cardpool
from cardpool.checkpoint import report, resolver
from cardpool.checkpoint.records import Reason, Result
from tests.unit.checkpoint import steps


def _run(root: Path, log: Path, *more: str, isolated: bool = True) -> report.Report:
    argv = report.command(mount=str(root), path="llm", format_name="orbax", level="Light", candidates=3, fencing="None")
    flags = ["-S"] if isolated else []
    done = subprocess.run(
        [sys.executable, *flags, *argv[1:], "--termination-log", str(log), *more],
        env={**os.environ, "PYTHONPATH": str(Path(cardpool.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert log.read_text() == done.stdout.strip(), done.stderr
    return resolver.parse_report(log.read_text(), done.returncode)


@pytest.mark.timeout(60)
def test_newest_orbax_step_is_truncated(tmp_path: Path) -> None:
    """Without any package but the standard library the step before is proved, and the newest is named."""
    steps.orbax(tmp_path / "llm", 4200)
    newest = steps.orbax(tmp_path / "llm", 4300)
    largest = max(steps.files_of(newest), key=lambda file: file.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)

    found = _run(tmp_path, tmp_path / "log")

    assert (found.result, found.step, found.path, found.verified) == (Result.CHOSEN, 4200, "llm/4200", "Light")
    assert [(item.path, item.reason) for item in found.skipped] == [("llm/4300", Reason.TRUNCATED)]


@pytest.mark.timeout(60)
def test_other_results(tmp_path: Path) -> None:
    """None found, all invalid and a missing volume each have their own exit code and report."""
    none = _run(tmp_path, tmp_path / "log")
    (steps.orbax(tmp_path / "llm", 1) / "state/manifest.ocdbt").unlink()
    invalid = _run(tmp_path, tmp_path / "log")
    error = _run(tmp_path / "gone", tmp_path / "log")

    assert [none.result, invalid.result, error.result] == [Result.NONE_FOUND, Result.ALL_INVALID, Result.ERROR]
    assert "ENOENT" in error.message
    assert str(tmp_path / "gone") in error.message


@pytest.mark.timeout(60)
def test_volume_that_does_not_answer(tmp_path: Path) -> None:
    """A search that hangs ends in the time given, with a report that says so."""
    code = "import time; from cardpool.checkpoint import verify, resolver; verify.choose = lambda *a, **k: time.sleep(600); "
    code += f"resolver.main(['--root', '/', '--format', 'orbax', '--timeout', '0.2', '--termination-log', '{tmp_path}/log'])"

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(cardpool.__file__).parents[1])},
        check=False,
        capture_output=True,
        timeout=30,
    )

    found = resolver.parse_report((tmp_path / "log").read_text(), done.returncode)
    assert (found.result, found.code) == (Result.ERROR, "Timeout")
