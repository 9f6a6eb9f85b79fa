"""What serves all real nodes: kube-proxy, one for all since they share a network namespace, and CoreDNS.

Both run in that namespace. Pods ask CoreDNS at an address of the nodes' own network, so it needs neither pod nor
Service and answers before the first pod starts.
"""

from __future__ import annotations

import http.client
import os
import socket
from typing import TYPE_CHECKING

from e2e.cluster import real_config, real_layout, real_marks, real_network

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from e2e.cluster.real_layout import Network

START_SECONDS = 60.0


def start(ctx: Context, network: Network) -> None:
    """Start both, or leave them where they run; returns when names resolve and Services are programmed."""
    folder, inside = ctx.state / "real", real_network.within(ctx.processes)
    environment = {**os.environ, real_marks.MARK: str(folder / "services")}
    corefile, config = folder / "Corefile", folder / "kube-proxy.json"
    account = ctx.write_kubeconfig("coredns", ("system:masters",))
    text = real_config.write(corefile, real_config.coredns(network, account))
    words = [*inside, str(ctx.programs["coredns"]), "-conf", str(corefile)]
    ctx.processes.ensure("coredns", words, environment, reads=text)
    account, node = ctx.write_kubeconfig("system:kube-proxy"), real_layout.NODES[0]
    text = real_config.write(config, real_config.proxy(network, account, node))
    ctx.processes.ensure(
        "kube-proxy", [*inside, ctx.programs["kube-proxy"], f"--config={config}"], environment, reads=text
    )
    ctx.processes.wait("coredns", lambda: _dns_answers(network), START_SECONDS)
    ctx.processes.wait("kube-proxy", lambda: _proxy_is_well(network.node(node)), START_SECONDS)


def _dns_answers(network: Network) -> bool:
    try:
        socket.create_connection((network.dns, 53), timeout=1).close()
    except OSError:
        return False
    return True


def _proxy_is_well(host: str) -> bool:
    connection = http.client.HTTPConnection(host, real_config.PROXY_HEALTH_PORT, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
