"""The demo's report: one HTML file with its pictures inside, drawn here as SVG, so that it can be sent and kept.

Pure: values in, text out.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from e2e.demo import picture
from e2e.demo.curve import Curve, Line
from e2e.demo.timeline import Timeline, Whose
from e2e.demo.verdicts import Verdict

COLOURS = {
    picture.State.FREE: "#8fce9b",
    picture.State.HELD: "#3b78c3",
    picture.State.SUSPECT: "#f0b429",
    picture.State.FAULTY: "#d64545",
    picture.State.UNKNOWN: "#9aa5b1",
}
SHADES = {
    Whose.PLUGIN: "#7b8794",
    Whose.DECLARED: "#cbd2d9",
    Whose.OPERATOR: "#a0389a",
    Whose.OLD_PODS: "#e8a33d",
    Whose.RESOLVER: "#2f9e77",
    Whose.NEW_PODS: "#5aa9e6",
    Whose.TRAINING: "#3b78c3",
}
ATTEMPTS = ("#3b78c3", "#d9822b", "#2f9e77", "#a0389a")
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:1040px;margin:2em auto;padding:0 1em;color:#1f2933;background:#fff}
h1{font-size:1.5em;margin-bottom:.1em}h2{font-size:1.1em;margin-top:2em}p.note{color:#52606d;margin-top:0}
table{border-collapse:collapse;font-size:13px}td,th{padding:.25em .7em;border-bottom:1px solid #e4e7eb;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.pass{color:#1c7c45;font-weight:600}.fail{color:#c22;font-weight:600}
svg{max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#1f2933}
pre{background:#f5f7fa;padding:1em;overflow-x:auto;font-size:12px}
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """The map at one moment of the story."""

    title: str
    rows: tuple[picture.SupernodeRow, ...]


def page(
    title: str,
    note: str,
    verdicts: Sequence[Verdict],
    line: Timeline | None,
    curve: Curve,
    resumed: int | None,
    scenes: Sequence[Scene],
    said: str,
) -> str:
    """The whole report; ``resumed`` is the checkpoint's step, ``said`` what kubectl printed."""
    rows = "".join(
        f"<tr><td class='{'pass' if one.holds else 'fail'}'>{'PASS' if one.holds else 'FAIL'}</td>"
        f"<td>{html.escape(one.claim)}</td><td>{html.escape(one.detail)}</td></tr>"
        for one in verdicts
    )
    parts = [f"<h1>{html.escape(title)}</h1><p class='note'>{html.escape(note)}</p>", f"<table>{rows}</table>"]
    if curve.lines:
        parts.append("<h2>The loss goes on where the checkpoint stands</h2>" + loss(curve, resumed))
    if line is not None:
        parts.append("<h2>From the fault to the next step</h2>" + bars(line) + moments(line))
    parts += [f"<h2>Cards: {html.escape(scene.title)}</h2>{cards(scene.rows)}" for scene in scenes]
    parts.append(f"<h2>What kubectl shows</h2><pre>{html.escape(said)}</pre>")
    head = f"<meta charset='utf-8'><title>{html.escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def loss(curve: Curve, resumed: int | None, width: int = 1000, height: int = 380) -> str:
    """The loss of every step, a colour for each attempt, checkpoints as dots, the resume as a line; log scale."""
    values = [one.loss for one in curve.of("step") if one.loss]
    if not values:
        return "<p>no step was logged</p>"
    last = max(one.step for one in curve.of("step")) or 1
    low, high = math.log10(min(values) * 0.9), math.log10(max(values) * 1.1)
    left, top, right, bottom = 60, 20, width - 20, height - 40

    def at(step: float, value: float) -> tuple[float, float]:
        across = left + (right - left) * step / last
        return across, bottom - (bottom - top) * (math.log10(value) - low) / ((high - low) or 1.0)

    out = [f"<svg viewBox='0 0 {width} {height}' width='{width}' role='img' aria-label='loss per step'>"]
    for power in range(math.floor(low), math.ceil(high) + 1):
        for digit in (1, 2, 5):
            tick = digit * 10.0**power
            if low <= math.log10(tick) <= high:
                _, y = at(0, tick)
                out.append(f"<path d='M{left} {y:.1f}H{right}' stroke='#e4e7eb'/>")
                out.append(f"<text x='{left - 8}' y='{y + 4:.1f}' text-anchor='end'>{tick:g}</text>")
    for step in range(0, last + 1, _stride(last)):
        x, _ = at(step, values[0])
        out.append(f"<path d='M{x:.1f} {bottom}v5' stroke='#7b8794'/>")
        out.append(f"<text x='{x:.1f}' y='{bottom + 20}' text-anchor='middle'>{step}</text>")
    out.append(f"<text x='{(left + right) / 2}' y='{height - 4}' text-anchor='middle'>step</text>")
    if resumed is not None:
        x, _ = at(resumed, values[0])
        out.append(f"<path d='M{x:.1f} {top}V{bottom}' stroke='#d64545' stroke-dasharray='5 4'/>")
        out.append(f"<text x='{x + 6:.1f}' y='{top + 12}'>attempt 1 resumes from step {resumed}</text>")
    for number in curve.attempts:
        out.append(_attempt(curve, number, at))
        out.append(
            f"<text x='{right - 170}' y='{top + 36 + 18 * number}' style='fill:{_colour(number)}'>"
            f"━ attempt {number} (● checkpoint)</text>"
        )
    return "".join(out) + "</svg>"


