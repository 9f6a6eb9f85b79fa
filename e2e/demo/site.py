"""Where the demo plays: its own cluster with real nodes, its own with fake nodes alone, or the current KUBECONFIG's.

The set-up is what a user would type: `helm install` of the chart and `kubectl apply` of the README's manifests.
Invariant: on a cluster that is not the demo's nothing that was there before is changed, and `close` removes what
`open` installed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml

from cardpool.kube import auth
from e2e.cluster import binaries, cards, layouts, lifecycle, nodes, paths, real_layout
from e2e.cluster.errors import ClusterError
from e2e.cluster.settings import PROFILES, Settings
from tests.support.kubeclient import Kube

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from e2e.cluster.context import Context

CHART = paths.ROOT / "helm" / "cardpool"
MANIFESTS = paths.ROOT / "docs" / "quickstart"
RELEASE, HOME = "cardpool", "cardpool-system"
HELM_SECONDS, KUBECTL_SECONDS = 150, 60


class UnfitError(ClusterError):
    """The demo may not or cannot play on this cluster as it is; nothing was done yet, and the text says what to do."""


class Kind(StrEnum):
    """What the cluster can show."""

    REAL = "real nodes: the training runs, and a card breaks through the device plug-in"
    FAKE = "fake nodes: nothing trains, and a card breaks by a status that this demo writes"
    FOREIGN = "somebody's cluster: nothing is broken"


@dataclass(frozen=True, slots=True)
class Site:
    """One cluster and the programs to reach it with; ``ours`` where the demo may clear the table first."""

    kind: Kind
    kubeconfig: Path
    programs: Mapping[str, Path]
    ctx: Context | None = None
    ours: bool = False
    values: tuple[str, ...] = field(default=())

    def run(self, program: str, *words: str, seconds: float = KUBECTL_SECONDS, check: bool = True) -> str:
        """Run helm or kubectl against the cluster; ClusterError with its own complaint."""
        command = [str(self.programs[program]), *words]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=seconds, check=False, env=environment
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"`{program} {' '.join(words)}` did not end within {seconds:g} s") from error
        if check and done.returncode != 0:
            raise ClusterError(f"`{program} {' '.join(words)}` failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout if check else done.stdout + done.stderr


def own(name: str, say: Callable[[str], None], *, fake: bool) -> Site:
    """The demo's own cluster, brought up: fake nodes, and real ones where the machine can."""
    missing = "asked for fake nodes only" if fake else lifecycle.real_missing()
    if missing:
        say(f"!!!! NOTHING TRAINS IN THIS DEMO: no real nodes ({missing})")
        say("!!!! what is left to see: the gang placed whole, a card that breaks by a patched status, one restart")
    profiles = ("fake",) if missing else PROFILES
    ctx = lifecycle.up(name, Settings(profiles=profiles), say)
    asyncio.run(_fake_nodes(ctx, say))
    return of(ctx, fake=bool(missing), ours=True)


def current(say: Callable[[str], None], values: tuple[str, ...]) -> Site:
    """The cluster of the current KUBECONFIG: one of this checkout's by its folder, else somebody's."""
    named = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not Path(named).exists():
        raise ClusterError(f"there is no kubeconfig at {named}: set KUBECONFIG")
    kubeconfig = Path(named).resolve()
    if kubeconfig.name == "kubeconfig" and kubeconfig.parent.parent == paths.state("").parent / "cluster":
        ctx = lifecycle.existing(kubeconfig.parent.name)
        if ctx is not None:
            say(f"the current KUBECONFIG is this checkout's cluster {ctx.name}")
            settings = Settings.load(ctx.state)
            return of(ctx, fake=settings is None or "real" not in settings.profiles, ours=False)
    say("the current KUBECONFIG is somebody's cluster: no card is broken there")
    return Site(Kind.FOREIGN, kubeconfig, binaries.ensure(["helm", "kubectl"]), values=values)


