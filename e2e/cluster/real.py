"""The profile of real nodes: three kubelets with containerd, kube-proxy, CoreDNS and device plug-ins of two makers.

Offers what `context.RealProfile` asks for. Invariant: `down` finds its work by marks (environment, cgroup names,
the link's alias), never by what a broken `up` may have failed to write, and `leftovers` looks for the same marks.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import (
    cards,
    nodes,
    real_images,
    real_layout,
    real_marks,
    real_network,
    real_node,
    real_packages,
    real_services,
    rest,
)
from e2e.cluster.processes import Processes
from e2e.images import store as stores

if TYPE_CHECKING:
    from e2e.cluster.context import Context

READY_SECONDS = 90.0


def missing() -> str | None:
    """Why this machine cannot run real nodes, in a line that says what to install; None if it can."""
    return real_packages.missing()


def programs() -> tuple[str, ...]:
    """The built programs that real nodes need."""
    return ("kubelet", "kube-proxy", "coredns", "deviceplugin", "pause")


def address(name: str, state: Path) -> str:
    """Install system packages if need be, make the network, and return the API server's address on it."""
    real_packages.ensure()
    for orphan in real_network.orphans():
        print(f"removing what is left of real nodes whose folder is gone ({orphan})", flush=True)
        _remove(orphan)
    return real_network.up(Processes(state), state).api


def up(ctx: Context) -> None:
    """Start the nodes with their cards and services; returns when all are Ready and announce every card."""
    network = real_network.up(ctx.processes, ctx.state)
    store, images = real_images.build(ctx.programs["pause"])
    template = real_images.template(store, images)
    restarted: dict[str, dt.datetime] = {}
    for node in real_layout.NODES:
        if real_node.start(ctx, network, node, template):
            restarted[node.name] = dt.datetime.now(dt.UTC).replace(microsecond=0)
        new = real_images.load(store, images, real_node.ctr(ctx, node))
        if new:
            print(f"{node.name}: imported {', '.join(image.name for image in new)}", flush=True)
        cards.start(ctx, node)
    with stores.step("waiting for kube-proxy, CoreDNS and the nodes"):
        real_services.start(ctx, network)
        asyncio.run(_wait(ctx, restarted))


def down(name: str, state: Path) -> None:
    """End all programs of the cluster, and remove the nodes' mounts, cgroups, interfaces and files.

    The control plane goes too, before its address does: otherwise it waits for connections that nobody can close.
    """
    processes = Processes(state)
    for running in reversed(processes.running()):
        processes.stop(running.name)
    _remove(state)
    if (state / "real").exists():
        shutil.rmtree(state / "real")


def leftovers(state: Path) -> list[str]:
    """What is still there of this cluster's real nodes: processes, cgroups, mounts, interfaces and folders."""
    found = real_network.leftovers(state)
    found += [f"process {pid}" for pid in real_marks.marked(state)]
    for node in real_layout.NODES:
        found += [f"process {pid} in a container of {node.name}" for pid in real_marks.contained(state, node)]
        found += [f"cgroup {path}" for path in real_marks.cgroups(state, node)]
    mounted = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    found += [f"mount {place}" for place in mounted if place.startswith(str(state / "real"))]
    places = [] if real_marks.any_node() else real_node.empty_places()
    return found + [f"folder {place}" for place in places]


def _remove(state: Path) -> None:
    """End what bears the nodes' marks, and remove what is outside their folders."""
    real_marks.end(lambda: real_marks.marked(state))
    for node in real_layout.NODES:
        real_marks.end(partial(real_marks.contained, state, node))
        real_marks.remove_cgroups(state, node)
    real_network.down(state)
    real_node.remove_places()


async def _wait(ctx: Context, restarted: dict[str, dt.datetime]) -> None:
    """Return when every node is Ready and announces its healthy cards, by its present kubelet's own word."""
    async with rest.Client.open(ctx.kubeconfig) as client:
        await nodes.wait_ready(client, [node.name for node in real_layout.NODES], READY_SECONDS)

        async def announced() -> bool:
            for node in real_layout.NODES:
                status = (await client.get("Node", node.name))["status"]
                if node.name in restarted and _said(status) < restarted[node.name]:
                    return False
                if int(status["allocatable"].get(node.resource, "0")) != cards.healthy(ctx.state, node):
                    return False
            return True

        await rest.wait_for(announced, READY_SECONDS, "allocatable of all real nodes = their healthy cards", every=0.2)


def _said(status: rest.JSON) -> dt.datetime:
    """The second in which kubelet last wrote the node's status; until it writes, the cards are its predecessor's."""
    ready = next(one for one in status["conditions"] if one["type"] == "Ready")
    return dt.datetime.fromisoformat(ready["lastHeartbeatTime"])
