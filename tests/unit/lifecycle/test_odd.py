"""Odd inputs: each gives a condition with a reason on the object at fault, and nothing is silently unconstrained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from cardpool.api.cardpool import CardPoolStatus
from cardpool.api.supernode import SupernodeSpec, SupernodeStatus
from cardpool.domain.world import NodeRecord, SupernodeRecord, World
from cardpool.lifecycle import actions, cycle
from cardpool.names import Kind
from tests.support.simworld import MAKERS, SimCluster, job_spec, pool_spec

ZONES = {"levels": [{"name": "zone", "label": "zone"}, {"name": "supernode", "label": "sn"}]}
TEAMS = [{"name": "a", "namespaces": ["x"]}, {"name": "b", "namespaces": ["x"]}]


@dataclass(frozen=True)
class Said:
    """A condition: of which object, and a part of its message."""

    kind: Kind
    name: str
    type: str
    status: str
    reason: str
    words: str


def plain() -> SimCluster:
    """Four nodes in two supernodes."""
    return SimCluster()


def asking(topology: dict[str, object], cluster: SimCluster | None = None, **fields: object) -> SimCluster:
    """A job with this demand, or with one for its group."""
    made = cluster or plain()
    made.submit("odd", job_spec(2, topology=topology, **fields))
    return made


def of_group(level: str) -> SimCluster:
    """A group that demands an unknown level."""
    made = plain()
    spec = job_spec(2)
    group = spec.groups[0].model_validate(
        {**spec.groups[0].model_dump(by_alias=True, exclude_none=True), "topology": {"required": level}}
    )
    made.submit("odd", spec.model_copy(update={"groups": (group,)}))
    return made


def zoned() -> SimCluster:
    """A zone on every node but one; the job demands a zone for as many pods as the zone would have with it."""
    made = SimCluster(spec=pool_spec(topology=ZONES))
    for name, node in made.node.items():
        if name != "n-3":
            made.node[name] = replace(node, labels={**node.labels, "zone": "z"})
    made.submit("odd", job_spec(4, topology={"required": "zone"}))
    return made


def declared() -> SimCluster:
    """Two Supernodes of people that select the same nodes."""
    made = plain()
    for place, name in enumerate(("older", "younger")):
        spec = SupernodeSpec.model_validate({"pool": "main", "selector": {"matchLabels": {"sn": "s0"}}})
        made.supernodes[name] = SupernodeRecord(
            name, f"uid-{name}", "1", 1, float(place), False, spec, SupernodeStatus(), False
        )
    return made


def empty(nodes: dict[str, NodeRecord]) -> SimCluster:
    """A pool whose selector finds these nodes alone."""
    made = SimCluster(spec=pool_spec(selector={"matchLabels": {"no": "where"}}))
    made.node = nodes
    made.submit("odd", job_spec(1))
    return made


ODD: dict[str, tuple[Callable[[], SimCluster], list[Said]]] = {
    "a required level that nobody knows": (
        lambda: asking({"required": "row"}),
        [
            Said(Kind.JOB, "default/odd", "Accepted", "False", "UnknownLevel", "no level row"),
            Said(Kind.JOB, "default/odd", "Stalled", "True", "UnknownLevel", "it has supernode, node"),
        ],
    ),
    "a preferred level that nobody knows": (
        lambda: asking({"preferred": "row"}),
        [Said(Kind.JOB, "default/odd", "Accepted", "False", "UnknownLevel", "no level row")],
    ),
    "a block's level that nobody knows": (
        lambda: asking({"blocks": [{"pods": 2, "level": "row"}]}),
        [Said(Kind.JOB, "default/odd", "Accepted", "False", "UnknownLevel", "no level row")],
    ),
    "a level to be alone in that nobody knows": (
        lambda: asking({"exclusive": "row"}),
        [Said(Kind.JOB, "default/odd", "Accepted", "False", "UnknownLevel", "no level row")],
    ),
    "a group's level that nobody knows": (
        lambda: of_group("row"),
        [Said(Kind.JOB, "default/odd", "Accepted", "False", "UnknownLevel", "no level row")],
    ),
    "a label missing on one node": (
        zoned,
        [
            Said(Kind.POOL, "main", "Degraded", "True", "LabelsMissing", "1 of 4 nodes of k100 have no label zone"),
            Said(Kind.JOB, "default/odd", "PodsScheduled", "False", "TopologyUnfit", "1 topology label missing"),
        ],
    ),
    "a label missing on all nodes": (
        lambda: asking({"required": "zone"}, SimCluster(spec=pool_spec(topology=ZONES))),
        [
            Said(Kind.POOL, "main", "Degraded", "False", "Healthy", ""),
            Said(Kind.JOB, "default/odd", "PodsScheduled", "False", "TopologyUnfit", "4 topology label missing"),
        ],
    ),
    "two supernodes claim a node": (
        declared,
        [
            Said(Kind.SUPERNODE, "younger", "Degraded", "True", "NodeConflict", "2 nodes are claimed by another"),
            Said(Kind.SUPERNODE, "older", "Degraded", "False", "Healthy", ""),
        ],
    ),
    "a namespace in two teams": (
        lambda: SimCluster(spec=pool_spec(teams=TEAMS)),
        [Said(Kind.POOL, "main", "Degraded", "True", "TeamConflict", "namespace x is in teams a, b; a has it")],
    ),
    "a team that no namespace can be in": (
        lambda: SimCluster(spec=pool_spec(teams=[{"name": "a"}, {"name": "default"}])),
        [Said(Kind.POOL, "main", "Degraded", "True", "TeamWithoutNamespaces", "spec.teams: a without namespaces")],
    ),
    "no nodes at all": (
        lambda: empty({}),
        [
            Said(Kind.POOL, "main", "Ready", "False", "NoNodes", "selects no node"),
            Said(Kind.JOB, "default/odd", "PodsScheduled", "False", "InsufficientCards", "has no node of this profile"),
        ],
    ),
    "a profile that the pool does not have": (
        lambda: asking({}, accept=[{"profile": "h100"}]),
        [Said(Kind.JOB, "default/odd", "Accepted", "False", "UnknownProfile", "no profile h100; it has k100")],
    ),
    "a maker that nobody knows": (
        lambda: SimCluster(spec=pool_spec(profiles=[{"name": "k100", "vendor": "acme"}])),
        [Said(Kind.POOL, "main", "Degraded", "True", "UnknownVendor", "no vendor file acme")],
    ),
}


@pytest.mark.parametrize(("make", "expected"), ODD.values(), ids=ODD)
def test_odd(make: Callable[[], SimCluster], expected: list[Said]) -> None:
    """The object at fault says so, and no pod is made."""
    cluster = make()
    cluster.settle()
    cluster.step(3.0)
    for said in expected:
        assert_said(cluster, said)
    assert cluster.created == []


def assert_said(cluster: SimCluster, said: Said) -> None:
    """The condition stands on the object."""
    status = {
        Kind.POOL: lambda: cluster.pool.status,
        Kind.SUPERNODE: lambda: cluster.supernodes[said.name].status,
        Kind.JOB: lambda: cluster.jobs[said.name].status,
    }[said.kind]()
    found = {item.type: item for item in status.conditions}[said.type]
    assert (found.status.value, found.reason) == (said.status, said.reason)
    assert said.words in (found.message or "")


def test_pools_that_overlap() -> None:
    """A node in two pools is the older one's; the other says so, and counts it not."""
    cluster = plain()
    younger = replace(cluster.pool, name="other", uid="uid-other", created=1.0, status=CardPoolStatus())
    world = replace(cluster.world(), pools={"main": cluster.pool, "other": younger})
    decision = cycle.decide(world, MAKERS, cycle.CycleSettings())
    found = _conditions(decision, "other")
    assert found["Degraded"] == ("True", "NodeConflict")
    assert found["Ready"] == ("False", "NoNodes")
    assert _conditions(decision, "main")["Ready"] == ("True", "Ready")


