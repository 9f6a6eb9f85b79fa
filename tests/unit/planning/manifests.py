"""Manifests for plans, and the command itself: YAML in a folder, ``cardpool plan`` on it, its JSON back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner, Result

from cardpool import cli
from tests.support import worlds

RUNNER = CliRunner()
NOW = "2026-01-01T00:00:00Z"
RESOURCE = "hygon.com/dcu"
API = "cardpool.dev/v1alpha1"
Json = dict[str, Any]


def pool(levels: Sequence[str] = (), name: str = "main", **spec: Any) -> Json:
    """A pool over all nodes with one profile, k100, and these levels."""
    return {
        "apiVersion": API,
        "kind": "CardPool",
        "metadata": {"name": name},
        "spec": {
            "selector": {},
            "profiles": [{"name": "k100", "vendor": "hygon"}],
            "topology": {"levels": [{"name": level, "label": worlds.LABEL + level} for level in levels]},
            **spec,
        },
    }


def node(name: str, cards: int = 8, labels: Mapping[str, str] | None = None, **spec: Any) -> Json:
    """A node without uid, times and conditions."""
    amounts = {"cpu": "64", "memory": "512Gi", "pods": "110", RESOURCE: str(cards)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": spec,
        "status": {"capacity": amounts, "allocatable": dict(amounts)},
    }


def nodes(domains: Any, levels: Sequence[str]) -> list[Json]:
    """The nodes of nested domains (see ``tests.support.worlds``)."""
    return [node(name, cards, labels) for name, cards, labels in worlds._leaves(domains, levels, {}, "")]


def not_ready(manifest: Json) -> Json:
    """The node, silent."""
    manifest["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    return manifest


def group(pods: int, cards: int = 1, name: str = "worker", **fields: Any) -> Json:
    """A group of pods that ask for nothing but cards; ``pod`` are fields of the pod's spec."""
    spec = {"containers": [{"name": "main", "image": "train:1"}], **fields.pop("pod", {})}
    return {"name": name, "replicas": pods, "cardsPerPod": cards, "template": {"spec": spec}, **fields}


def topology(
    required: str = "", preferred: str = "", blocks: Sequence[tuple[int, str]] = (), packing: str = ""
) -> Json:
    """A topology demand; absent parts are left out."""
    parts = {"required": required, "preferred": preferred, "packing": packing}
    found: Json = {key: value for key, value in parts.items() if value}
    if blocks:
        found["blocks"] = [{"pods": pods, "level": level} for pods, level in blocks]
    return found


def job(*groups: Json, name: str = "job", demand: Json | None = None, **spec: Any) -> Json:
    """A TrainingJob in the namespace team-a."""
    spec = {"pool": "main", "groups": list(groups), **({"topology": demand} if demand else {}), **spec}
    return {"apiVersion": API, "kind": "TrainingJob", "metadata": {"name": name, "namespace": "team-a"}, "spec": spec}


def running(manifest: Json, places: Sequence[str], **labels: str) -> list[Json]:
    """The pods of a job on these nodes, told by labels and nodeName alone."""
    name, pods, rank = manifest["metadata"]["name"], [], 0
    for part in manifest["spec"]["groups"]:
        for index in range(part["replicas"]):
            own = {"job": name, "group": part["name"], "index": str(index), "rank": str(rank), "attempt": "0"}
            words = {f"cardpool.dev/{key}": value for key, value in {**own, **labels}.items()}
            meta = {"name": f"{name}-{part['name']}-{index}", "namespace": "team-a", "labels": words}
            pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": places[rank]}})
            rank += 1
    return pods


def write(folder: Path, *objects: Json, name: str = "all.yaml") -> Path:
    """The objects as documents of one file."""
    path = folder / name
    path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    return path


def invoke(*arguments: object, output: str = "json") -> Result:
    """The command's result."""
    return RUNNER.invoke(cli.cli, ["plan", "--now", NOW, "-o", output, *(str(one) for one in arguments)])


def plan(*arguments: object) -> Json:
    """The plan that the command prints."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def planned(folder: Path, *objects: Json) -> Json:
    """The plan for these objects."""
    return plan("-f", write(folder, *objects))


def by_name(found: Json) -> dict[str, Json]:
    """Answers by the job's name."""
    return {item["name"]: item for item in found["jobs"]}


def only(found: Json) -> Json:
    """The answer for the only job."""
    assert len(found["jobs"]) == 1
    return found["jobs"][0]


def seats(answer: Json) -> list[str]:
    """The node of each rank."""
    assert [pod["rank"] for pod in answer["pods"]] == list(range(len(answer["pods"])))
    return [pod["node"] for pod in answer["pods"]]


def domains(answer: Json, objects: Sequence[Json], levels: Sequence[str], level: str) -> dict[str, int]:
    """Pods per domain of a level, by its path."""
    labels = {one["metadata"]["name"]: one["metadata"]["labels"] for one in objects}
    depth = [*levels, "node"].index(level)
    found: Counter[str] = Counter()
    for name in seats(answer):
        path = [labels[name][worlds.LABEL + above] for above in [*levels, "node"][: depth + 1] if above != "node"]
        found["/".join([*path, name] if level == "node" else path)] += 1
    return dict(found)
