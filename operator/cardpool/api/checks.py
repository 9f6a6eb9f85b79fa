"""The cross-field checks of rules.py once more, for manifests that never met an API server (`cardpool plan -f`).

A table of bad specs is run against both, so that the two cannot part. Card resources are not checked here: their
names are vendor data, which this layer does not read at run time.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError

from cardpool.api.podtemplate import QUANTITY_PATTERN
from cardpool.names import ENV_PREFIXES, GANG_PODS_MAX, GROUP, JOB_NAME_MAX, NODE_LEVEL

if TYPE_CHECKING:
    from cardpool.api.cardpool import CardPoolSpec, Level
    from cardpool.api.trainingjob import Block, Group, TrainingJobSpec

FORBIDDEN: Final = {
    "nodeName": "cardpool chooses the node",
    "hostname": "ranks have stable host names of cardpool's own",
    "hostnameOverride": "ranks have stable host names of cardpool's own",
    "subdomain": "the gang has a Service of cardpool's own",
    "priority": "it follows from the pool's podPriorityClassName",
    "priorityClassName": "the pool's podPriorityClassName is used; for the queue set spec.priorityClassName",
    "preemptionPolicy": "it follows from the pool's podPriorityClassName",
    "schedulingGates": "cardpool makes pods only when all of them have a place",
}
JOB_NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
_JOB_NAME: Final = re.compile(JOB_NAME_PATTERN)
_QUANTITY: Final = re.compile(QUANTITY_PATTERN)


def refuse(problems: Iterator[str]) -> None:
    """Raises the first problem as a validation error; the text begins with the path below the model."""
    for problem in problems:
        # Braces would be read as place holders of the error's own template.
        raise PydanticCustomError("cardpool", "{problem}", {"problem": problem})


def job_name(name: str) -> Iterator[str]:
    """Problems of a job's name, which begins its pods' names; an empty one is not yet given."""
    if name and (len(name) > JOB_NAME_MAX or not _JOB_NAME.match(name)):
        yield f"metadata.name: {name!r} is no DNS-1035 label of at most {JOB_NAME_MAX} characters"


def group(spec: Group) -> Iterator[str]:
    """Problems of one group."""
    sizes = _sizes(spec)
    if spec.min_replicas and spec.min_replicas > min(sizes):
        yield "minReplicas must not be more than replicas"
    yield from template(spec.template, spec.container)
    for place, variant in enumerate(spec.variants):
        yield from _container(variant.model_dump(include={"env", "resources"}), f"variants[{place}]")
    if spec.topology:
        yield from divide(spec.topology.blocks, sizes, "topology.blocks")


def divide(blocks: Sequence[Block], sizes: Sequence[int], path: str) -> Iterator[str]:
    """Problems of blocks: each divides the one before and all of the sizes."""
    for wide, narrow in itertools.pairwise(blocks):
        if wide.pods % narrow.pods:
            yield f"{path}: each block must divide the one before"
    for block in blocks:
        if any(size % block.pods for size in sizes):
            yield f"{path}: each block must divide the replicas"


def job(spec: TrainingJobSpec) -> Iterator[str]:
    """Problems of the job over all groups."""
    largest = sum(max(_sizes(part)) for part in spec.groups)
    if largest > GANG_PODS_MAX:
        yield f"groups: a gang has at most {GANG_PODS_MAX} pods, on any profile"
    yield from unique("groups", [part.name for part in spec.groups])
    yield from unique("accept", [part.profile for part in spec.accept])
    for place, part in enumerate(spec.groups):
        yield from unique(f"groups[{place}].variants", [variant.profile for variant in part.variants])
    if spec.topology:
        differences = [size - part.replicas for part in spec.groups for size in _sizes(part)]
        yield from divide(spec.topology.blocks, [spec.pods, *differences], "topology.blocks")


def _sizes(part: Group) -> list[int]:
    """The numbers of pods that a group can have: as it stands, and on each profile that says otherwise."""
    return [part.replicas, *(variant.replicas for variant in part.variants if variant.replicas)]


def unique(path: str, keys: Sequence[object]) -> Iterator[str]:
    """Problems of a list of named things: a name twice."""
    for place, key in enumerate(keys):
        if key in keys[:place]:
            yield f"{path}[{place}]: duplicate {key}"


def template(raw: Mapping[str, Any], container: str | None) -> Iterator[str]:
    """Problems of a pod template."""
    pod = raw.get("spec")
    containers = pod.get("containers") if isinstance(pod, dict) else None
    if not isinstance(pod, dict) or not isinstance(containers, list) or not containers:
        yield "template.spec.containers: a template needs a container"
        return
    for name, why in FORBIDDEN.items():
        if name in pod:
            yield f"template.spec.{name} must not be set: {why}"
    if pod.get("schedulerName", "default-scheduler") != "default-scheduler":
        yield "template.spec.schedulerName must be default-scheduler or absent"
    labels = (raw.get("metadata") or {}).get("labels") or {}
    if any(key.startswith(f"{GROUP}/") for key in labels):
        yield f"template.metadata.labels: labels under {GROUP}/ are set by cardpool"
    for field in ("containers", "initContainers"):
        for place, one in enumerate(pod.get(field) or ()):
            yield from _container(one, f"template.spec.{field}[{place}]")
    known = [one["name"] for one in containers if isinstance(one, dict) and "name" in one]
    yield from unique("template.spec.containers", known)
    if container is not None and container not in known:
        yield "container must name a container of the template"


def _container(raw: object, path: str) -> Iterator[str]:
    if not isinstance(raw, dict):
        yield f"{path}: must be an object"
        return
    for place, variable in enumerate(raw.get("env") or ()):
        if not isinstance(variable, dict) or not isinstance(variable.get("name"), str):
            yield f"{path}.env[{place}].name: a variable needs a name"
        elif variable["name"].startswith(ENV_PREFIXES):
            yield f"{path}.env[{place}].name: reserved: cardpool sets {', '.join(f'{one}*' for one in ENV_PREFIXES)}"
    resources = raw.get("resources") or {}
    for part in ("requests", "limits"):
        for name, amount in (resources.get(part) or {}).items():
            if not isinstance(amount, int | str) or not _QUANTITY.match(str(amount)):
                yield f"{path}.resources.{part}.{name}: no quantity"


def relative(path: str) -> Iterator[str]:
    """Problems of a path below a mount."""
    if ".." in path.split("/"):
        yield "path must stay inside the mount"


def pool(spec: CardPoolSpec) -> Iterator[str]:
    """Problems of a pool."""
    known = [profile.name for profile in spec.profiles]
    yield from unique("profiles", known)
    yield from unique("teams", [team.name for team in spec.teams])
    yield from unique("topology.overrides", [override.profile for override in spec.topology.overrides])
    yield from _levels("topology.levels", spec.topology.levels)
    for place, override in enumerate(spec.topology.overrides):
        yield from _levels(f"topology.overrides[{place}].levels", override.levels)
        if override.profile not in known:
            yield "topology.overrides must name profiles of the pool"
    policy = spec.queue.defragmentation
    if policy is not None and policy.gang is not None:
        levels = {level.name for level in spec.topology.levels}
        levels |= {level.name for override in spec.topology.overrides for level in override.levels}
        if policy.gang.profile is not None and policy.gang.profile not in known:
            yield "queue.defragmentation.gang.profile must name a profile of the pool"
        if policy.gang.level is not None and policy.gang.level not in levels | {NODE_LEVEL}:
            yield "queue.defragmentation.gang.level must name a level of the pool"
    for place, team in enumerate(spec.teams):
        yield from unique(f"teams[{place}].quota", [quota.profile for quota in team.quota])
        for part, quota in enumerate(team.quota):
            if quota.profile not in {*known, "*"}:
                yield f"teams[{place}].quota[{part}].profile must name a profile of the pool, or *"
            if (quota.cards is None) == (quota.compute is None):
                yield f"teams[{place}].quota[{part}].cards: a quota has either cards or compute"


def _levels(path: str, levels: Sequence[Level]) -> Iterator[str]:
    """Problems of a list of levels: a name or a label twice."""
    yield from unique(path, [level.name for level in levels])
    if len({level.label for level in levels}) < len(levels):
        yield f"{path}: each level needs a label of its own"
