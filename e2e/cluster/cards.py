"""The cards of real nodes: their plug-ins, and the file through which a card is broken and healed.

Invariant: the file of a node is replaced whole, so the plug-in never reads half of it; what the file does not name
is healthy.
"""

from __future__ import annotations

import json
import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from e2e.cluster import lifecycle, real_layout, real_marks, real_node
from e2e.cluster.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.cluster.context import Context
    from e2e.cluster.real_layout import RealNode

PREFIX = "card-"


class Health(StrEnum):
    """What a plug-in says of a card; Gone = it is not on the list at all."""

    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    GONE = "Gone"


def start(ctx: Context, node: RealNode) -> None:
    """Start the node's plug-in, or leave it where it runs; it registers as soon as kubelet listens."""
    state_file = _file(ctx.state, node)
    words = [
        *real_node.inside(ctx, node),
        ctx.programs["deviceplugin"],
        f"--resource={node.resource}",
        f"--count={node.cards}",
        f"--prefix={PREFIX}",
        f"--env={node.env}",
        f"--state-file={state_file}",
    ]
    environment = {**os.environ, real_marks.MARK: str(node.folder(ctx.state))}
    ctx.processes.ensure(f"plugin-{node.name}", words, environment)


def stop(ctx: Context, node: RealNode) -> None:
    """End the node's plug-in, as if its DaemonSet were deleted."""
    ctx.processes.stop(f"plugin-{node.name}")


def set_health(state: Path, node: RealNode, card: str, health: Health) -> None:
    """Say a card's health to the plug-in, which tells kubelet within 0.2 s; ClusterError for an unknown card."""
    if card not in names(node):
        raise ClusterError(f"{node.name} has no card {card}; it has {names(node)[0]} to {names(node)[-1]}")
    known = read(state, node) | {card: health.value}
    file = _file(state, node)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({key: value for key, value in known.items() if value != Health.HEALTHY}) + "\n")
    partial.replace(file)


def read(state: Path, node: RealNode) -> dict[str, str]:
    """The cards of the node that are not healthy."""
    file = _file(state, node)
    content: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return content


def healthy(state: Path, node: RealNode) -> int:
    """How many cards the plug-in announces as healthy."""
    return node.cards - len(read(state, node))


def names(node: RealNode) -> list[str]:
    """The node's cards."""
    return [f"{PREFIX}{index}" for index in range(node.cards)]


def register(app: typer.Typer) -> None:
    """Add the commands `card` and `plugin` to a command line."""
    app.command(name="card")(_card_command)
    app.command(name="plugin")(_plugin_command)


def _card_command(
    node: Annotated[str, typer.Option(help="real-0, real-1 or real-2")],
    card: Annotated[str, typer.Option(help="card-0 to card-7")],
    health: Annotated[Health, typer.Option(help="Healthy, Unhealthy, or Gone from the plug-in's list")],
    name: Annotated[str, typer.Option(help="which cluster")] = "dev",
) -> None:
    """Break or heal a card of a real node through its device plug-in."""
    ctx, real = _find(name, node)
    set_health(ctx.state, real, card, health)
    print(f"{node}: {card} is {health.value}")


def _plugin_command(
    node: Annotated[str, typer.Option(help="real-0, real-1 or real-2")],
    name: Annotated[str, typer.Option(help="which cluster")] = "dev",
    *,
    run: Annotated[bool, typer.Option("--start/--stop", help="start it again, or end it")],
) -> None:
    """Stop or start the device plug-in of a real node."""
    ctx, real = _find(name, node)
    (start if run else stop)(ctx, real)
    print(f"{node}: plug-in {'runs' if run else 'is stopped'}")


def _find(cluster: str, node: str) -> tuple[Context, RealNode]:
    ctx = lifecycle.existing(cluster)
    if ctx is None:
        raise ClusterError(f"cluster {cluster} does not run: start it with `make cluster`")
    if node not in {one.name for one in real_layout.NODES}:
        raise ClusterError(
            f"there is no real node {node}; there are {', '.join(one.name for one in real_layout.NODES)}"
        )
    return ctx, real_layout.node(node)


def _file(state: Path, node: RealNode) -> Path:
    return node.folder(state) / "cards.json"
