"""What the profiles of a pool have in common in one cycle: their grounds, shared levels, and the domains of these.

A scope is a domain of a shared level, told by its path; on each profile it is a run of positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from cardpool.domain.inventory import Inventory
from cardpool.domain.topology import Level
from cardpool.engine import common
from cardpool.engine.attempt import Mask
from cardpool.engine.common import Path, Spans
from cardpool.engine.outlook import Outlook

Scope = tuple[tuple[Level, ...], Path] | None


class Lands:
    """The profiles' outlooks, and what was found of their shared levels."""

    __slots__ = ("_spans", "inventory", "view")

    def __init__(self, inventory: Inventory, view: Callable[[str], Outlook]) -> None:
        self.inventory, self.view = inventory, view
        self._spans: dict[tuple[int, tuple[Level, ...]], Spans | None] = {}

    def number(self, profile: str) -> int:
        """The profile's number in the inventory."""
        return self.inventory.profiles.index(profile)

    def profile_of(self, node: str) -> str:
        """The profile of a node, empty where it is unknown or has none."""
        row = self.inventory.index.get(node, -1)
        at = int(self.inventory.profile[row]) if row >= 0 else -1
        return self.inventory.profiles[at] if at >= 0 else ""

    def shared(self, profiles: tuple[str, ...]) -> tuple[Level, ...]:
        """The levels that these profiles have in common, wide to narrow."""
        trees = [self.inventory.trees[self.number(profile)] for profile in profiles]
        found: list[Level] = []
        for level in common.levels(trees):
            if all(self.spans(profile, (*found, level)) is not None for profile in profiles):
                found.append(level)
        return tuple(found)

    def spans(self, profile: str, shared: tuple[Level, ...]) -> Spans | None:
        """The domains of the last of these shared levels on one profile; None where the labels do not tell them."""
        key = self.number(profile), shared
        if key not in self._spans:
            self._spans[key] = common.spans(self.inventory, key[0], shared)
        return self._spans[key]

    def mask(self, profile: str, scope: Scope) -> Mask | None:
        """The positions of a scope on one profile; None: all."""
        if scope is None:
            return None
        known = self.spans(profile, scope[0])
        return common.mask(self.view(profile).ground, known[scope[1]] if known is not None else (0, 0))

    def scopes(
        self,
        profiles: Sequence[str],
        required: str,
        cards: Mapping[str, int],
        *,
        together: int = 0,
        most: int,
    ) -> Iterator[Scope]:
        """Where to look for room for so many cards of each profile, and so many ``together``.

        Shared domains, the narrowest level and the tightest domain first, at most so many of a level; then anywhere. Of
        a required level every domain, and nothing wider.
        """
        shared = self.shared(tuple(profiles))
        for depth in range(len(shared), 0, -1):
            some = shared[:depth]
            known = [(self.view(name).ground, self.spans(name, some) or {}, cards.get(name, 0)) for name in profiles]
            needed = shared[depth - 1].name == required
            found = common.roomy(known, together)
            yield from ((some, path) for path in (found if needed else found[:most]))
            if needed:
                return
        yield None

    def home(self, profiles: Sequence[str], required: str, nodes: Sequence[str]) -> Scope:
        """The domain of a required level that profiles share, in which these nodes are; None where there is none."""
        shared = self.shared(tuple(profiles))
        names = [level.name for level in shared]
        rows = [row for node in nodes if (row := self.inventory.index.get(node, -1)) >= 0]
        if required not in names or not rows:
            return None
        some = shared[: names.index(required) + 1]
        path = tuple(self.inventory.labels[rows[0]].get(level.label, "") for level in some)
        return (some, path) if all(path in (self.spans(name, some) or {}) for name in profiles) else None
