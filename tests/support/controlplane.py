"""Starts and ends the real control plane that integration tests run against, one per test run."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import lifecycle, paths
from e2e.cluster.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.cluster.context import Context

REUSE = "CARDPOOL_TEST_CLUSTER"  # names a running cluster to use instead, and to leave running
PREFIX = "test-"


@contextmanager
def running(settings: Settings | None = None, purpose: str = "") -> Iterator[Context]:
    """A fake cluster of this process, taken down at the end; or the one that the environment names."""
    named = os.environ.get(REUSE)
    if named:
        yield lifecycle.up(named, settings or Settings())
        return
    sweep()
    name = f"{PREFIX}{os.getpid()}{purpose}"
    try:
        yield lifecycle.up(name, settings or Settings())
    finally:
        lifecycle.down(name)


def sweep() -> None:
    """Take down the clusters of test runs that were killed: their process is gone."""
    for state in paths.state("").parent.glob(f"cluster/{PREFIX}*"):
        owner = state.name.removeprefix(PREFIX).partition("-")[0]
        if not Path(f"/proc/{owner}").exists():
            lifecycle.down(state.name)
