"""Everything that CI runs, stage by stage, cheap ones first; `make test` is this.

A stage that fails does not hide the others: all run, the table at the end says which failed and how long each took. A
stage that this machine cannot run is said loudly, and is a failure where CI asks for everything. Where real clusters
share two cores with whatever else the machine does, a test that failed is tried once more by itself: failing twice is a
failure, failing once is said as FLAKY with the test's name and never passed over in silence.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped)")


@dataclass(frozen=True)
class Stage:
    """One command; ``needs_root`` stages need root on Linux."""

    name: str
    command: tuple[str, ...]
    needs_root: bool = False
    second_try: bool = False


def stages() -> tuple[Stage, ...]:
    """The stages in order."""
    python, pytest = str(BIN / "python"), str(BIN / "pytest")
    return (
        Stage("format", (str(BIN / "ruff"), "format", "--check", ".")),
        Stage("lint", (str(BIN / "ruff"), "check", ".")),
        Stage("layers", (str(BIN / "lint-imports"),)),
        Stage("types", (str(BIN / "mypy"),)),
        Stage("crds", ("make", "--no-print-directory", "crds-check")),
        Stage("unit", (pytest, "-q", "-n", "2", "tests/unit")),
        Stage("property", (pytest, "-q", "-n", "2", "tests/property")),
        Stage("cluster", (python, "-m", "e2e.cluster", "build")),
        Stage("integration", (pytest, "-q", "-n", "2", "--dist", "loadfile", "tests/integration"), second_try=True),
        Stage("e2e fake nodes", (pytest, "-q", "-n", "3", "--dist", "loadfile", "tests/e2e"), second_try=True),
        Stage("e2e real nodes", (pytest, "-q", "tests/real"), needs_root=True, second_try=True),
    )


def main() -> int:
    """Run all stages; the exit code says whether all passed."""
    rows: list[tuple[str, str, float]] = []
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for stage in stages():
        if stage.needs_root and (platform.system() != "Linux" or os.geteuid() != 0):
            print(f"\n!!!! SKIPPED: {stage.name} needs root on Linux !!!!", flush=True)
            rows.append((stage.name, "FAILED" if os.environ.get("CI") else "SKIPPED", 0.0))
            continue
        began = time.monotonic()
        print(f"\n==== {stage.name}: {' '.join(stage.command[-2:])}", flush=True)
        code, counts, names = run(stage.command)
        result = "passed" if code == 0 else "FAILED"
        if code == 1 and stage.second_try:
            print(f"\n==== {stage.name}: what failed, once more by itself", flush=True)
            again, recount, _ = run((stage.command[0], "-q", "--last-failed", stage.command[-1]))
            if again == 0 and recount["passed"] == counts["failed"]:
                print(f"!!!! FLAKY: of {stage.name} failed at first: {', '.join(names)}", flush=True)
                result, counts["passed"], counts["failed"] = "FLAKY", counts["passed"] + counts["failed"], 0
        if result == "FAILED" and not counts["failed"]:
            counts["failed"] = 1  # a stage that is no test run counts as one
        for word, count in counts.items():
            totals[word] += count
        rows.append((stage.name, result, time.monotonic() - began))
    print("\n" + table(rows), flush=True)
    failed = [name for name, result, _ in rows if result == "FAILED"]
    tail = f", {totals['skipped']} skipped" if totals["skipped"] else ""
    print(f"{totals['passed']} passed, {totals['failed']} failed{tail}", flush=True)
    return 1 if failed else 0


def run(command: tuple[str, ...]) -> tuple[int, dict[str, int], list[str]]:
    """Run one command with its output passed on; its exit code, the test counts of its last lines, and who failed."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    last, names = "", []
    if process.stdout is not None:
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if line.startswith(("FAILED ", "ERROR ")):
                names.append(line.split()[1])
            last = line if " in " in line and COUNT.search(line) else last
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for number, word in COUNT.findall(last):
        counts["failed" if word.startswith("error") else word] += int(number)
    return process.wait(), counts, names


def table(rows: list[tuple[str, str, float]]) -> str:
    """The stages with their results and seconds."""
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {result:<8} {seconds:7.1f} s" for name, result, seconds in rows]
    return "\n".join([*lines, f"{'all':<{width}}  {'':<8} {sum(row[2] for row in rows):7.1f} s"])


if __name__ == "__main__":
    sys.exit(main())
