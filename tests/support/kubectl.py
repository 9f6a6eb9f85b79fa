"""The real kubectl on a test cluster, as a user would call it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2e.cluster.context import Context


def run(cluster: Context, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """What it answered; it does not raise."""
    command = [str(cluster.programs["kubectl"]), "--kubeconfig", str(cluster.kubeconfig), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
