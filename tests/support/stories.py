"""Histories written by hand: what a watch would have told of one pool, its nodes, one job and its pods."""

from __future__ import annotations

from typing import Any

from tests.support.history import History, Seen

GPU = "nvidia.com/gpu"

KEY = "team/llm"


class Story:
    """Writes a history: every call is the next version, a second later."""

    def __init__(self) -> None:
        self.events: list[Seen] = []
        self.clock = 0

    def see(self, kind: str, body: dict[str, Any], change: str = "ADDED", wait: float = 1) -> dict[str, Any]:
        self.clock += 1
        at = (self.events[-1].at if self.events else 1000.0) + wait
        meta = {"uid": f"{kind}-{body['metadata']['name']}", **body["metadata"], "resourceVersion": str(self.clock)}
        body = {**body, "metadata": meta}
        self.events.append(Seen(at, kind, change, body))  # type: ignore[arg-type]
        return body

    def history(self, rest: float = 1) -> History:
        return History.of(self.events, self.events[-1].at + rest)

    @property
    def now(self) -> float:
        return self.events[-1].at


def pool(**spec: Any) -> dict[str, Any]:
    levels = [{"name": "supernode", "label": "sn"}]
    given = {"selector": {"matchLabels": {"pool": "main"}}, "topology": {"levels": levels}, **spec}
    return {"metadata": {"name": "main", "generation": 1}, "spec": given, "status": {"observedGeneration": 1}}


def node(
    name: str, cards: int = 8, labels: dict[str, str] | None = None, owned: tuple[str, ...] = ()
) -> dict[str, Any]:
    fields: dict[str, dict[str, Any]] = {f"f:{key}": {} for key in owned}
    managed = [{"manager": "cardpool", "fieldsV1": {"f:metadata": {"f:labels": fields}}}]
    given = {
        "name": name,
        "labels": {"pool": "main", "sn": "a"} if labels is None else labels,
        "managedFields": managed,
    }
    return {"metadata": given, "status": {"allocatable": {GPU: str(cards)}}}


def job(*, generation: int = 1, observed: int = 1, spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    groups = [{"name": "worker", "replicas": 2}]
    given = {"pool": "main", "groups": groups, "deadlines": {"bindSeconds": 10}, **(spec or {})}
    nodes = status.pop("nodes", ["n1", "n2"])
    segments = [{"group": "worker", "fromIndex": 0, "nodes": nodes}]
    placement = {"attempt": status.get("attempt", 0), "segments": segments}
    return {
        "metadata": {"name": "llm", "namespace": "team", "generation": generation},
        "spec": given,
        "status": {"observedGeneration": observed, "placement": placement, **status},
    }


def pod(rank: int, where: str, uid: str = "", *, bound: bool = True, **extra: Any) -> dict[str, Any]:
    labels = {
        "cardpool.dev/job": "llm", "cardpool.dev/job-uid": "TrainingJob-llm", "cardpool.dev/rank": str(rank),
        "cardpool.dev/attempt": str(extra.pop("attempt", 0)), "cardpool.dev/profile": extra.pop("profile", "nvidia"),
    }  # fmt: skip
    pin = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [where]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": pin}}}
    env = [{"name": key, "value": value} for key, value in extra.pop("env", {}).items()]
    container = {"name": "main", "env": env, "resources": {"limits": {GPU: str(extra.pop("cards", 8))}}}
    owner = {"kind": "TrainingJob", "uid": "TrainingJob-llm", "controller": True}
    return {
        "metadata": {
            "name": f"llm-worker-{rank}", "namespace": "team", "uid": uid or f"pod-{rank}", "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {"affinity": affinity, "containers": [container], **({"nodeName": where} if bound else {})},
        "status": {"phase": "Running", **extra},
    }  # fmt: skip


def opening(**job_fields: Any) -> Story:
    """A pool of two nodes and one placed job."""
    story = Story()
    story.see("CardPool", pool())
    story.see("Node", node("n1"))
    story.see("Node", node("n2"))
    story.see("TrainingJob", job(**job_fields))
    return story


def running(**job_fields: Any) -> Story:
    """The same with both pods bound."""
    story = opening(**job_fields)
    story.see("Pod", pod(0, "n1"))
    story.see("Pod", pod(1, "n2"))
    return story
