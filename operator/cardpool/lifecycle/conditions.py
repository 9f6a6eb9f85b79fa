"""Conditions as a board: one entry a type, a transition time only where the status changes.

Every entry carries the generation that it was judged on, so that ``kubectl wait`` never believes an old one.
"""

from __future__ import annotations

from collections.abc import Iterable

from cardpool.api.common import Condition, ConditionStatus
from cardpool.lifecycle import times
from cardpool.names import Condition as Type
from cardpool.names import Reason

MESSAGE_MAX = 1024
_WORDS = {True: ConditionStatus.TRUE, False: ConditionStatus.FALSE, None: ConditionStatus.UNKNOWN}


def find(conditions: Iterable[Condition], kind: Type) -> Condition | None:
    """The condition of a type, if it was ever set."""
    return next((condition for condition in conditions if condition.type == kind), None)


def holds(conditions: Iterable[Condition], kind: Type) -> bool:
    """True where the condition is set and True."""
    condition = find(conditions, kind)
    return condition is not None and condition.status == ConditionStatus.TRUE


class Board:
    """The conditions of one object while a cycle judges it."""

    def __init__(self, conditions: Iterable[Condition], generation: int, now: float) -> None:
        """Start from what stands; ``now`` is in seconds since the epoch."""
        self._now = now
        self._generation = generation
        self._items = {condition.type: condition for condition in conditions}

    def put(self, kind: Type, status: bool | None, reason: Reason, message: str = "") -> bool:
        """Set one condition (None = Unknown); True where status or reason changed."""
        word = _WORDS[status]
        old = self._items.get(kind)
        moved = old is None or old.status != word
        self._items[kind] = Condition(
            type=kind.value,
            status=word,
            reason=reason.value,
            message=message[:MESSAGE_MAX],
            observed_generation=self._generation,
            last_transition_time=times.at(self._now) if moved or old is None else old.last_transition_time,
        )
        return moved or (old is not None and old.reason != reason)

    def drop(self, kind: Type) -> None:
        """Forget a condition that no longer says anything."""
        self._items.pop(kind, None)

    def holds(self, kind: Type) -> bool:
        """True where the condition is set and True."""
        return holds(self._items.values(), kind)

    def stands(self, kind: Type, status: bool | None, reason: Reason, message: str = "") -> bool:
        """True where putting this would change nothing but the generation."""
        old = self._items.get(kind)
        return old is not None and (old.status, old.reason, old.message) == (_WORDS[status], reason, message)

    def outdated(self, kind: Type) -> bool:
        """True where the condition was judged on another generation."""
        return kind in self._items and self._items[kind].observed_generation != self._generation

    def reason(self, kind: Type) -> str:
        """The reason that stands, empty where the condition was never set."""
        return self._items[kind].reason if kind in self._items else ""

    def message(self, kind: Type) -> str:
        """The message that stands, empty where the condition was never set."""
        return self._items[kind].message if kind in self._items else ""

    def result(self) -> tuple[Condition, ...]:
        """All conditions in a fixed order, each judged on this generation."""
        order = {kind.value: place for place, kind in enumerate(Type)}
        items = sorted(self._items.values(), key=lambda item: (order.get(item.type, len(order)), item.type))
        generation = self._generation
        return tuple(
            item
            if item.observed_generation == generation
            else item.model_copy(update={"observed_generation": generation})
            for item in items
        )
