"""What the planner is asked for (Gang) and what it answers (Placement, Refusal).

A gang is all or nothing: a Placement names a node for every pod or it does not exist. The planner sees nothing of
pod templates but what kube-scheduler would weigh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cardpool.domain.topology import TopologyRequest
from cardpool.names import Reason


@dataclass(frozen=True, slots=True)
class Toleration:
    """A pod's toleration, as Kubernetes means it; an empty key with Exists tolerates everything."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class Taint:
    """A node's taint."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One match expression over node labels (In, NotIn, Exists, DoesNotExist, Gt, Lt)."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Required node affinity of a template: ORed terms of ANDed requirements, and the ANDed node selector.

    ``field_terms[i]`` belongs to ``terms[i]``: the node names that its matchFields allow, empty for no such demand. A
    requirement on the key ``metadata.name`` means the node's name as well (for NotIn). A term with neither matches
    nothing, as in Kubernetes.
    """

    selector: tuple[tuple[str, str], ...] = ()
    terms: tuple[tuple[Requirement, ...], ...] = ()
    field_terms: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class GroupShape:
    """One group of a gang as one profile would run it.

    ``requests`` are per pod without the cards: canonical integers (cpu in millicores, memory and ephemeral storage in
    bytes, the rest in units). ``min_replicas`` is the least number of pods that will do; 0 means all of them.
    """

    name: str
    replicas: int
    cards_per_pod: int
    requests: Mapping[str, int] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    nodes: NodeFilter = NodeFilter()
    topology: TopologyRequest = field(default_factory=TopologyRequest)
    min_replicas: int = 0


@dataclass(frozen=True, slots=True)
class Option:
    """The gang as one profile would run it, in the job's order of preference."""

    profile: str
    groups: tuple[GroupShape, ...]


@dataclass(frozen=True, slots=True)
class Mix:
    """What a gang may be mixed of: ``groups[g][p]`` is group g as ``profiles[p]`` would run it, None where it may not.

    Profiles stand in the job's order of preference. Each group sits on one profile, or, with ``within``, its pods may
    sit on different ones too, where these ask for the same number of pods.
    """

    profiles: tuple[str, ...]
    groups: tuple[tuple[GroupShape | None, ...], ...]
    within: bool = False


@dataclass(frozen=True, slots=True)
class Gang:
    """One job that wants a place now.

    ``options`` are the accepted profiles whose waiting time is over. ``previous`` maps a rank, counted as at full
    size, to the node it ran on (healthy ranks keep their node); ``excluded`` are nodes with the cause why they are
    avoided for this gang. ``created`` and ``queued`` (since when it waits, 0 = since it was made) are seconds since the
    epoch. ``repair`` marks the replacement of a running gang, for which spares are open. ``runtime`` is the run time in
    seconds, declared or learned from earlier runs, None where nobody knows. ``mix`` is asked for what none of the
    options holds; None: one profile or nothing.
    """

    key: str
    uid: str
    priority: int
    created: float
    options: tuple[Option, ...]
    topology: TopologyRequest = field(default_factory=TopologyRequest)
    previous: Mapping[int, str] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)
    repair: bool = False
    asked_first: bool = False
    team: str = "default"
    queued: float = 0.0
    runtime: float | None = None
    mix: Mix | None = None

    def size(self) -> int:
        """Pods of the gang in its first option; each group's first shape where only a mix will do."""
        if self.options or self.mix is None:
            return sum(group.replicas for group in self.options[0].groups) if self.options else 0
        return sum(next((shape.replicas for shape in shapes if shape), 0) for shapes in self.mix.groups)


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of consecutive indexes of one group in one supernode; ``nodes`` has one name per pod."""

    group: str
    from_index: int
    profile: str
    supernode: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """A node for every pod of the gang, ranks in order; ``crossings`` counts neighbours in different domains.

    A mixed gang's ``profile`` has the names of all for people; ``shares`` are its cards by profile, empty where it
    is not mixed.
    """

    gang: str
    profile: str
    segments: tuple[Segment, ...]
    crossings: int = 0
    shares: tuple[tuple[str, int], ...] = ()

    def nodes(self) -> tuple[str, ...]:
        """The node of each rank, in rank order."""
        return tuple(node for segment in self.segments for node in segment.nodes)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a gang waits: ``fit`` of ``want`` pods fit at best; ``excluded`` counts nodes by cause; one-line message."""

    gang: str
    reason: Reason
    message: str
    fit: int = 0
    want: int = 0
    excluded: Mapping[str, int] = field(default_factory=dict)
    position: int = 0

    def told(self, gang: str, position: int = 0) -> Refusal:
        """The same answer to another gang, or at another position; many thousand of them are given in a cycle."""
        return Refusal(gang, self.reason, self.message, self.fit, self.want, self.excluded, position)


