"""KWOK's life-cycle stages, read from the pinned module: what fake nodes and pods do next, and when."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster.errors import ClusterError

# Nodes are Ready at once and beat by lease; pods run at once and go when deleted.
FOLDERS = ("node/fast", "node/heartbeat-with-lease", "pod/fast")


def write(module: str, target: Path) -> None:
    """Join the stages of the kwok module at that folder into one file for `kwok --config`."""
    base = Path(module) / "kustomize" / "stage"
    files = [
        file
        for folder in FOLDERS
        for file in sorted((base / folder).glob("*.yaml"))
        if file.name != "kustomization.yaml"
    ]
    if not files:
        raise ClusterError(f"the kwok module at {module} has no stages under kustomize/stage")
    partial = target.with_name(f".{target.name}.partial")
    partial.write_text("---\n".join(file.read_text().rstrip("\n") + "\n" for file in files))
    partial.replace(target)
