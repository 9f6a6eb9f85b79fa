"""Fabrics of a node in the whole core: the profile says they are there, pods' ids say which cards are gone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from cardpool.api.cardpool import Profile
from cardpool.domain.cards import CardFault, CardId
from cardpool.domain.fabrics import WHOLE, FabricRule, Held, NodeFabrics
from cardpool.domain.world import DeviceHealth, NodeRecord, PodRecord
from cardpool.faults import signals
from cardpool.lifecycle import fabrics
from cardpool.names import CardState, Reason
from cardpool.vendors.model import VendorFile
from tests.support.simworld import RESOURCE, SimCluster, job_spec, pool_spec

EIGHTS = FabricRule(8)


def pod(owner: str, cards: int, *ids: int, finished: bool = False) -> PodRecord:
    """A pod that holds so many cards and has said some of their ids."""
    devices = tuple(DeviceHealth(RESOURCE, f"card-{number}", "Healthy") for number in ids)
    phase = "Succeeded" if finished else "Running"
    return PodRecord(
        "ns", f"p-{owner}-{ids}", "u", 0.0, {}, owner, "n", phase, True, False, {RESOURCE: cards}, devices=devices
    )


def node(capacity: int = 16, allocatable: int | None = None) -> NodeRecord:
    """A node with cards."""
    offered = {RESOURCE: capacity if allocatable is None else allocatable}
    return NodeRecord("n", "u", 0.0, {}, (), False, True, False, {RESOURCE: capacity}, offered)


def bad(*ids: str, state: CardState = CardState.FAULTY) -> dict[str, CardFault]:
    """Records of these cards."""
    return {card: CardFault(CardId("n", RESOURCE, card), state, Reason.CARD_UNHEALTHY, 0.0) for card in ids}


def told(rule: FabricRule, pods: Sequence[PodRecord] = (), promised: int = 0, **fields: Any) -> NodeFabrics:
    """What is known of the node's fabrics."""
    records = fields.pop("bad", {})
    return fabrics.of_node(rule, signals.facts(node(**fields), RESOURCE, pods), records, promised)


SEEN: dict[str, tuple[NodeFabrics, tuple[int, ...], int]] = {
    "empty": (told(EIGHTS), (8, 8), 0),
    "named": (told(EIGHTS, [pod("a", 3, 0, 7, 8)]), (6, 7), 0),
    "unnamed": (told(EIGHTS, [pod("a", 3)]), (8, 8), 3),
    "named in part": (told(EIGHTS, [pod("a", 3, 9)]), (8, 7), 2),
    "promised": (told(EIGHTS, promised=4), (8, 8), 4),
    "a finished pod holds nothing": (told(EIGHTS, [pod("a", 3, 0, 1, 2, finished=True)]), (8, 8), 0),
    "an index beyond the node": (told(EIGHTS, [pod("a", 1, 16)]), (8, 8), 1),
    "ids of another shape": (told(FabricRule(8, ids="npu-#"), [pod("a", 1, 3)]), (8, 8), 1),
    "a faulty card": (told(EIGHTS, allocatable=15, bad=bad("card-9")), (8, 7), 0),
    "a faulty card in use": (told(EIGHTS, [pod("a", 1, 9)], allocatable=15, bad=bad("card-9")), (8, 7), 0),
    "a lost card without a name": (told(EIGHTS, allocatable=15, bad=bad("?1")), (8, 8), 1),
    "a card that is well again": (told(EIGHTS, bad=bad("card-9", state=CardState.HEALTHY)), (8, 8), 0),
    "a card that is not there": (told(EIGHTS, capacity=15), (8, 8), 1),
    "one fabric": (told(FabricRule(16), [pod("a", 2, 0, 9)]), (14,), 0),
    "no cards": (told(EIGHTS, capacity=0), (), 0),
    "a die takes its module": (told(FabricRule(0, pairs=True), [pod("a", 1, 3)]), (14,), 0),
    "an unnamed die takes a module": (told(FabricRule(0, pairs=True), [pod("a", 1)]), (16,), 2),
    "a lost die takes a module": (told(FabricRule(0, pairs=True), allocatable=15), (16,), 2),
    "modules in fabrics": (told(FabricRule(8, pairs=True), [pod("a", 4, 0, 1, 8, 9)]), (6, 6), 0),
    "an odd number of dies": (told(FabricRule(0, pairs=True), capacity=15), (16,), 2),
}


@pytest.mark.parametrize(("found", "free", "doubt"), SEEN.values(), ids=SEEN)
def test_what_is_free_in_each_fabric(found: NodeFabrics, free: tuple[int, ...], doubt: int) -> None:
    """What has a name is gone from its fabric, what has none from anywhere."""
    assert (free, doubt) == (found.free, found.doubt)


