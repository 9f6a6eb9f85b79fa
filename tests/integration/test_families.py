"""A sample of each family of placement cases on the real API server: what the plan said is what kube-scheduler bound.

Every family has a pool of its own, all of them one operator. The plan is made before the operator starts, and for what
happens later on manifests that were saved before it happened.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2e.cluster import rest
from tests.integration.test_plan import dump, jobs_of, operator, plan
from tests.support import builders, invariants, worlds
from tests.support.history import Seen
from tests.support.recorder import Recorder
from tests.support.rules.verdict import Expectation

if TYPE_CHECKING:
    from e2e.cluster.context import Context
    from tests.support.kubeclient import Kube
    from tests.support.operator_process import Operator

__all__ = ["operator"]

VENDOR = "hygon"
RESOURCE = builders.RESOURCES[VENDOR]
LEVELS = ("zone", "rack")
Json = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """A pool's nodes as nested domains, what changes of single nodes, its jobs, and what the plan says of each."""

    domains: Any
    jobs: dict[str, Json]
    says: dict[str, str]
    nodes: dict[str, Json] = field(default_factory=dict)
    spec: Json = field(default_factory=dict)


def job(pods: int = 1, cards: int = 1, *groups: Json, **spec: Any) -> Json:
    """Groups and spec of a job; the rest is filled in where its pool is known."""
    return {"groups": list(groups) or [builders.group(pods, cards)], **spec}


def topology(**demand: Any) -> Json:
    """A job of a demand."""
    return {"topology": demand}


SELECTIVE = builders.group(2, 4)
SELECTIVE["template"]["spec"]["nodeSelector"] = {"kind": "new"}
SAME_NAMES = {"z1": {"r1": [1], "r2": [1, 1, 1]}, "z2": {"r1": [1], "r2": [2]}}
TAINT = {"key": "dedicated", "value": "x", "effect": "NoSchedule"}
FAMILIES: dict[str, Family] = {
    "level": Family(
        SAME_NAMES,
        {"three": job(3, 1, **topology(required="rack")), "four": job(4, 1, **topology(required="rack"))},
        {"three": "Place", "four": "Wait"},
    ),
    "blocks": Family(
        {"z": {"r1": [1, 4], "r2": [3, 4]}},
        {"nested": job(8, 1, **topology(blocks=[{"pods": 4, "level": "rack"}, {"pods": 2, "level": "node"}]))},
        {"nested": "Place"},
    ),
    "groups": Family(
        {"z": {"r1": [2, 4, 3], "r2": [8]}},
        {"leader": job(0, 0, builders.group(1, 1, "leader"), builders.group(4, 2), topology={"required": "rack"})},
        {"leader": "Place"},
    ),
    "counted": Family(
        {"z": {"r": {"a": 8, "b": 8, "c": 8, "d": 2}}},
        {"picky": job(0, 0, SELECTIVE)},
        {"picky": "Wait"},
        {
            "a": {"metadata": {"labels": {"kind": "new"}}, "spec": {"taints": [TAINT]}},
            "d": {"metadata": {"labels": {"kind": "new"}}},
        },
    ),
    "alone": Family(
        {"z": {"r1": [4, 4], "r2": [4, 4]}},
        {"hermit": job(2, 1, **topology(exclusive="rack")), "other": job(2, 2), "third": job(1, 4)},
        {"hermit": "Place", "other": "Place", "third": "Place"},
    ),
    "even": Family(
        {"z": {"r1": [5, 1], "r2": [3, 3]}},
        {"halves": job(6, 1, **topology(preferred="rack", packing="Balanced"))},
        {"halves": "Place"},
    ),
    "quota": Family(
        {"z": {"r": [4, 4]}},
        {"first": job(1, 4), "second": job(1, 4)},
        {"first": "Place", "second": "Wait"},
        spec={"quota": 4},
    ),
    "repair": Family(
        {"z": {"r1": [4, 4, 4], "r2": [4]}},
        {"pair": job(2, 4, **topology(required="rack"))},
        {"pair": "Place"},
    ),
    "yield": Family(
        {"z": {"r": [4, 4]}},
        {"low": job(2, 4, priorityClassName="low")},
        {"low": "Place"},
        spec={"queue": {"preemption": {"withinTeam": "LowerPriority", "minRuntimeSeconds": 0}}},
    ),
}