def of(ctx: Context, *, fake: bool, ours: bool) -> Site:
    """A cluster of this checkout; ``ours`` where whoever asks may clear the table first."""
    # Fake nodes run nothing: there the operator runs beside the cluster, and the chart's own pod stays unplaced.
    where = "cardpool\\.dev/demo=no-such-node" if fake else "example\\.com/zone=z-real"
    values = ("--set", "image.tag=dev", "--set", f"nodeSelector.{where}")
    programs = binaries.ensure(["helm", "kubectl"])
    return Site(Kind.FAKE if fake else Kind.REAL, ctx.kubeconfig, programs, ctx, ours, values)


async def connect(site: Site) -> Kube:
    """A client with the kubeconfig's credentials, of whatever sort they are."""
    credentials = await auth.load(str(site.kubeconfig))
    connector = aiohttp.TCPConnector(limit=64, ssl=credentials.ssl_context() or False)
    return Kube(credentials.server, aiohttp.ClientSession(connector=connector, headers=await credentials.headers()))


async def _fake_nodes(ctx: Context, say: Callable[[str], None]) -> None:
    made = layouts.nodes(layouts.LAYOUTS["mixed"])
    async with Kube.open(ctx.kubeconfig) as client:
        new = await nodes.create(client, made)
        await nodes.wait_ready(client, [node["metadata"]["name"] for node in made], 60)
    say(f"{len(made)} fake nodes are Ready, {new} of them new")


def clear_table(site: Site) -> None:
    """Remove what an earlier demo kept on its own cluster: objects, chart, broken cards, checkpoints."""
    if not site.ours or site.ctx is None:
        return
    if "cardpool.dev" in site.run("kubectl", "api-resources", "--api-group=cardpool.dev", "-o", "name", check=False):
        site.run("kubectl", "delete", "--ignore-not-found", "--wait", "-f", str(MANIFESTS), check=False)
    uninstall(site)
    if site.kind is Kind.REAL:
        for node in real_layout.NODES:
            cards.start(site.ctx, node)
            for card in cards.read(site.ctx.state, node):
                cards.set_health(site.ctx.state, node, card, cards.Health.HEALTHY)
        for path in real_layout.shared(site.ctx.state).iterdir():
            shutil.rmtree(path)


def install(site: Site) -> bool:
    """Install the chart and wait until the operator is ready; False where an operator is there already."""
    if "cardpool" in site.run("helm", "list", "-A", "-q", "--filter", "cardpool"):
        return False
    wait = ("--wait", "--timeout", f"{HELM_SECONDS - 30}s") if site.kind is not Kind.FAKE else ()
    words = ("install", RELEASE, str(CHART), "-n", HOME, "--create-namespace", *site.values, *wait)
    site.run("helm", *words, seconds=HELM_SECONDS)
    return True


def uninstall(site: Site) -> None:
    """Remove the release, if it is there; the CRDs stay, as the chart keeps them."""
    if RELEASE in site.run("helm", "list", "-n", HOME, "-q", check=False).split():
        site.run("helm", "uninstall", RELEASE, "-n", HOME, "--wait", "--timeout", "60s", seconds=HELM_SECONDS)


def apply(site: Site, manifests: list[dict[str, Any]]) -> str:
    """`kubectl apply` these manifests, as a user would; what it said."""
    target = paths.ROOT / ".build" / "demo" / "manifests.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(yaml.safe_dump_all(manifests, sort_keys=False))
    return site.run("kubectl", "apply", "-f", str(target))


def manifests() -> list[dict[str, Any]]:
    """The README's three manifests: pool, supernode, job."""
    order = ("cardpool.yaml", "supernode.yaml", "trainingjob.yaml")
    return [one for name in order for one in yaml.safe_load_all((MANIFESTS / name).read_text())]


def log_tail(site: Site, lines: int = 25) -> str:
    """The end of the operator's log, where it runs as the chart's Deployment."""
    words = ("logs", "-n", HOME, "-l", "app.kubernetes.io/name=cardpool", f"--tail={lines}", "--prefix")
    return site.run("kubectl", *words, check=False).strip()


def describe(site: Site, kind: str, name: str, namespace: str, lines: int = 45) -> str:
    """The end of what `kubectl describe` says of the object."""
    where = ("-n", namespace) if namespace else ()
    said = site.run("kubectl", "describe", kind, name, *where, check=False).strip()
    return "\n".join(said.splitlines()[-lines:])
