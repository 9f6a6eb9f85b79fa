"""The demo itself, act by act, on a cluster with real nodes or with fake ones, and the quiet one on somebody's.

Every claim is judged at the end from what the recorder kept; the acts only wait for what they need to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import cards, paths, real_layout, rest
from e2e.demo import report, scenario, site, timeline, verdicts, view
from e2e.demo.scenario import MissingError, Places, Story
from e2e.demo.site import Kind, Site
from e2e.demo.timeline import Broken, Timeline
from e2e.demo.verdicts import Verdict
from tests.support.kubeclient import Kube
from tests.support.operator_process import Operator
from tests.support.recorder import Recorder

CHECKPOINTS = 2  # complete ones before the card breaks
LOG = "operator.log"


class Stage:
    """One performance on a cluster of ours."""

    def __init__(self, place: Site, kube: Kube, screen: view.Screen, out: Path, *, keep: bool) -> None:
        self.place, self.kube, self.screen, self.out, self.keep = place, kube, screen, out, keep
        self.real = place.kind is Kind.REAL
        self.manifests = _adapted(site.manifests(), real=self.real)
        self.pool, self.supernode, self.job = self.manifests
        self.scenes: list[report.Scene] = []
        self.said = ""
        self.broken: Broken | None = None

    async def run(self, stack: contextlib.AsyncExitStack) -> bool:
        """All acts; whether every claim holds."""
        begun = time.monotonic()
        await self._unused()
        self.screen.headline("helm install")
        if await asyncio.to_thread(site.install, self.place):
            if not self.keep:
                stack.push_async_callback(asyncio.to_thread, site.uninstall, self.place)
            if not self.real:
                await self._operator_beside(stack)
        else:
            self.screen.say("an operator is installed already: it is used as it is")
        recorder = Recorder(self.kube)
        await recorder.start()
        stack.push_async_callback(recorder.stop)
        where = self._where()
        self.screen.headline("kubectl apply: a CardPool, a Supernode, a TrainingJob")
        for line in (await asyncio.to_thread(site.apply, self.place, self.manifests)).splitlines():
            self.screen.say(line)
        meta = self.job["metadata"]
        story = Story(self.kube, recorder, meta["name"], meta["namespace"], where)
        if not self.keep:
            stack.push_async_callback(self._clear_somehow, story)
        async with self.screen.following(story):
            broken = await (self._real_acts(story) if self.real else self._fake_acts(story))
        judged, told = self._judge(story, broken)
        if not self.keep:
            await self._clear(story)
        judged.append(verdicts.invariants_hold(recorder.history(bool), {story.key: 1}))
        self._report(story, judged, told)
        self.screen.say(f"the demo took {time.monotonic() - begun:.0f} s after the cluster was up")
        return all(one.holds for one in judged)

    def _where(self) -> Places:
        """Where the job saves; a folder that an earlier job left full is not used, or it would be resumed from."""
        if self.place.ctx is None or not self.real:
            return Places()
        checkpoint = self.job["spec"]["checkpoint"]
        found = scenario.places(self.place.ctx, checkpoint["path"])
        if found.checkpoints is None or not found.checkpoints.exists():
            return found
        checkpoint["path"] += f"-{int(time.time())}"
        self.screen.say(f"{found.checkpoints} is an earlier job's: this one saves into {checkpoint['path']}")
        return scenario.places(self.place.ctx, checkpoint["path"])

    async def _unused(self) -> None:
        """The demo's objects must not be somebody's already."""
        for body in self.manifests:
            meta = body["metadata"]
            if await self._served(body) and await self.kube.find(body["kind"], meta["name"], meta.get("namespace")):
                raise site.UnfitError(
                    f"{body['kind']} {meta['name']} exists already and the demo would change it: "
                    f"`kubectl delete -f {site.MANIFESTS.relative_to(paths.ROOT)}` first"
                )

    async def _served(self, body: dict[str, Any]) -> bool:
        crd = f"{body['kind'].lower()}s.cardpool.dev"
        return await self.kube.find("CustomResourceDefinition", crd) is not None

    async def _operator_beside(self, stack: contextlib.AsyncExitStack) -> None:
        """Fake nodes run no containers: the operator runs here, with the ServiceAccount that the chart made."""
        deployment = await self.kube.get("Deployment", site.RELEASE, site.HOME)
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        config = yaml.safe_load(self.place.kubeconfig.read_text())
        token = await self.kube.token(account, site.HOME)
        config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
        target = self.place.kubeconfig.parent / "operator.kubeconfig"
        target.touch(mode=0o600)
        target.write_text(yaml.safe_dump(config))
        operator = Operator(target, self.place.kubeconfig.parent, Path(LOG).stem, CARDPOOL_NAMESPACE=site.HOME)
        stack.push_async_callback(operator.stop)
        self.screen.say(f"the operator leads after {await operator.start():.1f} s, under the chart's ServiceAccount")

    async def _real_acts(self, story: Story) -> Broken:
        await story.running(0)
        self.screen.headline("the gang trains")
        await story.trained("checkpoint", CHECKPOINTS, 0)
        self._scene("before the fault", story)
        broken = self.broken = await story.break_card(rank=0)
        self.screen.headline(f"{broken.card} of {broken.node} breaks: the device plug-in calls it Unhealthy")
        await self._taken_down(story)
        first = await story.resumed(1)
        self.screen.headline(f"the gang trains again, from step {first.step}")
        self._scene("after the resume", story)
        await self._kubectl()
        await story.finished()
        return broken

    async def _fake_acts(self, story: Story) -> Broken:
        """What kubelet would report of a broken card is written by hand; KWOK starts and ends the pods."""
        await story.running(0)
        pod = story.pods()[0]
        name, node = pod["metadata"]["name"], str(pod["spec"]["nodeName"])
        resource, number = next(iter(_cards(pod).items()))
        ids = [f"card-{index}" for index in range(number)]
        healthy = dict.fromkeys(ids, "Healthy")
        await self.kube.report_cards(name, story.namespace, resource, healthy)
        self._scene("before the fault", story)
        broken = self.broken = Broken(node, ids[-1], time.time(), name)
        self.screen.headline(f"{broken.card} of {node} is called Unhealthy, by a status that the demo writes")
        await self.kube.report_cards(name, story.namespace, resource, {**healthy, broken.card: "Unhealthy"})
        total = int(story.recorder.now["Node"][node]["status"]["capacity"][resource])
        await self.kube.set_cards(node, resource, total - 1)
        await self._taken_down(story)
        await story.running(1)
        self.screen.headline("the gang runs again")
        self._scene("after the restart", story)
        await self._kubectl()
        return broken

    async def _taken_down(self, story: Story) -> None:
        await story.until(
            lambda: story.status().get("attempt") == 1,
            "one restart (attempt 1)",
            float(self.pool["spec"]["faults"]["debounceSeconds"]) + 30,
        )
        self.screen.say(f"restart: {(story.status().get('lastFault') or {}).get('message')}", "yellow")
        self._scene("the gang comes down", story)

    def _scene(self, title: str, story: Story) -> None:
        rows = view.chart(story)
        self.scenes.append(report.Scene(title, rows))
        self.screen.show_map(rows)

    def _judge(self, story: Story, broken: Broken) -> tuple[list[Verdict], Timeline | None]:
        status, history, read = story.status(), story.recorder.history(bool), story.curve
        judged = [verdicts.one_restart(status, broken)]
        if self.real:
            judged += verdicts.continues(read, status, 1)
            judged.append(verdicts.repeats(read, 1))
            judged.append(verdicts.card_unused(history, story.key, broken, 1))
            steps = _env(self.job, "STEPS")
            judged.append(verdicts.succeeded(status, read, int(steps) if steps else None))
        debounce = float(self.pool["spec"]["faults"]["debounceSeconds"])
        first = next(iter(read.of("step", 1)), None)
        try:
            line = timeline.build(history, story.key, broken, debounce, first.time if first else None)
        except ValueError as error:
            judged.append(Verdict("the restart can be told from the API", False, str(error)))
            return judged, None
        judged.append(verdicts.quick(line))
        if self.real:  # KWOK replaces the conditions that carry kube-scheduler's and kubelet's own times
            judged.append(verdicts.agrees(line))
        return judged, line

    async def _kubectl(self) -> None:
        """What a user would look at now."""
        looks = (("get", "cpool,sn"), ("get", "tjob,pods", "-o", "wide"), ("get", "events", "--field-selector",
                 f"involvedObject.kind=TrainingJob,involvedObject.name={self.job['metadata']['name']}"))  # fmt: skip
        where = ("-n", self.job["metadata"]["namespace"])
        said = [
            f"$ kubectl {' '.join(words)}\n{await asyncio.to_thread(self.place.run, 'kubectl', *words, *where)}"
            for words in looks
        ]
        self.said = "\n".join(said)
        self.screen.console.print("\n" + self.said, markup=False, highlight=False, soft_wrap=True)

    async def _clear(self, story: Story) -> None:
        """Delete what was applied, and wait until nothing of it is left; a second call finds nothing to do."""
        if story.recorder.find("CardPool", self.pool["metadata"]["name"]) is None:
            return
        self.screen.say("deleting the job, the supernode and the pool; healing what was broken")
        await story.gone()
        names = (self.supernode["metadata"]["name"],)
        await scenario.unpooled(self.kube, story.recorder, self.pool["metadata"]["name"], names)
        await self._heal(story)

    async def _heal(self, story: Story) -> None:
        """Give the broken card back: through its plug-in, or on a fake node as kubelet would have counted it."""
        if self.broken is None or self.place.ctx is None:
            return
        if self.real:
            node = real_layout.node(self.broken.node)
            cards.set_health(self.place.ctx.state, node, self.broken.card, cards.Health.HEALTHY)
            return
        capacity = story.recorder.now["Node"][self.broken.node]["status"]["capacity"]
        for resource, number in capacity.items():
            if "/" in resource:
                await self.kube.set_cards(self.broken.node, resource, int(number))

    async def _clear_somehow(self, story: Story) -> None:
        """The same where the demo already failed: what cannot be cleared is said and does not hide why."""
        try:
            await self._clear(story)
        except (MissingError, rest.ApiError) as error:
            self.screen.say(f"not all could be removed: {error}", "bold red")

    def _report(self, story: Story, judged: list[Verdict], line: Timeline | None) -> None:
        if line is not None:
            self.screen.headline("from the fault to the next step")
            self.screen.show_timeline(line)
        self.screen.headline("what was claimed")
        for one in judged:
            self.screen.say(str(one), "green" if one.holds else "bold red")
        read = story.curve
        resumed = read.last("restored", 1)
        self.out.mkdir(parents=True, exist_ok=True)
        target = self.out / "report.html"
        title = "cardpool: a card dies, the gang comes back" if self.real else "cardpool on fake nodes: nothing trained"
        target.write_text(
            report.page(title, self.place.kind.value, judged, line, read, resumed.step if resumed else None,
                        self.scenes, self.said)
        )  # fmt: skip
        self.screen.say(f"report: {target}")


def _adapted(manifests: list[dict[str, Any]], *, real: bool) -> list[dict[str, Any]]:
    """The README's manifests; on fake nodes the job goes where those are, without a checkpoint that nobody writes."""
    if not real:
        spec = manifests[2]["spec"]
        spec["groups"][0]["template"]["spec"]["nodeSelector"] = {"example.com/zone": "zone-a"}
        del spec["checkpoint"]
    return manifests


def _env(job: dict[str, Any], name: str) -> str | None:
    container = job["spec"]["groups"][0]["template"]["spec"]["containers"][0]
    return next((one["value"] for one in container.get("env") or () if one["name"] == name), None)


def _cards(pod: Any) -> dict[str, int]:
    limits = pod["spec"]["containers"][0]["resources"]["limits"]
    return {name: int(number) for name, number in limits.items() if "/" in name}


def operator_log(place: Site) -> str:
    """The end of the operator's log, wherever it runs."""
    beside = place.kubeconfig.parent / LOG
    if place.kind is Kind.FAKE and beside.exists():
        return "\n".join(beside.read_text(errors="replace").splitlines()[-25:])
    return site.log_tail(place)
