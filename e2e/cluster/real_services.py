"""What serves all real nodes: kube-proxy, one for all since they share this machine's network, and CoreDNS.

CoreDNS runs beside the API server and pods ask it at an address of the nodes' bridge, so it needs neither pod nor
Service and answers before the first pod starts.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from e2e.cluster import probes, real_config, real_layout

if TYPE_CHECKING:
    from e2e.cluster.context import Context

START_SECONDS = 60.0


def start(ctx: Context) -> None:
    """Start both, or leave them where they run; returns when names resolve and Services are programmed."""
    folder = ctx.state / "real"
    corefile, config = folder / "Corefile", folder / "kube-proxy.json"
    account = ctx.write_kubeconfig("coredns", ("system:masters",))
    text = real_config.write(corefile, real_config.coredns(account))
    ctx.processes.ensure("coredns", [ctx.programs["coredns"], "-conf", corefile], reads=text)
    health, metrics = ctx.port("kube-proxy-health"), ctx.port("kube-proxy-metrics")
    account = ctx.write_kubeconfig("system:kube-proxy")
    text = real_config.write(config, real_config.proxy(account, real_layout.NODES[0], health, metrics))
    ctx.processes.ensure("kube-proxy", [ctx.programs["kube-proxy"], f"--config={config}"], reads=text)
    ctx.processes.wait("coredns", _dns_answers, START_SECONDS, "is port 53 of the nodes' bridge taken?")
    ctx.processes.wait("kube-proxy", lambda: probes.plain(health, "/healthz") == 200, START_SECONDS)


def _dns_answers() -> bool:
    try:
        socket.create_connection((real_layout.DNS_ADDRESS, 53), timeout=1).close()
    except OSError:
        return False
    return True
