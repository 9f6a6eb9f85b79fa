"""Which checkpoint is chosen, and what is said about those that are not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cardpool.checkpoint.records import Fencing, Level, Reason, ResolveError, Result
from tests.unit.checkpoint import steps


def _cut(step: Path) -> None:
    os.truncate(step / "part0/shard-0.bin", 3)


def _lose(step: Path) -> None:
    (step / "part0/shard-0.bin").unlink()


def _flip(step: Path) -> None:
    file = step / "part0/shard-0.bin"
    file.write_bytes(b"\xff" + file.read_bytes()[1:])


def _unmark(step: Path) -> None:
    (step / "cardpool-manifest.json").unlink()


def _garble(step: Path) -> None:
    (step / "cardpool-manifest.json").write_text('{"version": 1}')


def _break_off(step: Path) -> None:
    text = (step / "cardpool-manifest.json").read_text()
    (step / "cardpool-manifest.json").write_text(text[: len(text) // 2])


def _escape(step: Path) -> None:
    document = json.loads((step / "cardpool-manifest.json").read_text())
    del document["digest"]
    document["files"][0]["path"] = "../../etc/passwd"
    (step / "cardpool-manifest.json").write_text(json.dumps(document))


def _link_away(step: Path) -> None:
    (step / "part0/shard-0.bin").unlink()
    (step / "part0/shard-0.bin").symlink_to("/etc/hostname")


def _pipe(step: Path) -> None:
    (step / "part0/shard-0.bin").unlink()
    os.mkfifo(step / "part0/shard-0.bin")


def _other_step(step: Path) -> None:
    steps.manifest.seal(step, step=77, attempt=0)


def _nothing_inside(step: Path) -> None:
    shutil.rmtree(step)
    step.mkdir()


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(_cut, Reason.TRUNCATED, id="truncated"),
        pytest.param(_lose, Reason.MISSING_FILE, id="missing"),
        pytest.param(_flip, Reason.CHECKSUM_MISMATCH, id="flipped"),
        pytest.param(_unmark, Reason.NOT_COMMITTED, id="no manifest"),
        pytest.param(_garble, Reason.BAD_MANIFEST, id="bad manifest"),
        pytest.param(_break_off, Reason.TRUNCATED, id="manifest breaks off"),
        pytest.param(_escape, Reason.BAD_MANIFEST, id="manifest points outside"),
        pytest.param(_link_away, Reason.MISSING_FILE, id="symbolic link out of the volume"),
        pytest.param(_pipe, Reason.MISSING_FILE, id="pipe"),
        pytest.param(_other_step, Reason.BAD_MANIFEST, id="manifest of another step"),
        pytest.param(_nothing_inside, Reason.NOT_COMMITTED, id="empty folder"),
    ],
)
def test_damaged_newest(tmp_path: Path, damage: Callable[[Path], None], reason: Reason) -> None:
    """The one before is used, and the newest is named with the reason."""
    steps.save(tmp_path / "llm", 4200)
    damage(steps.save(tmp_path / "llm", 4300))

    outcome = steps.choose(tmp_path, level=Level.MANIFEST, path="llm")

    assert outcome.chosen is not None
    assert outcome.chosen.path == "llm/4200"
    assert [("llm/4300", reason)] == [(item.path, item.reason) for item in outcome.skipped]


def test_step_before_attempt_before_time(tmp_path: Path) -> None:
    """The highest step wins, among equal steps the latest attempt, whatever the times of modification."""
    for attempt, step in ((2, 90), (3, 100), (10, 100), (1, 95)):
        steps.save(tmp_path / str(attempt), step, attempt=attempt)
    os.utime(tmp_path / "10/100", (1, 1))

    first = steps.choose(tmp_path, fencing=Fencing.ATTEMPT_PATH)
    earlier = steps.choose(tmp_path, fencing=Fencing.ATTEMPT_PATH, attempt=9)
    earliest = steps.choose(tmp_path, fencing=Fencing.ATTEMPT_PATH, attempt=2)

    assert [item.chosen.path for item in (first, earlier, earliest) if item.chosen] == ["10/100", "3/100", "1/95"]


def test_attempt_in_the_manifest(tmp_path: Path) -> None:
    """With fencing by manifest a step sealed by a later attempt than the one that is to start is left alone."""
    steps.save(tmp_path, 100, attempt=4)
    steps.save(tmp_path, 110, attempt=6)

    outcome = steps.choose(tmp_path, fencing=Fencing.MANIFEST, attempt=5)

    assert outcome.chosen is not None
    assert (outcome.chosen.step, outcome.chosen.attempt) == (100, 4)


def test_candidates_bound_damage_not_unfinished_saves(tmp_path: Path) -> None:
    """Unfinished saves do not use up the candidates; damaged ones do, and the rest is counted."""
    for step in range(10, 20):
        steps.save(tmp_path, step)
    for step in range(15, 20):
        _unmark(tmp_path / str(step))
    for step in (13, 14):
        _cut(tmp_path / str(step))

    enough = steps.choose(tmp_path, candidates=3)
    too_few = steps.choose(tmp_path, candidates=2)

    assert enough.chosen is not None
    assert enough.chosen.step == 12
    assert (too_few.chosen, too_few.result, too_few.unchecked) == (None, Result.ALL_INVALID, 3)


def test_nothing_was_ever_complete(tmp_path: Path) -> None:
    """Leftovers of first saves are no checkpoints, so there is none; neither is a folder that does not exist yet."""
    _unmark(steps.save(tmp_path / "a", 1))
    (tmp_path / "a/2.tmp-0-17").mkdir()
    (tmp_path / "a/notes.txt").write_text("7")

    assert Result.NONE_FOUND is steps.choose(tmp_path, path="a").result
    assert Result.NONE_FOUND is steps.choose(tmp_path, path="b/c").result
    assert steps.choose(tmp_path, path="b/c").skipped == ()


def test_marker_level_trusts_the_writer(tmp_path: Path) -> None:
    """At Marker a truncated data file is not looked for, and the outcome claims no more."""
    _cut(steps.save(tmp_path, 1))

    outcome = steps.choose(tmp_path, level=Level.MARKER)

    assert outcome.chosen is not None
    assert outcome.verified is Level.MARKER


@pytest.mark.parametrize(
    ("root", "path", "format_name", "code"),
    [
        pytest.param("gone", "", "cardpool", "Unreadable", id="volume not mounted"),
        pytest.param("", "file", "cardpool", "Unreadable", id="a file where the folder should be"),
        pytest.param("", "../up", "cardpool", "BadPath", id="path leads up"),
        pytest.param("", "/abs", "cardpool", "BadPath", id="absolute path"),
        pytest.param("", "away", "cardpool", "BadPath", id="folder links out of the volume"),
        pytest.param("", "", "deepspeed", "FormatNotSupported", id="format without an adapter"),
    ],
)
def test_search_that_cannot_be_done(tmp_path: Path, root: str, path: str, format_name: str, code: str) -> None:
    """It says so, with a word for the condition, and never that there is no checkpoint."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/file").write_text("x")
    (tmp_path / "volume/away").symlink_to("/etc")

    with pytest.raises(ResolveError) as caught:
        steps.choose(tmp_path / "volume" / root, format_name, path=path)

    assert code == caught.value.code


def test_step_folder_that_links_away(tmp_path: Path) -> None:
    """A step that is a symbolic link out of the volume is Unreadable, and the next one is used."""
    steps.save(tmp_path / "volume", 1)
    steps.save(tmp_path / "elsewhere", 2)
    (tmp_path / "volume/2").symlink_to(tmp_path / "elsewhere/2")

    outcome = steps.choose(tmp_path / "volume")

    assert outcome.chosen is not None
    assert [item.reason for item in outcome.skipped] == [Reason.UNREADABLE]


def test_step_vanishes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder removed between the listing and the reading is passed over, and the search goes on."""
    steps.save(tmp_path, 1)
    steps.save(tmp_path, 2)
    load = steps.manifest.load

    def load_and_lose(folder: object) -> object:
        found = load(folder)
        shutil.rmtree(tmp_path / "2", ignore_errors=True)
        return found

    monkeypatch.setattr(steps.manifest, "load", load_and_lose)
    outcome = steps.choose(tmp_path, level=Level.MANIFEST)

    assert outcome.chosen is not None
    assert [(item.path, item.reason) for item in outcome.skipped] == [("2", Reason.MISSING_FILE)]
