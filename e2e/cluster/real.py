"""The profile of real nodes: three kubelets with containerd, kube-proxy, CoreDNS and device plug-ins of two makers.

Offers what `context.RealProfile` asks for. Invariant: `down` finds its work by marks (environment, cgroup names,
the bridge's alias), never by what a broken `up` may have failed to write, and `leftovers` looks for the same marks.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from e2e.cluster import (
    cards,
    nodes,
    real_images,
    real_layout,
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
    owner = real_network.owner()
    if owner is not None and not Path(owner).exists():
        print(f"removing what is left of real nodes whose folder is gone ({owner})", flush=True)
        _remove(Path(owner))
    return real_network.up(state)


def up(ctx: Context) -> None:
    """Start the nodes with their cards and services; returns when all are Ready and announce every card."""
    store, images = real_images.build(ctx.programs["pause"])
    template = real_images.template(store, images)
    for node in real_layout.NODES:
        real_node.start(ctx, node, template)
        new = real_images.load(store, images, real_node.ctr(ctx, node))
        if new:
            print(f"{node.name}: imported {', '.join(image.name for image in new)}", flush=True)
        cards.start(ctx, node)
    with stores.step("waiting for kube-proxy, CoreDNS and the nodes"):
        real_services.start(ctx)
        asyncio.run(_wait(ctx))


def down(name: str, state: Path) -> None:
    """End all programs of the cluster, and remove the nodes' mounts, cgroups, interfaces, rules and files.

    The control plane goes too, before its address does: otherwise it waits for connections that nobody can close.
    """
    processes = Processes(state)
    for running in reversed(processes.running()):
        processes.stop(running.name)
    _remove(state)
    if (state / "real").exists():
        shutil.rmtree(state / "real")


def _remove(state: Path) -> None:
    """End what bears the nodes' marks, and undo what is outside their folders.

    Cgroups and mount points have the same names in every cluster: while another one owns the network they are its own,
    and taking an empty mount point away would unmount it from the other's nodes as well.
    """
    if real_network.owner() not in {None, str(state)}:
        return
    for node in real_layout.NODES:
        real_node.stop(state, node)
    real_network.down(state)
    real_node.remove_places()


def leftovers(state: Path) -> list[str]:
    """What is still there of this cluster's real nodes: processes, cgroups, mounts, interfaces, routes and rules."""
    found = real_network.leftovers()
    for node in real_layout.NODES:
        folder = node.folder(state)
        found += [f"process {pid} of {node.name}" for pid in (*real_node.marked(folder), *real_node.contained(node))]
        found += [f"cgroup {path}" for path in real_node.cgroups(node)]
    found += [f"mount {place}" for place in real_node.mounts(state)]
    return found + [f"folder {place}" for place in real_node.BOUND if real_node.is_empty(place)]


async def _wait(ctx: Context) -> None:
    async with rest.Client.open(ctx.kubeconfig) as client:
        await nodes.wait_ready(client, [node.name for node in real_layout.NODES], READY_SECONDS)

        async def announced() -> bool:
            for node in real_layout.NODES:
                status = (await client.get("Node", node.name))["status"]
                if int(status["allocatable"].get(node.resource, "0")) != cards.healthy(ctx.state, node):
                    return False
            return True

        await rest.wait_for(announced, READY_SECONDS, "allocatable of all real nodes = their healthy cards", every=0.2)
