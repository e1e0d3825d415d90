"""Timelines of the requests of one retag and one copy, from the journals of the registries."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from rich.console import Console

from .copies import by_go, by_ours
from .functions import Program, running
from .peers import GO, OURS, PLAIN, Tools
from .registries import LATENCY_MS, MIB, Pushed, Registries, Shape
from .results import Section

IMAGE = Shape("8 layers of 256 KiB", [[MIB // 4] * 8])
FILE = "timelines.svg"

NOTE = f"""\
One run of each, with {LATENCY_MS} ms for each response, as the registries saw it. A bar is a request, from its arrival
to its response. The time before the first one is the start of the process. The end of the axis is the response to
CloudFormation.

![Timelines]({FILE})
"""

ROW, WIDTH, LEFT, FONT = 16, 760, 10, 'font-family="sans-serif" font-size="11"'
COLORS = {"Get": "#4c78a8", "Describe": "#72b7b2", "Put": "#e45756", "Token": "#b279a2"}
OTHER_COLOR = "#f2a541"


@dataclass(frozen=True, slots=True)
class Bar:
    """A request: its operation, and when it began and ended, in seconds since the start."""

    operation: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Trace:
    """
    One run.

    Attributes:
        seconds: From the start of the process, or of the request, to the response.
    """

    title: str
    seconds: float
    bars: Sequence[Bar]


def sections(
    registries: Registries, tools: Tools, rounds: int, console: Console, *, quick: bool = False
) -> Iterator[Section]:
    """Draw the timelines."""
    del rounds, quick
    console.print("  timelines", style="dim")
    registries.slow_down(0)
    image = registries.upstream.push(IMAGE, "timeline")
    there = registries.destination.push(IMAGE, "timeline")
    registries.slow_down(LATENCY_MS)
    retags = [_retag(registries, there, f"timeline-{number}") for number in range(4)]
    traces = [
        _cold(registries, f"retag from process start: {OURS}", tools.ours, retags[0]),
        _cold(registries, f"retag from process start: {PLAIN}", tools.plain, retags[1]),
        _warm(registries, f"retag, warm: {OURS}", tools.ours, retags[2], retags[3]),
    ]
    title = f"copy of {IMAGE.name} from process start"
    with registries.destination.temporary() as (repository, _):
        traces.append(_cold(registries, f"{title}: {OURS}", tools.ours, by_ours(image, repository, "1")))
    with registries.destination.temporary() as (_, uri):
        traces.append(_cold(registries, f"{title}: {GO}", tools.go, by_go(registries, image, uri, "1")))
    registries.slow_down(0)
    yield Section(title="Timelines", note=NOTE, units=(), ours="", pictures={FILE: draw(traces)})


def _retag(registries: Registries, image: Pushed, tag: str) -> Mapping[str, object]:
    return {
        "RepositoryName": registries.destination.repository,
        "ImageTags": [tag],
        "Source": {"Digest": image.digest},
    }


def _cold(registries: Registries, title: str, program: Program, properties: Mapping[str, object]) -> Trace:
    registries.count_from_now()
    began = time.time()
    with running(program, registries.environment) as function:
        function.deploy(properties)
        return _trace(registries, title, began, time.time())


def _warm(
    registries: Registries, title: str, program: Program, first: Mapping[str, object], second: Mapping[str, object]
) -> Trace:
    with running(program, registries.environment) as function:
        function.deploy(first)
        registries.count_from_now()
        began = time.time()
        function.deploy(second)
        return _trace(registries, title, began, time.time())


def _trace(registries: Registries, title: str, began: float, ended: float) -> Trace:
    sides = (registries.upstream, registries.destination)
    requests = [request for side in sides for request in side.sandbox.requests.all()]
    bars = [Bar(each.operation, each.time - each.seconds - began, each.time - began) for each in requests]
    return Trace(title, ended - began, sorted(bars, key=lambda bar: bar.begin))


def draw(traces: Sequence[Trace]) -> str:
    """Draw the traces below each other, with the same scale."""
    scale = WIDTH / max(trace.seconds for trace in traces)
    lines, y = list[str](), 0
    for trace in traces:
        y += 2 * ROW
        title = escape(f"{trace.title}: {trace.seconds:.3f} s")
        lines.append(f'<text x="{LEFT}" y="{y - 4}" font-weight="bold">{title}</text>')
        top = y
        for bar in trace.bars:
            lines += _bar(bar, y, scale)
            y += ROW
        end = LEFT + trace.seconds * scale
        lines.append(f'<path d="M{LEFT} {top}V{y}H{end:.1f}V{top}" fill="none" stroke="#999"/>')
    size = f'width="{WIDTH + 180}" height="{y + ROW}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT}>\n' + "\n".join(lines) + "\n</svg>\n"


def _bar(bar: Bar, y: int, scale: float) -> Iterator[str]:
    x, width = LEFT + bar.begin * scale, max((bar.end - bar.begin) * scale, 1)
    color = next((found for prefix, found in COLORS.items() if bar.operation.startswith(prefix)), OTHER_COLOR)
    yield f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="{ROW - 4}" fill="{color}"/>'
    yield f'<text x="{x + width + 4:.1f}" y="{y + ROW - 4}">{escape(bar.operation)}</text>'
