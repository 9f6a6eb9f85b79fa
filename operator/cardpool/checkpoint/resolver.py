"""The resolver pod's program: one search, one report, one exit code, in bounded time.

Invariant: whatever happens, a report is written to the termination log before the process ends; a file system that does
not answer ends in Error `Timeout`, since a thread of its own writes it.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from cardpool.checkpoint import formats, report, verify
from cardpool.checkpoint.records import Fencing, Level, ResolveError
from cardpool.checkpoint.report import parse_report

TERMINATION_LOG: Final = "/dev/termination-log"

__all__ = ["main", "parse_report"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the search that the arguments describe; the exit code is the report's (0, 3, 4 or 5)."""
    options = _parser().parse_args(arguments)
    watchdog = threading.Timer(options.timeout, _give_up, (options.termination_log, options.timeout))
    watchdog.daemon = True
    watchdog.start()
    found = _search(options)
    watchdog.cancel()
    return _deliver(found, options.termination_log)


def _search(options: argparse.Namespace) -> report.Report:
    started = time.monotonic()
    try:
        outcome = verify.choose(
            options.root,
            path=options.path,
            format_name=options.format,
            level=Level(options.verify),
            candidates=options.candidates,
            fencing=Fencing(options.fencing),
            attempt=options.attempt,
        )
    except ResolveError as error:
        return report.of_error(error.code, str(error))
    except Exception as error:  # noqa: BLE001 - the pod's one outermost catch: the operator must learn of anything
        return report.of_error("Crashed", f"{type(error).__name__}: {error}")
    return report.of_outcome(outcome, time.monotonic() - started)


def _give_up(log: str, timeout: float) -> NoReturn:
    message = f"the volume did not let the search end within {timeout:g} s"
    os._exit(_deliver(report.of_error("Timeout", message), log))


def _deliver(found: report.Report, log: str) -> int:
    text = report.render(found)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    try:
        Path(log).write_text(text, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"cannot write {log}: {error}\n")
    return report.EXIT_CODES[found.result]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cardpool.checkpoint.resolver",
        description="Choose the newest checkpoint that is proved complete.",
    )
    parser.add_argument("--root", required=True, help="where the volume is mounted")
    parser.add_argument("--path", default="", help="folder of the checkpoints in the volume")
    parser.add_argument("--format", required=True, help=", ".join(formats.ADAPTERS))
    parser.add_argument("--verify", default=str(Level.LIGHT), choices=[str(level) for level in Level])
    parser.add_argument("--candidates", type=_positive, default=3, help="damaged checkpoints to look at")
    parser.add_argument("--fencing", default=str(Fencing.NONE), choices=[str(kind) for kind in Fencing])
    parser.add_argument("--attempt", type=int, default=None, help="ignore what later attempts saved")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds")
    parser.add_argument("--termination-log", default=TERMINATION_LOG)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
