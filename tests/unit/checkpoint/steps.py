"""Builders of checkpoint folders: real ones of the `cardpool` format, and Orbax's from bytes that Orbax wrote."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cardpool.checkpoint import manifest, verify
from cardpool.checkpoint.records import Fencing, Level, Outcome

_HERE = Path(__file__).parent


def save(folder: Path, step: int, *, attempt: int = 0, files: int = 3, size: int = 500) -> Path:
    """A complete `cardpool` step folder under `folder`."""
    target = folder / str(step)
    for index in range(files):
        file = target / f"part{index % 2}" / f"shard-{index}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes((step + index + place) % 256 for place in range(size + index)))
    manifest.seal(target, step=step, attempt=attempt, world_size=2)
    return target


def orbax(folder: Path, step: int) -> Path:
    """The step that two processes saved with Orbax 0.12: a sharded tree of arrays and a JSON item."""
    golden = json.loads((_HERE / "orbax_two_processes.json").read_text())
    return unpack(golden["files"], folder / str(step))


def tree(kind: str, folder: Path) -> Path:
    """An OCDBT database of 40 keys, five levels high; kind is plain or zstd."""
    golden = json.loads((_HERE / "ocdbt_trees.json").read_text())
    return unpack(golden["databases"][kind], folder)


def unpack(files: dict[str, str], target: Path) -> Path:
    """Write base64 texts as files."""
    for name, text in files.items():
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(text))
    return target


def choose(
    root: Path,
    format_name: str = "cardpool",
    level: Level = Level.LIGHT,
    *,
    path: str = "",
    candidates: int = 3,
    fencing: Fencing = Fencing.NONE,
    attempt: int | None = None,
) -> Outcome:
    """`verify.choose` with the usual arguments."""
    return verify.choose(
        str(root),
        path=path,
        format_name=format_name,
        level=level,
        candidates=candidates,
        fencing=fencing,
        attempt=attempt,
    )


def files_of(folder: Path) -> list[Path]:
    """All files below the folder, in order."""
    return sorted(file for file in folder.rglob("*") if file.is_file())
