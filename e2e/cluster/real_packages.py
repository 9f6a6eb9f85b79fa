"""The system's own programs that real nodes need; installed where that is possible without a question.

Invariant: after `ensure` every program in PROGRAMS is there, or a ClusterError said in one line what to install.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from e2e.cluster.errors import ClusterError

# program (or file) -> Debian's package
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
}
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def absent() -> list[str]:
    """The packages whose programs are not there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SBIN])
    return sorted({package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None})


def missing() -> str | None:
    """Why this machine cannot run real nodes, in one line; None if it can, after an installation by itself at most."""
    if sys.platform != "linux":
        return "real nodes need Linux"
    if os.geteuid() != 0:
        return f"real nodes need root; also to be installed: {', '.join(absent()) or 'nothing'}"
    packages = absent()
    if packages and not _debian():
        return f"install {', '.join(packages)} (names as in Debian) and try again"
    return None


def ensure() -> None:
    """Install what is absent; ClusterError if that fails or cannot be done."""
    reason = missing()
    if reason is not None:
        raise ClusterError(reason)
    packages = absent()
    if not packages:
        return
    print(f"installing {', '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    for words in (["apt-get", "update", "-qq"], install):
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()[-5:]
            raise ClusterError("\n".join([f"`{' '.join(words)}` failed:", *said]))
    if absent():
        raise ClusterError(f"still missing after the installation: {', '.join(absent())}")


def _debian() -> bool:
    release = Path("/etc/os-release")
    text = release.read_text() if release.exists() else ""
    return shutil.which("apt-get") is not None and any(
        line in text for line in ("ID=debian", "ID=ubuntu", "ID_LIKE=debian", "ID_LIKE=ubuntu")
    )
