"""The command line of the benchmark: `python -m e2e.bench`, or `make bench`."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from e2e.bench import report
from e2e.bench.measures import Bench, Figures
from e2e.cluster import layouts, lifecycle, nodes, paths
from e2e.cluster.context import Context
from e2e.cluster.settings import Settings
from tests.support.kubeclient import Kube

SIZES = {"full": (3840, 1280), "small": (384, 128)}
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    size: Annotated[str, typer.Option(help="full: 3,840 nodes and 1,280 pods; small: a tenth")] = "full",
    rounds: Annotated[int, typer.Option(help="how often each figure is taken")] = 3,
    output: Annotated[Path | None, typer.Option("--json", help="write figures, rounds and setting there")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="exit code 1 where a figure left its range")] = False,
) -> None:
    """Measure the operator beside a raw client on a cluster of its own, which is taken down at the end."""
    settings = Settings.large()
    name = f"bench-{os.getpid()}"
    try:
        ctx = lifecycle.up(name, settings, _say)
        figures = asyncio.run(_run(ctx, size, rounds))
    finally:
        lifecycle.down(name, _say)
    measured, setting = report.summary(figures), _setting(settings, size, rounds)
    verdicts = report.judge(measured, size)
    report.show(verdicts, setting, figures)
    if output is not None:
        content = {"size": size, "figures": measured, "rounds": dataclasses.asdict(figures), "setting": setting}
        output.write_text(json.dumps(content, indent=1) + "\n")
    if check and not all(one.ok for one in verdicts):
        raise typer.Exit(1)


async def _run(ctx: Context, size: str, rounds: int) -> Figures:
    count, pods = SIZES[size]
    patience = 60 + count / 10
    async with Kube.open(ctx.kubeconfig, connections=96) as client:
        await client.install(sorted((paths.ROOT / "crds").glob("*.yaml")))
        made = layouts.nodes(layouts.LAYOUTS["scale"], count=count)
        _say(f"making {count} nodes")
        await nodes.create(client, made)
        await nodes.wait_ready(client, [node["metadata"]["name"] for node in made], patience)
        with tempfile.TemporaryDirectory(prefix="cardpool-bench-") as folder:
            bench = Bench(client, ctx.kubeconfig, Path(folder), pods, count, patience)
            try:
                await _rounds(bench, rounds)
            except BaseException:
                _say(bench.operator.tail())
                raise
            finally:
                await bench.operator.stop()
            return bench.figures


async def _rounds(bench: Bench, rounds: int) -> None:
    await bench.prepare()
    for number in range(rounds):
        _say(f"round {number + 1} of {rounds}")
        await bench.gang()
        await bench.refusals(2)
        await bench.restart()
        await bench.clear()
        await bench.floor()


def _setting(settings: Settings, size: str, rounds: int) -> dict[str, Any]:
    """What stands beside the figures: without the rates of the control plane they mean nothing."""
    count, pods = SIZES[size]
    return {
        "nodes": count,
        "cards": count * 8,
        "pods": pods,
        "rounds": rounds,
        "kube-scheduler-qps": settings.scheduler_qps,
        "kube-controller-manager-qps": settings.controller_qps,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    app()
