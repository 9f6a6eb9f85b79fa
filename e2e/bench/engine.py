"""The planner alone: processor time of single answers on pools up to a million cards, `python -m e2e.bench.engine`.

Each answer is the first on an inventory that nobody has asked yet, so nothing is remembered from the run before, but
for the cycles after a change, which may remember the cycle before. The best of some rounds is kept, since everything
above it is the machine. No cluster is needed.
"""

from __future__ import annotations

import dataclasses
import gc
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cardpool.domain.gangs import Gang, GroupShape, NodeFilter, Option, Requirement, Running
from cardpool.domain.inventory import Inventory, Memo
from cardpool.domain.teams import Moving, Rules
from cardpool.domain.topology import Level, TopologyRequest, Tree
from cardpool.engine import build, plan
from e2e.bench import changes, idle, report

RANGES = report.RANGES.with_name("engine.yaml")
PROFILE = "k100"
ROUNDS_SMALL = 30  # an answer of a millisecond: fewer rounds tell of the processor's caches, not of the planner
LEVELS = ("zone", "supernode", "rack")
TREE = Tree(tuple(Level(name, f"example.com/{name}") for name in LEVELS))
MEANING = {
    "build_3840_ms": "the arrays of 3,840 nodes",
    "place_1280_of_3840_ms": "1,280 pods of 8 cards, zone required, supernode preferred",
    "place_1280_of_3840_warm_ms": "the same where the processor's caches still have the planner's code",
    "no_of_3840_ms": "No to one pod more than fits, with its count",
    "wait_10000_of_3840_ms": "No to 10,000 waiting jobs of 3,500 different shapes in a full pool",
    "hope_10000_of_3840_ms": "the same, each allowed to take down 1,000 running gangs and too large for their room",
    "line_10000_of_3840_ms": "the same, in a Backfill queue whose head gets a reservation",
    "preempt_128_of_3840_ms": "128 pods take the place of some of 1,000 running gangs",
    "preempt_1280_of_3840_ms": "1,280 pods do, zone required",
    "idle_cycle_3840_ms": "a whole cycle over 3,840 busy nodes and their running gangs, nothing changed",
    **changes.meanings(),
    "advice_shape_3840_ms": "advice to a waiting gang of a shape of its own, among 1,000 running gangs",
    "advice_shape_125000_ms": "the same among 1,000,000 cards and 5,000 running gangs",
    "defrag_3840_ms": "a cycle that finds whom to move for 24 pods in one supernode, among 1,152 running gangs",
    "change_3840_ms": "a cycle after one node changed: its row, and No to a gang",
    "change_125000_ms": "the same among 1,000,000 cards",
    "place_1280_of_125000_ms": "1,280 pods among 1,000,000 cards",
    "place_12800_of_125000_ms": "12,800 pods among 1,000,000 cards",
    "no_of_125000_ms": "No among 1,000,000 cards, with its count",
    "groups_1280_of_3840_ms": "a driver and 1,280 workers, zone required, supernode preferred",
    "groups_no_of_3840_ms": "No to a driver and one worker more than fits",
    "groups_wait_10000_of_3840_ms": "No to 10,000 such gangs of 3,500 different shapes in a full pool",
    "groups_1280_of_125000_ms": "a driver and 1,280 workers among 1,000,000 cards, zone required",
    "groups_no_of_125000_ms": "No to a driver and one worker more than fits a zone among 1,000,000 cards",
    "label_new_125000_ms": "1,280 pods whose affinity names 100 of the supernodes, a label that nobody named yet",
    "label_known_125000_ms": "the same where a job named other supernodes before",
}


