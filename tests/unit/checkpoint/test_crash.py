"""A writer killed at any line of the helper never leaves a step that is chosen and not whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from cardpool.checkpoint import helper, manifest
from cardpool.checkpoint.records import Level
from tests.unit.checkpoint import steps

_TRACED = {helper.__file__, manifest.__file__}
_CONTENT = {"a.bin": b"a" * 3_000, "sub/b.bin": b"b" * 10}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("broken_before", [False, True], ids=["new step", "broken step of that name"])
def test_killed_while_saving(tmp_path: Path, broken_before: bool) -> None:
    """After a kill at the n-th line, for every n: the older step or the whole new one, proved byte by byte."""
    chosen = []
    line = 0
    finished = False
    while not finished:
        root = tmp_path / str(line)
        steps.save(root, 10)
        if broken_before:
            os.truncate(steps.save(root, 20) / "part0/shard-0.bin", 7)

        finished = _save_and_die(root, line)

        outcome = steps.choose(root, level=Level.MANIFEST)
        assert outcome.chosen is not None
        chosen.append(outcome.chosen.step)
        if outcome.chosen.step == 20:
            assert {name: (root / "20" / name).read_bytes() for name in _CONTENT} == _CONTENT
        line += 1

    assert {10, 20} == set(chosen)
    assert sorted(chosen) == chosen
    assert line > 50


def test_exception_while_saving(tmp_path: Path) -> None:
    """A block that raises leaves no step folder."""

    def save() -> None:
        with helper.saving(tmp_path, step=5) as folder:
            (folder / "x").write_bytes(b"x")
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        save()

    assert not (tmp_path / "5").exists()
    assert steps.choose(tmp_path).chosen is None


def _save_and_die(root: Path, line: int) -> bool:
    """Save step 20 in a child that is killed at its n-th line in our modules; True when it lived to the end."""
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in _TRACED:
                return None
            if event == "line":
                if left == 0:
                    os._exit(9)
                left -= 1
            return trace

        sys.settrace(trace)
        with helper.saving(root, step=20, attempt=1) as folder:
            for name, content in _CONTENT.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, 9}
    return code == 0
