"""Sums over many owners, kept as each owner's part of them: only who changes is taken out and put in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Label = tuple[str, str, str]
Parts = Mapping[Label, int]


@dataclass(slots=True)
class Sums:
    """By label the sum of all parts; a label stands as long as somebody has a part in it, though the part be zero."""

    parts: dict[str, Parts] = field(default_factory=dict)
    totals: dict[Label, int] = field(default_factory=dict)
    _owners: dict[Label, int] = field(default_factory=dict)

    def put(self, owner: str, parts: Parts) -> None:
        """The owner's part is this from now on; nothing at all where there is none."""
        old = self.parts.get(owner, {})
        if old == parts:
            return
        for label, amount in parts.items():
            self.totals[label] = self.totals.get(label, 0) + amount
            self._owners[label] = self._owners.get(label, 0) + 1
        for label, amount in old.items():
            self.totals[label] -= amount
            self._owners[label] -= 1
            if not self._owners[label]:
                del self.totals[label], self._owners[label]
        if parts:
            self.parts[owner] = parts
        else:
            self.parts.pop(owner, None)
