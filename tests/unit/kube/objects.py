"""Kubernetes objects as JSON, with only what a test names."""

from __future__ import annotations

import json
from typing import Any

from cardpool.kube import wire
from cardpool.names import Kind

NOON = "2026-01-01T12:00:00Z"
NOON_EPOCH = 1767268800.0


def meta(name: str, uid: str = "", version: int = 1, **more: Any) -> dict[str, Any]:
    """Object metadata."""
    return {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(version), **more}


def node(name: str, version: int = 1, uid: str = "", cards: int = 8, **labels: str) -> dict[str, Any]:
    """A Ready node with cards."""
    amounts = {"cpu": "64", "memory": "256Gi", "pods": "110", "example.com/card": str(cards)}
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {
        "metadata": meta(name, uid, version, labels=labels),
        "status": {"capacity": amounts, "allocatable": amounts, "conditions": [ready]},
    }


def pod(name: str, version: int = 1, uid: str = "", owner: str = "", on: str = "", **status: Any) -> dict[str, Any]:
    """A pod in a namespace, with one container that asks for one card."""
    owners = [{"uid": owner, "controller": True}] if owner else []
    container = {"name": "main", "resources": {"requests": {"cpu": "1", "example.com/card": "1"}}}
    return {
        "metadata": meta(name, uid, version, namespace="team-a", ownerReferences=owners),
        "spec": {"nodeName": on, "containers": [container]},
        "status": {"phase": "Running", **status},
    }


def job(name: str, version: int = 1, uid: str = "", generation: int = 1, **parts: Any) -> dict[str, Any]:
    """A TrainingJob of one pod."""
    template = {"spec": {"containers": [{"name": "main", "image": "train:1"}]}}
    spec = {"pool": "main", "groups": [{"name": "worker", "replicas": 1, "cardsPerPod": 1, "template": template}]}
    return {
        "metadata": meta(name, uid, version, namespace="team-a", generation=generation),
        "spec": parts.get("spec", spec),
        "status": parts.get("status", {}),
    }


def typed(kind: Kind, obj: dict[str, Any]) -> Any:
    """The object as it comes off the wire."""
    return wire.DECODERS[kind].decode(json.dumps(obj))


def raw(obj: dict[str, Any]) -> bytes:
    """The object's JSON."""
    return json.dumps(obj).encode()
