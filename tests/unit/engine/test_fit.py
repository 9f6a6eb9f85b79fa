"""What kube-scheduler would refuse, the planner refuses first, and counts."""

from __future__ import annotations

from typing import Any

import pytest

from cardpool.domain.gangs import NodeFilter, Requirement, Taint, Toleration
from cardpool.domain.inventory import Cause
from cardpool.engine import matching
from cardpool.names import Reason
from tests.support import worlds
from tests.support.worlds import gang, group, topology

LABELS = {"disk": "ssd", "size": "12", "odd": "x", "spaced": "1_0", "huge": "9223372036854775808"}


def requires(*requirements: Requirement, names: tuple[str, ...] = ()) -> NodeFilter:
    """One affinity term."""
    return NodeFilter(terms=(requirements,), field_terms=(names,))


FILTERS: dict[str, tuple[NodeFilter, bool]] = {
    "nothing is demanded": (NodeFilter(), True),
    "selector matches": (NodeFilter(selector=(("disk", "ssd"),)), True),
    "selector differs": (NodeFilter(selector=(("disk", "hdd"),)), False),
    "selector's key is missing": (NodeFilter(selector=(("zone", "a"),)), False),
    "In": (requires(Requirement("disk", "In", ("hdd", "ssd"))), True),
    "In of others": (requires(Requirement("disk", "In", ("hdd",))), False),
    "NotIn": (requires(Requirement("disk", "NotIn", ("hdd",))), True),
    "NotIn of a missing key": (requires(Requirement("zone", "NotIn", ("a",))), True),
    "Exists": (requires(Requirement("disk", "Exists")), True),
    "Exists of a missing key": (requires(Requirement("zone", "Exists")), False),
    "DoesNotExist": (requires(Requirement("zone", "DoesNotExist")), True),
    "Gt": (requires(Requirement("size", "Gt", ("9",))), True),
    "Gt of itself": (requires(Requirement("size", "Gt", ("12",))), False),
    "Lt": (requires(Requirement("size", "Lt", ("13",))), True),
    "Gt of no number": (requires(Requirement("odd", "Gt", ("1",))), False),
    "Gt of a number that only Python reads": (requires(Requirement("spaced", "Gt", ("1",))), False),
    "Gt of more than 64 bits": (requires(Requirement("huge", "Gt", ("1",))), False),
    "Lt of a missing key": (requires(Requirement("zone", "Lt", ("1",))), False),
    "all of a term": (requires(Requirement("disk", "Exists"), Requirement("zone", "Exists")), False),
    "any of the terms": (NodeFilter(terms=((Requirement("zone", "Exists"),), (Requirement("disk", "Exists"),))), True),
    "an empty term matches nothing": (NodeFilter(terms=((),)), False),
    "node by field": (requires(names=("n",)), True),
    "other node by field": (requires(names=("m",)), False),
    "field and label": (requires(Requirement("zone", "Exists"), names=("n",)), False),
    "node by requirement": (requires(Requirement("metadata.name", "NotIn", ("n",))), False),
    "an unknown operator": (requires(Requirement("disk", "Like", ("s",))), False),
    "selector and terms": (NodeFilter(selector=(("disk", "hdd"),), terms=((Requirement("disk", "Exists"),),)), False),
}


@pytest.mark.parametrize(("nodes", "expected"), FILTERS.values(), ids=FILTERS)
def test_node_filters(nodes: NodeFilter, expected: bool) -> None:
    """Selector and required affinity as kube-scheduler reads them."""
    assert expected == matching.admits(nodes, "n", LABELS)


TAINT = Taint("team", "a", "NoSchedule")
TOLERATIONS: dict[str, tuple[tuple[Toleration, ...], Taint, bool]] = {
    "none": ((), TAINT, False),
    "equal": ((Toleration("team", "Equal", "a"),), TAINT, True),
    "another value": ((Toleration("team", "Equal", "b"),), TAINT, False),
    "exists": ((Toleration("team", "Exists"),), TAINT, True),
    "everything": ((Toleration("", "Exists"),), TAINT, True),
    "another effect": ((Toleration("team", "Exists", effect="NoExecute"),), TAINT, False),
    "NoExecute blocks": ((), Taint("team", "a", "NoExecute"), False),
    "PreferNoSchedule does not": ((), Taint("team", "a", "PreferNoSchedule"), True),
    "an empty key without Exists": ((Toleration("", "Equal", "a"),), TAINT, False),
}


@pytest.mark.parametrize(("tolerations", "taint", "expected"), TOLERATIONS.values(), ids=TOLERATIONS)
def test_tolerations(tolerations: tuple[Toleration, ...], taint: Taint, expected: bool) -> None:
    """Taints that stop a pod."""
    assert expected == matching.tolerates(tolerations, taint)


