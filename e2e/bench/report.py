"""Figures for people, for machines, and against what was measured before.

A range names the figure, what was measured where and when, and the most that still passes; ratios carry the verdict,
absolute times only a generous bound, since the machine is part of them.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.table import Table

from e2e.bench.measures import Figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RANGES = Path(__file__).resolve().parents[2] / "tests" / "perf" / "ranges.yaml"
AIMS = {"bound_ratio": 1.25, "no_seconds": 0.1, "restart_seconds": 10.0, "resident_mib": 300.0}
MEANING = {
    "floor_seconds": "raw client: same Service and pods, first request → all bound",
    "bound_seconds": "operator: submit → all bound",
    "bound_cpu_seconds": "processor time of the operator for that",
    "no_cpu_seconds": "processor time of the operator for that No",
    "bound_ratio": "operator / floor, median of the rounds' ratios",
    "no_seconds": "submit → the No of a gang that does not fit is written",
    "restart_seconds": "process start → a job that waited meanwhile is placed",
    "ready_seconds": "process start → ready and leading",
    "label_seconds": "first start → all nodes labelled and counted",
    "resident_mib": "resident memory with the gang running",
    "peak_mib": "most resident memory ever",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure against its range; ``most`` is None where none is recorded."""

    name: str
    value: float
    most: float | None

    @property
    def ok(self) -> bool:
        """True where the figure is inside its range or has none."""
        return self.most is None or self.value <= self.most


def summary(figures: Figures) -> dict[str, float]:
    """One number a figure: medians over the rounds, the maximum for memory."""
    return {
        "floor_seconds": round(statistics.median(figures.floor_seconds), 3),
        "bound_seconds": round(statistics.median(figures.bound_seconds), 3),
        "bound_cpu_seconds": round(statistics.median(figures.bound_cpu_seconds), 3),
        "bound_ratio": round(figures.ratio, 3),
        "no_seconds": round(statistics.median(figures.no_seconds), 3),
        "no_cpu_seconds": round(statistics.median(figures.no_cpu_seconds), 3),
        "restart_seconds": round(statistics.median(figures.start_seconds), 3),
        "ready_seconds": round(statistics.median(figures.ready_seconds), 3),
        "label_seconds": round(figures.label_seconds, 3),
        "resident_mib": round(max(figures.resident_mib), 1),
        "peak_mib": round(figures.peak_mib, 1),
    }


def judge(measured: Mapping[str, float], size: str, ranges: Path = RANGES) -> list[Verdict]:
    """Every figure against the ranges recorded for that size."""
    recorded: dict[str, Any] = yaml.safe_load(ranges.read_text())["sizes"].get(size, {}).get("figures", {})
    return [Verdict(name, value, recorded.get(name, {}).get("most")) for name, value in measured.items()]


def show(verdicts: Sequence[Verdict], setting: Mapping[str, Any], rounds: Figures) -> None:
    """Print the table and the setting that the figures belong to."""
    table = Table(title="cardpool bench", title_justify="left")
    for column in ("figure", "value", "aim", "range", "what it is"):
        table.add_column(column, justify="left" if column in {"figure", "what it is"} else "right")
    for one in verdicts:
        aim = AIMS.get(one.name)
        mark = "" if one.ok else "  [red]out of range[/red]"
        table.add_row(
            one.name, f"{one.value:g}", f"≤ {aim:g}" if aim else "", f"≤ {one.most:g}{mark}" if one.most else "",
            MEANING[one.name],
        )  # fmt: skip
    console = Console(width=120)
    console.print(table)
    console.print("setting: " + ", ".join(f"{key} {value}" for key, value in setting.items()), highlight=False)
    each = ("floor_seconds", "bound_seconds", "no_seconds", "start_seconds")
    for name in each:
        console.print(f"{name}: {[round(value, 3) for value in getattr(rounds, name)]}", highlight=False)
