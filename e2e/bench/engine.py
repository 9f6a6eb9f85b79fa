"""The planner alone: processor time of single answers on pools up to a million cards, `python -m e2e.bench.engine`.

Each answer is the first on an inventory that nobody has asked yet, so nothing is remembered from the run before; the
best of some rounds is kept, since everything above it is the machine. No cluster is needed.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cardpool.domain.gangs import Gang, GroupShape, Option
from cardpool.domain.inventory import Inventory
from cardpool.domain.topology import Level, TopologyRequest, Tree
from cardpool.engine import build, plan
from e2e.bench import report

RANGES = report.RANGES.with_name("engine.yaml")
PROFILE = "k100"
LEVELS = ("zone", "supernode", "rack")
TREE = Tree(tuple(Level(name, f"example.com/{name}") for name in LEVELS))
MEANING = {
    "build_3840_ms": "the arrays of 3,840 nodes",
    "place_1280_of_3840_ms": "1,280 pods of 8 cards, zone required, supernode preferred",
    "no_of_3840_ms": "No to one pod more than fits, with its count",
    "wait_10000_of_3840_ms": "No to 10,000 waiting jobs of 3,500 different shapes in a full pool",
    "place_1280_of_125000_ms": "1,280 pods among 1,000,000 cards",
    "place_12800_of_125000_ms": "12,800 pods among 1,000,000 cards",
    "no_of_125000_ms": "No among 1,000,000 cards, with its count",
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


def gang(pods: int, *, number: int = 0, required: str = "", preferred: str = "") -> Gang:
    """A gang of whole nodes."""
    shape = GroupShape("worker", pods, 8, {"cpu": 32_000 + number % 7})
    return Gang(
        key=f"ns/job-{number:05}",
        uid=f"uid-{number}",
        priority=0,
        created=float(number),
        options=(Option(PROFILE, (shape,)),),
        topology=TopologyRequest(required=required, preferred=preferred),
    )


def best(make: Callable[[], Inventory], ask: Callable[[Inventory], bool], rounds: int) -> float:
    """Milliseconds of processor time of the quickest first answer; ``ask`` says whether it was the expected one."""
    found = []
    for _ in range(rounds):
        inventory = make()
        gc.collect()
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


def measure(rounds: int) -> dict[str, float]:
    """All figures, in milliseconds."""
    begun = time.process_time()
    pool(3840)
    built = round((time.process_time() - begun) * 1000, 1)
    waiting = tuple(gang(1 + number % 500, number=number) for number in range(10_000))
    return {
        "build_3840_ms": built,
        "place_1280_of_3840_ms": best(
            lambda: pool(3840), places(gang(1280, required="zone", preferred="supernode")), rounds
        ),
        "no_of_3840_ms": best(lambda: pool(3840), refuses(gang(1601, required="zone", preferred="supernode")), rounds),
        "wait_10000_of_3840_ms": best(lambda: pool(3840, used=1), refuses(*waiting), rounds),
        "place_1280_of_125000_ms": best(
            lambda: pool(125_000), places(gang(1280, required="zone", preferred="supernode")), rounds
        ),
        "place_12800_of_125000_ms": best(lambda: pool(125_000), places(gang(12_800, preferred="zone")), rounds),
        "no_of_125000_ms": best(
            lambda: pool(125_000), refuses(gang(1601, required="zone", preferred="supernode")), rounds
        ),
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
