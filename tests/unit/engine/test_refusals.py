"""A refusal is told again as it is: to other gangs, at other positions."""

from __future__ import annotations

import dataclasses

from cardpool.domain.gangs import Refusal
from cardpool.names import Reason


def test_what_is_told_again_lacks_nothing() -> None:
    """Every field but gang and position is the first one's; a new field cannot be forgotten."""
    first = Refusal("a/one", Reason.INSUFFICIENT_CARDS, "why", 3, 4, {"cordoned": 2}, 7)

    again = first.told("a/two", 9)

    assert all(getattr(first, item.name) != item.default for item in dataclasses.fields(Refusal))
    assert dataclasses.replace(first, gang="a/two", position=9) == again
