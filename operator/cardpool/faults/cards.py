"""The state of every card of one node: from yesterday's records and today's signals to today's records.

Rules, in the order they apply:

* Nothing of the maker's resource is offered any more and no pod names a bad card: the plug-in is gone, the cards are
  Unknown (record ``*``), other records stand still.
* A card that a pod names Unhealthy is Suspect, and Faulty once the debounce time has passed.
* A Suspect whose living pod takes the word back before allocatable fell was a flap; a Suspect whose pod is gone
  is judged by allocatable, and confirmed where allocatable never fell (nothing took the word back).
* Cards lost without a name are ``?1`` … ``?n``: Suspect, then Faulty, and gone as soon as allocatable is back.
* A named Faulty card recovers only by being seen to fall and to return: Probation for the debounce time, then
  Healthy, kept as a record while its onsets count towards quarantine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cardpool.domain.cards import CardFault, CardId
from cardpool.faults.signals import Named, NodeFacts
from cardpool.names import CardState, Reason

GONE = "*"
UNNAMED = "?"


@dataclass(frozen=True, slots=True)
class Policy:
    """The pool's fault settings, in seconds and counts."""

    debounce: float = 15.0
    attribution: float = 12.0
    quarantine_faults: int = 3
    quarantine_window: float = 86_400.0
    quarantine_release: float = 172_800.0
    unknown_grace: float = 300.0
    dead_node: float = 60.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """The node's records by card id, and when they may change without a new signal."""

    records: Mapping[str, CardFault]
    wake: float | None = None


def advance(node: NodeFacts, known: Mapping[str, CardFault], policy: Policy, now: float) -> Judgement:
    """Today's records of one node. Same input, same output; calling it again at the same moment changes nothing."""
    if not known and quiet(node):
        return Judgement({})
    judge = _Judge(node, known, policy, now)
    return judge.run()


def quiet(node: NodeFacts) -> bool:
    """True where nothing at this moment speaks against any card of the node."""
    return not node.lost and not node.unhealthy and not (node.capacity == 0 and node.held)


