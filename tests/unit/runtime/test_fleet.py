"""Node labels and discovered Supernodes."""

from __future__ import annotations

import pytest

from cardpool.lifecycle import actions
from cardpool.names import Kind
from cardpool.runtime import fleet
from tests.unit.runtime.scripted import Bench, Dropped, refused

PATH = "/apis/cardpool.dev/v1alpha1/supernodes/main-sn-0"
APPLY = actions.ApplySupernode("main-sn-0", "main", "pool-uid", {"matchLabels": {"a": "b"}})


def make() -> tuple[Bench, fleet.Fleet]:
    """A fleet over a bench."""
    bench = Bench()
    return bench, fleet.Fleet(bench.api, bench.mirror, bench.metrics)  # type: ignore[arg-type]


async def test_a_supernode_is_applied_with_its_pool_as_owner() -> None:
    """Pool, selector, mark and owner: nothing that a person may set, such as spares."""
    bench, writer = make()

    done = await writer.supernode(APPLY)

    body = bench.api.bodies[0]
    owner = {"apiVersion": "cardpool.dev/v1alpha1", "kind": "CardPool", "name": "main", "uid": "pool-uid"}
    assert done
    assert body["spec"] == {"pool": "main", "selector": {"matchLabels": {"a": "b"}}}
    assert body["metadata"]["labels"] == {"cardpool.dev/discovered": "true"}
    assert body["metadata"]["ownerReferences"] == [{**owner, "controller": True}]


@pytest.mark.parametrize("trouble", [refused(409, "Conflict"), refused(422, "Invalid"), Dropped()])
async def test_a_failed_apply_is_reported_as_such(trouble: Exception) -> None:
    """The committer hears of it and waits; nothing is raised."""
    bench, writer = make()
    bench.api.fail("apply", "main-sn-0", trouble)

    assert not await writer.supernode(APPLY)


async def test_a_node_that_is_gone_is_forgotten() -> None:
    """404 on the apply takes the node out of the mirror."""
    bench, writer = make()
    bench.mirror.overlay(
        Kind.NODE, b'{"kind": "Node", "metadata": {"name": "n-0", "uid": "u", "resourceVersion": "1"}}'
    )
    bench.api.fail("apply", "n-0", refused(404, "NotFound"))

    assert not await writer.labels(actions.ApplyNodeLabels("n-0", "u", {"a": "b"}))
    assert bench.mirror.get(Kind.NODE, "n-0") is None


REMOVALS = {"gone already": (404, True), "another under the name": (409, True), "an error": (500, False)}


@pytest.mark.parametrize(("code", "expected"), REMOVALS.values(), ids=REMOVALS.keys())
async def test_removing_a_supernode(code: int, expected: bool) -> None:
    """What is gone is removed; an error is tried again later."""
    bench, writer = make()
    bench.api.fail("delete", "main-sn-0", refused(code))

    assert expected == await writer.remove(actions.DeleteSupernode("main-sn-0", "sn-uid"))


OTHER = {"key": "example.com/mine", "effect": "NoSchedule"}
OURS = {"key": "cardpool.dev/pool", "value": "main", "effect": "NoSchedule"}
NODE_PATH = "/api/v1/nodes/n-0"


@pytest.mark.parametrize(
    ("value", "before", "after"),
    [("main", [OTHER], [OTHER, OURS]), ("", [OURS, OTHER], [OTHER])],
    ids=["set", "taken away"],
)
async def test_the_taints_of_others_stay(value: str, before: list[object], after: list[object]) -> None:
    """Our taint comes and goes; the list is written whole, with the version that was read."""
    bench, writer = make()
    bench.api.put_object(
        NODE_PATH, {"kind": "Node", "metadata": {"name": "n-0", "uid": "u"}, "spec": {"taints": before}}
    )

    assert await writer.labels(actions.ApplyNodeLabels("n-0", "u", {}, value))
    assert bench.api.objects[NODE_PATH]["spec"]["taints"] == after
    assert bench.api.bodies[-1]["metadata"]["resourceVersion"]


async def test_a_taint_on_a_node_that_changed_meanwhile_waits() -> None:
    """A conflict writes nothing; the next cycle reads anew."""
    bench, writer = make()
    bench.api.put_object(NODE_PATH, {"kind": "Node", "metadata": {"name": "n-0", "uid": "u"}, "spec": {}})
    bench.api.fail("patch", "n-0", refused(409, "Conflict"))

    assert not await writer.labels(actions.ApplyNodeLabels("n-0", "u", {}, "main"))
    assert "taints" not in bench.api.objects[NODE_PATH]["spec"]
