"""What membership keeps from cycle to cycle never outlives the pools that it was about."""

from __future__ import annotations

from cardpool.api.cardpool import CardPoolSpec, CardPoolStatus
from cardpool.domain.world import PoolRecord, World
from cardpool.lifecycle import membership
from cardpool.vendors import registry

SPEC = CardPoolSpec.model_validate(
    {"selector": {"matchLabels": {"pool": "main"}}, "profiles": [{"name": "h100", "vendor": "nvidia"}]}
)
POOL = PoolRecord("main", "uid", "1", 1, 0.0, deleting=False, spec=SPEC, status=CardPoolStatus())


def test_a_pool_that_is_gone_is_forgotten_though_no_node_is_left() -> None:
    """A pool deleted after its last node leaves no trace in the next cycle's membership."""
    kept, known = membership.Seating(), registry.load_builtin()
    membership.assign(World(0.0, pools={"main": POOL}), known, kept)
    place = membership.assign(World(1.0), known, kept)

    assert place.by_pool == {}
