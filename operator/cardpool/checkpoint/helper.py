"""What training code imports: save a step so that it is complete or invisible, and learn where to resume.

Invariant: a step folder carries its final name only after its manifest and everything in it are on disk, whatever
instruction the process dies at. Standard library only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from cardpool.checkpoint import manifest

RESUME_PATH: Final = "CARDPOOL_RESUME_PATH"
RESUME_STEP: Final = "CARDPOOL_RESUME_STEP"
ATTEMPT: Final = "CARDPOOL_ATTEMPT"


@dataclasses.dataclass(frozen=True, slots=True)
class Resume:
    """The verified checkpoint to load, and its step; training continues with `step + 1`."""

    path: Path
    step: int


def resume() -> Resume | None:
    """The checkpoint that cardpool verified for this attempt, or None for a fresh start."""
    path, step = os.environ.get(RESUME_PATH, ""), os.environ.get(RESUME_STEP, "")
    if not path or not step:
        return None
    return Resume(Path(path), int(step))


def current_attempt() -> int:
    """The attempt that this process belongs to; 0 outside cardpool."""
    return int(os.environ.get(ATTEMPT) or 0)


def attempt_root(path: Path | str) -> Path:
    """The folder of this attempt, for jobs with `fencing: AttemptPath`; made when absent."""
    root = Path(path) / str(current_attempt())
    root.mkdir(parents=True, exist_ok=True)
    return root


@contextlib.contextmanager
def saving(
    root: Path | str,
    *,
    step: int,
    attempt: int | None = None,
    rank: int = 0,
    world_size: int = 1,
    barrier: Callable[[], None] | None = None,
) -> Iterator[Path]:
    """A folder to write the step's files into; on leaving it is sealed and renamed to `<root>/<step>`.

    With several ranks every rank enters with the same arguments but its rank, and `barrier` must return only when all
    ranks have called it. An exception in the block leaves no step folder.
    """
    if world_size > 1 and barrier is None:
        raise ValueError("saving with several ranks needs a barrier")
    wait = barrier or _alone
    number = current_attempt() if attempt is None else attempt
    tag = str(os.getpid()) if world_size == 1 else "gang"
    temporary = Path(root) / f"{step}.tmp-{number}-{tag}"
    if rank == 0:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
    wait()
    yield temporary
    wait()
    if rank == 0:
        manifest.seal(temporary, step=step, attempt=number, world_size=world_size)
        _publish(temporary, Path(root) / str(step))
    wait()


def _publish(temporary: Path, final: Path) -> None:
    """Rename into place. A folder of that name, left by an earlier attempt, steps aside first and goes last."""
    aside = final.with_name(temporary.name.replace(".tmp-", ".replaced-"))
    shutil.rmtree(aside, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        final.rename(aside)
    temporary.rename(final)
    manifest.sync(final.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _alone() -> None:
    """The barrier of one rank."""
