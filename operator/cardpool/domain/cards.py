"""Cards and their faults: a card is (node, resource, id); an unnamed lost card has the id ``?k``.

A fault record is what survives in Supernode status; everything the fault pipeline knows of a card is in it, so that a
restart of the operator loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from cardpool.names import CardState, Reason


@dataclass(frozen=True, slots=True, order=True)
class CardId:
    """One card: node name, extended resource and the plug-in's own id."""

    node: str
    resource: str
    card: str


@dataclass(frozen=True, slots=True)
class CardFault:
    """What is known against one card. Times are seconds since the epoch.

    ``fell`` says that the node's allocatable was seen below its capacity since the fault began (only then can its
    return prove recovery); ``times`` are the last three onsets, newest last; ``cards`` is how many the record stands
    for (more than one only where a node's plug-in is gone).
    """

    id: CardId
    state: CardState
    reason: Reason
    since: float
    times: tuple[float, ...] = ()
    fell: bool = False
    cards: int = 1
    job: str = ""
    pod: str = ""
    message: str = ""

    @property
    def bad(self) -> bool:
        """True where no new pod may get this card."""
        return self.state is not CardState.HEALTHY

    @property
    def confirmed(self) -> bool:
        """True where a gang on this card must be taken down."""
        return self.state in {CardState.FAULTY, CardState.QUARANTINED}
