"""Checkpoint formats as adapters: how a step folder is named, what commits it, and what can be proved about it.

Invariant: an adapter never claims more than it proved; less than was asked for is said in the proof's note. A format
without an adapter is refused by name, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Protocol

from cardpool.checkpoint import manifest, orbax, pytorch
from cardpool.checkpoint.folder import Folder
from cardpool.checkpoint.records import Damage, Level, Proof, Reason, ResolveError

NOT_SUPPORTED: Final = "FormatNotSupported"
_MAX_DIGITS: Final = 18


class Adapter(Protocol):
    """One format. Both checks raise Damage."""

    @property
    def folder_name(self) -> re.Pattern[str]:
        """Matches the name of a finished step folder; its group `step` is the step."""

    def committed(self, folder: Folder) -> None:
        """The writer said that this save is complete."""

    def light(self, folder: Folder) -> Proof:
        """Structure and sizes are whole, as far as the format tells."""


class Cardpool:
    """The format of `manifest` and `helper`: everything is proved by the manifest."""

    folder_name = re.compile(r"0*(?P<step>\d+)")

    def committed(self, folder: Folder) -> None:
        """The manifest is there and parses."""
        found = manifest.load(folder)
        if found is None:
            raise Damage(Reason.NOT_COMMITTED, f"no {manifest.NAME}")

    def light(self, folder: Folder) -> Proof:  # noqa: ARG002 - an adapter's signature
        """All files are there with their sizes: `prove` has compared them with the manifest already."""
        return Proof(Level.LIGHT)


ADAPTERS: Final[Mapping[str, Adapter]] = {
    "cardpool": Cardpool(),
    "orbax": orbax.Orbax(),
    "dcp": pytorch.DistributedCheckpoint(),
    "megatron": pytorch.Megatron(),
    "huggingface": pytorch.HuggingFace(),
    "safetensors": pytorch.Safetensors(),
}


def adapter(name: str) -> Adapter:
    """The adapter of a format, or ResolveError(FormatNotSupported)."""
    found = ADAPTERS.get(name)
    if found is None:
        known = ", ".join(ADAPTERS)
        raise ResolveError(NOT_SUPPORTED, f"checkpoints of format {name!r:.40} cannot be verified yet; {known} can")
    return found


def step_of(format_adapter: Adapter, name: str) -> int | None:
    """The step that a folder's name tells; None for anything that is no finished step folder."""
    match = format_adapter.folder_name.fullmatch(name)
    return int(match["step"]) if match and len(match["step"]) <= _MAX_DIGITS else None


def prove(format_adapter: Adapter, folder: Folder, level: Level, step: int) -> Proof:
    """Proof of the level asked for, or of the best that can be had, or Damage."""
    format_adapter.committed(folder)
    if level is Level.MARKER:
        return Proof(Level.MARKER)
    _no_empty_file(folder)
    sealed = manifest.load(folder)
    if sealed is not None:
        if sealed.step != step:
            raise Damage(Reason.BAD_MANIFEST, f"the manifest is of step {sealed.step}")
        manifest.check_sizes(folder, sealed)
    if level is Level.MANIFEST and sealed is not None:
        manifest.check_bytes(folder, sealed)
        return Proof(Level.MANIFEST)
    proof = format_adapter.light(folder)
    if level is Level.LIGHT:
        return Proof(Level.LIGHT) if sealed is not None else proof
    note = f"no {manifest.NAME}, so the bytes are not proved; seal the folder with cardpool.checkpoint.manifest"
    return Proof(proof.level, f"{proof.note}; {note}" if proof.note else note)


def _no_empty_file(folder: Folder) -> None:
    sizes = folder.sizes()
    if not sizes:
        raise Damage(Reason.EMPTY, "the folder holds no file")
    for name, size in sizes.items():
        if size == 0 and not name.endswith((".txt", ".lock", "__init__.py")) and manifest.NAME not in sizes:
            raise Damage(Reason.TRUNCATED, f"{name} has no byte")
