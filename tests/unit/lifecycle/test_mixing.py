"""A gang on two makers' cards, from its promise to its pods, its fault and its return."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.simworld import SimCluster, job_spec, pool_spec

NPU = "huawei.com/Ascend910"
PROFILES = [{"name": "k100", "vendor": "hygon"}, {"name": "npu", "vendor": "ascend"}]


def cluster_of(k100: int = 2, npu: int = 2, **pool: Any) -> SimCluster:
    """Nodes of two makers in one supernode each pair."""
    cluster = SimCluster(nodes=k100, spec=pool_spec(profiles=PROFILES, **pool))
    for place in range(npu):
        cluster.add_node(f"m-{place}", f"s{place // 2}", NPU)
    return cluster


def group(name: str, replicas: int = 2, **fields: Any) -> dict[str, Any]:
    """A group of whole nodes with a checkpoint mount and a variant for npu."""
    container = {"name": "main", "image": "train", "volumeMounts": [{"name": "ckpt", "mountPath": "/ckpt"}]}
    template = {"spec": {"containers": [container], "volumes": [{"name": "ckpt", "emptyDir": {}}]}}
    variant = {"profile": "npu", "image": "train-npu", "env": [{"name": "HCCL", "value": "1"}]}
    base = {"name": name, "replicas": replicas, "cardsPerPod": 8, "template": template, "variants": [variant]}
    return base | fields


def mixed_spec(*groups: dict[str, Any], mixing: str = "PerGroup", **fields: Any) -> Any:
    """A job that may mix both profiles."""
    accept = [{"profile": "k100"}, {"profile": "npu"}]
    many = list(groups) or [group("train"), group("judge")]
    return job_spec(groups=many, mixing=mixing, **{"accept": accept, **fields})


def container(cluster: SimCluster, pod: str) -> dict[str, Any]:
    """The card container of a pod that was made."""
    return dict(cluster.manifest[f"default/{pod}"]["spec"]["containers"][0])


def test_pods_follow_the_variant_of_their_own_profile() -> None:
    """Image, environment, card resource, label and node of each maker; one world for all."""
    cluster = cluster_of()
    key = cluster.submit("a", mixed_spec())

    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"
    nodes = {pod.name: (pod.node[0], pod.labels["cardpool.dev/profile"]) for pod in cluster.pods_of(key)}
    assert nodes == {
        "a-train-0": ("n", "k100"),
        "a-train-1": ("n", "k100"),
        "a-judge-0": ("m", "npu"),
        "a-judge-1": ("m", "npu"),
    }
    one, other = container(cluster, "a-train-0"), container(cluster, "a-judge-1")
    assert (one["image"], list(one["resources"]["limits"])) == ("train", ["hygon.com/dcu"])
    assert (other["image"], list(other["resources"]["limits"])) == ("train-npu", [NPU])
    env = {item["name"]: item["value"] for item in other["env"]}
    told = (env["HCCL"], env["CARDPOOL_PROFILE"], env["CARDPOOL_RANK"], env["CARDPOOL_WORLD_SIZE"], env["PET_NNODES"])
    assert told == ("1", "npu", "3", "4", "4")
    placement = cluster.jobs[key].status.placement
    assert placement is not None
    assert [(part.group, part.profile) for part in placement.segments] == [("train", "k100"), ("judge", "npu")]
    assert next(text for _, reason, text in cluster.events if reason == "Placed").startswith(
        "placed 4 pods on k100 and npu: main-s0-"
    )


def test_none_waits_for_one_profile() -> None:
    """The same job without mixing waits and names both profiles."""
    cluster = cluster_of()
    key = cluster.submit("a", mixed_spec(mixing="None"))

    cluster.settle()

    assert cluster.condition(key, "PodsScheduled") == ("False", "InsufficientCards")
    assert cluster.pods_of(key) == []


def test_a_second_profile_is_mixed_in_only_after_its_wait() -> None:
    """``afterSeconds`` counts for a mix as for a profile alone."""
    cluster = cluster_of()
    accept = [{"profile": "k100"}, {"profile": "npu", "afterSeconds": 600}]
    key = cluster.submit("a", mixed_spec(accept=accept))

    cluster.settle()
    assert cluster.pods_of(key) == []
    cluster.step(600.0)
    cluster.settle()

    assert cluster.jobs[key].status.phase == "Running"


def test_groups_with_variants_keep_to_them() -> None:
    """Without ``accept`` a group goes where it has a variant; none at all is NoVariant."""
    cluster = cluster_of(4, 4)
    own = group("judge", variants=[{"profile": "npu"}])
    key = cluster.submit("a", mixed_spec(group("train", variants=[{"profile": "k100"}]), own, accept=[]))
    none = cluster.submit("b", mixed_spec(group("w", variants=[{"profile": "mlu"}]), accept=[]))

    cluster.settle()

    profiles = {pod.labels["cardpool.dev/group"]: pod.labels["cardpool.dev/profile"] for pod in cluster.pods_of(key)}
    assert profiles == {"train": "k100", "judge": "npu"}
    assert cluster.condition(none, "PodsScheduled") == ("False", "NoVariant")


def test_promises_of_a_mixed_gang_hold_on_both_makers() -> None:
    """Nothing is made yet, and nobody gets what was promised; nor do pods that are bound count twice."""
    cluster = cluster_of(3, 3)
    cluster.binds = lambda _pod: False
    cluster.submit("a", mixed_spec(group("train"), group("judge", variants=[]), accept=[]))
    cluster.step()
    single = cluster.submit("b", job_spec(2, accept=[{"profile": "npu"}]))
    last = cluster.submit("c", job_spec(1, accept=[{"profile": "npu"}]))
    cluster.binds = lambda _pod: True

    cluster.settle()

    assert cluster.condition(single, "PodsScheduled") == ("False", "InsufficientCards")
    assert cluster.jobs[last].status.phase == "Running"


def test_quota_counts_each_profile_of_a_running_gang() -> None:
    """The mixed gang holds 16 cards of each maker; the team's quota of one of them is used up."""
    team = {"name": "t", "namespaces": ["default"], "quota": [{"profile": "npu", "cards": 16}]}
    cluster = cluster_of(2, 3, teams=[team])
    cluster.submit("a", mixed_spec())
    cluster.settle()
    key = cluster.submit("b", job_spec(1, accept=[{"profile": "npu"}]))

    cluster.settle()

    assert cluster.condition(key, "PodsScheduled") == ("False", "QuotaExceeded")
    decision = cluster.decide()
    gauge = decision.gauges["team_cards"]
    assert {dict(labels)["profile"]: cards for labels, cards in gauge.items()} == {"k100": 16.0, "npu": 16.0}