def row(place: int, used: int = 0) -> build.NodeRow:
    """A node of 8 cards: 8 to a rack, 80 to a supernode, 1,600 to a zone."""
    values = (place // 1600, place // 80, place // 8)
    return build.NodeRow(
        name=f"n-{place:06}",
        labels={level.label: f"{level.name}-{value}" for level, value in zip(TREE.levels, values, strict=True)},
        profile=PROFILE,
        capacity={"cpu": 128_000, "memory": 1 << 40, "pods": 110},
        cards_total=8,
        cards_usable=8,
        used_cards=used,
        supernode=f"sn-{place // 80}",
    )


def pool(nodes: int, *, used: int = 0) -> Inventory:
    """A pool of such nodes, on each of which so many cards are taken."""
    return build.build_inventory([row(place, used) for place in range(nodes)], (PROFILE,), (TREE,))


def gang(pods: int, *, number: int = 0, required: str = "", preferred: str = "", priority: int = 0) -> Gang:
    """A gang of whole nodes."""
    shape = GroupShape("worker", pods, 8, {"cpu": 32_000 + number % 7})
    return Gang(
        key=f"ns/job-{number:05}",
        uid=f"uid-{number}",
        priority=priority,
        created=float(number),
        options=(Option(PROFILE, (shape,)),),
        topology=TopologyRequest(required=required, preferred=preferred),
    )


def choosy(first: int) -> Gang:
    """A gang of 1,280 pods that wants to be in 100 supernodes."""
    wanted = gang(1280)
    names = tuple(f"supernode-{number}" for number in range(first, first + 100))
    nodes = NodeFilter(terms=((Requirement("example.com/supernode", "In", names),),))
    shape = dataclasses.replace(wanted.options[0].groups[0], nodes=nodes)
    return dataclasses.replace(wanted, options=(Option(PROFILE, (shape,)),))


def driven(workers: Gang) -> Gang:
    """The same gang with a driver, which asks for no card."""
    option = workers.options[0]
    driver = GroupShape("driver", 1, 0, {"cpu": 4_000})
    return dataclasses.replace(workers, options=(Option(option.profile, (driver, *option.groups)),))


def crowd(nodes: int, gangs: int) -> tuple[Running, ...]:
    """Running gangs of neighbouring nodes that fill them all, begun and saved at different times."""
    found = []
    ends = [nodes * number // gangs for number in range(gangs + 1)]
    for number, (begin, end) in enumerate(itertools.pairwise(ends)):
        pods = tuple((f"n-{place:06}", 8, {"cpu": 32_000}) for place in range(begin, end))
        since, saved = float(number * 37 % 1000), float(number * 91 % 3000)
        found.append(Running(f"ns/run-{number:04}", f"run-{number}", "default", 0, PROFILE, pods, since, saved))
    return tuple(found)


def best(make: Callable[[], Inventory], ask: Callable[[Inventory], bool], rounds: int) -> float:
    """Milliseconds of processor time of the quickest first answer; ``ask`` says whether it was the expected one."""
    found = []
    for _ in range(rounds):
        gc.collect()
        inventory = make()
        begun = time.process_time()
        right = ask(inventory)
        found.append((time.process_time() - begun) * 1000)
        if not right:
            raise RuntimeError("the planner's answer is not the expected one: the figure would mean nothing")
    return round(min(found), 2)


def places(wanted: Gang) -> Callable[[Inventory], bool]:
    """Ask for one gang and expect a place."""
    return lambda inventory: len(plan.plan(inventory, (wanted,), now=0.0).placements) == 1


def refuses(*wanted: Gang) -> Callable[[Inventory], bool]:
    """Ask for gangs and expect a No to each."""
    return lambda inventory: len(plan.plan(inventory, wanted, now=0.0).refusals) == len(wanted)


def preempts(wanted: Gang, running: tuple[Running, ...]) -> Callable[[Inventory], bool]:
    """Ask for one gang and expect that others go for it."""
    rules = Rules(within_team=True)
    return lambda inventory: (
        len(plan.plan(inventory, (wanted,), now=5000.0, running=running, rules=rules).preempting) == 1
    )


def hopes(wanted: tuple[Gang, ...], running: tuple[Running, ...]) -> Callable[[Inventory], bool]:
    """Ask for gangs that may take others down, and expect a No to each."""
    rules = Rules(within_team=True)
    return lambda inventory: (
        len(plan.plan(inventory, wanted, now=5000.0, running=running, rules=rules).refusals) == len(wanted)
    )


def lines_up(wanted: tuple[Gang, ...], running: tuple[Running, ...]) -> Callable[[Inventory], bool]:
    """Ask for gangs in a Backfill queue, and expect that the first gets a reservation and nobody a place."""

    def ask(inventory: Inventory) -> bool:
        result = plan.plan(inventory, wanted, now=50_000.0, running=running, strategy=plan.Strategy.BACKFILL)
        return (len(result.refusals), len(result.reservations)) == (len(wanted), 1)

    return ask


def advises(nodes: int, gangs: int, rounds: int) -> float:
    """Milliseconds for one shape's advice in a full pool, the mean over those that a cycle advises."""
    inventory, running = pool(nodes, used=8), crowd(nodes, gangs)
    waiting = tuple(gang(3 + 5 * number, number=number, required="zone") for number in range(12))
    found = []
    for _ in range(rounds):
        advice = plan.plan(inventory, waiting, now=5000.0, running=running, strategy=plan.Strategy.BACKFILL).advice
        gc.collect()
        begun = time.process_time()
        told = [advice.of(one.key) for one in waiting] if advice is not None else []
        found.append((time.process_time() - begun) * 1000)
    if not any(told):
        raise RuntimeError("nobody is advised: the figure would mean nothing")
    return round(min(found) / sum(map(bool, told)), 2)


def scattered() -> tuple[Inventory, tuple[Running, ...]]:
    """A pool in which every tenth node is free, and gangs of three nodes hold the others."""
    rows = [row(place, 0 if place % 10 == 9 else 8) for place in range(3840)]
    held = [place for place in range(3840) if place % 10 != 9]
    running = []
    for number in range(len(held) // 3):
        pods = tuple((f"n-{place:06}", 8, {"cpu": 32_000}) for place in held[3 * number : 3 * number + 3])
        since = float(number * 37 % 1000)
        running.append(Running(f"ns/run-{number:04}", f"run-{number}", "default", 0, PROFILE, pods, since, since))
    return build.build_inventory(rows, (PROFILE,), (TREE,)), tuple(running)


def moves(rounds: int) -> float:
    """Milliseconds of a cycle that lets gangs move so that another has its room in one supernode."""
    inventory, running = scattered()
    wishes = {
        one.key: dataclasses.replace(
            gang(3), key=one.key, uid=one.uid, previous={rank: node for rank, (node, _, _) in enumerate(one.pods)}
        )
        for one in running
    }
    rules = Rules(moving=Moving(wishes.get, left=16, most_lost=1_000_000))
    wanted = gang(24, required="supernode")
    return best(
        lambda: dataclasses.replace(inventory, memo=Memo()),
        lambda asked_: bool(plan.plan(asked_, (wanted,), now=5000.0, running=running, rules=rules).moves),
        rounds,
    )


def follows(wanted: Gang) -> Callable[[Inventory], bool]:
    """Change a node and ask for one gang again."""

    def ask(inventory: Inventory) -> bool:
        changed = build.update_rows(inventory, [row(5, used=1)])
        return changed is not None and len(plan.plan(changed, (wanted,), now=0.0).refusals) == 1

    return ask


def warmed(inventory: Inventory) -> Inventory:
    """The same inventory; the processor has just run the planner's code on another one."""
    gc.collect()
    plan.plan(pool(400), (gang(100, required="zone", preferred="supernode"),), now=0.0)
    return inventory


def asked(inventory: Inventory, wanted: Gang) -> Inventory:
    """The inventory after a cycle."""
    plan.plan(inventory, (wanted,), now=0.0)
    return inventory


def measure(rounds: int) -> dict[str, float]:
    """All figures, in milliseconds."""
    begun = time.process_time()
    pool(3840)
    built = round((time.process_time() - begun) * 1000, 1)
    waiting = tuple(gang(1 + number % 500, number=number) for number in range(10_000))
    large = tuple(gang(4000 + number % 500, number=number, priority=1) for number in range(10_000))
    running = crowd(3840, 1000)
    one, none = gang(1280, required="zone", preferred="supernode"), gang(1601, required="zone", preferred="supernode")
    few, many = gang(128, preferred="supernode", priority=1), dataclasses.replace(one, priority=1)
    found = {
        "build_3840_ms": built,
        "place_1280_of_3840_ms": best(lambda: pool(3840), places(one), max(rounds, ROUNDS_SMALL)),
        "place_1280_of_3840_warm_ms": best(lambda: warmed(pool(3840)), places(one), max(rounds, ROUNDS_SMALL)),
        "no_of_3840_ms": best(lambda: pool(3840), refuses(none), rounds),
        "wait_10000_of_3840_ms": best(lambda: pool(3840, used=1), refuses(*waiting), rounds),
        "hope_10000_of_3840_ms": best(lambda: pool(3840, used=8), hopes(large, running), rounds),
        "line_10000_of_3840_ms": best(lambda: pool(3840, used=8), lines_up(waiting, running), rounds),
        "preempt_128_of_3840_ms": best(lambda: pool(3840, used=8), preempts(few, running), rounds),
        "preempt_1280_of_3840_ms": best(lambda: pool(3840, used=8), preempts(many, running), rounds),
        "idle_cycle_3840_ms": idle.measure(3840, max(rounds, ROUNDS_SMALL)),
        "groups_1280_of_3840_ms": best(lambda: pool(3840), places(driven(one)), max(rounds, ROUNDS_SMALL)),
        "groups_no_of_3840_ms": best(lambda: pool(3840), refuses(driven(none)), max(rounds, ROUNDS_SMALL)),
        "groups_wait_10000_of_3840_ms": best(lambda: pool(3840, used=8), refuses(*map(driven, waiting)), rounds),
        **changes.measured(rounds),
        "advice_shape_3840_ms": advises(3840, 1000, rounds),
        "advice_shape_125000_ms": advises(125_000, 5000, rounds),
        "defrag_3840_ms": moves(rounds),
        "change_3840_ms": best(lambda: asked(pool(3840), none), follows(none), rounds),
    }
    whole = pool(125_000)

    def million() -> Inventory:
        """A pool that nobody has asked: what is remembered belongs to the memo alone."""
        fresh = dataclasses.replace(whole, memo=Memo())
        build.prepare(fresh)
        return fresh

    return found | {
        "place_1280_of_125000_ms": best(million, places(one), rounds),
        "place_12800_of_125000_ms": best(million, places(gang(12_800, preferred="zone")), rounds),
        "no_of_125000_ms": best(million, refuses(none), rounds),
        "change_125000_ms": best(lambda: asked(million(), none), follows(none), rounds),
        "groups_1280_of_125000_ms": best(million, places(driven(one)), rounds),
        "groups_no_of_125000_ms": best(million, refuses(driven(none)), rounds),
        "label_new_125000_ms": best(million, places(choosy(0)), rounds),
        "label_known_125000_ms": best(lambda: asked(million(), choosy(0)), places(choosy(50)), rounds),
    }


def main(
    rounds: Annotated[int, typer.Option(help="how often each answer is asked")] = 5,
    output: Annotated[Path | None, typer.Option("--json", help="write the figures there")] = None,
    *,
    check: Annotated[bool, typer.Option("--check", help="exit code 1 where a figure left its range")] = False,
) -> None:
    """Measure the planner alone."""
    verdicts = report.judge(measure(rounds), "engine", RANGES)
    table = Table(title="cardpool bench, planner alone (processor time)", title_justify="left")
    for column in ("figure", "ms", "range", "what it is"):
        table.add_column(column)
    for one in verdicts:
        bound = "" if one.most is None else f"≤ {one.most:g}{'' if one.ok else '  LEFT'}"
        table.add_row(one.name, f"{one.value:g}", bound, MEANING[one.name])
    Console().print(table)
    if output is not None:
        output.write_text(json.dumps({one.name: one.value for one in verdicts}, indent=1) + "\n")
    if check and not all(one.ok for one in verdicts):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
