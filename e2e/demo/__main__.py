"""The command line of the demo: `python -m e2e.demo`, or `make demo`. Exit code 0 only if every claim holds."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cardpool.errors import CardpoolError
from e2e.cluster import lifecycle, paths, rest
from e2e.cluster.errors import ClusterError
from e2e.demo import foreign, play, site
from e2e.demo.scenario import MissingError
from e2e.demo.site import Kind, Site
from e2e.demo.view import Screen

FAILED, BROKEN = 1, 2
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def main(
    cluster: Annotated[
        str, typer.Option(help="current: the cluster of the current KUBECONFIG; empty: one of its own")
    ] = "",
    name: Annotated[str, typer.Option(help="name of the demo's own cluster")] = "demo",
    out: Annotated[Path, typer.Option(help="folder of the report")] = paths.ROOT / ".build" / "demo",
    operator_image: Annotated[
        str, typer.Option(help="somebody's cluster: the operator's image, as repository:tag")
    ] = "",
    train_image: Annotated[
        str, typer.Option(help="somebody's cluster: an image whose pods train; without it no job is applied")
    ] = "",
    *,
    keep: Annotated[bool, typer.Option("--keep", help="leave job, chart and cluster as they are at the end")] = False,
    fake: Annotated[bool, typer.Option("--fake", help="fake nodes only, even where real ones could run")] = False,
) -> None:
    """Train for real, break a card, and watch the gang come back from its newest proved checkpoint."""
    if cluster not in {"", "current"}:
        raise typer.BadParameter("--cluster knows only `current`; --name names the demo's own cluster")
    screen = Screen()
    taken_down = cluster == "current" or keep
    place: Site | None = None
    code = BROKEN
    try:
        if cluster == "current":
            repository, _, tag = operator_image.rpartition(":")
            image = ("--set", f"image.repository={repository}", "--set", f"image.tag={tag}") if repository else ()
            place = site.current(screen.say, image)
        else:
            screen.headline("a cluster of its own")
            place = site.own(name, screen.say, fake=fake)
            site.clear_table(place)
        code = 0 if asyncio.run(_play(place, screen, out, train_image, keep=keep)) else FAILED
    except (ClusterError, CardpoolError, MissingError, TimeoutError, rest.ApiError) as error:
        screen.say(f"error: {error}", "bold red")
    except KeyboardInterrupt:
        screen.say("interrupted: cleaning up", "bold red")
    finally:
        if not taken_down:
            lifecycle.down(name, screen.say)
        elif place is not None and keep:
            screen.say(f"kept: export KUBECONFIG={place.kubeconfig}")
            if place.kind is Kind.FAKE:
                screen.say("fake nodes run no operator, and the demo's own ended with it: cardpool run starts one")
    sys.exit(code)


async def _play(place: Site, screen: Screen, out: Path, train_image: str, *, keep: bool) -> bool:
    screen.say(place.kind.value)
    async with contextlib.AsyncExitStack() as stack:
        kube = await stack.enter_async_context(await site.connect(place))
        try:
            if place.kind is Kind.FOREIGN:
                return await foreign.run(place, kube, screen, stack, train_image, keep=keep)
            return await play.Stage(place, kube, screen, out, keep=keep).run(stack)
        except site.UnfitError:
            raise
        except (ClusterError, MissingError, TimeoutError, rest.ApiError) as error:  # before anything is cleaned up
            await asyncio.to_thread(_show_trouble, place, error, screen)
            raise


def _show_trouble(place: Site, error: Exception, screen: Screen) -> None:
    """The object that was waited for and the operator's last words, as far as the cluster still answers."""
    asked: list[tuple[str, Callable[[], str]]] = []
    if isinstance(error, MissingError):
        words = f"kubectl describe {error.kind.lower()} {error.name}"
        asked.append((words, lambda: site.describe(place, error.kind.lower(), error.name, error.namespace)))
    asked.append(("the operator's log", lambda: play.operator_log(place)))
    for title, ask in asked:
        try:
            said = ask()
        except ClusterError as unheard:
            said = str(unheard)
        screen.say(f"--- {title}", "bold")
        screen.console.print(said, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    app(prog_name="python -m e2e.demo")
