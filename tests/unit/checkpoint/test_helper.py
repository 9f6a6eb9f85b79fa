"""The helper that training code imports."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from cardpool.checkpoint import helper, manifest
from cardpool.checkpoint.folder import Folder
from cardpool.checkpoint.records import Fencing, Level
from tests.unit.checkpoint import steps


def test_saved_step_is_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step saved under the attempt's folder is found with its attempt, path and every byte proved."""
    monkeypatch.setenv("CARDPOOL_ATTEMPT", "6")
    with helper.saving(helper.attempt_root(tmp_path / "llm"), step=4200) as folder:
        (folder / "model.bin").write_bytes(b"weights")

    outcome = steps.choose(tmp_path, level=Level.MANIFEST, path="llm", fencing=Fencing.ATTEMPT_PATH)

    assert outcome.chosen is not None
    assert (outcome.chosen.path, outcome.chosen.step, outcome.chosen.attempt) == ("llm/6/4200", 4200, 6)
    assert outcome.verified is Level.MANIFEST


def test_several_ranks_save_one_step(tmp_path: Path) -> None:
    """All ranks write into one folder, and the manifest names what each of them wrote."""
    barrier = threading.Barrier(4)
    seen: list[bool] = []

    def work(rank: int) -> None:
        with helper.saving(tmp_path, step=3, rank=rank, world_size=4, barrier=lambda: _wait(barrier)) as folder:
            (folder / f"rank-{rank}").write_bytes(bytes([rank]) * 100)
        seen.append((tmp_path / "3").is_dir())

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sealed = manifest.load(Folder(str(tmp_path), "3"))
    assert sealed is not None
    assert [f"rank-{rank}" for rank in range(4)] == [entry.path for entry in sealed.files]
    assert sealed.world_size == 4
    assert seen == [True] * 4


def test_saving_again_replaces(tmp_path: Path) -> None:
    """A step of the same number from an earlier attempt gives way, and nothing else stays behind."""
    for attempt in (1, 2):
        with helper.saving(tmp_path, step=9, attempt=attempt) as folder:
            (folder / f"from-{attempt}").write_bytes(b"x")

    assert [path.name for path in tmp_path.iterdir()] == ["9"]
    assert sorted(path.name for path in (tmp_path / "9").iterdir()) == ["cardpool-manifest.json", "from-2"]


def test_several_ranks_need_a_barrier(tmp_path: Path) -> None:
    """Without a barrier rank 0 would seal the folder while others write."""
    with pytest.raises(ValueError, match="needs a barrier"), helper.saving(tmp_path, step=1, world_size=2):
        pass


def test_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path and step come from the environment, or there is nothing to resume."""
    monkeypatch.delenv("CARDPOOL_RESUME_PATH", raising=False)
    fresh = helper.resume()
    monkeypatch.setenv("CARDPOOL_RESUME_PATH", "/ckpt/llm/6/4200")
    monkeypatch.setenv("CARDPOOL_RESUME_STEP", "4200")

    assert fresh is None
    assert helper.Resume(Path("/ckpt/llm/6/4200"), 4200) == helper.resume()


def _wait(barrier: threading.Barrier) -> None:
    barrier.wait(timeout=20)
