"""The demo on somebody's cluster: pool and job are shown, and nothing is ever broken.

Safe by what it does not do: it labels no node by hand, changes no object that exists, and breaks no card; the user
chooses the nodes by labelling them, and the images by options.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from cardpool.vendors import registry
from e2e.demo import scenario, site, verdicts, view
from e2e.demo.scenario import MissingError, Places, Story
from e2e.demo.site import Site
from tests.support.history import condition, status_of
from tests.support.kubeclient import Kube
from tests.support.recorder import Recorder

KINDS = ("Node", "Pod", "TrainingJob", "CardPool", "Supernode", "Service", "ConfigMap")


async def run(
    place: Site, kube: Kube, screen: view.Screen, stack: contextlib.AsyncExitStack, image: str, *, keep: bool
) -> bool:
    """Install, apply, show, and remove it again; whether pool and job came as far as they can."""
    pool, _, job = site.manifests()
    await _nodes_with_cards(kube, pool, screen)
    screen.headline("helm install")
    if await asyncio.to_thread(site.install, place):
        if not keep:
            stack.push_async_callback(asyncio.to_thread, site.uninstall, place)
    else:
        screen.say("an operator is installed already: it is used as it is")
    applied = [pool, _plain(job, image)] if image else [pool]
    for body in applied:
        meta = body["metadata"]
        if await kube.find(body["kind"], meta["name"], meta.get("namespace")):
            raise site.UnfitError(f"{body['kind']} {meta['name']} exists already, and the demo would change it")
    recorder = Recorder(kube, KINDS)
    await recorder.start()
    stack.push_async_callback(recorder.stop)
    story = Story(kube, recorder, job["metadata"]["name"], job["metadata"]["namespace"], Places())
    if not keep:
        stack.push_async_callback(_clear, kube, story, pool["metadata"]["name"], with_job=bool(image))
    for line in (await asyncio.to_thread(site.apply, place, applied)).splitlines():
        screen.say(line)
    await story.until(
        lambda: condition(recorder.find("CardPool", pool["metadata"]["name"]) or {}, "Ready").get("status") == "True",
        "condition Ready", 60, "CardPool", pool["metadata"]["name"],
    )  # fmt: skip
    await story.until(lambda: view.chart(story), "supernodes with cards", 30, "CardPool", pool["metadata"]["name"])
    screen.show_map(view.chart(story))
    ran = True
    if image:
        async with screen.following(story):
            ran = (await story.running(0, 300))["phase"] == "Running"
        screen.show_map(view.chart(story))
    else:
        screen.say("no job was applied: name an image that your nodes can pull with --train-image")
    screen.say("nothing is broken here: this demo breaks cards only through its own fake device plug-ins")
    screen.say(str(verdicts.Verdict("pool and job are as far as they can be", ran, _words(recorder, pool))))
    return ran


async def _nodes_with_cards(kube: Kube, pool: dict[str, Any], screen: view.Screen) -> None:
    """The pool must select a node with a known maker's cards; ClusterError says what to label otherwise."""
    known = set(registry.load_builtin().all_card_resources())
    cards = {
        node["metadata"]["name"]: sorted(known & set(status_of(node).get("allocatable") or {}))
        for node in await kube.list("Node")
    }
    able = sorted(name for name, resources in cards.items() if resources)
    if not able:
        raise site.UnfitError(
            "no node of this cluster offers cards of a maker that cardpool knows: is a device plug-in there?"
        )
    label, value = next(iter(pool["spec"]["selector"]["matchLabels"].items()))
    chosen = [node["metadata"]["name"] for node in await kube.list("Node", labels=f"{label}={value}")]
    if not set(chosen) & set(able):
        raise site.UnfitError(
            f"choose the nodes for the pool yourself, for example `kubectl label node {able[0]} {label}={value}`; "
            f"nodes with cards: {', '.join(able[:8])}{' …' if len(able) > 8 else ''}"
        )
    screen.say(f"the pool takes {len(chosen)} labelled nodes of {len(able)} with cards")


def _plain(job: dict[str, Any], image: str) -> dict[str, Any]:
    """The job with the user's image, without the demo's folder on the nodes and what hangs on it."""
    spec = job["spec"]
    pod = spec["groups"][0]["template"]["spec"]
    pod["containers"][0]["image"] = image
    for part in ("nodeSelector", "volumes"):
        pod.pop(part, None)
    pod["containers"][0].pop("volumeMounts", None)
    for part in ("checkpoint", "topology", "accept"):
        spec.pop(part, None)
    return job


async def _clear(kube: Kube, story: Story, pool: str, *, with_job: bool) -> None:
    with contextlib.suppress(MissingError):  # uninstalling goes on, and says what is left
        if with_job:
            await story.gone()
        await scenario.unpooled(kube, story.recorder, pool, ())


def _words(recorder: Recorder, pool: dict[str, Any]) -> str:
    body = recorder.find("CardPool", pool["metadata"]["name"]) or {}
    counts = status_of(body).get("cards") or {}
    return f"{counts.get('total', 0)} cards, {counts.get('healthy', 0)} healthy, {counts.get('free', 0)} free"
