"""The command line, also as ``kubectl cardpool``: it parses, calls one function and prints; no decision lives here.

Exit codes: 0 done, 1 the thing asked for failed or does not exist, 2 wrong use or settings.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import typer
from rich.console import Console

from cardpool import __version__, errors, settings, views
from cardpool.api import crds as api_crds
from cardpool.kube import auth
from cardpool.kube import client as kube_client
from cardpool.runtime import logs

cli = typer.Typer(
    name="cardpool",
    help="Accelerator cards of several makers as one pool: gangs placed whole, restarted from a proved checkpoint.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

T = TypeVar("T")
WIDTH: Final = 240  # columns where the output is no terminal
Output = Annotated[Literal["table", "json"], typer.Option("--output", "-o", help="table or json.")]
Kubeconfig = Annotated[str | None, typer.Option(help="Path of a kubeconfig; default KUBECONFIG, else in-cluster.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace; default that of the context.")]


def _about(field: str) -> str:
    return f"{settings.Settings.model_fields[field].description} [{settings.variable(field)}]"


@cli.command()
def run(
    kubeconfig: Annotated[str | None, typer.Option(help=_about("kubeconfig"))] = None,
    context: Annotated[str | None, typer.Option(help=_about("context"))] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", "-n", help=_about("namespace"))] = None,
    vendors_namespace: Annotated[str | None, typer.Option(help=_about("vendors_namespace"))] = None,
    identity: Annotated[str | None, typer.Option(help=_about("identity"))] = None,
    http_host: Annotated[str | None, typer.Option(help=_about("http_host"))] = None,
    http_port: Annotated[str | None, typer.Option(help=_about("http_port"))] = None,
    port_file: Annotated[str | None, typer.Option(help=_about("port_file"))] = None,
    log_format: Annotated[str | None, typer.Option(help=_about("log_format"))] = None,
    log_level: Annotated[str | None, typer.Option(help=_about("log_level"))] = None,
    resolver_image: Annotated[str | None, typer.Option(help=_about("resolver_image"))] = None,
    max_in_flight: Annotated[str | None, typer.Option(help=_about("max_in_flight"))] = None,
    leader_election: Annotated[
        bool | None, typer.Option("--leader-election/--no-leader-election", help=_about("leader_election"))
    ] = None,
    settings_only: Annotated[bool, typer.Option("--print-settings", help="Print the settings and exit.")] = False,
) -> None:
    """Run the operator until a signal ends it. Every setting is also a variable CARDPOOL_…; flags win."""
    flags = {name: value for name, value in locals().items() if name in settings.Settings.model_fields}
    chosen = _or_exit(lambda: settings.load(flags))
    if settings_only:
        print(json.dumps(chosen.shown(), indent=2))
        return
    from cardpool import app  # noqa: PLC0415 (kopf and numpy take a second to import: only this command pays it)

    logs.configure(chosen.log_format, chosen.log_level)
    raise typer.Exit(_or_exit(lambda: asyncio.run(app.run(chosen))))


@cli.command()
def crds(
    directory: Annotated[Path | None, typer.Option("--write", help="Write the files here instead of printing.")] = None,
) -> None:
    """Print the CustomResourceDefinitions as YAML, or write one file each."""
    files = api_crds.render()
    if directory is None:
        print("---\n".join(text for _, text in sorted(files.items())), end="")
        return
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


@cli.command()
def version(output: Output = "table") -> None:
    """Print the version."""
    print(json.dumps({"version": __version__}) if output == "json" else __version__)


@cli.command()
def explain(
    job: Annotated[str, typer.Argument(help="Name of a TrainingJob, or namespace/name.")],
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Output = "table",
) -> None:
    """Say what a TrainingJob does or waits for, and why."""

    async def read(api: kube_client.Client, own: str) -> dict[str, Any]:
        where, _, name = job.rpartition("/")
        return await views.explain(api, where or namespace or own, name)

    answer = _with_client(read, kubeconfig, context)
    if output == "json":
        print(json.dumps(answer, indent=2))
    else:
        _console().print(views.explain_text(answer))


@cli.command()
def top(kubeconfig: Kubeconfig = None, context: Context = None, output: Output = "table") -> None:
    """Show pools, supernodes and unfinished jobs."""

    async def read(api: kube_client.Client, _: str) -> dict[str, Any]:
        return await views.top(api)

    answer = _with_client(read, kubeconfig, context)
    if output == "json":
        print(json.dumps(answer, indent=2))
    else:
        for table in views.top_tables(answer):
            _console().print(table)


def _with_client(
    read: Callable[[kube_client.Client, str], Coroutine[Any, Any, dict[str, Any]]],
    kubeconfig: str | None,
    context: str | None,
) -> dict[str, Any]:
    async def inside() -> dict[str, Any]:
        credentials = await auth.load(kubeconfig, context)
        async with kube_client.Client(credentials) as api:
            return await read(api, credentials.namespace)

    return _or_exit(lambda: asyncio.run(inside()))


def _or_exit(work: Callable[[], T]) -> T:
    """The work's result; an expected error is one line on stderr and an exit code."""
    try:
        return work()
    except errors.SettingsError as error:
        print(f"cardpool: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except errors.CardpoolError as error:
        print(f"cardpool: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)


def main() -> None:
    """Entry point of ``cardpool`` and ``kubectl-cardpool``."""
    cli()