def _conditions(decision: actions.Decision, pool: str) -> dict[str, tuple[str, str]]:
    status = next(step.status for step in decision.steps if step.kind is Kind.POOL and step.key == pool)
    assert status is not None
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


def test_a_profile_without_a_level_is_told_of_beside_one_that_has_it() -> None:
    """A job of two profiles runs where its level exists; where it does not it is said, never left out."""
    profiles = [{"name": "k100", "vendor": "hygon"}, {"name": "h100", "vendor": "nvidia"}]
    override = {"profile": "h100", "levels": []}
    spec = pool_spec(
        profiles=profiles,
        topology={"levels": [{"name": "supernode", "label": "sn"}], "overrides": [override]},
    )
    cluster = SimCluster(spec=spec)
    cluster.submit("odd", job_spec(3, topology={"required": "supernode"}))
    cluster.settle()
    message = next(
        item.message for item in cluster.jobs["default/odd"].status.conditions if item.type == "PodsScheduled"
    )
    assert "profile k100: 2 of 3 pods fit at best" in (message or "")
    assert "profile h100: unknown topology level 'supernode'; there are node" in (message or "")


def test_a_world_of_nothing() -> None:
    """No pools, no nodes: nothing is done, and nothing falls over."""
    assert cycle.decide(World(now=0.0), MAKERS, cycle.CycleSettings()) == actions.Decision(gauges=_nothing())


def _nothing() -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    return {"cards": {}, "jobs": {}, "slots": {}, "supernode_slots": {}, "team_cards": {}, "jobs_waiting": {}}
