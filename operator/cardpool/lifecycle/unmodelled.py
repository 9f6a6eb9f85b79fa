"""What kube-scheduler weighs of a template and the planner does not: named in a condition before anything is placed.

A demand that neither models nor names would end in pods that are refused for reasons nobody was told to expect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cardpool.api.trainingjob import Group, TrainingJobSpec
from cardpool.lifecycle import shapes

_TIED: Final = frozenset(
    {
        "awsElasticBlockStore",
        "azureDisk",
        "cinder",
        "ephemeral",
        "gcePersistentDisk",
        "iscsi",
        "persistentVolumeClaim",
        "rbd",
        "vsphereVolume",
    }
)


def demands(spec: TrainingJobSpec) -> tuple[str, ...]:
    """The names of such demands of the templates and their variants, in a fixed order, each once."""
    return tuple(sorted({name for group in spec.groups for pod in _specs(group) for name in _of(pod)}))


def _specs(group: Group) -> Iterator[Mapping[str, Any]]:
    for profile in ("", *(variant.profile for variant in group.variants)):
        yield shapes.pod_spec(group, profile)


def _of(pod: Mapping[str, Any]) -> Iterator[str]:
    affinity = pod.get("affinity") or {}
    containers = (*(pod.get("containers") or ()), *(pod.get("initContainers") or ()))
    ports = [port for item in containers for port in item.get("ports") or ()]
    asked = {
        "inter-pod affinity": affinity.get("podAffinity") or affinity.get("podAntiAffinity"),
        "topology spread": pod.get("topologySpreadConstraints"),
        "resource claims": pod.get("resourceClaims"),
        "host ports": any(port.get("hostPort") or pod.get("hostNetwork") for port in ports),
        "volumes that may be tied to a node or zone": any(_TIED & item.keys() for item in pod.get("volumes") or ()),
        "overhead and nodes of a runtime class": pod.get("runtimeClassName"),
        "scheduling group": pod.get("schedulingGroup"),
    }
    yield from (name for name, value in asked.items() if value)
