"""Formats of the PyTorch world, judged without torch and without ever unpickling anything.

safetensors states its own length, so truncation shows; a zip (`.pt`) ends in its directory, so truncation shows as
well; a DCP shard states nothing outside a pickle, so DCP and Megatron prove the marker and no more.
"""

from __future__ import annotations

import json
import re
import zipfile
from typing import Final

from cardpool.checkpoint.folder import Folder, read_exactly
from cardpool.checkpoint.records import Damage, Level, Proof, Reason

_STEP: Final = r"(?:[A-Za-z][A-Za-z0-9_]*[-_])?0*(?P<step>\d+)"
_MAX_HEADER: Final = 100 * 1024 * 1024
_ZIPPED: Final = (".pt", ".pth", ".bin")
_SHARDS_NOTE: Final = "shards of this format state neither length nor checksum, so only the marker is proved"


class DistributedCheckpoint:
    """torch.distributed.checkpoint, also as torchtitan lays it out."""

    folder_name = re.compile(_STEP)

    def committed(self, folder: Folder) -> None:
        """`.metadata` is there; the writer makes it last."""
        if not folder.sizes().get(".metadata"):
            raise Damage(Reason.NOT_COMMITTED, "no .metadata")

    def light(self, folder: Folder) -> Proof:
        """There is at least one shard, and none is empty (seen before)."""
        if not any(name.endswith(".distcp") for name in folder.sizes()):
            raise Damage(Reason.MISSING_FILE, "no .distcp shard")
        return Proof(Level.MARKER, _SHARDS_NOTE)


class Megatron(DistributedCheckpoint):
    """Megatron-LM's distributed format; the tracker file beside the folders is a hint only and is not read."""

    folder_name = re.compile(r"iter_0*(?P<step>\d+)")

    def committed(self, folder: Folder) -> None:
        """`metadata.json` is written only when the save is complete."""
        if not folder.sizes().get("metadata.json"):
            raise Damage(Reason.NOT_COMMITTED, "no metadata.json")
        folder.json("metadata.json")


class Safetensors:
    """Folders of safetensors files; there is no marker, so whole files are the commit."""

    folder_name = re.compile(_STEP)

    def committed(self, folder: Folder) -> None:
        """Every safetensors file has the length that its header states, and every indexed file is there."""
        files = [name for name in folder.sizes() if name.endswith(".safetensors")]
        if not files:
            raise Damage(Reason.NOT_COMMITTED, "no .safetensors file")
        for name in files:
            safetensors_whole(folder, name)
        _index_complete(folder)

    def light(self, folder: Folder) -> Proof:  # noqa: ARG002 - an adapter's signature
        """What `committed` proved is all that the format tells."""
        return Proof(Level.LIGHT)


class HuggingFace:
    """The Trainer's `checkpoint-N` folders; `trainer_state.json` is written after the model."""

    folder_name = re.compile(r"checkpoint-0*(?P<step>\d+)")

    def committed(self, folder: Folder) -> None:
        """`trainer_state.json` is there."""
        if not folder.sizes().get("trainer_state.json"):
            raise Damage(Reason.NOT_COMMITTED, "no trainer_state.json")

    def light(self, folder: Folder) -> Proof:
        """The state parses, safetensors and zip files are whole, and every indexed file is there."""
        state = folder.json("trainer_state.json")
        step = state.get("global_step") if isinstance(state, dict) else None
        if not isinstance(step, int):
            raise Damage(Reason.BAD_MANIFEST, "trainer_state.json names no global_step")
        for name in folder.sizes():
            if name.endswith(".safetensors"):
                safetensors_whole(folder, name)
            elif name.endswith(_ZIPPED):
                _zip_whole(folder, name)
        _index_complete(folder)
        return Proof(Level.LIGHT)


def safetensors_whole(folder: Folder, name: str) -> None:
    """The file has exactly the length that its header states; Damage otherwise."""
    size = folder.size(name)
    if size < 8:
        raise Damage(Reason.TRUNCATED, f"{name} has {size} bytes")
    with folder.opened(name) as file:
        length = int.from_bytes(read_exactly(file, name, 0, 8), "little")
        if length > _MAX_HEADER:
            raise Damage(Reason.BAD_MANIFEST, f"{name} states a header of {length} bytes")
        header = read_exactly(file, name, 8, length)
    try:
        ends = [entry["data_offsets"][1] for key, entry in json.loads(header).items() if key != "__metadata__"]
        wanted = 8 + length + max((int(end) for end in ends), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise Damage(Reason.BAD_MANIFEST, f"{name} has no readable header") from error
    if size < wanted:
        raise Damage(Reason.TRUNCATED, f"{name} has {size} of {wanted} bytes")
    if size > wanted:
        raise Damage(Reason.CHECKSUM_MISMATCH, f"{name} has {size} bytes, its header states {wanted}")


def _index_complete(folder: Folder) -> None:
    for name in folder.sizes():
        if name.endswith(".index.json"):
            index = folder.json(name)
            files = index.get("weight_map") if isinstance(index, dict) else None
            if not isinstance(files, dict):
                raise Damage(Reason.BAD_MANIFEST, f"{name} has no weight_map")
            parent = name.rpartition("/")[0]
            for file in {str(value) for value in files.values()}:
                folder.size(f"{parent}/{file}" if parent else file)


def _zip_whole(folder: Folder, name: str) -> None:
    with folder.opened(name) as file:
        if not read_exactly(file, name, 0, min(4, folder.size(name))).startswith(b"PK"):
            return
        try:
            with zipfile.ZipFile(file) as archive:
                archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise Damage(Reason.TRUNCATED, f"{name} does not end as a zip should") from error
