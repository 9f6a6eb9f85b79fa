"""A demand on labels is weighed once per value; the answer is that of the plain rule, node by node."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cardpool.domain.gangs import NodeFilter, Requirement
from cardpool.domain.inventory import Inventory
from cardpool.engine import build, matching
from tests.support import worlds

KEYS = st.sampled_from(["disk", "size", "metadata.name", "nowhere"])
VALUES = st.sampled_from(["n-0", "n-1", "ssd", "", "7", "-7", "+7", "007", "1_0", "7.0", "9223372036854775808"])
OPERATORS = st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Like"])
LABELS = st.lists(st.dictionaries(KEYS, VALUES, max_size=3), max_size=5)
REQUIREMENTS = st.builds(Requirement, KEYS, OPERATORS, st.lists(VALUES, max_size=3).map(tuple))
FILTERS = st.builds(
    NodeFilter,
    selector=st.lists(st.tuples(KEYS, VALUES), max_size=2).map(tuple),
    terms=st.lists(st.lists(REQUIREMENTS, max_size=3).map(tuple), max_size=3).map(tuple),
    field_terms=st.lists(st.lists(VALUES, max_size=2).map(tuple), max_size=3).map(tuple),
)


def plainly(inventory: Inventory, nodes: NodeFilter) -> list[bool]:
    """The rule asked for each node by itself."""
    pairs = zip(inventory.names, inventory.labels, strict=True)
    return [matching.admits(nodes, name, labels) for name, labels in pairs]


def answered(inventory: Inventory, nodes: NodeFilter) -> list[bool]:
    """What the planner reads."""
    found = matching.chosen(inventory, nodes)
    return [True] * len(inventory.names) if found is None else found.tolist()


@settings(max_examples=400, deadline=None)
@given(LABELS, st.lists(FILTERS, min_size=1, max_size=4))
def test_every_node_is_weighed_as_by_itself(labels: list[dict[str, str]], filters: list[NodeFilter]) -> None:
    """Several demands on one inventory, each beside what was kept of the others, and again after a node filled up."""
    rows = [worlds.node(f"n-{number}", labels=own) for number, own in enumerate(labels)]
    inventory = build.build_inventory(rows, (worlds.PROFILE,), (worlds.tree(),))
    expected = [plainly(inventory, nodes) for nodes in filters]

    assert expected == [answered(inventory, nodes) for nodes in filters]
    filled = build.update_rows(inventory, [worlds.node(row.name, labels=row.labels, free=0) for row in rows[:1]])
    assert filled is not None
    assert expected == [answered(filled, nodes) for nodes in reversed(filters)][::-1]
