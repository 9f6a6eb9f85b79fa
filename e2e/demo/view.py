"""What the demo shows while it runs: a live table and a map of the cards in a terminal, else a line at each transition.

It reads what the recorder has and the loss file, ten times a second at most, and changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from e2e.demo import picture

if TYPE_CHECKING:
    from e2e.demo.scenario import Story
    from e2e.demo.timeline import Timeline

EVERY = 0.2
STYLES = {
    picture.State.FREE: "green",
    picture.State.HELD: "blue",
    picture.State.SUSPECT: "yellow",
    picture.State.FAULTY: "bold red",
    picture.State.UNKNOWN: "bright_black",
}
LETTERS = {
    picture.State.FREE: "·",
    picture.State.HELD: "■",
    picture.State.SUSPECT: "?",
    picture.State.FAULTY: "✗",
    picture.State.UNKNOWN: "u",
}
WORDS = {picture.State.HELD: "held by a pod"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The job at one moment, as one row of the table."""

    phase: str
    attempt: int
    ready: str
    step: int | None
    loss: float | None
    saved: int | None
    resumed: int | None
    cards: str
    faults: str

    def turning(self, *, saves: bool) -> tuple[object, ...]:
        """What makes a new line when it changes; steps alone do not, and saves only where no table shows them."""
        return (self.phase, self.attempt, self.ready, self.saved if saves else None, self.faults)

    def line(self) -> str:
        """The moment in one line."""
        words = [f"{self.phase:<10}", f"attempt {self.attempt}", f"ready {self.ready or '-'}"]
        words += [f"step {self.step} loss {self.loss:.4f}"] if self.step is not None and self.loss is not None else []
        words += [f"saved {self.saved}"] if self.saved is not None else []
        words += [f"resumed from {self.resumed}"] if self.resumed is not None else []
        return "  ".join([*words, *([self.faults] if self.faults else [])])


def snapshot(story: Story) -> Snapshot:
    """What is to be seen now."""
    status = story.status()
    read = story.curve
    step, saved = read.last("step"), read.last("checkpoint")
    held = []
    for pod in story.pods():
        ids = ", ".join(sorted(picture.held(pod))) or "…"
        held.append(f"{pod['metadata']['name']} on {pod['spec'].get('nodeName', '?')}: {ids}")
    faults = [
        f"{fault['node']}/{fault['card']} {fault['state']}"
        for supernode in story.recorder.now["Supernode"].values()
        for fault in (supernode.get("status") or {}).get("faults") or ()
    ]
    return Snapshot(
        phase=str(status.get("phase", "-")),
        attempt=int(status.get("attempt", 0)),
        ready=str(status.get("ready", "")),
        step=step.step if step else None,
        loss=step.loss if step else None,
        saved=saved.step if saved else None,
        resumed=(status.get("checkpoint") or {}).get("step"),
        cards="\n".join(held),
        faults=", ".join(sorted(faults)),
    )


def chart(story: Story) -> tuple[picture.SupernodeRow, ...]:
    """The map as it is now."""
    now = story.recorder.now
    return picture.draw(now["Supernode"], now["Node"], now["Pod"])


class Screen:
    """Says things, and keeps the table and the map below them where there is a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self._begun = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """One line with the time since the demo began."""
        stamp = f"[{time.monotonic() - self._begun:6.1f} s] "
        self.console.print(Text(stamp, style="bright_black") + Text(text, style=style), soft_wrap=True)

    def headline(self, text: str) -> None:
        """A new chapter."""
        self.console.print()
        self.say(text, "bold")

    @contextlib.asynccontextmanager
    async def following(self, story: Story) -> AsyncIterator[None]:
        """Show the story while the block runs."""
        live = Live(console=self.console, refresh_per_second=8, transient=True) if self.console.is_terminal else None
        with live or contextlib.nullcontext():
            task = asyncio.create_task(self._follow(story, live), name="view")
            try:
                yield
            finally:
                task.cancel()
                (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome

    async def _follow(self, story: Story, live: Live | None) -> None:
        before: tuple[object, ...] = ()
        while True:
            moment = snapshot(story)
            turning = moment.turning(saves=live is None)
            if turning != before:
                self.say(moment.line())
                before = turning
            if live is not None:
                live.update(Group(table(moment), *legend(chart(story), self.console.width)))
            await asyncio.sleep(EVERY)

    def show_map(self, rows: tuple[picture.SupernodeRow, ...]) -> None:
        """Print the map once."""
        for part in legend(rows, self.console.width):
            self.console.print(part)

    def show_timeline(self, line: Timeline) -> None:
        """Print the parts as bars, and the moments beside the API's."""
        widest = max((part.seconds for part in line.parts), default=1.0) or 1.0
        bars = Table(box=None, pad_edge=False)
        for name in ("part", "seconds", "whose", ""):
            bars.add_column(name, justify="right" if name == "seconds" else "left")
        for part in line.parts:
            bar = "█" * max(1, round(30 * part.seconds / widest))
            bars.add_row(part.name, f"{part.seconds:.2f}", part.whose.value, Text(bar, style=_bar(part.whose.value)))
        self.console.print(bars)


def table(moment: Snapshot) -> Table:
    """The job's row."""
    made = Table(title=None, expand=False)
    values = {
        "phase": moment.phase,
        "attempt": str(moment.attempt),
        "ready": moment.ready or "-",
        "step": "-" if moment.step is None else str(moment.step),
        "loss": "-" if moment.loss is None else f"{moment.loss:.4f}",
        "saved": "-" if moment.saved is None else str(moment.saved),
        "resumed from": "-" if moment.resumed is None else str(moment.resumed),
        "cards": moment.cards or "-",
        "faults": moment.faults or "-",
    }
    for name in values:
        made.add_column(name)
    made.add_row(*values.values())
    return made


def legend(rows: tuple[picture.SupernodeRow, ...], columns: int) -> Iterator[Text]:
    """The map line by line: a supernode, then its nodes' cards, as many nodes a line as fit the columns."""
    key = Text("cards: ")
    for state, letter in LETTERS.items():
        key.append(f"{letter} {WORDS.get(state, state.value)}   ", STYLES[state])
    yield key
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        fit = max(1, (columns - width - 15) // (max(len(node.cells) for node in row.nodes) + 1))
        for first in range(0, len(row.nodes), min(fit, 8)):
            text = Text(f"{row.name if first == 0 else '':<{width}}  {row.profile if first == 0 else '':<11}  ")
            for node in row.nodes[first : first + min(fit, 8)]:
                for cell in node.cells:
                    text.append(LETTERS[cell], STYLES[cell])
                text.append(" ")
            text.rstrip()
            yield text


def _bar(whose: str) -> str:
    return {"operator": "bold magenta", "declared debounce": "bright_black", "training": "blue"}.get(whose, "cyan")