def _attempt(curve: Curve, number: int, at: object) -> str:
    place = at
    if not callable(place):
        raise TypeError("a function from step and loss to the picture")

    def spot(one: Line) -> tuple[float, float]:
        x, y = place(one.step, one.loss)
        return float(x), float(y)

    points = [spot(one) for one in curve.of("step", number) if one.loss]
    colour = _colour(number)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    thin = 3.5 if number == 0 else 1.6  # what was done again lies on top of what was lost
    out = [f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{thin}' stroke-opacity='.75'/>"]
    dots = [spot(one) for one in curve.of("checkpoint", number) if one.loss]
    out += [f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='{colour}'/>" for x, y in dots]
    again = [spot(one) for one in curve.of("restored", number) if one.loss]
    out += [
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='7' fill='none' stroke='#d64545' stroke-width='2'/>" for x, y in again
    ]
    return "".join(out)


def _colour(number: int) -> str:
    return ATTEMPTS[number % len(ATTEMPTS)]


def _stride(last: int) -> int:
    return next((size for size in (1, 5, 10, 20, 50, 100, 200, 500, 1000) if last / size <= 12), 5000)


def bars(line: Timeline, width: int = 1000) -> str:
    """The parts of the restart below each other on one scale of seconds."""
    total = line.total_seconds or 1.0
    left, right, row = 150, width - 130, 26
    height = row * len(line.parts) + 34
    begin = line.parts[0].begin
    scale = (right - left) / total
    out = [f"<svg viewBox='0 0 {width} {height}' width='{width}' role='img' aria-label='timeline of the restart'>"]
    for second in range(0, int(total) + 1, _stride(int(total))):
        x = left + second * scale
        out.append(f"<path d='M{x:.1f} 0V{height - 24}' stroke='#e4e7eb'/>")
        out.append(f"<text x='{x:.1f}' y='{height - 8}' text-anchor='middle'>{second} s</text>")
    for index, part in enumerate(line.parts):
        x, y = left + (part.begin - begin) * scale, index * row + 4
        size = max(part.seconds * scale, 2.0)
        out.append(f"<text x='{left - 10}' y='{y + 14}' text-anchor='end'>{html.escape(part.name)}</text>")
        out.append(f"<rect x='{x:.1f}' y='{y}' width='{size:.1f}' height='18' rx='3' fill='{SHADES[part.whose]}'/>")
        out.append(f"<text x='{x + size + 6:.1f}' y='{y + 14}'>{part.seconds:.2f} s, {part.whose.value}</text>")
    return "".join(out) + "</svg>"


def moments(line: Timeline) -> str:
    """Status beside what the API shows, in seconds after the fault."""
    begin = line.parts[0].begin
    head = (
        "<tr><th>moment</th><th>status says</th><th>watch saw</th><th>own timestamp (whole s)</th><th>apart</th></tr>"
    )
    rows = "".join(
        f"<tr><td>{html.escape(one.name)}</td>{_cell(one.mark, begin)}{_cell(one.watch, begin)}"
        f"{_cell(one.stamp, begin)}<td class='n'>{one.apart:.3f} s</td></tr>"
        for one in line.moments
    )
    return f"<table>{head}{rows}</table>"


def _cell(moment: float | None, begin: float) -> str:
    return f"<td class='n'>{'' if moment is None else f'{moment - begin:+.3f} s'}</td>"


def cards(rows: Sequence[picture.SupernodeRow], width: int = 1000) -> str:
    """The map: a line for each supernode, a box for each node, a square for each card."""
    left, cell, gap = 190, 10, 10
    per_line = max(1, (width - left) // (8 * cell + gap))
    out: list[str] = []
    y = 28
    for row in rows:
        free, bad = row.count(picture.State.FREE), row.count(picture.State.FAULTY)
        text = f"{row.profile}: {free} free{f', {bad} faulty' if bad else ''}"
        out.append(f"<text x='0' y='{y + 10}'>{html.escape(row.name)}</text>")
        out.append(f"<text x='0' y='{y + 25}' style='fill:#7b8794'>{html.escape(text)}</text>")
        for index, node in enumerate(row.nodes):
            x, line = left + (index % per_line) * (8 * cell + gap), y + (index // per_line) * 34
            out.append(
                f"<text x='{x}' y='{line - 2}' style='font-size:9px;fill:#7b8794'>{html.escape(node.name)}</text>"
            )
            out += [
                f"<rect x='{x + spot % 8 * cell}' y='{line + 2 + spot // 8 * cell}' width='{cell - 1.5}' "
                f"height='{cell + 4}' rx='2' fill='{COLOURS[state]}'><title>{html.escape(node.name)} "
                f"card {spot}: {state.value}</title></rect>"
                for spot, state in enumerate(node.cells)
            ]
        y += 34 * math.ceil(len(row.nodes) / per_line) + 12
    key = "".join(
        f"<rect x='{left + 110 * index}' y='0' width='10' height='10' fill='{COLOURS[state]}'/>"
        f"<text x='{left + 16 + 110 * index}' y='10'>{state.value}</text>"
        for index, state in enumerate(COLOURS)
    )
    return f"<svg viewBox='0 0 {width} {y}' width='{width}' role='img' aria-label='cards'>{key}{''.join(out)}</svg>"
