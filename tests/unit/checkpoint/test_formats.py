"""Formats of other frameworks: what commits a step, what damage shows, and what is not claimed."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from cardpool.checkpoint import formats
from cardpool.checkpoint.records import Level, Reason
from tests.unit.checkpoint import steps


def _safetensors(file: Path, length: int = 4_000) -> None:
    header = json.dumps({"w": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(range(250)) * (length // 250))


def _huggingface(root: Path, step: int) -> Path:
    folder = root / f"checkpoint-{step}"
    _safetensors(folder / "model-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"w": "model-00001.safetensors"}}')
    with zipfile.ZipFile(folder / "optimizer.pt", "w") as archive:
        archive.writestr("data.pkl", b"x" * 5_000)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


def _dcp(root: Path, step: int) -> Path:
    folder = root / f"step-{step}"
    folder.mkdir(parents=True)
    for name in (".metadata", "__0_0.distcp", "__1_0.distcp"):
        (folder / name).write_bytes(b"x" * 100)
    return folder


@pytest.mark.parametrize(
    "name", ["model-00001.safetensors", "optimizer.pt", "trainer_state.json", "model.safetensors.index.json"]
)
def test_truncated_huggingface_file(tmp_path: Path, name: str) -> None:
    """A truncation of each kind of file shows, and the step before is used."""
    _huggingface(tmp_path, 900)
    newest = _huggingface(tmp_path, 1000) / name
    os.truncate(newest, newest.stat().st_size - 5)

    outcome = steps.choose(tmp_path, "huggingface")

    assert outcome.chosen is not None
    assert (outcome.chosen.path, outcome.verified) == ("checkpoint-900", Level.LIGHT)
    assert [item.reason for item in outcome.skipped] == [Reason.TRUNCATED]


def test_huggingface_without_a_shard(tmp_path: Path) -> None:
    """A file that the index names must be there."""
    (_huggingface(tmp_path, 5) / "model-00001.safetensors").unlink()

    assert [item.reason for item in steps.choose(tmp_path, "huggingface").skipped] == [Reason.MISSING_FILE]


def test_dcp_claims_the_marker_only(tmp_path: Path) -> None:
    """Shards state no length, so Light is not claimed and the note says why; a seal makes it so."""
    _dcp(tmp_path, 7)
    unsealed = steps.choose(tmp_path, "dcp")
    steps.manifest.seal(tmp_path / "step-7", step=7, attempt=0)
    sealed = steps.choose(tmp_path, "dcp")

    assert (unsealed.verified, sealed.verified) == (Level.MARKER, Level.LIGHT)
    assert "marker" in unsealed.note


def test_dcp_without_metadata(tmp_path: Path) -> None:
    """`.metadata` is the commit, and an empty shard is truncation."""
    (_dcp(tmp_path, 8) / ".metadata").unlink()
    os.truncate(_dcp(tmp_path, 7) / "__1_0.distcp", 0)

    outcome = steps.choose(tmp_path, "dcp")

    assert [item.reason for item in outcome.skipped] == [Reason.NOT_COMMITTED, Reason.TRUNCATED]


def test_megatron(tmp_path: Path) -> None:
    """`metadata.json` commits an iteration; the tracker file is not trusted."""
    for step in (100, 200):
        folder = tmp_path / f"iter_{step:07d}"
        folder.mkdir()
        (folder / "__0_0.distcp").write_bytes(b"x")
    (tmp_path / "iter_0000100/metadata.json").write_text('{"sharded_backend": "torch_dist"}')
    (tmp_path / "latest_checkpointed_iteration.txt").write_text("200")

    outcome = steps.choose(tmp_path, "megatron")

    assert outcome.chosen is not None
    assert outcome.chosen.step == 100


def test_safetensors_grown(tmp_path: Path) -> None:
    """A file longer than its header states is not whole either."""
    _safetensors(tmp_path / "5/model.safetensors")
    _safetensors(tmp_path / "6/model.safetensors")
    with (tmp_path / "6/model.safetensors").open("ab") as file:
        file.write(b"x")

    outcome = steps.choose(tmp_path, "safetensors")

    assert outcome.chosen is not None
    assert outcome.chosen.step == 5
    assert [item.reason for item in outcome.skipped] == [Reason.CHECKSUM_MISMATCH]


@pytest.mark.parametrize(
    ("format_name", "folder", "step"),
    [
        ("orbax", "4200", 4200),
        ("orbax", "ckpt_00004200", 4200),
        ("orbax", "4200.orbax-checkpoint-tmp", None),
        ("orbax", "4200.orbax-checkpoint-tmp-17", None),
        ("cardpool", "4200.tmp-1-77", None),
        ("cardpool", "4200.replaced-1-77", None),
        ("dcp", "step-10", 10),
        ("huggingface", "checkpoint-10", 10),
        ("megatron", "iter_0000010", 10),
        ("cardpool", "9" * 30, None),
    ],
)
def test_names_of_step_folders(format_name: str, folder: str, step: int | None) -> None:
    """Finished steps are read by name; temporary folders are none."""
    assert step == formats.step_of(formats.adapter(format_name), folder)


def test_orbax_commit(tmp_path: Path) -> None:
    """Without the marker file the time of commit in the metadata counts, and without both nothing is committed."""
    folder = steps.orbax(tmp_path, 3)
    (folder / "commit_success.txt").unlink()
    by_time = steps.choose(tmp_path, "orbax")
    metadata = json.loads((folder / "_CHECKPOINT_METADATA").read_text())
    (folder / "_CHECKPOINT_METADATA").write_text(json.dumps({**metadata, "commit_timestamp_nsecs": None}))
    unfinished = steps.choose(tmp_path, "orbax")

    assert by_time.chosen is not None
    assert [item.reason for item in unfinished.skipped] == [Reason.NOT_COMMITTED]


def test_orbax_at_manifest_without_a_seal(tmp_path: Path) -> None:
    """Orbax stores no checksum of values: Light is proved, and the note says how to get more."""
    steps.orbax(tmp_path, 3)

    outcome = steps.choose(tmp_path, "orbax", Level.MANIFEST)

    assert outcome.verified is Level.LIGHT
    assert "seal" in outcome.note
