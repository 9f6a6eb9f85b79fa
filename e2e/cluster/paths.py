"""Where the cluster keeps things: built programs in the user's cache, running state in the checkout.

Nothing outside these two folders is written by the fake profile.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTROLPLANE_MODULE = ROOT / "e2e" / "controlplane"
COREDNS_MODULE = ROOT / "e2e" / "coredns"


def cache() -> Path:
    """The folder of built programs, shared by all checkouts of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cardpool"


def state(name: str) -> Path:
    """The folder of one running cluster: certificates, data, logs, pid files, kubeconfig."""
    return ROOT / ".build" / "cluster" / name
