"""The command line, also as ``kubectl cardpool``: it parses, calls one function and prints; no decision lives here.

Exit codes: 0 done, 1 the thing asked for failed or does not exist, 2 wrong use or settings.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
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
    brief: Annotated[
        bool, typer.Option("--brief", help="The job's own status alone; for a waiting job nothing else is read.")
    ] = False,
    output: Output = "table",
) -> None:
    """Say what a TrainingJob does or waits for, and why; for one that waits, which nodes each cause excludes."""

    async def read(api: kube_client.Client, own: str) -> dict[str, Any]:
        where, _, name = job.rpartition("/")
        answer = await views.explain(api, where or namespace or own, name)
        if answer["queue"] and not brief:
            answer["story"] = await _story(api, f"{answer['namespace']}/{answer['name']}")
        return answer

    answer = _with_client(read, kubeconfig, context)
    if output == "json":
        print(json.dumps(answer, indent=2))
    else:
        _console().print(views.explain_text(answer))


async def _story(api: kube_client.Client, key: str) -> dict[str, Any]:
    """What a plan of the cluster knows of a waiting job; nothing where the cluster may not be read."""
    from cardpool.planning import asking, live, story  # noqa: PLC0415 (numpy takes its time: only who waits pays)

    try:
        listed = await live.read(api)
    except errors.ApiError as error:
        print(f"note: without nodes and quota, the cluster cannot be read: {error}", file=sys.stderr)
        return {}
    return story.of(asking.Question(time.time(), listed=listed), key)


@cli.command()
def plan(
    files: Annotated[
        list[str] | None, typer.Option("--filename", "-f", help="File or folder of manifests, - for standard input.")
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="[FILE_OR_DIR]...", help="More of them.")] = None,
    from_cluster: Annotated[
        bool, typer.Option("--from-cluster", help="Read the cluster too; manifests stand for objects of their name.")
    ] = False,
    now: Annotated[str | None, typer.Option(help="Moment of the plan in RFC 3339; default the present.")] = None,
    add_nodes: Annotated[
        list[str] | None, typer.Option(help="What if: profile=N or node=N more nodes, copies of one that is there.")
    ] = None,
    lose: Annotated[list[str] | None, typer.Option(help="What if: this node or supernode falls silent.")] = None,
    job: Annotated[list[str] | None, typer.Option(help="What if: these TrainingJobs too; told of first.")] = None,
    make_room: Annotated[
        list[str] | None,
        typer.Option(
            help="Which running gangs would have to move to free room for PODSxCARDS\\[@PROFILE]\\[/LEVEL], such as "
            "16x8@k100/supernode, or for a waiting job (namespace/name), and what that costs."
        ),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    output: Output = "table",
) -> None:
    """Say what one planning cycle over the whole queue would do, waits counted as over; nothing is written."""
    from cardpool.planning import asking, live, tables  # noqa: PLC0415 (numpy takes its time: only this command pays)

    places = [*(files or ()), *(more or ())]
    moment = _or_exit(lambda: _moment(now), wrong=errors.InputError)
    if not (places or job or from_cluster):
        print("cardpool: nothing to plan: give -f FILE_OR_DIR or --from-cluster", file=sys.stderr)
        raise typer.Exit(2)
    listed = _with_client(lambda api, _: live.read(api), kubeconfig, context) if from_cluster else None
    question = asking.Question(moment, places, listed, add_nodes or (), lose or (), job or (), make_room or ())
    reply = _or_exit(lambda: asking.ask(question), wrong=errors.InputError)
    for note in reply.notes:
        print(f"note: {note}", file=sys.stderr)
    if output == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(tables.as_json(reply)), indent=2) + b"\n")
        return
    for table in tables.tables(reply):
        _console().print(table)


def _moment(text: str | None) -> float:
    """Epoch seconds of an RFC 3339 time, the present for None; InputError where it is none."""
    if text is None:
        return time.time()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise errors.InputError(f"--now {text}: give a time such as 2026-01-01T00:00:00Z")
    return found.timestamp()


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
    read: Callable[[kube_client.Client, str], Coroutine[Any, Any, T]],
    kubeconfig: str | None,
    context: str | None,
) -> T:
    async def inside() -> T:
        credentials = await auth.load(kubeconfig, context)
        async with kube_client.Client(credentials) as api:
            return await read(api, credentials.namespace)

    return _or_exit(lambda: asyncio.run(inside()))


def _or_exit(work: Callable[[], T], wrong: type[errors.CardpoolError] = errors.SettingsError) -> T:
    """The work's result; an expected error is one line on stderr and an exit code, 2 for ``wrong`` use."""
    try:
        return work()
    except (errors.SettingsError, wrong) as error:
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
