"""From a job's templates to what the planner weighs: requests, tolerations, node filters, accepted profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cardpool.api.jobstatus import Segment
from cardpool.api.trainingjob import Group, GroupTopology, JobTopology, TrainingJobSpec
from cardpool.domain import quantity
from cardpool.domain.gangs import GroupShape, NodeFilter, Option, Requirement, Toleration
from cardpool.domain.topology import Block, TopologyRequest
from cardpool.lifecycle import ranks
from cardpool.names import TAINT_POOL


def card_container(group: Group) -> int:
    """Index of the container that gets the cards; the first where the group names none."""
    containers = group.template.get("spec", {}).get("containers", [])
    names = [item.get("name") for item in containers]
    return names.index(group.container) if group.container in names else 0


def pod_spec(group: Group, profile: str) -> dict[str, Any]:
    """The template's pod spec with the profile's variant laid over it: a fresh top level, parts shared unchanged."""
    spec: dict[str, Any] = dict(group.template.get("spec", {}))
    variant = ranks.variant_of(group, profile)
    if variant is None:
        return spec
    place = card_container(group)
    containers = list(spec.get("containers", []))
    container = dict(containers[place])
    given = {
        "image": variant.image,
        "command": list(variant.command) if variant.command is not None else None,
        "args": list(variant.args) if variant.args is not None else None,
        "resources": variant.resources,
        "securityContext": variant.security_context,
    }
    container |= {key: value for key, value in given.items() if value is not None}
    container["env"] = merged(container.get("env", []), variant.env, "name")
    container["volumeMounts"] = merged(container.get("volumeMounts", []), variant.volume_mounts, "mountPath")
    containers[place] = {key: value for key, value in container.items() if value != []}
    spec["containers"] = containers
    spec["volumes"] = merged(spec.get("volumes", []), variant.volumes, "name")
    spec["tolerations"] = [*spec.get("tolerations", []), *variant.tolerations]
    spec["nodeSelector"] = {**spec.get("nodeSelector", {}), **variant.node_selector}
    if variant.runtime_class_name is not None:
        spec["runtimeClassName"] = variant.runtime_class_name
    return {key: value for key, value in spec.items() if value not in ([], {})}


def merged(base: Any, over: Any, key: str) -> list[dict[str, Any]]:
    """Two lists of named things as one; later entries replace earlier ones of the same name, in place."""
    items: dict[Any, dict[str, Any]] = {}
    for item in (*base, *over):
        items[item.get(key)] = item
    return list(items.values())


def group_shape(group: Group, profile: str, *, tolerate_pool: bool) -> GroupShape:
    """The group as the planner weighs it on one profile."""
    spec = pod_spec(group, profile)
    tolerations = [_toleration(item) for item in spec.get("tolerations", [])]
    if tolerate_pool:
        tolerations.append(Toleration(key=TAINT_POOL, operator="Exists"))
    return GroupShape(
        name=group.name,
        replicas=ranks.replicas(group, profile),
        cards_per_pod=ranks.cards_per_pod(group, profile),
        requests=quantity.pod_requests(spec),
        tolerations=tuple(tolerations),
        nodes=_node_filter(spec),
        topology=topology_request(group.topology),
        min_replicas=group.min_replicas or 0,
    )


def needs(spec: TrainingJobSpec, segments: Iterable[Segment]) -> dict[tuple[str, str], tuple[int, Mapping[str, int]]]:
    """Cards and other requests of one pod, by group and profile, of everything that a placement has."""
    groups = {group.name: group for group in spec.groups}
    kinds = {(part.group, part.profile or "") for part in segments}
    found: dict[tuple[str, str], tuple[int, Mapping[str, int]]] = {}
    for name, profile in sorted(kinds):
        requests = quantity.pod_requests(pod_spec(groups[name], profile))
        found[name, profile] = ranks.cards_per_pod(groups[name], profile), requests
    return found


def option(spec: TrainingJobSpec, profile: str, *, tolerate_pool: bool) -> Option:
    """The whole gang as one profile would run it."""
    groups = tuple(group_shape(group, profile, tolerate_pool=tolerate_pool) for group in spec.groups)
    return Option(profile, groups)


def topology_request(topology: JobTopology | GroupTopology | None) -> TopologyRequest:
    """The topology demands in the planner's terms; absent means none."""
    if topology is None:
        return TopologyRequest()
    return TopologyRequest(
        required=topology.required or "",
        preferred=topology.preferred or "",
        blocks=tuple(Block(block.pods, block.level) for block in topology.blocks),
        exclusive=(topology.exclusive or "") if isinstance(topology, JobTopology) else "",
        packing=topology.packing.value if topology.packing is not None else "",
    )


def levels_named(spec: TrainingJobSpec) -> frozenset[str]:
    """Every level that the job names anywhere."""
    found: set[str] = set()
    for topology in (spec.topology, *(group.topology for group in spec.groups)):
        request = topology_request(topology)
        found |= {request.required, request.preferred, request.exclusive, *(item.level for item in request.blocks)}
    return frozenset(found - {""})


def _toleration(item: Mapping[str, Any]) -> Toleration:
    return Toleration(
        key=item.get("key", ""),
        operator=item.get("operator", "Equal"),
        value=item.get("value", ""),
        effect=item.get("effect", ""),
    )


def _node_filter(spec: Mapping[str, Any]) -> NodeFilter:
    required = (
        spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    )
    terms = required.get("nodeSelectorTerms", [])
    return NodeFilter(
        selector=tuple(sorted(spec.get("nodeSelector", {}).items())),
        terms=tuple(
            tuple(_requirement(item) for item in (*term.get("matchExpressions", []), *term.get("matchFields", [])))
            for term in terms
        ),
    )


def _requirement(item: Mapping[str, Any]) -> Requirement:
    return Requirement(item["key"], item["operator"], tuple(item.get("values", ())))