class Hall:
    """All families of a test in its namespace."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube, self.namespace = kube, namespace
        self.nodes: list[str] = []
        self.pools = {name: f"{namespace}-{name}" for name in FAMILIES}

    async def build(self) -> None:
        """Nodes, pools, classes and jobs, the jobs of a family in their order."""
        for name, value in (("low", 1), ("high", 100)):
            await self.kube.create(builders.priority_class(self.priority(name), value))
        made = [node for name, family in FAMILIES.items() for node in self._nodes(name, family)]
        self.nodes = [node["metadata"]["name"] for node in made]
        await self.kube.make_nodes(made)
        for name, family in FAMILIES.items():
            spec = dict(family.spec)
            cards = spec.pop("quota", None)
            if cards is not None:
                quota = [{"profile": VENDOR, "cards": cards, "borrow": 0}]
                spec["teams"] = [{"name": "ours", "namespaces": [self.namespace], "quota": quota}]
            levels = [{"name": level, "label": worlds.LABEL + level} for level in LEVELS]
            await self.kube.create(
                builders.pool(self.pools[name], vendors=(VENDOR,), topology={"levels": levels}, **spec)
            )
        for name, family in FAMILIES.items():
            for one, fields in family.jobs.items():
                await self.kube.create(self.job(name, one, fields))

    async def clear(self) -> None:
        """Everything of cluster scope goes."""
        await asyncio.gather(
            *(self.kube.delete("CardPool", pool) for pool in self.pools.values()),
            *(self.kube.delete("PriorityClass", self.priority(name)) for name in ("low", "high")),
            *(self.kube.delete("Node", name) for name in self.nodes),
        )

    def priority(self, name: str) -> str:
        """A class of this test alone."""
        return f"{self.namespace}-{name}"

    def job(self, family: str, name: str, fields: Json) -> Json:
        """A job's manifest."""
        spec = dict(fields)
        if "priorityClassName" in spec:
            spec["priorityClassName"] = self.priority(spec["priorityClassName"])
        return builders.job(name, self.namespace, self.pools[family], **spec)

    def concerns(self, seen: Seen) -> bool:
        """Whether an event belongs to this test."""
        meta, spec = seen.body["metadata"], seen.body.get("spec") or {}
        if meta.get("namespace"):
            return bool(meta["namespace"] == self.namespace)
        return meta["name"] in {*self.nodes, *self.pools.values()} or spec.get("pool") in self.pools.values()

    def _nodes(self, name: str, family: Family) -> list[Json]:
        made = []
        for own, cards, labels in worlds._leaves(family.domains, LEVELS, {}, ""):
            changes = family.nodes.get(own, {})
            own_labels = labels | changes.get("metadata", {}).get("labels", {})
            node = builders.node(
                f"{self.pools[name]}-{own}", self.pools[name], vendor=VENDOR, cards=cards, labels=own_labels
            )
            made.append({**node, "spec": changes.get("spec", {})})
        return made

    async def bound(self, name: str) -> dict[str, str]:
        """The node of each pod of a job that kube-scheduler has bound and nobody takes away."""
        pods = await self.kube.list("Pod", self.namespace)
        mine = [pod for pod in pods if pod["metadata"]["labels"].get("cardpool.dev/job") == name]
        return {
            pod["metadata"]["name"]: pod["spec"]["nodeName"]
            for pod in mine
            if "nodeName" in pod["spec"] and "deletionTimestamp" not in pod["metadata"]
        }

    async def comes_true(self, answers: dict[str, Json]) -> None:
        """Return when every pod of these answers is bound where they say."""

        async def look() -> bool:
            return all([await self.bound(name) == seats(answer) for name, answer in answers.items()])

        await rest.wait_for(look, 45.0, f"pods of {', '.join(answers)} where the plan says")

    async def condition(self, name: str) -> tuple[str, str]:
        """Reason and message of a job that waits."""
        found = await self.kube.get("TrainingJob", name, self.namespace)
        one = next(item for item in found["status"]["conditions"] if item["type"] == "PodsScheduled")
        return one["reason"], one["message"]


def seats(answer: Json) -> dict[str, str]:
    """The node of each pod of an answer, by the pod's name."""
    return {f"{answer['name']}-{pod['group']}-{pod['index']}": pod["node"] for pod in answer["pods"]}


def shrunk(folder: Path, node: str, cards: int) -> Path:
    """The saved manifests, with fewer cards on a node."""
    path = folder / "Node.json"
    listed = json.loads(path.read_text())
    for item in listed["items"]:
        if item["metadata"]["name"] == node:
            item["status"]["allocatable"][RESOURCE] = str(cards)
    path.write_text(json.dumps(listed))
    return folder


@pytest.mark.timeout(180)
async def test_each_family_comes_true(
    cluster: Context, kube: Kube, operator: Operator, namespace: str, tmp_path: Path
) -> None:
    """Before the operator starts; then a node that loses cards; then a job that takes the place of another."""
    hall, recorder = Hall(kube, namespace), Recorder(kube)
    await recorder.start()
    await hall.build()
    try:
        said = jobs_of(await plan(cluster, "-f", await dump(kube, tmp_path / "before")), namespace)
        assert {name: word for family in FAMILIES.values() for name, word in family.says.items()} == {
            name: item["decision"] for name, item in said.items()
        }
        await operator.start()
        await hall.comes_true({name: item for name, item in said.items() if item["decision"] == "Place"})
        settled = jobs_of(await plan(cluster, "-f", await dump(kube, tmp_path / "settled")), namespace)
        for name in ("four", "picky", "second"):
            reason, message = await hall.condition(name)
            assert reason == settled[name]["reason"]
            assert message.startswith(settled[name]["message"])
        assert "1 tainted" in said["picky"]["message"]

        lost = said["pair"]["pods"][0]["node"]
        saved = shrunk(await dump(kube, tmp_path / "shrunk"), lost, 3)
        moved = jobs_of(await plan(cluster, "-f", saved), namespace)["pair"]
        assert (moved["decision"], moved["reason"]) == ("Place", "CardsShrunk")
        assert moved["pods"][1]["node"] == said["pair"]["pods"][1]["node"] != lost != moved["pods"][0]["node"]
        await kube.set_cards(lost, RESOURCE, 3, capacity=4)
        await hall.comes_true({"pair": moved})

        wanted = hall.job("yield", "high", job(1, 4, priorityClassName="high"))
        (tmp_path / "high.json").write_text(json.dumps(wanted))
        saved = await dump(kube, tmp_path / "full")
        found = await plan(cluster, "-f", saved, "-f", tmp_path / "high.json")
        displaced = jobs_of(found, namespace)["high"]
        assert [(item["name"], item["by"]) for item in found["evictions"]] == [("low", f"{namespace}/high")]
        assert displaced["decision"] == "Preempt"
        await kube.create(wanted)
        await hall.comes_true({"high": displaced})
        assert await hall.bound("low") == {}

        expected = Expectation(restarts={f"{namespace}/pair": 1})
        violations = invariants.check(recorder.history(hall.concerns), expected)
        assert not violations, invariants.report(violations)
    finally:
        await recorder.stop()
        await hall.clear()
