"""Which entries of a mapping are not those that it had: the one question by which whatever is kept stays true.

An entry is the same where its value is the very same object, so values have to be replaced and never changed. A
``Table`` remembers which keys its last versions touched, so between two of them the answer costs what changed; between
any other two mappings it is found by looking at all entries. Both answers name every key that changed, and perhaps
some that did not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeVar

Value = TypeVar("Value")
_STEPS: Final = 16


class Table(dict[str, Value]):
    """One version of a mapping, never changed; ``steps`` are the keys that its last versions touched, newest last."""

    __slots__ = ("origin", "steps", "version")

    def __init__(
        self,
        values: Mapping[str, Value],
        origin: object = None,
        version: int = 0,
        steps: tuple[frozenset[str], ...] = (),
    ) -> None:
        super().__init__(values)
        self.origin, self.version, self.steps = origin if origin is not None else object(), version, steps

    def followed(self, values: Mapping[str, Value], touched: Iterable[str]) -> Table[Value]:
        """The next version, in which at most these keys are other entries, new or gone."""
        return Table(values, self.origin, self.version + 1, (*self.steps[1 - _STEPS :], frozenset(touched)))

    def replaced(self, entries: Mapping[str, Value], gone: Iterable[str] = ()) -> Table[Value]:
        """The next version, with these entries and without those that are gone; this one where nothing is."""
        gone = frozenset(gone)
        if not entries and not gone:
            return self
        found = self.followed(self, gone | entries.keys())
        found.update(entries)
        for key in gone:
            found.pop(key, None)
        return found


def between(old: Mapping[str, Value], new: Mapping[str, Value]) -> Collection[str]:
    """Keys whose entries may differ: every one that does, those only in one of both included."""
    if old is new:
        return ()
    if isinstance(old, Table) and isinstance(new, Table) and old.origin is new.origin:
        passed = new.version - old.version
        if 0 <= passed <= len(new.steps):
            return frozenset[str]().union(*new.steps[len(new.steps) - passed :])
    found = [key for key, value in new.items() if old.get(key) is not value]
    fresh = sum(1 for key in found if key not in old)
    if len(new) - fresh != len(old):
        found += old.keys() - new.keys()
    return found
