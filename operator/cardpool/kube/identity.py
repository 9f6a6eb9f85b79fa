"""Who holds the lease, said so that a successor on the same machine can prove the holder dead.

An identity carries the boot, the PID namespace, the process id and its start time. Where all of them are ours to look
at and the process is not there any more, nobody can be leading under that identity, and waiting out the lease after a
crash would only cost time. In every other case nothing is proved.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Final

_FORM: Final = re.compile(r".*_(?P<boot>[0-9a-f]{12})-(?P<space>\d+)-(?P<pid>\d+)-(?P<start>\d+)")
_PROC: Final = Path("/proc")


def default_identity() -> str:
    """Return an identity that no other process on any machine has."""
    start = _start(os.getpid())
    return f"{socket.gethostname()}_{_boot()}-{_space()}-{os.getpid()}-{start or 0}"


def is_surely_dead(identity: str) -> bool:
    """Whether the process with this identity ran under this very kernel and PID namespace and is gone."""
    match = _FORM.fullmatch(identity)
    if match is None or not _boot() or (match["boot"], match["space"]) != (_boot(), _space()):
        return False
    return match["start"] != "0" and match["start"] != _start(int(match["pid"]))


def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().replace("-", "")[:12]
    except OSError:
        return ""


def _space() -> str:
    try:
        return str((_PROC / "self/ns/pid").stat().st_ino)
    except OSError:
        return "0"


def _start(pid: int) -> str | None:
    """Return a process's start in clock ticks since boot, None where there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:
        return "unreadable"
    return text.rpartition(")")[2].split()[19]