def test_two_cards_of_one_index_have_no_name() -> None:
    """Two boards that both count from 0: their ids tell nothing."""
    twins = (DeviceHealth(RESOURCE, "left-0", "Healthy"), DeviceHealth(RESOURCE, "right-0", "Healthy"))
    found = told(EIGHTS, [dataclasses.replace(pod("a", 2), devices=twins)])
    assert (found.free, found.doubt) == ((8, 8), 2)


def test_what_an_owner_will_leave() -> None:
    """Its well cards per fabric; a faulty one stays lost, a die without its twin frees no module."""
    pods = [pod("a", 3, 0, 1, 8), pod("a", 1, 9), pod("b", 1, 10)]
    found = told(EIGHTS, pods, allocatable=15, bad=bad("card-9"))
    assert {"a": Held((2, 1), 4), "b": Held((0, 1), 1)} == found.held
    twins = told(FabricRule(0, pairs=True), pods)
    assert (WHOLE, {"a": Held((4,), 4), "b": Held((0,), 1)}) == (twins.size, twins.held)


PROFILE = {"name": "p", "vendor": "acme"}
MAKER = VendorFile("acme", "Acme", ("acme.io/card",))
RULES: dict[str, tuple[dict[str, Any], VendorFile | None, FabricRule | None]] = {
    "nobody says anything": ({}, MAKER, None),
    "an unknown maker": ({}, None, None),
    "the profile": ({"fabricCards": 8}, MAKER, FabricRule(8)),
    "the maker": ({}, dataclasses.replace(MAKER, fabric_cards=4), FabricRule(4)),
    "the profile before the maker": ({"fabricCards": 8}, dataclasses.replace(MAKER, fabric_cards=4), FabricRule(8)),
    "the maker's pairs": ({}, dataclasses.replace(MAKER, die_pairs=True), FabricRule(0, pairs=True)),
    "no pairs here": ({"diePairs": False}, dataclasses.replace(MAKER, die_pairs=True), None),
    "ids": ({"fabricCards": 8, "cardIds": "npu-#-*"}, MAKER, FabricRule(8, ids="npu-#-*")),
    "what is for people binds nobody": ({}, dataclasses.replace(MAKER, in_node_fabrics=(4, 4)), None),
}


@pytest.mark.parametrize(("fields", "maker", "expected"), RULES.values(), ids=RULES)
def test_who_says_what_a_fabric_is(
    fields: dict[str, Any], maker: VendorFile | None, expected: FabricRule | None
) -> None:
    """The profile, then its maker's file; absent means one fabric."""
    assert expected == fabrics.rule_of(Profile.model_validate(PROFILE | fields), maker)


def cluster(*ids: int, **profile: Any) -> SimCluster:
    """One node of 16 cards of which a foreign pod holds these; two fabrics unless the profile says otherwise."""
    spec = pool_spec(profiles=[{"name": "k100", "vendor": "hygon", "fabricCards": 8, **profile}])
    made = SimCluster(nodes=1, cards=16, per_supernode=1, spec=spec)
    if ids:
        made.foreign("other", "n-0", len(ids))
        devices = tuple(DeviceHealth(RESOURCE, f"card-{number}", "Healthy") for number in ids)
        made.pod["default/other"] = dataclasses.replace(made.pod["default/other"], devices=devices)
    return made


SIX_AND_TWO = (0, 1, 8, 9, 10, 11, 12, 13)


@pytest.mark.parametrize(("cards", "phase"), [(8, "Queued"), (6, "Running"), (2, "Running"), (7, "Queued")])
def test_six_and_two_are_not_eight(cards: int, phase: str) -> None:
    """A node of 16 with 6 + 2 free in its two fabrics."""
    made = cluster(*SIX_AND_TWO)
    key = made.submit("a", job_spec(1, cards))
    made.settle()
    assert phase == made.jobs[key].status.phase


def test_the_wait_says_so_and_ends_by_itself() -> None:
    """The condition counts the node under a cause of its own; the job starts once a fabric is free."""
    made = cluster(*SIX_AND_TWO)
    key = made.submit("a", job_spec(1, 8))
    made.settle()
    message = next(item.message for item in made.jobs[key].status.conditions if item.type == "PodsScheduled")
    assert "1 with enough cards free, but split across fabrics of 8" in message

    held = made.pod["default/other"]
    made.pod["default/other"] = dataclasses.replace(held, requests={RESOURCE: 6}, devices=held.devices[2:])
    made.settle()
    assert made.jobs[key].status.phase == "Running"


