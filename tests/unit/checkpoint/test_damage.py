"""No damage that a level claims to see is ever chosen, whatever the damage, while an older good step is."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardpool.checkpoint.records import Level, Reason
from tests.unit.checkpoint import steps

_HARMLESS_WHEN_GONE = ("commit_success.txt", "_sharding", "/array_metadatas/", "/ocdbt.process_0/d/")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_cardpool_step(data: st.DataObject) -> None:
    """Truncation, deletion and a flipped byte of the newest step lead to the older one, and the newest is named."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        steps.save(root, 4200)
        newest = steps.save(root, 4300)
        file = data.draw(st.sampled_from(steps.files_of(newest)), label="file")
        kind = data.draw(st.sampled_from(["truncate", "delete", "flip", "append"]), label="kind")
        _damage(file, kind, data)

        outcome = steps.choose(root, level=Level.MANIFEST)

        assert outcome.chosen is not None
        assert outcome.chosen.path == "4200"
        assert [item.path for item in outcome.skipped] == ["4300"]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_cut_cardpool_step_at_light(data: st.DataObject) -> None:
    """Light sees every change of length and every missing file."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        steps.save(root, 1)
        newest = steps.save(root, 2)
        file = data.draw(st.sampled_from(steps.files_of(newest)), label="file")
        _damage(file, data.draw(st.sampled_from(["truncate", "delete"]), label="kind"), data)

        outcome = steps.choose(root)

        assert outcome.chosen is not None
        assert outcome.chosen.step == 1


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_truncated_orbax_step(data: st.DataObject) -> None:
    """Light sees a truncation of any file that Orbax wrote, at any byte, but of the marker's text."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        steps.orbax(root, 7)
        newest = steps.orbax(root, 8)
        files = [file for file in steps.files_of(newest) if file.name != "commit_success.txt"]
        _damage(data.draw(st.sampled_from(files), label="file"), "truncate", data)

        outcome = steps.choose(root, "orbax")

        assert outcome.chosen is not None
        assert outcome.chosen.path == "7"
        assert [item.path for item in outcome.skipped] == ["8"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_sealed_orbax_step(data: st.DataObject) -> None:
    """With a manifest sealed over it, any damage to an Orbax step is seen at Manifest."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for step in (7, 8):
            steps.manifest.seal(steps.orbax(root, step), step=step, attempt=0)
        file = data.draw(st.sampled_from(steps.files_of(root / "8")), label="file")
        kind = data.draw(st.sampled_from(["truncate", "flip"]), label="kind")
        _damage(file, kind, data)

        outcome = steps.choose(root, "orbax", Level.MANIFEST)

        assert outcome.chosen is not None
        assert outcome.chosen.path == "7"
        assert outcome.verified is Level.MANIFEST


def test_deleted_orbax_files(tmp_path: Path) -> None:
    """Light sees the deletion of every file that loading needs; what it does not see is known by name."""
    unseen = set()
    for file in steps.files_of(steps.orbax(tmp_path / "all", 1)):
        root = tmp_path / "one"
        shutil.copytree(tmp_path / "all", root)
        name = file.relative_to(tmp_path / "all/1").as_posix()
        (root / "1" / name).unlink()
        if steps.choose(root, "orbax").chosen is not None:
            unseen.add(name)
        shutil.rmtree(root)

    needed = {name for name in unseen if not name.startswith("state/ocdbt.process_") and not _harmless(name)}
    assert set() == needed
    assert not any((tmp_path / "all/1" / name).stat().st_size > 1_000 for name in unseen)


@pytest.mark.parametrize("kind", ["plain", "zstd"])
def test_flipped_byte_in_orbax_index(tmp_path: Path, kind: str) -> None:
    """A flipped byte anywhere in the manifest of a database is a wrong checksum."""
    database = steps.tree(kind, tmp_path / "1")
    (tmp_path / "1/_CHECKPOINT_METADATA").write_text('{"commit_timestamp_nsecs": 1}')
    path = database / "manifest.ocdbt"
    whole = path.read_bytes()
    chosen = []
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        chosen.append(steps.choose(tmp_path, "orbax").chosen)

    assert {None} == set(chosen)


def test_hole_in_orbax_data(tmp_path: Path) -> None:
    """A data file of the right length whose content never reached the disk reads as zeros, and that shows."""
    newest = steps.orbax(tmp_path, 8)
    largest = max(steps.files_of(newest), key=lambda file: file.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(bytes(1_000) + content[1_000:])

    assert [item.reason for item in steps.choose(tmp_path, "orbax").skipped] == [Reason.CHECKSUM_MISMATCH]


def _harmless(name: str) -> bool:
    return any(part in f"/{name}" for part in _HARMLESS_WHEN_GONE)


def _damage(file: Path, kind: str, data: st.DataObject) -> None:
    size = file.stat().st_size
    if kind == "delete":
        file.unlink()
    elif kind == "truncate":
        os.truncate(file, data.draw(st.integers(0, size - 1), label="length"))
    elif kind == "append":
        file.write_bytes(file.read_bytes() + b"x")
    else:
        place = data.draw(st.integers(0, size - 1), label="place")
        content = bytearray(file.read_bytes())
        content[place] ^= data.draw(st.integers(1, 255), label="bits")
        file.write_bytes(bytes(content))
