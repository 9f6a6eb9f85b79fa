"""How long `cardpool plan` reads a pool of a million cards, and with how much memory, `python -m e2e.bench.load`.

The nodes look as `kubectl get nodes` gives them: labels, conditions, addresses, 2 KB of JSON each; so do the pods.
Each form is read by a process of its own, which also plans a gang of 1,280 pods and one of 12,800. Processor time is
that of the whole process; the time on the clock runs from its start to its end.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from e2e.bench import report

RANGES = report.RANGES.with_name("engine.yaml")
NOW = 1_767_225_600.0
CARD = "hygon.com/dcu"
MEANING = {
    "cpu_s": "processor time of the process",
    "load_s": "reading, on the clock",
    "plan_s": "planning, on the clock",
    "gib": "most memory, in GiB",
    "s": "all of it on the clock",
}
POOL = {
    "apiVersion": "cardpool.dev/v1alpha1",
    "kind": "CardPool",
    "metadata": {"name": "main"},
    "spec": {
        "selector": {},
        "profiles": [{"name": "k100", "vendor": "hygon"}],
        "topology": {"levels": [{"name": "zone", "label": "example.com/zone"}, {"name": "supernode", "label": "sn"}]},
    },
}
CONDITIONS = {
    "MemoryPressure": ("False", "kubelet has sufficient memory available"),
    "DiskPressure": ("False", "kubelet has no disk pressure"),
    "PIDPressure": ("False", "kubelet has sufficient PID available"),
    "Ready": ("True", "kubelet is posting ready status"),
}


def node(name: str, uid: str, zone: str, supernode: str) -> dict[str, Any]:
    """A node of 8 cards as the API server has it."""
    amounts = {"cpu": "128", "ephemeral-storage": "1843200Mi", "memory": "1056498988Ki", "pods": "110", CARD: "8"}
    moment = "2025-12-01T08:00:00Z"
    labels = {"beta.kubernetes.io/arch": "amd64", "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"}
    labels |= {"kubernetes.io/hostname": name, "example.com/zone": zone, "sn": supernode}
    conditions = [
        {
            "lastHeartbeatTime": moment,
            "lastTransitionTime": moment,
            "message": message,
            "reason": f"Kubelet{kind}",
            "status": status,
            "type": kind,
        }
        for kind, (status, message) in CONDITIONS.items()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "annotations": {"node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/attach": "true"},
            "creationTimestamp": moment,
            "labels": labels,
            "name": name,
            "resourceVersion": "123456",
            "uid": uid,
        },
        "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"], "providerID": f"metal://{name}"},
        "status": {
            "addresses": [{"address": "10.1.2.3", "type": "InternalIP"}, {"address": name, "type": "Hostname"}],
            "allocatable": amounts,
            "capacity": dict(amounts),
            "conditions": conditions,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": "amd64",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kernelVersion": "6.1.0-30-amd64",
                "kubeletVersion": "v1.36.3",
                "operatingSystem": "linux",
                "osImage": "Debian GNU/Linux 12 (bookworm)",
            },
        },
    }


def pod(name: str, uid: str, node_name: str, owner: str) -> dict[str, Any]:
    """A running pod of somebody else that holds all cards of its node."""
    moment = "2025-12-02T08:00:00Z"
    amounts = {"cpu": "32", "memory": "256Gi", CARD: "8"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "creationTimestamp": moment,
            "labels": {"app": "serve", "batch.kubernetes.io/job-name": owner},
            "name": name,
            "namespace": "team-b",
            "ownerReferences": [
                {"apiVersion": "batch/v1", "controller": True, "kind": "Job", "name": owner, "uid": f"1{uid[1:]}"}
            ],
            "resourceVersion": "654321",
            "uid": uid,
        },
        "spec": {
            "containers": [
                {
                    "args": ["--model", "large"],
                    "image": "registry.example.com/serve:1.2",
                    "imagePullPolicy": "IfNotPresent",
                    "name": "main",
                    "resources": {"limits": amounts, "requests": dict(amounts)},
                    "volumeMounts": [{"mountPath": "/data", "name": "data"}],
                }
            ],
            "nodeName": node_name,
            "priority": 0,
            "restartPolicy": "Never",
            "schedulerName": "default-scheduler",
            "tolerations": [{"effect": "NoExecute", "key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
            "volumes": [{"emptyDir": {}, "name": "data"}],
        },
        "status": {
            "conditions": [
                {"lastProbeTime": None, "lastTransitionTime": moment, "status": "True", "type": kind}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [
                {
                    "containerID": f"containerd://{uid}",
                    "image": "registry.example.com/serve:1.2",
                    "imageID": "",
                    "lastState": {},
                    "name": "main",
                    "ready": True,
                    "restartCount": 0,
                    "started": True,
                    "state": {"running": {"startedAt": moment}},
                }
            ],
            "hostIP": "10.1.2.3",
            "phase": "Running",
            "podIP": "10.2.3.4",
            "qosClass": "Burstable",
            "startTime": moment,
        },
    }


def job(name: str, replicas: int) -> dict[str, Any]:
    """A gang of whole nodes."""
    template = {"spec": {"containers": [{"name": "main", "image": "train"}]}}
    group = {"name": "w", "replicas": replicas, "cardsPerPod": 8, "template": template}
    meta = {"name": name, "namespace": "team-a"}
    spec = {"pool": "main", "groups": [group]}
    return {"apiVersion": "cardpool.dev/v1alpha1", "kind": "TrainingJob", "metadata": meta, "spec": spec}


def values(nodes: int) -> Iterator[tuple[str, ...]]:
    """What differs between nodes: name, uid, zone, supernode."""
    for place in range(nodes):
        uid = f"0f8fad5b-d9cb-469f-a165-{place:012}"
        yield f"node-{place:06}", uid, f"zone-{place // 1600}", f"sn-{place // 80}"


def held(pods: int) -> Iterator[tuple[str, ...]]:
    """What differs between pods: name, uid, node, owner."""
    for place in range(pods):
        yield f"serve-{place:06}", f"2a8fad5b-d9cb-469f-a165-{place:012}", f"node-{place:06}", f"serve-{place // 64}"


def write(folder: Path, nodes: int, pods: int) -> dict[str, tuple[Path, ...]]:
    """The nodes as JSON, as YAML documents, as the one YAML list that kubectl writes, and that beside one of pods."""
    marks = ("NAME", "UID", "ZONE", "SUPERNODE")
    asked = folder / "asked.yaml"
    asked.write_text("".join("---\n" + yaml.safe_dump(one) for one in (POOL, job("large", 1280), job("huge", 12_800))))
    nodes_json, nodes_yaml = folder / "nodes.json", folder / "nodes.yaml"
    with nodes_json.open("w") as file:
        file.write('{"apiVersion":"v1","kind":"List","items":[')
        for number, one in enumerate(values(nodes)):
            file.write(("," if number else "") + json.dumps(node(*one), separators=(",", ":")))
        file.write("]}")
    with nodes_yaml.open("w") as file:
        file.writelines("---\n" + text for text in _filled(node(*marks), marks, values(nodes)))
    listed = _listed(folder / "list.yaml", _filled([node(*marks)], marks, values(nodes)))
    other = ("NAME", "UID", "NODE", "OWNER")
    running = _listed(folder / "pods.yaml", _filled([pod(*other)], other, held(min(pods, nodes))))
    return {
        "json": (nodes_json, asked),
        "yaml": (nodes_yaml, asked),
        "kubectl": (listed, asked),
        "kubectl_pods": (listed, running, asked),
    }


def _listed(path: Path, items: Iterable[str]) -> Path:
    with path.open("w") as file:
        file.write("apiVersion: v1\nitems:\n")
        file.writelines(items)
        file.write('kind: List\nmetadata:\n  resourceVersion: ""\n')
    return path


def _filled(pattern: Any, marks: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The object once a row, as YAML with the row's values for the marks."""
    pieces = re.split(rf"\b({'|'.join(marks)})\b", yaml.safe_dump(pattern))
    places = [marks.index(mark) for mark in pieces[1::2]]
    for row in rows:
        pieces[1::2] = [row[place] for place in places]
        yield "".join(pieces)


