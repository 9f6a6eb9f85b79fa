"""How long `cardpool plan` reads a pool of a million cards, and with how much memory, `python -m e2e.bench.load`.

The nodes look as `kubectl get nodes` gives them: labels, conditions, addresses, 1.7 KB of JSON each. Each format
is read by a process of its own, which also plans a gang of 1,280 pods and one of 12,800.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from e2e.bench import report

RANGES = report.RANGES.with_name("engine.yaml")
NOW = 1_767_225_600.0
CARD = "hygon.com/dcu"
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


def write(folder: Path, nodes: int) -> dict[str, Path]:
    """The nodes as JSON, as YAML documents, and as the one YAML list that kubectl writes."""
    marks = ("NAME", "UID", "ZONE", "SUPERNODE")
    text, item = yaml.safe_dump(node(*marks)), yaml.safe_dump([node(*marks)])
    asked = "".join("---\n" + yaml.safe_dump(one) for one in (POOL, job("large", 1280), job("huge", 12_800)))
    (folder / "asked.yaml").write_text(asked)
    found = {"json": folder / "nodes.json", "yaml": folder / "nodes.yaml", "kubectl": folder / "list.yaml"}
    with found["json"].open("w") as file:
        file.write('{"apiVersion":"v1","kind":"List","items":[')
        for number, one in enumerate(values(nodes)):
            file.write(("," if number else "") + json.dumps(node(*one), separators=(",", ":")))
        file.write("]}")
    with found["yaml"].open("w") as file:
        file.writelines("---\n" + _filled(text, marks, one) for one in values(nodes))
    with found["kubectl"].open("w") as file:
        file.write("apiVersion: v1\nitems:\n")
        file.writelines(_filled(item, marks, one) for one in values(nodes))
        file.write('kind: List\nmetadata:\n  resourceVersion: ""\n')
    return found


def _filled(text: str, marks: tuple[str, ...], one: tuple[str, ...]) -> str:
    for mark, value in zip(marks, one, strict=True):
        text = text.replace(mark, value)
    return text


def read(places: list[str]) -> dict[str, float]:
    """Plan with these files in this process."""
    from cardpool.planning import asking  # noqa: PLC0415 (what is imported is part of what is measured)

    reply = asking.ask(asking.Question(places=tuple(places), now=NOW))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"load_s": reply.load, "plan_s": reply.planned, "gib": peak, "cpu_s": time.process_time()}


def measure(nodes: int) -> dict[str, float]:
    """Every format in a process of its own: seconds and GiB."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write(Path(folder), nodes).items():
            asked = str(path.with_name("asked.yaml"))
            command = [sys.executable, "-m", "e2e.bench.load", "--child", str(path), "--child", asked]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found |= {f"{name}_{kind}": round(value, 2) for kind, value in json.loads(told).items()}
    return found


def main(
    nodes: Annotated[int, typer.Option(help="nodes of 8 cards")] = 125_000,
    child: Annotated[list[str] | None, typer.Option(hidden=True)] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="exit code 1 where a figure left its range")] = False,
) -> None:
    """Measure reading a pool."""
    if child:
        print(json.dumps(read(child)))
        return
    verdicts = report.judge(measure(nodes), "load", RANGES)
    table = Table(title="cardpool plan on manifests", title_justify="left")
    for column in ("figure", "value", "range"):
        table.add_column(column)
    for one in verdicts:
        bound = "" if one.most is None else f"≤ {one.most:g}{'' if one.ok else '  LEFT'}"
        table.add_row(one.name, f"{one.value:g}", bound)
    Console().print(table)
    if check and not all(one.ok for one in verdicts):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
