"""Where each placement case of this field is tested: once on the planner itself, once through the plan command.

A case is a line in our own words. What stands beside it is ``module::test`` under ``tests/unit``, with ``[id]`` where a
table of the module holds the case. The last test of this module fails where one of them is not there any more.
"""

from __future__ import annotations

import importlib

import pytest

LEVELS, CASES, REST = "engine.test_levels", "planning.test_cases", "planning.test_rest"
PLACED, REFUSED = "test_pods_per_domain", "test_refusals_count"


def both(test: str, name: str) -> tuple[str, str]:
    """A case of the tables that the planner's tests and the command's share."""
    return f"{LEVELS}::{test}[{name}]", f"{CASES}::{test}[{name}]"


LIST: dict[str, tuple[str, ...]] = {
    "a required rack holds all, though another rack has its name": both(
        PLACED, "a required rack is the one that holds all, though its name repeats"
    ),
    "one pod too many for any rack: refused, with how many fit": both(REFUSED, "one card too many for any rack"),
    "a preferred rack that nobody can give becomes the fewest racks": both(
        PLACED, "a preferred rack that nobody can give becomes the fewest racks"
    ),
    "a preferred level and too little room everywhere: refused, with how many fit": both(
        REFUSED, "more than all blocks hold"
    ),
    "fewest racks before fewest hosts": both(PLACED, "fewest racks go before fewest hosts"),
    "the rest goes to the domain that it fills": both(PLACED, "the last domain is the tightest"),
    "a host with an odd card is passed over by pairs": both(
        PLACED, "a host that would waste a card of a pair is skipped"
    ),
    "pairs that stay in a rack": both(PLACED, "pairs stay in a rack"),
    "nested blocks: fours in racks, pairs in hosts": both(
        PLACED, "nested blocks: fours in a rack, pairs in a host, the fewest hosts"
    ),
    "nested blocks that one rack breaks: both levels are counted": both(REFUSED, "nested blocks that one rack breaks"),
    "every small block fits, no large one: both levels are counted": both(
        REFUSED, "every pair fits a host, no six fit a rack"
    ),
    "balanced: two equal halves in one block": (
        "engine.test_balance::test_pods_per_domain[the block in which two hosts hold equal halves]",
        f"{CASES}::test_equal_parts[the block in which two hosts hold equal halves]",
    ),
    "balanced: three equal thirds rather than two unequal parts": (
        "engine.test_balance::test_pods_per_domain[the rack in which three hosts hold equal thirds, though two of another hold all]",
        f"{CASES}::test_equal_parts[the rack in which three hosts hold equal thirds, though two of another hold all]",
    ),
    "a leader of one card where the workers of two leave one": (
        "engine.test_groups::test_a_leader_and_larger_workers",
        f"{CASES}::test_a_leader_and_larger_workers",
    ),
    "a taint, two wrong labels and one node too small: each counted once": (
        "engine.test_fit::test_every_cause_is_counted_once",
        f"{CASES}::test_every_cause_is_counted_once",
    ),
    "a lost node: its mate in the rack stays": (
        "engine.test_rest::test_the_rank_of_a_node_that_is_gone_moves_inside_the_rack",
        f"{REST}::test_the_rank_of_a_node_that_is_gone_moves_inside_the_rack",
    ),
    "a lost node whose rack has no other": (
        "engine.test_rest::test_a_rack_that_is_too_small_is_left_by_all_or_by_none",
        f"{REST}::test_a_rack_that_is_too_small_is_left_by_all_or_by_none",
    ),
    "a broken pair pulls its lost mate into its rack": (
        "engine.test_repair::test_a_broken_pair_pulls_the_lost_ranks_into_its_rack",
        "planning.test_running::test_a_broken_pair_pulls_the_lost_ranks_into_its_rack",
    ),
    "a lost host of three nested blocks is replaced under its switch": (
        "engine.test_repair::test_a_lost_node_of_nested_blocks_is_replaced_under_its_switch",
        "planning.test_running::test_a_lost_node_of_nested_blocks_is_replaced_under_its_switch",
    ),
    "a rack whose name begins like another's": (
        "engine.test_repair::test_a_lost_rank_stays_in_the_domain_of_its_block",
        "planning.test_running::test_a_replacement_never_goes_by_the_beginning_of_a_name",
    ),
    "of two priorities below, the lower goes": (
        "engine.test_preempt::test_fewest_gangs_and_then_the_lower_priority",
        "planning.test_queue::test_the_lower_of_two_goes",
    ),
    "groups of one, two and two nodes: the single one to the lone node": (
        "engine.test_groups::test_the_single_pod_goes_to_the_lone_node",
        f"{CASES}::test_the_single_pod_goes_to_the_lone_node",
    ),
    "every node nearly full, or room scattered over domains: it waits": (
        "engine.test_rest::test_cores_that_are_scattered",
        f"{REST}::test_cores_that_are_scattered",
    ),
    "groups that nothing ties go where each fits": (
        "engine.test_rest::test_groups_part_by_cores",
        f"{REST}::test_groups_part_by_cores",
    ),
    "an elastic gang whose least size no domain holds waits": (
        "engine.test_rest::test_the_least_of_an_elastic_gang_must_fit_one_domain",
        f"{REST}::test_the_least_of_an_elastic_gang_must_fit_one_domain",
    ),
    "equal priority evicts nobody": (
        "engine.test_preempt::test_nobody_goes[equal priority]",
        "planning.test_queue::test_nobody_goes_for_nothing[equal priority]",
    ),
    "another team's gang is left alone": (
        "engine.test_preempt::test_nobody_goes[another team]",
        f"{REST}::test_another_team_s_gang_is_not_touched",
    ),
    "half of what is needed is of lower priority: nobody is evicted": (
        "engine.test_rest::test_nobody_goes_where_only_half_of_what_is_needed_has_a_lower_priority",
        f"{REST}::test_half_of_what_is_needed_is_no_reason_to_evict",
    ),
    "the tighter zone, and in it the fewest racks": both(PLACED, "the tighter zone, and in it the fewest racks"),
    "a rack of its own for each group inside one zone": (
        "engine.test_groups::test_each_group_in_a_rack_of_its_own_inside_one_zone",
        f"{CASES}::test_each_group_in_a_rack_of_its_own_inside_one_zone",
    ),
    "a member is lost: the grace, and then everybody": (
        "lifecycle.test_members::test_a_silence_shorter_than_the_grace_costs_nothing",
        "lifecycle.test_members::test_the_others_go_too_once_the_grace_is_over",
        "lifecycle.test_members::test_without_a_grace_they_go_at_once",
        "lifecycle.test_members::test_a_negative_grace_is_refused",
        f"{REST}::test_one_lost_member_takes_the_whole_gang_along",
    ),
    "a group is lost: the other groups go too": (
        "lifecycle.test_members::test_a_group_that_is_lost_takes_the_others_down",
        f"{REST}::test_one_lost_member_takes_the_whole_gang_along",
    ),
    "a member that succeeded is not lost": (
        "lifecycle.test_members::test_a_member_that_succeeded_is_not_lost",
        f"{REST}::test_members_that_finish_one_by_one",
    ),
    "many small victims, one of them is enough": (
        "engine.test_preempt::test_eleven_pods_of_which_one_card_is_needed",
        f"{REST}::test_one_of_many_small_victims_is_enough",
    ),
    "an elastic victim gives one pod of eleven and keeps ten": (
        "engine.test_shrink::test_eleven_pods_of_which_one_card_is_needed",
        "planning.test_elastic::test_an_elastic_victim_is_told_its_size",
    ),
    "of an elastic victim each role keeps its least": (
        "engine.test_shrink::test_the_minimum_of_each_role_is_kept",
        "planning.test_elastic::test_the_least_of_each_role_is_kept",
    ),
    "a host that lost cards under a gang gives nobody the rest": (
        "engine.test_rest::test_a_host_that_lost_cards_under_a_gang_has_none_to_give",
        "planning.test_running::test_the_host_that_lost_cards_takes_no_other_job",
    ),
    "a large gang starts in bounded time under an endless stream of small ones": (
        "engine.test_reserve::test_a_large_job_starts_under_an_endless_stream_of_small_ones",
        "lifecycle.test_starvation::test_the_large_job_starts_in_time",
        f"{REST}::test_a_large_job_starts_under_an_endless_stream_of_small_ones",
    ),
    "a gang whose members finish one by one loses nobody": (
        "lifecycle.test_members::test_members_that_finish_one_by_one_take_nobody_down",
        f"{REST}::test_members_that_finish_one_by_one",
    ),
}


@pytest.mark.parametrize("tests", LIST.values(), ids=LIST)
def test_a_case_has_its_tests(tests: tuple[str, ...]) -> None:
    """Every name is a test of its module, and every id one of that test's."""
    for one in tests:
        place, _, case = one.partition("[")
        name, _, function = place.partition("::")
        test = getattr(importlib.import_module(f"tests.unit.{name}"), function)
        if case:
            marks = [mark for mark in test.pytestmark if mark.name == "parametrize"]
            assert case.removesuffix("]") in {known for mark in marks for known in mark.kwargs["ids"]}