def _meaning(figure: str) -> str:
    return next(words for kind, words in MEANING.items() if figure.endswith(f"_{kind}"))


def read(places: list[str]) -> dict[str, float]:
    """Plan with these files in this process."""
    from cardpool.planning import asking  # noqa: PLC0415 (what is imported is part of what is measured)

    reply = asking.ask(asking.Question(places=tuple(places), now=NOW))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"load_s": reply.load, "plan_s": reply.planned, "gib": peak, "cpu_s": time.process_time()}


def measure(nodes: int, pods: int, tell: Callable[[str], None]) -> dict[str, float]:
    """Every form in a process of its own: seconds and GiB; ``tell`` is given what is done now."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        tell(f"writing {nodes:,} nodes and {pods:,} pods")
        for name, paths in write(Path(folder), nodes, pods).items():
            tell(f"reading {name}, {sum(path.stat().st_size for path in paths) / 1e6:.0f} MB")
            command = [
                sys.executable,
                "-m",
                "e2e.bench.load",
                *(word for path in paths for word in ("--child", str(path))),
            ]
            begun = time.monotonic()
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            taken = {"s": time.monotonic() - begun, **json.loads(said)}
            found |= {f"{name}_{kind}": round(value, 2) for kind, value in taken.items()}
    return found


def main(
    nodes: Annotated[int, typer.Option(help="nodes of 8 cards")] = 125_000,
    pods: Annotated[int, typer.Option(help="running pods beside them, each on a node of its own")] = 60_000,
    output: Annotated[Path | None, typer.Option("--json", help="write the figures there")] = None,
    child: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="exit code 1 where a figure left its range")] = False,
) -> None:
    """Measure reading a pool."""
    if child:
        print(json.dumps(read(child)))
        return
    with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("")
        measured = measure(nodes, pods, lambda text: progress.update(task, description=text))
    verdicts = report.judge(measured, "load", RANGES)
    table = Table(title="cardpool plan on manifests", title_justify="left")
    for column in ("figure", "value", "range", "what it is"):
        table.add_column(column)
    for one in verdicts:
        bound = "" if one.most is None else f"≤ {one.most:g}{'' if one.ok else '  LEFT'}"
        table.add_row(one.name, f"{one.value:g}", bound, _meaning(one.name))
    Console().print(table)
    if output is not None:
        output.write_text(json.dumps(measured, indent=1) + "\n")
    if check and not all(one.ok for one in verdicts):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
