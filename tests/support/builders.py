"""Manifests of the three kinds and of the Kubernetes objects around them, as plain JSON, one call each.

Defaults are small and quick (seconds, not minutes); a test names only what it is about.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

API_VERSION = "cardpool.dev/v1alpha1"
POOL_LABEL = "example.com/pool"
SUPERNODE_LABEL = "example.com/supernode"
RACK_LABEL = "example.com/rack"
RESOURCES = {"nvidia": "nvidia.com/gpu", "ascend": "huawei.com/Ascend910", "hygon": "hygon.com/dcu"}
QUICK_FAULTS: Mapping[str, Any] = {
    "debounceSeconds": 2,
    "attributionSeconds": 2,
    "breaker": {"percent": 100, "windowSeconds": 5},
    "unknown": {"nodes": 3, "withinSeconds": 5, "graceSeconds": 300},
}


def meta(name: str, namespace: str = "", **extra: Any) -> Json:
    """Object metadata; ``extra`` are further fields such as labels."""
    return {"name": name, **({"namespace": namespace} if namespace else {}), **extra}


def pool(
    name: str, *, vendors: Sequence[str] = ("nvidia",), labels: Mapping[str, str] | None = None, **spec: Any
) -> Json:
    """A CardPool with a profile per vendor, named as the vendor, over nodes labelled with its name; faults are quick."""
    faults = {**QUICK_FAULTS, **spec.pop("faults", {})}
    return {
        "apiVersion": API_VERSION,
        "kind": "CardPool",
        "metadata": meta(name),
        "spec": {
            "selector": {"matchLabels": dict(labels or {POOL_LABEL: name})},
            "profiles": [{"name": vendor, "vendor": vendor} for vendor in vendors],
            "topology": {"levels": [{"name": "supernode", "label": SUPERNODE_LABEL}]},
            "faults": faults,
            **spec,
        },
    }


def supernode(name: str, pool_name: str, match: Mapping[str, str], **spec: Any) -> Json:
    """A declared Supernode."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Supernode",
        "metadata": meta(name),
        "spec": {"pool": pool_name, "selector": {"matchLabels": dict(match)}, **spec},
    }


def template(**container: Any) -> Json:
    """A pod template with one container, main; keywords replace or add container fields."""
    main = {"name": "main", "image": "train:1", "command": ["train"], **container}
    return {"metadata": {}, "spec": {"containers": [main], "terminationGracePeriodSeconds": 1}}


def group(replicas: int, cards: int, name: str = "worker", **extra: Any) -> Json:
    """One group of a job."""
    return {"name": name, "replicas": replicas, "cardsPerPod": cards, "template": template(), **extra}


def job(
    name: str,
    namespace: str,
    pool_name: str,
    *,
    pods: int = 2,
    cards: int = 8,
    groups: Sequence[Json] = (),
    **spec: Any,
) -> Json:
    """A TrainingJob of one group ``worker`` (or of the groups given) with short backoff and bind deadline."""
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingJob",
        "metadata": meta(name, namespace),
        "spec": {
            "pool": pool_name,
            "groups": list(groups) or [group(pods, cards)],
            "restart": {"backoff": {"baseSeconds": 1, "capSeconds": 4}, **spec.pop("restart", {})},
            "deadlines": {"bindSeconds": 10, **spec.pop("deadlines", {})},
            **spec,
        },
    }


def node(
    name: str, pool_name: str, *, vendor: str = "nvidia", cards: int = 8, labels: Mapping[str, str] | None = None
) -> Json:
    """A fake node that KWOK manages, with cards of one maker (0 cards: none)."""
    resources = {"cpu": "64", "memory": "512Gi", "pods": "110", "ephemeral-storage": "1Ti"}
    if cards:
        resources[RESOURCES[vendor]] = str(cards)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": meta(
            name,
            labels={POOL_LABEL: pool_name, "kubernetes.io/hostname": name, "type": "kwok", **(labels or {})},
            annotations={"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
        ),
        "status": {"capacity": dict(resources), "allocatable": dict(resources)},
    }


def foreign_pod(
    name: str, namespace: str, node_name: str, *, cards: int = 1, vendor: str = "nvidia", **extra: Any
) -> Json:
    """A pod that is not cardpool's, bound to a node past every scheduler."""
    limits = {RESOURCES[vendor]: str(cards)} if cards else {}
    container = {"name": "main", "image": "other:1", "resources": {"limits": limits, "requests": dict(limits)}}
    spec = {"nodeName": node_name, "containers": [container], "terminationGracePeriodSeconds": 0, **extra}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta(name, namespace), "spec": spec}


def priority_class(name: str, value: int, policy: str = "PreemptLowerPriority") -> Json:
    """A PriorityClass."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": meta(name),
        "value": value,
        "preemptionPolicy": policy,
    }


def pod_quota(name: str, namespace: str, pods: int) -> Json:
    """A ResourceQuota on the number of pods."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": meta(name, namespace),
        "spec": {"hard": {"count/pods": str(pods)}},
    }


def with_spec(manifest: Mapping[str, Any], **spec: Any) -> Json:
    """A copy of a manifest with spec fields replaced."""
    changed = copy.deepcopy(dict(manifest))
    changed["spec"].update(spec)
    return changed
