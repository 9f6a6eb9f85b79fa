"""What a vendor file says, once it is proved well formed; absent knowledge stays None or empty, never a guess."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping


def _no_labels() -> Mapping[str, str]:
    return types.MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True)
class VendorError:
    """One thing wrong with one file: `source` names the file, `field` the path in it (empty: the whole file)."""

    source: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.source}: {self.field + ' ' if self.field else ''}{self.message}"


@dataclasses.dataclass(frozen=True, slots=True)
class VisibleEnv:
    """Environment names by which the container runtime and the framework are told which cards to see."""

    runtime: tuple[str, ...] = ()
    framework: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Torch:
    """The device name in torch and the name for `init_process_group`."""

    device: str | None = None
    backend: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class VendorFile:
    """One maker. `resources` are whole cards in order of preference; `share_resources` are never counted as cards.

    A share name may end in `*`. A label value `*` under `identify_labels` stands for any value. `in_node_fabrics` are
    the sizes, in cards, of the direct-link groups inside one node, for people; `fabric_cards` and `die_pairs` are what
    the planner keeps to where a profile says nothing. `recovers_by_itself` is None where nobody knows.
    """

    name: str
    display_name: str
    resources: tuple[str, ...]
    share_resources: tuple[str, ...] = ()
    enable_labels: Mapping[str, str] = dataclasses.field(default_factory=_no_labels)
    identify_labels: Mapping[str, str] = dataclasses.field(default_factory=_no_labels)
    pci_vendors: tuple[str, ...] = ()
    visible_env: VisibleEnv = VisibleEnv()
    torch: Torch = Torch()
    native_library: str | None = None
    cards_per_node: int | None = None
    die_pairs: bool = False
    in_node_fabrics: tuple[int, ...] = ()
    fabric_cards: int | None = None
    unhealthy_may_mean_busy: bool = False
    recovers_by_itself: bool | None = None
    inventory: str = "Allocatable"

    def claims(self, resource: str) -> bool:
        """Whether the name is this maker's, whole card or share."""
        return resource in self.resources or any(_matches(pattern, resource) for pattern in self.share_resources)


def _matches(pattern: str, resource: str) -> bool:
    return resource.startswith(pattern[:-1]) if pattern.endswith("*") else resource == pattern