def test_without_fabrics_eight_are_eight() -> None:
    """The same node in a profile in which it is one fabric."""
    made = cluster(*SIX_AND_TWO, fabricCards=16)
    key = made.submit("a", job_spec(1, 8))
    made.settle()
    assert made.jobs[key].status.phase == "Running"


def test_ids_that_are_not_told_are_doubt_until_they_are() -> None:
    """A pod of 2 whose ids nobody knows may have broken either fabric; once it is known the other one is given."""
    made = cluster()
    made.foreign("silent", "n-0", 2)
    key = made.submit("a", job_spec(1, 8))
    made.settle()
    message = next(item.message for item in made.jobs[key].status.conditions if item.type == "PodsScheduled")
    assert "1 with enough cards free, but not known in which fabrics of 8" in message

    devices = tuple(DeviceHealth(RESOURCE, f"card-{number}", "Healthy") for number in (14, 15))
    made.pod["default/silent"] = dataclasses.replace(made.pod["default/silent"], devices=devices)
    made.settle()
    assert made.jobs[key].status.phase == "Running"


def test_a_faulty_card_is_out_of_its_fabric() -> None:
    """Card 3 is dead and card 8 in use: 14 cards are free, 7 in each fabric."""
    made = cluster(3)
    made.settle()
    made.health("default/other", "card-3", "Unhealthy")
    made.allocatable("n-0", 15)
    made.settle(3.0)
    held = made.pod["default/other"]
    made.pod["default/other"] = dataclasses.replace(held, devices=(DeviceHealth(RESOURCE, "card-8", "Healthy"),))
    first, second = made.submit("a", job_spec(1, 8)), made.submit("b", job_spec(1, 7))
    made.settle()

    assert [made.jobs[key].status.phase for key in (first, second)] == ["Queued", "Running"]
    made.step(3.0)  # the same reason in new words is told when the old ones are two seconds old
    message = next(item.message for item in made.jobs[first].status.conditions if item.type == "PodsScheduled")
    assert "short of cards" in message


def test_odd_dies_are_refused_in_words() -> None:
    """The reason is the specification's, and it stands in the condition."""
    made = cluster(diePairs=True)
    key = made.submit("a", job_spec(1, 5))
    made.settle()
    assert made.condition(key, "PodsScheduled") == ("False", "InvalidSpec")


def test_the_pool_s_slots_keep_to_fabrics() -> None:
    """Eight free cards are eight gangs of one card and, in 6 + 2, none of eight."""
    made = cluster(*SIX_AND_TWO)
    made.settle()
    found = {item.gang: item.count for item in made.pool.status.slots}
    assert (found[1], found[8]) == (8, 0)

    whole = cluster(*SIX_AND_TWO, fabricCards=16)
    whole.settle()
    assert {item.gang: item.count for item in whole.pool.status.slots}[8] == 1


SCATTERED: dict[str, tuple[FabricRule, tuple[int, ...], bool]] = {
    "one fabric": (EIGHTS, (8, 9, 15), False),
    "two for three cards": (EIGHTS, (0, 9, 15), True),
    "two for ten cards": (EIGHTS, tuple(range(10)), False),
    "three for ten cards": (EIGHTS, (0, 1, 2, *range(8, 13), 16, 17), True),
    "whole modules": (FabricRule(0, pairs=True), (2, 3, 8, 9), False),
    "split modules": (FabricRule(0, pairs=True), (2, 3, 8, 10), True),
    "one die": (FabricRule(0, pairs=True), (5,), False),
    "nothing is known": (EIGHTS, (), False),
}


@pytest.mark.parametrize(("rule", "cards", "expected"), SCATTERED.values(), ids=SCATTERED)
def test_cards_that_do_not_lie_together(rule: FabricRule, cards: tuple[int, ...], expected: bool) -> None:
    """More fabrics, or modules, than that many cards fill."""
    assert expected == fabrics.scattered(rule, [f"card-{number}" for number in cards])
    assert not fabrics.scattered(rule, [*(f"card-{number}" for number in cards), "GPU-x"])


def test_a_plug_in_that_scatters_cards_is_reported() -> None:
    """The room was there; the pod got cards of both fabrics, and its job says so."""
    made = cluster(0, 1, 2)
    kept = made.submit("kept", job_spec(1, 4))
    made.settle()
    assert made.condition(kept, "Running") == ("True", "Running")
    message = next(item.message for item in made.jobs[kept].status.conditions if item.type == "Running")
    assert message == "all 1 pods run"

    spread = made.submit("spread", job_spec(1, 4))
    made.settle()
    message = next(item.message for item in made.jobs[spread].status.conditions if item.type == "Running")
    assert "1 pods have cards of more fabrics than they need, the first spread-w-0 on n-0" in message
    assert [key for key, reason, _ in made.events if reason == "CardsAcrossFabrics"] == [spread]
