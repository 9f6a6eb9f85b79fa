"""What is free in each fabric of a node, from the ids that its pods report and the cards that are known to be bad.

Everything that is in use or lost without a name is doubt. A module of two dies is free only while both are; an id whose
index another card of the node has too, or that lies beyond the node's cards, is no name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from cardpool.api.cardpool import Profile
from cardpool.domain.cards import CardFault
from cardpool.domain.fabrics import MODULE, WHOLE, FabricRule, Held, NodeFabrics
from cardpool.faults.cards import GONE, UNNAMED
from cardpool.faults.signals import NodeFacts
from cardpool.vendors.model import VendorFile


def rule_of(profile: Profile | None, maker: VendorFile | None) -> FabricRule | None:
    """What the profile, and where it is silent its maker's file, says of fabrics; None where neither says anything."""
    if profile is None:
        return None
    pairs = profile.die_pairs if profile.die_pairs is not None else maker is not None and maker.die_pairs
    cards = profile.fabric_cards or (maker.fabric_cards if maker is not None else None) or 0
    if not (cards or pairs):
        return None
    return FabricRule(cards + cards % MODULE if pairs else cards, pairs, profile.card_ids or "")


def of_node(rule: FabricRule, facts: NodeFacts, bad: Mapping[str, CardFault], promised: int) -> NodeFabrics:
    """The node's fabrics; ``bad`` are its records by card, ``promised`` cards are given away without a pod."""
    total, unit = facts.capacity, MODULE if rule.pairs else 1
    size = rule.cards or WHOLE
    free = [rule.cards] * -(-total // size) if rule.cards else [total + total % unit]
    lost = {card for card, record in bad.items() if record.bad and not card.startswith((UNNAMED, GONE))}
    index = _indexes(rule, lost.union(*facts.named.values()), sum(free))
    named = {owner: [card for card in cards if card in index] for owner, cards in facts.named.items()}
    unknown = facts.used.get(facts.resource, 0) - sum(map(len, named.values()))
    unnamed = facts.lost - sum(1 for card in lost if card in index)
    absent = sum(free) - total
    for module in {place // unit for place in index.values()}:
        free[module * unit // size] -= unit
    return NodeFabrics(
        size=size,
        unit=unit,
        free=tuple(free),
        doubt=_whole(unknown, unit) + _whole(promised, unit) + (max(0, unnamed) + absent) * unit,
        held={
            owner: Held(_frees([index[card] for card in cards if card not in lost], size, unit, len(free)), len(cards))
            for owner, cards in named.items()
        },
    )


def scattered(rule: FabricRule, cards: Iterable[str]) -> bool:
    """Whether cards of one pod lie in more fabrics, or modules, than they fill; False where an id does not tell."""
    places = [rule.index(card) for card in cards]
    if not places or min(places) < 0:
        return False
    sizes = ([rule.cards] if rule.cards else []) + ([MODULE] if rule.pairs else [])
    return any(len({place // size for place in places}) > -(-len(places) // size) for size in sizes)


def _indexes(rule: FabricRule, cards: Iterable[str], most: int) -> dict[str, int]:
    """The index of each card that has one below ``most`` for itself."""
    found = {card: place for card in cards if 0 <= (place := rule.index(card)) < most}
    shared = Counter(found.values())
    return {card: place for card, place in found.items() if shared[place] == 1}


def _whole(cards: int, unit: int) -> int:
    """Cards rounded up to whole units; what is below zero is nothing."""
    return max(0, -(-cards // unit) * unit)


def _frees(places: Iterable[int], size: int, unit: int, number: int) -> tuple[int, ...]:
    """Cards per fabric in units that these places fill alone."""
    found = [0] * number
    for module, dies in Counter(place // unit for place in places).items():
        if dies == unit:
            found[module * unit // size] += unit
    return tuple(found)
