"""The OCDBT reader against databases that tensorstore wrote, and the checksum and decoder beneath it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from cardpool.checkpoint import ocdbt, zstd, zstd_decoder
from cardpool.checkpoint.crc32c import crc32c
from cardpool.checkpoint.folder import Folder
from cardpool.checkpoint.records import Damage, Reason
from tests.unit.checkpoint import steps


@pytest.mark.parametrize("kind", ["plain", "zstd"])
def test_every_key_of_a_high_tree(tmp_path: Path, kind: str) -> None:
    """All 40 keys come back with the values that were written, inline and out of line."""
    folder = Folder(str(steps.tree(kind, tmp_path)), "")
    expected = {f"layer{i:02d}/kernel".encode(): (b"v%d" % i) * (1 + i % 7) for i in range(40)}

    values = ocdbt.read(folder, "")

    assert expected == {key: _bytes(folder, value) for key, value in values.items()}
    assert {True, False} == {value.inline is None for value in values.values()}


def test_missing_data_file(tmp_path: Path) -> None:
    """A data file that the index needs and that is gone is named."""
    folder = steps.tree("plain", tmp_path)
    for file in steps.files_of(folder / "d"):
        file.unlink()

    with pytest.raises(Damage) as caught:
        ocdbt.read(Folder(str(folder), ""), "")

    assert caught.value.reason is Reason.MISSING_FILE
    assert caught.value.detail.startswith("d/")


def test_newer_version_is_not_damage(tmp_path: Path) -> None:
    """A manifest of an unknown version with a right checksum is beyond us, and not called damaged."""
    folder = steps.tree("plain", tmp_path)
    body = bytearray((folder / "manifest.ocdbt").read_bytes()[:-4])
    body[12] = 1
    (folder / "manifest.ocdbt").write_bytes(bytes(body) + crc32c(bytes(body)).to_bytes(4, "little"))

    with pytest.raises(ocdbt.NotDecodableError, match="newer version"):
        ocdbt.read(Folder(str(folder), ""), "")


def test_crc32c() -> None:
    """The check value of the polynomial's definition."""
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize(
    ("frame", "content"),
    [
        pytest.param("KLUv/SQFKQAAaGVsbG+jbZ+I", b"hello", id="raw block with checksum"),
        pytest.param("KLUv/WCEAm0AACBhYmNkAgB4WUrY", None, id="not whole"),
    ],
)
def test_small_frames(frame: str, content: bytes | None) -> None:
    """Frames are decoded whole or refused."""
    data = base64.b64decode(frame)
    if content is None:
        with pytest.raises(zstd.ZstdError):
            zstd.decode(data, 1_000)
    else:
        assert content == zstd.decode(data, 1_000)


def test_decoder_on_real_index_nodes() -> None:
    """The decoder reads what Zstandard compressed inside real manifests, and stops at its limit."""
    golden = json.loads(Path(__file__).with_name("orbax_two_processes.json").read_text())
    data = base64.b64decode(golden["files"]["state/ocdbt.process_0/manifest.ocdbt"])[14:-4]

    content = zstd_decoder.decode_frame(data, 10_000)

    assert b"d/" in content
    with pytest.raises(ValueError, match="more than 20 bytes"):
        zstd_decoder.decode_frame(data, 20)


def test_broken_frames_end() -> None:
    """Every truncation and every flipped byte of a frame ends in content or in an error, at once."""
    golden = json.loads(Path(__file__).with_name("orbax_two_processes.json").read_text())
    data = base64.b64decode(golden["files"]["state/ocdbt.process_0/manifest.ocdbt"])[14:-4]
    whole = zstd_decoder.decode_frame(data, 10_000)

    for length in range(5, len(data)):
        with pytest.raises(zstd.ZstdError):
            zstd.decode(data[:length], 10_000)
    different = 0
    for place in range(5, len(data)):
        flipped = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        try:
            different += zstd.decode(flipped, 10_000) != whole
        except zstd.ZstdError:
            different += 1

    assert different > 0.9 * (len(data) - 5)


def _bytes(folder: Folder, value: ocdbt.Value) -> bytes:
    return folder.read(value.file, value.offset, value.length) if value.inline is None else value.inline
