"""Bad manifests by name: one table that the models and the real API server must both refuse, naming the field.

A case changes a good manifest at paths such as `spec.groups.0.replicas`; `field` is what the refusal must contain.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from tests.support import builders

Json = dict[str, Any]

POD = "spec.groups.0.template.spec"
MAIN = f"{POD}.containers.0"


@dataclass(frozen=True, slots=True)
class Bad:
    """One bad manifest: what is changed, the field that the API server must name, and what the models must say.

    `local` is empty where only the API server can know, because it has Kubernetes' schema or the makers' data.
    """

    change: Json
    field: str
    local: str = ""
    says: str = ""


def changed(manifest: Json, change: Json) -> Json:
    """A copy of the manifest with the values put at their paths; missing maps on the way are made."""
    out = copy.deepcopy(manifest)
    for path, value in change.items():
        node: Any = out
        *way, last = path.split(".")
        for part in way:
            node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
        if isinstance(node, list):
            node[int(last)] = value
        else:
            node[last.replace("~", ".")] = value
    return out


def good_job(name: str = "good", namespace: str = "default") -> Json:
    """A job that uses most fields and that every case starts from."""
    variant = {"profile": "ascend", "replicas": 16, "env": [{"name": "HCCL_CONNECT_TIMEOUT", "value": "1"}]}
    worker = builders.group(8, 8, minReplicas=4, variants=[variant])
    return builders.job(
        name,
        namespace,
        "main",
        groups=[worker, builders.group(8, 0, "side")],
        topology={"required": "supernode", "blocks": [{"pods": 8, "level": "rack"}, {"pods": 4, "level": "node"}]},
        checkpoint={"format": "orbax", "volumeMount": "/ckpt", "path": "llm"},
        accept=[{"profile": "nvidia"}, {"profile": "ascend", "afterSeconds": 60}],
    )


def good_pool(name: str = "main") -> Json:
    """A pool that uses most fields."""
    team = {"name": "research", "namespaces": ["a"], "quota": [{"profile": "nvidia", "cards": 8}]}
    override = {"profile": "ascend", "levels": [{"name": "rack", "label": "example.com/rack"}]}
    return builders.pool(
        name,
        vendors=("nvidia", "ascend"),
        teams=[team],
        topology={"levels": [{"name": "zone", "label": "example.com/zone"}], "overrides": [override]},
        spares={"perSupernode": "4%"},
    )


GROUP = "spec.groups.0"
_LIMITS = f"{MAIN}.resources.limits"
_BAD_CPU = {f"{MAIN}.resources": {"requests": {"cpu": "many"}}}

JOBS: dict[str, Bad] = {
    "no replicas": Bad({f"{GROUP}.replicas": 0}, "spec.groups[0].replicas", "groups[0].replicas"),
    "negative replicas": Bad({f"{GROUP}.replicas": -2}, "spec.groups[0].replicas", "groups[0].replicas"),
    "replicas as text": Bad({f"{GROUP}.replicas": "8"}, "spec.groups[0].replicas", "groups[0].replicas"),
    "minReplicas over replicas": Bad({f"{GROUP}.minReplicas": 9}, "spec.groups[0].minReplicas", "minReplicas"),
    "minReplicas over a variant": Bad(
        {f"{GROUP}.variants.0.replicas": 2, "spec.topology": {}}, "spec.groups[0].minReplicas", "minReplicas"
    ),
    "minReplicas 0": Bad({f"{GROUP}.minReplicas": 0}, "spec.groups[0].minReplicas", "minReplicas"),
    "negative cards": Bad({f"{GROUP}.cardsPerPod": -1}, "spec.groups[0].cardsPerPod", "cardsPerPod"),
    "unknown mixing": Bad({"spec.mixing": "Some"}, "spec.mixing", "mixing"),
    "unknown checkpoint format": Bad({"spec.checkpoint.format": "zip"}, "spec.checkpoint.format", "checkpoint.format"),
    "unknown rendezvous": Bad({"spec.rendezvous.style": "gloo"}, "spec.rendezvous.style", "rendezvous.style"),
    "unknown clean-up": Bad({"spec.cleanPodPolicy": "Some"}, "spec.cleanPodPolicy", "cleanPodPolicy"),
    "port 0": Bad({"spec.rendezvous.port": 0}, "spec.rendezvous.port", "rendezvous.port"),
    "bad quantity": Bad(_BAD_CPU, "spec.groups[0].template.spec.containers[0].resources.requests.cpu", "requests.cpu"),
    "negative quantity": Bad(
        {f"{MAIN}.resources": {"requests": {"cpu": "-1"}}},
        "spec.groups[0].template.spec.containers[0].resources.requests.cpu",
        "requests.cpu",
    ),
    "bad quantity in a variant": Bad(
        {f"{GROUP}.variants.0.resources": {"limits": {"memory": "1XB"}}},
        "spec.groups[0].variants[0].resources.limits.memory",
        "variants[0].resources.limits.memory",
    ),
    "reserved env PET_": Bad(
        {f"{MAIN}.env": [{"name": "A", "value": "1"}, {"name": "PET_NNODES", "value": "2"}]},
        "spec.groups[0].template.spec.containers[0].env[1].name",
        "template.spec.containers[0].env[1].name",
    ),
    "reserved env JAX_ of an init container": Bad(
        {f"{POD}.initContainers": [{"name": "i", "image": "i", "env": [{"name": "JAX_PROCESS_ID", "value": "2"}]}]},
        "spec.groups[0].template.spec.initContainers[0].env[0].name",
        "template.spec.initContainers[0].env[0].name",
    ),
    "reserved env CARDPOOL_ in a variant": Bad(
        {f"{GROUP}.variants.0.env": [{"name": "CARDPOOL_RANK", "value": "2"}]},
        "spec.groups[0].variants[0].env[0].name",
        "variants[0].env[0].name",
    ),
    "card limits": Bad({_LIMITS: {"nvidia.com/gpu": 1}}, "spec.groups[0].template.spec.containers[0].resources.limits"),
    "card requests": Bad(
        {f"{MAIN}.resources.requests": {"huawei.com/Ascend910": "1"}},
        "spec.groups[0].template.spec.containers[0].resources.requests",
    ),
    "card limits of an init container": Bad(
        {f"{POD}.initContainers": [{"name": "i", "image": "i", "resources": {"limits": {"hygon.com/dcu": 1}}}]},
        "spec.groups[0].template.spec.initContainers[0].resources.limits",
    ),
    "card limits of a variant": Bad(
        {f"{GROUP}.variants.0.resources": {"limits": {"huawei.com/npu": 1}}},
        "spec.groups[0].variants[0].resources.limits",
    ),
    **{
        f"template with {name}": Bad(
            {f"{POD}.{name}": value}, f"spec.groups[0].template.spec.{name}", f"template.spec.{name}"
        )
        for name, value in {
            "nodeName": "n-1",
            "hostname": "a",
            "subdomain": "a",
            "priority": 5,
            "priorityClassName": "high",
            "schedulingGates": [{"name": "example.com/gate"}],
            "schedulerName": "volcano",
        }.items()
    },
    "template with a label of ours": Bad(
        {f"{GROUP}.template.metadata.labels": {"cardpool.dev/role": "resolver"}},
        "spec.groups[0].template.metadata.labels",
        "template.metadata.labels",
    ),
    "template without containers": Bad(
        {f"{POD}.containers": []}, "spec.groups[0].template.spec.containers", "template.spec.containers"
    ),
    "container not in the template": Bad({f"{GROUP}.container": "other"}, "spec.groups[0].container", "container"),
    "two containers of one name": Bad(
        {f"{POD}.containers": [{"name": "main", "image": "a"}, {"name": "main", "image": "b"}]},
        "spec.groups[0].template.spec.containers[1]",
        "template.spec.containers[1]",
    ),
    "upper case in the name": Bad({"metadata.name": "Llm"}, "metadata.name", "metadata.name"),
    "name begins with a digit": Bad({"metadata.name": "1b"}, "metadata.name", "metadata.name"),
    "name with a dot": Bad({"metadata.name": "a.b"}, "metadata.name", "metadata.name"),
    "name of 41 characters": Bad({"metadata.name": "a" * 41}, "metadata.name", "metadata.name"),
    "negative TTL": Bad(
        {"spec.ttlSecondsAfterFinished": -1}, "spec.ttlSecondsAfterFinished", "ttlSecondsAfterFinished"
    ),
    "block of 0 pods": Bad(
        {"spec.topology.blocks": [{"pods": 0, "level": "node"}]},
        "spec.topology.blocks[0].pods",
        "topology.blocks[0].pods",
    ),
    "block that does not divide the gang": Bad(
        {"spec.topology.blocks": [{"pods": 3, "level": "node"}]}, "spec.topology.blocks", "topology.blocks"
    ),
    "block that does not divide the gang of a variant": Bad(
        {f"{GROUP}.variants.0.replicas": 12}, "spec.topology.blocks", "topology.blocks"
    ),
    "block that does not divide the one before": Bad(
        {"spec.topology.blocks": [{"pods": 8, "level": "rack"}, {"pods": 16, "level": "node"}]},
        "spec.topology.blocks",
        "topology.blocks",
    ),
    "block that does not divide the group": Bad(
        {f"{GROUP}.topology": {"blocks": [{"pods": 5, "level": "node"}]}},
        "spec.groups[0].topology.blocks",
        "topology.blocks",
    ),
    "duplicate group": Bad({"spec.groups.1.name": "worker"}, "spec.groups[1]", "groups[1]"),
    "duplicate accept": Bad({"spec.accept.1.profile": "nvidia"}, "spec.accept[1]", "accept[1]"),
    "group name with a dash": Bad({f"{GROUP}.name": "a-b"}, "spec.groups[0].name", "groups[0].name"),
    "no groups": Bad({"spec.groups": []}, "spec.groups", "groups"),
    "nine groups": Bad(
        {"spec.groups": [builders.group(1, 1, f"g{index}") for index in range(9)], "spec.topology": {}},
        "spec.groups",
        "groups",
    ),
    "more pods than a gang may have": Bad(
        {f"{GROUP}.replicas": 16_384, "spec.topology": {}, f"{GROUP}.variants": []}, "spec.groups", "groups"
    ),
    "relative mount": Bad(
        {"spec.checkpoint.volumeMount": "ckpt"}, "spec.checkpoint.volumeMount", "checkpoint.volumeMount"
    ),
    "checkpoint path outside the mount": Bad(
        {"spec.checkpoint.path": "a/../../b"}, "spec.checkpoint.path", "spec.checkpoint"
    ),
    "absolute checkpoint path": Bad({"spec.checkpoint.path": "/a"}, "spec.checkpoint.path", "checkpoint.path"),
    "backoff cap under its base": Bad(
        {"spec.restart.backoff": {"baseSeconds": 20, "capSeconds": 10}}, "spec.restart.backoff.capSeconds", "capSeconds"
    ),
    "exit code 0 as a failure": Bad(
        {"spec.restart.nonRetryableExitCodes": [0]},
        "spec.restart.nonRetryableExitCodes[0]",
        "restart.nonRetryableExitCodes[0]",
    ),
    "unknown field": Bad({"spec.replicas": 3}, "spec.replicas", "replicas"),
    "typo in the template": Bad(
        {f"{MAIN}.imagee": "x"}, "spec.groups[0].template.spec.containers[0].imagee", says="unknown field"
    ),
    "container without a name": Bad(
        {f"{POD}.containers.0": {"image": "a"}}, "spec.groups[0].template.spec.containers[0].name"
    ),
    "command as text": Bad({f"{MAIN}.command": "train"}, "spec.groups[0].template.spec.containers[0].command"),
}

POOLS: dict[str, Bad] = {
    "no profiles": Bad({"spec.profiles": []}, "spec.profiles", "profiles"),
    "profile twice": Bad({"spec.profiles.1.name": "nvidia"}, "spec.profiles[1]", "profiles[1]"),
    "compute 0": Bad(
        {"spec.profiles.0.computePercent": 0}, "spec.profiles[0].computePercent", "profiles[0].computePercent"
    ),
    "fabrics of no card": Bad(
        {"spec.profiles.0.fabricCards": 0}, "spec.profiles[0].fabricCards", "profiles[0].fabricCards"
    ),
    "fabrics that split a module": Bad(
        {"spec.profiles.0.fabricCards": 7, "spec.profiles.0.diePairs": True},
        "spec.profiles[0].fabricCards",
        "profiles[0]",
    ),
    "card ids without an index": Bad({"spec.profiles.0.cardIds": "npu-*"}, "spec.profiles[0].cardIds", "cardIds"),
    "card ids with two indexes": Bad({"spec.profiles.0.cardIds": "#-#"}, "spec.profiles[0].cardIds", "cardIds"),
    "level called node": Bad(
        {"spec.topology.levels.0.name": "node"}, "spec.topology.levels[0].name", "topology.levels[0]"
    ),
    "override of an unknown profile": Bad(
        {"spec.topology.overrides.0.profile": "mlu"}, "spec.topology.overrides", "topology.overrides"
    ),
    "two overrides of one profile": Bad(
        {
            "spec.topology.overrides": [
                {"profile": "nvidia", "levels": [{"name": "rack", "label": "example.com/rack"}]},
                {"profile": "nvidia", "levels": []},
            ]
        },
        "spec.topology.overrides[1]",
        "topology.overrides[1]",
    ),
    "a level twice": Bad(
        {
            "spec.topology.levels": [
                {"name": "rack", "label": "example.com/a"},
                {"name": "rack", "label": "example.com/b"},
            ]
        },
        "spec.topology.levels[1]",
        "topology.levels[1]",
    ),
    "two levels of one label": Bad(
        {"spec.topology.levels": [{"name": "row", "label": "a/r"}, {"name": "rack", "label": "a/r"}]},
        "spec.topology.levels",
        "topology.levels: each level needs a label of its own",
        says="a label of its own",
    ),
    "an override with two levels of one label": Bad(
        {"spec.topology.overrides.0.levels": [{"name": "row", "label": "a/r"}, {"name": "rack", "label": "a/r"}]},
        "spec.topology.overrides[0].levels",
        "topology.overrides[0].levels: each level",
        says="a label of its own",
    ),
    "an override with a level twice": Bad(
        {"spec.topology.overrides.0.levels": [{"name": "r", "label": "a/a"}, {"name": "r", "label": "a/b"}]},
        "spec.topology.overrides[0].levels[1]",
        "topology.overrides[0].levels[1]",
    ),
    "an override with a level called node": Bad(
        {"spec.topology.overrides.0.levels": [{"name": "node", "label": "a/a"}]},
        "spec.topology.overrides[0].levels[0].name",
        "topology.overrides[0].levels[0]",
    ),
    "seventeen levels": Bad(
        {"spec.topology.levels": [{"name": f"l{place}", "label": f"a/l{place}"} for place in range(17)]},
        "spec.topology.levels",
        "topology.levels",
    ),
    "a team twice": Bad(
        {"spec.teams": [{"name": "a", "namespaces": ["x"]}, {"name": "a", "namespaces": ["y"]}]},
        "spec.teams[1]",
        "teams[1]",
    ),
    "quota of an unknown profile": Bad({"spec.teams.0.quota.0.profile": "mlu"}, "spec.teams", "teams[0].quota[0]"),
    "quota in cards and compute": Bad(
        {"spec.teams.0.quota.0.compute": 5}, "spec.teams[0].quota[0].cards", "teams[0].quota[0].cards"
    ),
    "room for a gang of an unknown profile": Bad(
        {"spec.queue.defragmentation": {"gang": {"pods": 2, "cardsPerPod": 8, "profile": "mlu"}}},
        "spec.queue.defragmentation.gang.profile",
        "queue.defragmentation.gang.profile",
    ),
    "room for a gang in an unknown level": Bad(
        {"spec.queue.defragmentation": {"gang": {"pods": 2, "cardsPerPod": 8, "level": "hall"}}},
        "spec.queue.defragmentation.gang.level",
        "queue.defragmentation.gang.level",
    ),
    "more moves than are remembered": Bad(
        {"spec.queue.defragmentation": {"maxMovesPerHour": 61}},
        "spec.queue.defragmentation.maxMovesPerHour",
        "queue.defragmentation.maxMovesPerHour",
    ),
    "unknown strategy": Bad({"spec.queue.strategy": "Fifo"}, "spec.queue.strategy", "queue.strategy"),
    "percentage over 100": Bad({"spec.spares.perSupernode": "101%"}, "spec.spares.perSupernode", "spares.perSupernode"),
    "negative spares": Bad({"spec.spares.perSupernode": -1}, "spec.spares.perSupernode", "spares.perSupernode"),
    "values for Exists": Bad(
        {"spec.selector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}},
        "spec.selector.matchExpressions[0].values",
        "selector.matchExpressions[0]",
    ),
    "In without values": Bad(
        {"spec.selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
        "spec.selector.matchExpressions[0].values",
        "selector.matchExpressions[0]",
    ),
    "negative debounce": Bad(
        {"spec.faults.debounceSeconds": -1}, "spec.faults.debounceSeconds", "faults.debounceSeconds"
    ),
    "name that is no label": Bad({"metadata.name": "a.b"}, "metadata.name"),
}
