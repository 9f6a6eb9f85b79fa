"""What a cluster can be asked to be. Written beside its state, so that a second `up` keeps what the first one chose."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROFILES = ("fake", "real")


@dataclass(frozen=True, slots=True)
class Settings:
    """The knobs of one cluster; figures of speed name the rates, since a stock cluster has 50 and 20."""

    profiles: tuple[str, ...] = ("fake",)
    scheduler_qps: int = 5000
    controller_qps: int = 1000
    node_grace_seconds: int = 50  # Kubernetes' own default; tests of a silent node need it so
    lease_seconds: int = 40  # of fake nodes; with thousands of them 1,000, and the grace above it
    extra: dict[str, list[str]] = field(default_factory=dict)  # program name -> further flags

    @classmethod
    def large(cls) -> Settings:
        """For thousands of fake nodes: leases that are hardly ever renewed, and a grace that lets them be."""
        return cls(node_grace_seconds=3600, lease_seconds=1800)

    def save(self, state: Path) -> None:
        """Write the settings beside the cluster's state."""
        state.mkdir(parents=True, exist_ok=True)
        (state / "settings.json").write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, state: Path) -> Settings | None:
        """The settings that the cluster was last brought up with, None if it never was."""
        record = state / "settings.json"
        if not record.exists():
            return None
        content = json.loads(record.read_text())
        content["profiles"] = tuple(content["profiles"])
        return cls(**content)
