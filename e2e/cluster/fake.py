"""The fake profile: KWOK plays kubelet for every node that carries the annotation `kwok.x-k8s.io/node: fake`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from e2e.cluster import binaries, probes

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from e2e.cluster.settings import Settings

ANNOTATION = ("kwok.x-k8s.io/node", "fake")
PROGRAMS = ("kwok",)
# KWOK waits for each patch; with its default of 4 at a time it is the slowest part of a large gang.
OPTIONS = {
    "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
    "kind": "KwokConfiguration",
    "options": {"podPlayStageParallelism": 16, "nodePlayStageParallelism": 16, "nodeLeaseParallelism": 16},
}


def start(ctx: Context, settings: Settings) -> None:
    """Start KWOK, or leave it as it runs."""
    program = ctx.programs["kwok"]
    port = ctx.port("kwok")
    options = ctx.state / "kwok.json"
    options.write_text(json.dumps(OPTIONS) + "\n")
    ctx.processes.ensure("kwok", [
        program,
        f"--kubeconfig={ctx.kubeconfig}",
        f"--config={options}",
        f"--config={program.with_name(binaries.KWOK_STAGES)}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={'='.join(ANNOTATION)}",
        f"--node-lease-duration-seconds={settings.lease_seconds}",
        "--node-ip=127.0.0.1",
        f"--server-address=127.0.0.1:{port}",
        f"--node-port={port}",
        *settings.extra.get("kwok", []),
    ], reads=ctx.server)  # fmt: skip
    ctx.processes.wait("kwok", lambda: probes.plain(port, "/healthz") == 200, 30)