class _Judge:
    def __init__(self, node: NodeFacts, known: Mapping[str, CardFault], policy: Policy, now: float) -> None:
        self.node, self.known, self.policy, self.now = node, known, policy, now
        self.records: dict[str, CardFault] = {}
        self.wakes: list[float] = []

    def run(self) -> Judgement:
        unhealthy = {item.card: item for item in self.node.unhealthy if self._counts(item)}
        for card, word in unhealthy.items():
            self._accused(card, word)
        if self._plugin_gone(len(unhealthy)):
            frozen = {card: record for card, record in self.known.items() if card != GONE}
            self.records = {**frozen, **self.records}
            self._unknown()
        else:
            for card, record in self.known.items():
                if card not in unhealthy and not card.startswith((UNNAMED, GONE)):
                    self._unaccused(card, record)
            self._unnamed()
        return Judgement(self.records, min(self.wakes, default=None))

    def _counts(self, word: Named) -> bool:
        """A dead pod's last word counts while it may still explain the death, or where the card is known anyway."""
        if word.live or self._was_bad(word.card):
            return word.live or self.known[word.card].state is CardState.SUSPECT
        return self.now - word.ended <= self.policy.attribution

    def _was_bad(self, card: str) -> bool:
        return card in self.known and self.known[card].bad

    def _plugin_gone(self, accused: int) -> bool:
        node = self.node
        if node.allocatable > 0 or (node.capacity == 0 and not self.known and not node.held):
            return False
        judged = sum(1 for card, record in self.known.items() if record.bad and card != GONE)
        if node.capacity and max(accused, judged) >= node.capacity:
            return False  # every single card is under suspicion already: that is no lost plug-in
        since = self.known[GONE].since if GONE in self.known else self.now
        return node.capacity == 0 or self.now - since < self.policy.unknown_grace

    def _unknown(self) -> None:
        before = self.known.get(GONE)
        since = before.since if before is not None else self.now
        self.records[GONE] = CardFault(
            id=self._id(GONE),
            state=CardState.UNKNOWN,
            reason=Reason.CARDS_UNKNOWN,
            since=since,
            cards=max(self.node.capacity, sum(self.node.held.values()), before.cards if before is not None else 1),
            message="the device plug-in offers none of the node's cards",
        )
        self.wakes.append(since + self.policy.unknown_grace)

    def _id(self, card: str) -> CardId:
        known = self.known.get(card)
        return CardId(self.node.node.name, known.id.resource if known else self.node.resource, card)

    def _accused(self, card: str, word: Named) -> None:
        record = self.known.get(card)
        if record is None or record.state in {CardState.HEALTHY, CardState.PROBATION}:
            record = CardFault(
                id=self._id(card),
                state=CardState.SUSPECT,
                reason=Reason.CARD_UNHEALTHY,
                since=self.now,
                times=record.times if record else (),
                job=word.job,
                pod=word.pod,
                message=word.message or f"{word.pod} reports the card Unhealthy",
            )
        self._keep(card, replace(record, fell=record.fell or self.node.lost > 0))

    def _unaccused(self, card: str, record: CardFault) -> None:
        fell = record.fell or self.node.lost > 0
        returned = fell and self.node.lost == 0
        match record.state:
            case CardState.SUSPECT:
                taken_back = card in self.node.quiet and not self.node.lost
                if returned or taken_back:
                    self._rest(card, record)
                else:
                    self._keep(card, replace(record, fell=fell))
            case CardState.FAULTY if returned:
                self._keep(card, replace(record, state=CardState.PROBATION, since=self.now, fell=fell))
            case CardState.PROBATION if self.node.lost:
                self._keep(card, replace(record, state=CardState.FAULTY, since=self.now, fell=True))
            case CardState.HEALTHY:
                self._rest(card, record)
            case _:
                self._keep(card, replace(record, fell=fell))

    def _keep(self, card: str, record: CardFault) -> None:
        """Let time work on a record that is not at rest."""
        policy, age = self.policy, self.now - record.since
        if record.state is CardState.SUSPECT:
            if age >= policy.debounce:
                record = self._confirm(record)
            else:
                self.wakes.append(record.since + policy.debounce)
        elif record.state is CardState.PROBATION:
            if age >= policy.debounce:
                self._rest(card, record)
                return
            self.wakes.append(record.since + policy.debounce)
        elif record.state is CardState.QUARANTINED:
            if age >= policy.quarantine_release:
                record = replace(record, state=CardState.FAULTY, since=self.now)
            else:
                self.wakes.append(record.since + policy.quarantine_release)
        self.records[card] = record

    def _confirm(self, record: CardFault) -> CardFault:
        times = (*record.times, record.since)[-3:]
        inside = [moment for moment in times if self.now - moment <= self.policy.quarantine_window]
        full = len(inside) >= self.policy.quarantine_faults
        state = CardState.QUARANTINED if full else CardState.FAULTY
        return replace(record, state=state, since=self.now, times=times)

    def _rest(self, card: str, record: CardFault) -> None:
        """Healthy again; remembered only while an onset still counts towards quarantine."""
        inside = tuple(moment for moment in record.times if self.now - moment <= self.policy.quarantine_window)
        if inside:
            since = record.since if record.state is CardState.HEALTHY else self.now
            self.records[card] = replace(record, state=CardState.HEALTHY, since=since, times=inside, fell=False)
            self.wakes.append(inside[-1] + self.policy.quarantine_window + 1.0)

    def _unnamed(self) -> None:
        named = sum(1 for card, record in self.records.items() if record.bad and card != GONE)
        for place in range(1, self.node.lost - named + 1):
            card = f"{UNNAMED}{place}"
            record = self.known.get(card) or CardFault(
                id=self._id(card),
                state=CardState.SUSPECT,
                reason=Reason.CARDS_SHRUNK,
                since=self.now,
                fell=True,
                message="allocatable fell below capacity and no pod names the card",
            )
            self._keep(card, record)
