"""The states of one node's cards, told as short histories."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cardpool.domain.cards import CardFault
from cardpool.domain.world import NodeRecord
from cardpool.faults import cards
from cardpool.faults.signals import Named, NodeFacts

NODE = NodeRecord("n", "uid", 0.0, {}, (), False, True, False, {}, {})
POLICY = cards.Policy(debounce=10, attribution=5, unknown_grace=300, quarantine_faults=3, quarantine_window=1000)


def facts(
    allocatable: int = 8, *, bad: tuple[str, ...] = (), quiet: tuple[str, ...] = (), capacity: int = 8
) -> NodeFacts:
    """The node as the API shows it now."""
    unhealthy = tuple(Named(card, "ns/pod", "ns/job", "", live=True) for card in bad)
    return NodeFacts(NODE, "x/card", capacity, allocatable, {}, 1, {}, unhealthy, frozenset(quiet))


def states(records: Mapping[str, CardFault]) -> dict[str, str]:
    """Card to state."""
    return {card: record.state.value for card, record in sorted(records.items())}


HISTORIES: dict[str, list[tuple[float, NodeFacts, dict[str, str]]]] = {
    "a named card becomes Faulty after the debounce": [
        (0, facts(bad=("c1",)), {"c1": "Suspect"}),
        (9, facts(bad=("c1",)), {"c1": "Suspect"}),
        (10, facts(bad=("c1",)), {"c1": "Faulty"}),
    ],
    "a flap that the pod takes back leaves nothing": [
        (0, facts(bad=("c1",)), {"c1": "Suspect"}),
        (3, facts(quiet=("c1",)), {}),
    ],
    "a suspect whose pod is gone and whose node never fell is confirmed": [
        (0, facts(bad=("c1",)), {"c1": "Suspect"}),
        (3, facts(), {"c1": "Suspect"}),
        (11, facts(), {"c1": "Faulty"}),
    ],
    "a named card that never fell stays Faulty": [
        (0, facts(bad=("c1",)), {"c1": "Suspect"}),
        (10, facts(bad=("c1",)), {"c1": "Faulty"}),
        (900, facts(), {"c1": "Faulty"}),
    ],
    "a card that fell and returned is on probation, then healthy": [
        (0, facts(bad=("c1",)), {"c1": "Suspect"}),
        (10, facts(7, bad=("c1",)), {"c1": "Faulty"}),
        (20, facts(7), {"c1": "Faulty"}),
        (30, facts(8), {"c1": "Probation"}),
        (40, facts(8), {"c1": "Healthy"}),
        (2000, facts(8), {}),
    ],
    "a card that falls again on probation is Faulty at once": [
        (0, facts(7, bad=("c1",)), {"c1": "Suspect"}),
        (10, facts(7, bad=("c1",)), {"c1": "Faulty"}),
        (30, facts(8), {"c1": "Probation"}),
        (32, facts(7), {"c1": "Faulty"}),
    ],
    "unnamed losses are counted, confirmed and forgotten when they return": [
        (0, facts(6), {"?1": "Suspect", "?2": "Suspect"}),
        (10, facts(6), {"?1": "Faulty", "?2": "Faulty"}),
        (12, facts(7), {"?1": "Faulty"}),
        (14, facts(8), {}),
    ],
    "a loss that a name explains is not counted twice": [
        (0, facts(7, bad=("c1",)), {"c1": "Suspect"}),
        (10, facts(7, bad=("c1",)), {"c1": "Faulty"}),
    ],
    "a plug-in that is gone is Unknown, and back without a fault": [
        (0, facts(0), {"*": "Unknown"}),
        (60, facts(0), {"*": "Unknown"}),
        (61, facts(8), {}),
    ],
    "a plug-in whose capacity is gone too stays Unknown for good": [
        (0, facts(0), {"*": "Unknown"}),
        (400, facts(0, capacity=0), {"*": "Unknown"}),
    ],
    "a plug-in and its capacity gone at once under pods that hold cards is Unknown": [
        (0, facts(0, capacity=0)._replace(held={"job": 8}), {"*": "Unknown"}),
        (40, facts(8)._replace(held={"job": 8}), {}),
    ],
    "all cards lost with the capacity still there are faults after the grace": [
        (0, facts(0, capacity=2), {"*": "Unknown"}),
        (301, facts(0, capacity=2), {"?1": "Suspect", "?2": "Suspect"}),
        (312, facts(0, capacity=2), {"?1": "Faulty", "?2": "Faulty"}),
    ],
    "the same card unhealthy across a plug-in restart is one fault": [
        (0, facts(7, bad=("c1",)), {"c1": "Suspect"}),
        (10, facts(7, bad=("c1",)), {"c1": "Faulty"}),
        (20, facts(0), {"*": "Unknown", "c1": "Faulty"}),
        (40, facts(7, bad=("c1",)), {"c1": "Faulty"}),
    ],
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES.keys())
def test_history(history: list[tuple[float, NodeFacts, dict[str, str]]]) -> None:
    """Each moment gives the states that the history tells, and judging it again changes nothing."""
    records: Mapping[str, CardFault] = {}
    for now, seen, expected in history:
        records = cards.advance(seen, records, POLICY, now).records

        assert states(records) == expected
        assert cards.advance(seen, records, POLICY, now).records == records


def test_third_fault_inside_the_window_is_quarantine() -> None:
    """Three onsets of one card inside the window: kept out until release, though its plug-in offers it again."""
    records: Mapping[str, CardFault] = {}
    for start in (0, 100, 200):
        for now, seen in (
            (start, facts(7, bad=("c1",))),
            (start + 10, facts(7, bad=("c1",))),
            (start + 30, facts(8)),
            (start + 41, facts(8)),
        ):
            records = cards.advance(seen, records, POLICY, now).records

    assert states(records) == {"c1": "Quarantined"}
    assert states(cards.advance(facts(8), records, POLICY, 5000).records) == {"c1": "Quarantined"}


def test_gone_plugin_remembers_how_many_cards() -> None:
    """The record stands for all the node's cards, also once its capacity is gone."""
    records = cards.advance(facts(0), {}, POLICY, 0).records
    records = cards.advance(facts(0, capacity=0), records, POLICY, 400).records

    assert records["*"].cards == 8


def test_onsets_are_the_first_signals() -> None:
    """``times`` holds when the signal came, not when it was confirmed."""
    records: Mapping[str, CardFault] = {}
    for now in (3, 13):
        records = cards.advance(facts(bad=("c1",)), records, POLICY, now).records

    assert records["c1"].times == (3,)


def test_the_next_look_is_named() -> None:
    """The judgement says when it may change without a new signal."""
    assert cards.advance(facts(bad=("c1",)), {}, POLICY, 5).wake == 15


def test_the_dead_pods_last_word_counts_only_for_a_while() -> None:
    """A pod that ended long ago accuses nobody."""
    word = Named("c1", "ns/pod", "ns/job", "", live=False, ended=100)
    seen = facts()._replace(unhealthy=(word,))

    assert states(cards.advance(seen, {}, POLICY, 104).records) == {"c1": "Suspect"}
    assert states(cards.advance(seen, {}, POLICY, 106).records) == {}
