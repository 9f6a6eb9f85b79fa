"""The operator as the chart's Deployment, real training, and what may go wrong with cards, plug-ins and checkpoints.

The steps and the claims are the demo's own; here they are met by an operator that no test process holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from e2e.cluster import cards, real_layout
from e2e.demo import scenario, site, timeline, verdicts
from e2e.demo.scenario import Story
from tests.support import invariants
from tests.support.history import condition, status_of
from tests.support.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from e2e.cluster.context import Context
    from tests.support.kubeclient import Kube

pytestmark = [pytest.mark.real, pytest.mark.timeout(420)]
DEBOUNCE = 2
GONE_SECONDS = 60.0


@pytest.fixture(scope="module")
def chart(real_cluster: Context) -> Iterator[site.Site]:
    """The operator, installed by helm from its image on the nodes."""
    place = site.of(real_cluster, fake=False, ours=False)
    site.install(place)
    yield place
    site.uninstall(place)


@pytest.fixture
async def recorder(chart: site.Site, kube: Kube) -> AsyncIterator[Recorder]:
    """Keeps everything that the API shows during one test."""
    recorder = Recorder(kube)
    await recorder.start()
    yield recorder
    await recorder.stop()


@pytest.fixture
async def story(
    real_cluster: Context, chart: site.Site, kube: Kube, recorder: Recorder, namespace: str
) -> AsyncIterator[Story]:
    """A job that is yet to be submitted, its pool being there; all cards are healed and all gone at the end."""
    pool, _, _ = site.manifests()
    pool["spec"]["faults"]["debounceSeconds"] = DEBOUNCE
    site.apply(chart, [pool])
    story = Story(kube, recorder, "llm", namespace, scenario.places(real_cluster, namespace))
    yield story
    for node in real_layout.NODES:
        cards.start(real_cluster, node)
        for card in cards.read(real_cluster.state, node):
            cards.set_health(real_cluster.state, node, card, cards.Health.HEALTHY)
    await story.gone()
    await scenario.unpooled(kube, recorder, pool["metadata"]["name"], ())


async def submit(story: Story, *, steps: int, every: int) -> None:
    """The README's job in the test's own namespace and checkpoint folder, so many steps of at least 50 ms."""
    _, _, job = site.manifests()
    job["metadata"]["namespace"] = story.namespace
    job["spec"]["checkpoint"]["path"] = story.namespace
    container = job["spec"]["groups"][0]["template"]["spec"]["containers"][0]
    values = {"STEPS": str(steps), "STEP_SECONDS": "0.05", "CHECKPOINT_EVERY": str(every)}
    container["env"] = [{"name": name, "value": value} for name, value in values.items()]
    await story.kube.create(job)


def judge(story: Story, *, restarts: int, **expected: Any) -> None:
    """The invariants over everything that was seen."""
    given = invariants.Expectation(restarts={story.key: restarts}, **expected)
    violations = invariants.check(story.recorder.history(bool), given)
    assert not violations, invariants.report(violations)


def damage(step: Path) -> str:
    """Cut the largest file of a saved step in half; its name."""
    largest = max((file for file in step.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    with largest.open("r+b") as stream:
        stream.truncate(largest.stat().st_size // 2)
    return largest.name


async def test_a_broken_card_costs_one_restart_and_no_step_more_than_it_must(story: Story) -> None:
    """Every claim of the demo holds: step + 1, the same loss, the card left out, one free restart, own gaps within 1 s."""
    await submit(story, steps=200, every=10)
    await story.running(0)
    await story.trained("checkpoint", 2, 0)
    broken = await story.break_card(rank=1)
    first = await story.resumed(1)
    status = await story.finished()
    history, curve = story.recorder.history(bool), story.curve
    line = timeline.build(history, story.key, broken, DEBOUNCE, first.time)
    judged = [
        verdicts.one_restart(status, broken),
        *verdicts.continues(curve, status, 1),
        verdicts.repeats(curve, 1),
        verdicts.card_unused(history, story.key, broken, 1),
        verdicts.succeeded(status, curve, 200),
        verdicts.quick(line),
        verdicts.agrees(line),
    ]

    assert [str(one) for one in judged if not one.holds] == []
    await story.gone()
    judge(story, restarts=1)


async def test_a_truncated_newest_checkpoint_is_passed_over(story: Story) -> None:
    """While the job is suspended its newest checkpoint is cut: it goes on from the one before, and status says why."""
    await submit(story, steps=400, every=10)
    await story.running(0)
    await story.trained("checkpoint", 3, 0)
    await story.kube.patch("TrainingJob", story.name, {"spec": {"suspend": True}}, story.namespace)
    await story.until(lambda: story.status().get("phase") == "Suspended" and not story.pods(), "suspended", 60)
    saved = [one.step for one in story.curve.of("checkpoint", 0)]
    folder = story.where.checkpoints
    assert folder is not None
    damage(folder / "0" / str(saved[-1]))
    await story.kube.patch("TrainingJob", story.name, {"spec": {"suspend": False}}, story.namespace)
    await story.until(lambda: story.curve.of("restored"), "a restored checkpoint", 90)
    await story.until(lambda: story.curve.lines[-1].event == "step", "a step after it", 30)

    lines = story.curve.lines
    restored = next(place for place, one in enumerate(lines) if one.event == "restored")
    checkpoint = story.status()["checkpoint"]
    newest = f"{story.namespace}/0/{saved[-1]}"
    assert (checkpoint["step"], [one["path"] for one in checkpoint["skipped"]]) == (saved[-2], [newest])
    assert {one["reason"] for one in checkpoint["skipped"]} <= {"Truncated", "ChecksumMismatch", "MissingFile"}
    assert condition(story.job(), "CheckpointVerified")["reason"] == "CheckpointFellBack"
    assert newest in condition(story.job(), "CheckpointVerified")["message"]
    assert (lines[restored].step, lines[restored + 1].step) == (saved[-2], saved[-2] + 1)
    assert lines[restored].loss == story.curve.losses("checkpoint")[saved[-2]]
    await story.gone()
    judge(story, restarts=0, bad_checkpoints=frozenset({newest}))


async def test_a_device_plugin_that_is_gone_for_a_minute_restarts_nothing(real_cluster: Context, story: Story) -> None:
    """Its cards become Unknown, the gang on them trains on, and all is Healthy again once the plug-in is back."""
    await submit(story, steps=100_000, every=100)
    await story.running(0)
    await story.trained("step", 1, 0)
    pods = {pod["metadata"]["uid"]: pod["spec"]["nodeName"] for pod in story.pods()}
    name = next(iter(pods.values()))
    node = real_layout.node(name)

    def unknown() -> int:
        supernodes = story.recorder.now["Supernode"].values()
        return sum(int((status_of(one).get("cards") or {}).get("unknown", 0)) for one in supernodes)

    cards.stop(real_cluster, node)
    await story.until(lambda: unknown() == node.cards, "all cards of the node Unknown", 60)
    await story.recorder.holds(lambda: story.status()["attempt"] == 0, GONE_SECONDS, "attempt 0")
    before = story.curve.last("step")
    cards.start(real_cluster, node)
    await story.until(lambda: unknown() == 0, "no card Unknown", 60)
    await story.until(lambda: story.curve.last("step") != before, "a further step", 30)

    assert {pod["metadata"]["uid"]: pod["spec"]["nodeName"] for pod in story.pods()} == pods
    assert (story.status()["phase"], story.status()["attempt"]) == ("Running", 0)
    await story.gone()
    judge(story, restarts=0)