def test_a_fault_on_one_maker_restarts_the_gang_and_healthy_ranks_stay() -> None:
    """The rank on the broken node moves to the maker's spare node; every other rank is where it was."""
    cluster = cluster_of(2, 3)
    key = cluster.submit("a", mixed_spec())
    cluster.settle()
    before = {pod.name: pod.node for pod in cluster.pods_of(key)}
    cluster.health("default/a-judge-1", "card-3", "Unhealthy")

    for _ in range(12):
        cluster.step(2.0)
    cluster.settle()

    after = {pod.name: pod.node for pod in cluster.pods_of(key)}
    status = cluster.jobs[key].status
    assert (status.phase, status.attempt, status.fault_restarts) == ("Running", 1, 1)
    moved = {name for name in after if before[name] != after[name]}
    assert moved == {"a-judge-1"}
    assert after["a-judge-1"].startswith("m-")


def test_the_resolver_follows_the_variant_of_rank_0() -> None:
    """It runs where rank 0 will, with the tolerations of that profile."""
    cluster = cluster_of()
    tolerant = {"profile": "npu", "tolerations": [{"key": "npu", "operator": "Exists"}]}
    first = group("train", variants=[tolerant])
    second = group("judge", variants=[{"profile": "k100"}])
    checkpoint = {"format": "orbax", "volumeMount": "/ckpt", "path": "llm"}
    cluster.submit("a", mixed_spec(first, second, accept=[], checkpoint=checkpoint))

    cluster.step()

    resolver = next(name for name in cluster.manifest if "resolver" in name)
    keys = [item.get("key") for item in cluster.manifest[resolver]["spec"]["tolerations"]]
    assert "npu" in keys


def test_what_a_mixed_gang_does_without_is_said() -> None:
    """No preemption, and levels that are not the same on both makers."""
    levels = [{"name": "supernode", "label": "own"}]
    topology = {
        "levels": [{"name": "supernode", "label": "sn"}],
        "overrides": [{"profile": "npu", "levels": levels}],
    }
    cluster = cluster_of(topology=topology)
    for name in ("m-0", "m-1"):
        cluster.node[name] = replace(cluster.node[name], labels={"own": "s0"})
    key = cluster.submit("a", mixed_spec(topology={"required": "supernode"}))

    cluster.settle()

    said = next(item.message for item in cluster.jobs[key].status.conditions if item.type == "Accepted")
    assert "while it waits to be mixed the gang preempts nobody" in said
    assert "profiles whose level supernode is not the same are not mixed with each other" in said
    waits = next(item.message for item in cluster.jobs[key].status.conditions if item.type == "PodsScheduled")
    assert "level 'supernode' is not one that k100 and npu share" in waits


def test_pods_of_one_group_on_two_makers() -> None:
    """``Any``: indexes run on through both makers, each pod with its own variant, under one Service."""
    cluster = cluster_of(2, 2)
    key = cluster.submit("a", mixed_spec(group("train", 3), mixing="Any", rendezvous={"style": "mpi"}))

    cluster.settle()

    told = [(pod.name, pod.labels["cardpool.dev/profile"]) for pod in cluster.pods_of(key)]
    assert told == [("a-train-0", "k100"), ("a-train-1", "k100"), ("a-train-2", "npu")]
    assert [container(cluster, name)["image"] for name, _ in told] == ["train", "train", "train-npu"]
    placement = cluster.jobs[key].status.placement
    assert placement is not None
    assert [(part.profile, part.from_index) for part in placement.segments] == [("k100", 0), ("npu", 2)]


def test_what_any_cannot_mix_is_said() -> None:
    """A variant with another number of pods."""
    cluster = cluster_of()
    variants = [{"profile": "npu", "replicas": 1}]
    key = cluster.submit("a", mixed_spec(group("train", 3, variants=variants), mixing="Any"))

    cluster.settle()

    said = next(item.message for item in cluster.jobs[key].status.conditions if item.type == "Accepted")
    assert "pods of group train are mixed only where their number is the same: 3 on k100, 1 on npu" in said