@dataclass(frozen=True, slots=True)
class Elastic:
    """What a running gang might have instead: ``gang`` is what it would ask for, with its nodes in ``previous``.

    From ``grows`` on (seconds since the epoch, None: never by itself) it may be restarted to have at least ``worth``
    pods.
    """

    gang: Gang
    grows: float | None = None
    worth: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """A gang that holds cards now, as the planner weighs it: its cards count for its team, it may be preempted.

    ``pods`` are one (node, cards, requests) for each pod that holds its node or that has it promised; requests are per
    pod without the cards, in canonical integers. ``started``, ``checkpoint`` (when the newest proved checkpoint was
    made, 0 = none) and ``ends`` (as declared, or ``learned`` from earlier runs; None = unknown) are seconds since the
    epoch. ``leaving`` marks a gang that is being taken down already: its room will come without doing anything;
    ``preempted`` one that leaves for another, whose quota it uses no more. ``exclusive`` names the topology level that
    it has for itself alone, empty for none. ``claim`` is the number of cards that its team's quota keeps for a gang
    between two attempts.
    ``mixed`` has what the quota counts for a gang on several profiles, by profile (``profile`` is its first rank's);
    empty for a gang on one. ``elastic`` is None for a gang whose size must stay. ``accepts`` has the least cards that
    it would ask for on each profile that it accepts, were it to wait again.
    """

    key: str
    uid: str
    team: str
    priority: int
    profile: str
    pods: tuple[tuple[str, int, Mapping[str, int]], ...]
    started: float
    checkpoint: float = 0.0
    ends: float | None = None
    leaving: bool = False
    preempted: bool = False
    exclusive: str = ""
    claim: int = 0
    learned: bool = False
    mixed: tuple[tuple[str, int], ...] = ()
    elastic: Elastic | None = None
    accepts: tuple[tuple[str, int], ...] = ()

    def cards(self) -> int:
        """Cards that the gang holds."""
        return sum(cards for _, cards, _ in self.pods)

    def shares(self) -> tuple[tuple[str, int], ...]:
        """What its team's quota counts for it, by profile."""
        return self.mixed or ((self.profile, max(self.cards(), self.claim)),)

    def on(self, profile: str) -> bool:
        """True where the gang holds something of this profile."""
        return profile == self.profile if not self.mixed else any(profile == name for name, _ in self.mixed)


@dataclass(frozen=True, slots=True)
class Eviction:
    """A running gang that is to be taken down, whole, so that the gang ``by`` fits.

    An elastic one that fits beside it with at most ``size`` pods comes back with them; None: nothing was found for it.
    """

    gang: str
    by: str
    reason: Reason = Reason.PREEMPTED
    message: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """A running elastic gang that is to be restarted, whole, because it fits with so many ``pods``."""

    gang: str
    pods: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """A running gang that is to be restarted elsewhere, whole, so that the gang ``by`` fits where it runs now.

    ``by`` is empty where room is made though none waits for it.

    ``placement`` is its next place, with which it goes; ``lost`` is what that costs, in card-seconds since its newest
    proved checkpoint or its start.
    """

    gang: str
    by: str
    placement: Placement
    lost: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Nodes that are kept for a waiting gang; ``start`` is its earliest start in seconds since the epoch, if known."""

    gang: str
    nodes: tuple[str, ...]
    start: float | None = None


class Advice(Protocol):
    """Can be asked what would free a gang that waits."""

    def of(self, gang: str) -> str:
        """One clause about the gang of this key, empty where nothing is known."""

    def nodes(self, gang: str) -> Mapping[str, tuple[int, tuple[str, ...]]]:
        """How many nodes each cause excludes for it, and the names of some."""

    def quota(self, gang: str) -> Sequence[str]:
        """What its team uses of each limit that it draws on, in words."""


@dataclass(frozen=True, slots=True)
class PlanResult:
    """One planning cycle over one pool's queue: each gang has exactly one answer, a placement or a refusal.

    ``preempting`` are the placements that gangs will get once the ``evictions`` (and those of earlier cycles) are
    done: those gangs are refused in this cycle with WaitingForPreemption, as are those for whom others make the
    ``moves``. For the ``vain`` no moves were found. ``wake`` is when planning again would answer otherwise though
    nothing else changed (seconds since the epoch). ``advice`` is worked out only when it is asked. Before ``until`` the
    same questions in the same pool get this very answer, advice included; None where nobody can tell.
    """

    placements: tuple[Placement, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    evictions: tuple[Eviction, ...] = ()
    growing: tuple[Growth, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    preempting: tuple[Placement, ...] = ()
    moves: tuple[Move, ...] = ()
    vain: tuple[str, ...] = ()
    wake: float | None = None
    advice: Advice | None = field(default=None, compare=False, repr=False)
    until: float | None = field(default=None, compare=False, repr=False)
