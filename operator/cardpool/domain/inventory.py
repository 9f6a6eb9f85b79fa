"""The pool as arrays: one row per node, one column per resource; what the planner computes on.

Column 0 is always the node's whole cards (of its profile's resource), column 1 the pod slots. ``free`` counts what is
left after every pod that holds the node, ours or not, and after every promise that is not a pod yet; ``cause`` says
why a node takes no pod at all (0 = it may). Rows are in node-name order, so equal worlds give equal arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from cardpool.domain.fabrics import FabricTable
from cardpool.domain.gangs import NodeFilter, Taint, Toleration
from cardpool.domain.topology import Tree

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CARDS = 0
PODS = 1


class Cause(IntEnum):
    """Why a node is out for everybody; names appear in messages through ``text``."""

    NONE = 0
    NO_PROFILE = 1
    NOT_READY = 2
    CORDONED = 3
    DELETING = 4
    SUPERNODE_CORDONED = 5
    CARDS_IN_DOUBT = 6
    CARDS_UNKNOWN = 7
    LABELS_MISSING = 8

    @property
    def text(self) -> str:
        """How messages name the cause."""
        return _CAUSE_TEXT[self]


_CAUSE_TEXT = {
    Cause.NONE: "",
    Cause.NO_PROFILE: "no cards of the pool",
    Cause.NOT_READY: "not ready",
    Cause.CORDONED: "cordoned",
    Cause.DELETING: "being deleted",
    Cause.SUPERNODE_CORDONED: "supernode cordoned",
    Cause.CARDS_IN_DOUBT: "a bad card that its plug-in still offers",
    Cause.CARDS_UNKNOWN: "device plug-in gone",
    Cause.LABELS_MISSING: "topology label missing",
}


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """One profile's nodes in path order: at every level each domain is one run of positions.

    ``rows[i]`` is the inventory row at position i, ``names[i]`` the node there. ``starts[l]`` has the first position of
    each domain of level l and, last, the number of positions; ``children[l]`` has the first domain of level l + 1 in
    each domain of level l, with the same sentinel; ``parents[l]`` has the domain of level l - 1 (empty at level 0).
    Nodes without the label of a level stand together, after the labelled ones of the same parent, in a domain that no
    demand may use.
    """

    rows: NDArray[np.intp]
    names: tuple[str, ...]
    starts: tuple[NDArray[np.intp], ...]
    children: tuple[NDArray[np.intp], ...]
    parents: tuple[NDArray[np.intp], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tolerance:
    """Per node the first taint that stops a pod: ``code[n]`` indexes ``texts``, 0 where none does."""

    code: NDArray[np.int32]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One label on every node: ``codes[n]`` numbers the value as ``index`` says, -1 where the node lacks the label."""

    codes: NDArray[np.int32]
    index: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Memo:
    """What has been computed already; a cache that never changes an answer.

    ``chosen``, ``columns`` by label and ``numbers`` (by code whether a value is a whole number, and which) depend on
    labels alone, ``tolerated`` on taints. ``rooms`` has, by the identity of a running gang's pods, those pods and what
    they were found to hold of a profile. ``grounds`` has each profile's nodes at the start of a cycle, ``cards`` each
    profile's capacity: both belong to one inventory.
    """

    chosen: dict[NodeFilter, NDArray[np.bool_]] = field(default_factory=dict)
    columns: dict[str, Column] = field(default_factory=dict)
    numbers: dict[str, tuple[NDArray[np.bool_], NDArray[np.int64]]] = field(default_factory=dict)
    tolerated: dict[tuple[Toleration, ...], Tolerance] = field(default_factory=dict)
    rooms: dict[tuple[int, int], tuple[object, object]] = field(default_factory=dict)
    grounds: dict[int, object] = field(default_factory=dict)
    cards: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """One pool's nodes. Shapes: N nodes, R resources, L levels of a profile's tree (the node level last).

    ``profile[n]`` indexes ``profiles`` (-1 = none). ``domains[p]`` is an int32 array (N, L) of domain ids of profile
    p's tree; ids are dense per level, in path order, and -1 where a label is missing or the node is of another profile.
    ``domain_names[p][l]`` gives the path of each id. ``supernode[n]`` indexes ``supernodes`` (-1 = none).
    ``debt[n]`` is what a node lacks of each resource for the pods that it has already, where it lost some: freed room
    pays it first. ``spare[n]`` marks nodes withheld from new gangs, ``busy[n]`` nodes with a card in use.
    ``tainted[n]`` indexes ``taint_sets``. ``layouts[p]`` is the path order of profile p. In the arrays of amounts each
    column lies in one piece. ``fabrics`` is None where no profile says anything of fabrics.
    """

    names: tuple[str, ...]
    index: Mapping[str, int]
    labels: tuple[Mapping[str, str], ...]
    taint_sets: tuple[tuple[Taint, ...], ...]
    tainted: NDArray[np.int32]
    resources: tuple[str, ...]
    capacity: NDArray[np.int64]
    free: NDArray[np.int64]
    debt: NDArray[np.int64]
    cause: NDArray[np.int8]
    profiles: tuple[str, ...]
    profile: NDArray[np.int16]
    trees: tuple[Tree, ...]
    domains: tuple[NDArray[np.int32], ...]
    domain_names: tuple[tuple[tuple[tuple[str, ...], ...], ...], ...]
    supernodes: tuple[str, ...]
    supernode: NDArray[np.int32]
    spare: NDArray[np.bool_]
    busy: NDArray[np.bool_]
    layouts: tuple[Layout, ...]
    memo: Memo = field(default_factory=Memo)
    notes: tuple[str, ...] = field(default_factory=tuple)
    fabrics: FabricTable | None = None