def test_every_cause_is_counted_once() -> None:
    """Four nodes, four out: one tainted, two with the wrong label, one too small."""
    changes: dict[str, dict[str, Any]] = {
        "a": {"taints": (Taint("dedicated", "x"),), "labels": {"kind": "new"}},
        "b": {"labels": {"kind": "old"}},
        "c": {"labels": {}},
        "d": {"labels": {"kind": "new"}, "cards_usable": 1},
    }
    inventory = worlds.pool({"a": 8, "b": 8, "c": 8, "d": 8}, (), changes)
    wants = group(1, cards=2, nodes=NodeFilter(selector=(("kind", "new"),)))
    refusal = worlds.planned(inventory, gang(wants)).refusals[0]
    expected = {"not matching node selector or affinity": 2, "tainted (dedicated=x)": 1, "short of cards": 1}
    assert expected == dict(refusal.excluded)
    assert refusal.message.endswith(
        "0 of 1 pods fit; of 4 nodes: 2 not matching node selector or affinity, 1 short of cards, 1 tainted (dedicated=x)"
    )


SHORT: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "cards": ({}, {"cards": 9}, "1 short of cards"),
    "healthy cards": ({"cards_usable": 7}, {"cards": 8}, "1 short of cards"),
    "cards in use": ({"used_cards": 1}, {"cards": 8}, "1 short of cards"),
    "cards that died under a running job": ({"cards_usable": 6, "used_cards": 8}, {"cards": 6}, "1 short of cards"),
    "cpu": ({}, {"cards": 1, "requests": {"cpu": 64_001}}, "1 short of cpu"),
    "memory in use": ({"used": {"memory": 1}}, {"cards": 1, "requests": {"memory": 1 << 40}}, "1 short of memory"),
    "ephemeral storage": ({}, {"cards": 1, "requests": {"ephemeral-storage": 1 << 41}}, "1 short of ephemeral-storage"),
    "pod slots": ({"pods_used": 110}, {"cards": 1}, "1 short of pods"),
    "another extended resource": ({}, {"cards": 1, "requests": {"rdma/hca": 1}}, "1 without rdma/hca"),
    "readiness": ({"cause": Cause.NOT_READY}, {"cards": 1}, "1 not ready"),
    "a cordon": ({"cause": Cause.CORDONED}, {"cards": 1}, "1 cordoned"),
    "doubt": ({"cause": Cause.CARDS_IN_DOUBT}, {"cards": 1}, "1 a bad card that its plug-in still offers"),
    "a spare": ({"spare": True}, {"cards": 1}, "1 kept as spare"),
}


@pytest.mark.parametrize(("node", "shape", "words"), SHORT.values(), ids=SHORT)
def test_what_a_node_lacks(node: dict[str, Any], shape: dict[str, Any], words: str) -> None:
    """One node, one pod, one cause."""
    refusal = worlds.planned(worlds.pool({"a": 8}, (), {"a": node}), gang(group(1, **shape))).refusals[0]
    assert (refusal.reason, refusal.fit, refusal.want) == (Reason.INSUFFICIENT_CARDS, 0, 1)
    assert refusal.message.endswith(f"of 1 nodes: {words}")


def test_pods_share_a_node_as_its_scarcest_resource_allows() -> None:
    """Eight cards, but memory for three pods."""
    inventory = worlds.pool({"a": 8}, (), {"a": {"capacity": {"memory": 10, "pods": 110}}})
    refusal = worlds.planned(inventory, gang(group(4, cards=2, requests={"memory": 3}))).refusals[0]
    assert refusal.fit == 3


def test_an_avoided_node_is_named_with_its_cause() -> None:
    """The gang would fit if it did not avoid the node."""
    refusal = worlds.planned(worlds.pool({"a": 8}, ()), gang(group(1), excluded={"a": "bind timeout"})).refusals[0]
    assert refusal.reason == Reason.EXCLUDED
    assert dict(refusal.excluded) == {"avoided (bind timeout)": 1}


def test_a_pod_without_cards_needs_none() -> None:
    """A launcher fits where every card is taken."""
    inventory = worlds.pool({"a": 8}, (), {"a": {"used_cards": 8}})
    assert len(worlds.planned(inventory, gang(group(1, cards=0))).placements) == 1


def test_a_prefix_is_not_a_name() -> None:
    """A gang bound to rack-a does not use rack-ab."""
    inventory = worlds.pool({"rack-a": [1], "rack-ab": [1]}, ("rack",))
    wants = group(2, nodes=NodeFilter(selector=((worlds.LABEL + "rack", "rack-a"),)))
    assert worlds.planned(inventory, gang(wants)).refusals[0].fit == 1


def test_a_message_is_never_long() -> None:
    """Many causes and long names still make one line of at most 900 characters."""
    changes = {f"n{at}": {"taints": (Taint("k" * 200 + str(at)),)} for at in range(20)}
    inventory = worlds.pool({f"n{at}": 8 for at in range(20)}, (), changes)
    message = worlds.planned(inventory, gang(group(1), demand=topology())).refusals[0].message
    assert len(message) <= 900
    assert "\n" not in message
