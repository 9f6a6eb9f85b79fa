"""The command line of the development cluster: `python -m e2e.cluster up|down|status|kubectl|nodes|build`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from e2e.cluster import binaries, cards, layouts, lifecycle, nodes, paths, rest
from e2e.cluster.errors import ClusterError
from e2e.cluster.settings import PROFILES, Settings

if TYPE_CHECKING:
    from e2e.cluster.context import Context

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
console = Console()
Name = Annotated[str, typer.Option(help="which cluster; several may run side by side")]
LARGE = 500  # fake nodes from which leases are renewed rarely


@app.command()
def up(
    name: Name = "dev",
    profile: Annotated[
        str, typer.Option(help="fake, real or both (what this machine cannot run is left out)")
    ] = "both",
    layout: Annotated[str, typer.Option(help=f"fake nodes to make: {', '.join(layouts.LAYOUTS)} or none")] = "mixed",
    count: Annotated[int | None, typer.Option(help="how many fake nodes; the layout repeats until then")] = None,
) -> None:
    """Start the cluster, or what is missing of it, and print its KUBECONFIG."""
    begun = time.monotonic()
    profiles = _profiles(profile)
    racks = () if layout == "none" or "fake" not in profiles else _racks(layout)
    fakes = layouts.nodes(racks, count=count) if racks else []
    before = Settings.load(paths.state(name)) or Settings()
    ctx = lifecycle.up(name, replace(Settings.large() if len(fakes) >= LARGE else before, profiles=profiles), _say)
    if fakes:
        asyncio.run(_make(ctx, fakes))
    _say(f"cluster {name} is up after {time.monotonic() - begun:.1f} s; its KUBECONFIG:")
    print(f"export KUBECONFIG={ctx.kubeconfig}")


@app.command()
def down(name: Name = "dev") -> None:
    """Stop the cluster and leave nothing of it behind."""
    lifecycle.down(name, _say)


@app.command()
def status(name: Name = "dev") -> None:
    """Say which programs run; exit code 1 if one that was started does not, or none was."""
    programs = lifecycle.status(name)
    for program, alive in programs.items():
        print(f"{program:28} {'running' if alive else 'DEAD'}")
    if not programs:
        print(f"there is no cluster {name}: `make cluster` starts one")
    if not programs or not all(programs.values()):
        raise typer.Exit(1)


@app.command(
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,  # from the first word on all is kubectl's, a `--` and a `--name` too
        "help_option_names": [],
    }
)
def kubectl(context: typer.Context, name: Name = "dev") -> None:
    """Run the pinned kubectl against the cluster with the arguments given; --name comes before them."""
    ctx = _running(name)
    program = str(ctx.programs["kubectl"])
    environment = {**os.environ, "KUBECONFIG": str(ctx.kubeconfig)}
    os.execve(program, [program, *context.args], environment)  # noqa: S606  our own pinned program


@app.command(name="nodes")
def make_nodes(
    name: Name = "dev",
    layout: Annotated[str, typer.Option(help=f"one of {', '.join(layouts.LAYOUTS)}")] = "mixed",
    count: Annotated[int | None, typer.Option(help="how many; the layout repeats until then")] = None,
) -> None:
    """Make fake nodes and wait until they are Ready."""
    asyncio.run(_make(_running(name), layouts.nodes(_racks(layout), count=count)))


@app.command()
def build() -> None:
    """Build every pinned program that is not in the cache yet."""
    for program in binaries.ensure(binaries.PINNED).values():
        print(program)


async def _make(ctx: Context, made: list[rest.JSON]) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with rest.Client.open(ctx.kubeconfig) as client:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("fake nodes", total=len(made))
            new = await nodes.create(client, made, progress=lambda number: bar.advance(task, number))
            bar.update(task, description="waiting until they are Ready")
            await nodes.wait_ready(client, [node["metadata"]["name"] for node in made], 30 + len(made) / 20)
    _say(f"{len(made)} fake nodes are Ready, {new} of them new")


def _profiles(profile: str) -> tuple[str, ...]:
    if profile == "both":
        reason = lifecycle.real_missing()
        if reason is not None:
            _say(f"no real nodes: {reason}")
            return ("fake",)
        return PROFILES
    if profile not in PROFILES:
        raise ClusterError(f"there is no profile {profile}; choose fake, real or both")
    reason = lifecycle.real_missing() if profile == "real" else None
    if reason is not None:
        raise ClusterError(f"no real nodes on this machine: {reason}")
    return (profile,)


def _racks(layout: str) -> tuple[layouts.Rack, ...]:
    if layout not in layouts.LAYOUTS:
        raise ClusterError(f"there is no layout {layout}; choose one of {', '.join(layouts.LAYOUTS)}")
    return layouts.LAYOUTS[layout]


def _running(name: str) -> Context:
    ctx = lifecycle.existing(name)
    if ctx is None:
        raise ClusterError(f"cluster {name} does not run: start it with `make cluster`")
    return ctx


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


cards.register(app)


def main() -> None:
    """Run the command line; a ClusterError ends it with its text and exit code 1."""
    try:
        app(prog_name="python -m e2e.cluster")
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
