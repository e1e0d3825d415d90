"""The report of a run: Markdown with a plot for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .peers import OURS, Tools
from .results import Bound, Row, Section

COLUMNS = {
    "seconds": ("time", "{:.3g} s"),
    "initSeconds": ("initialization", "{:.3g} s"),
    "dollars": ("price", "${:.2f}"),
    "peakMib": ("peak memory", "{:.0f} MiB"),
    "cpuSeconds": ("CPU", "{:.2g} s"),
    "requests": ("requests", "{:.0f}"),
    "operations": ("which", ""),
    "templateBytes": ("templates", "{:,.0f} bytes"),
    "zippedKb": ("zipped", "{:,.0f} kB"),
    "unpackedKb": ("unpacked", "{:,.0f} kB"),
    "failures": ("failures", "{:.0f}"),
    "quotaSeconds": ("quota's limit", "{:.3g} s"),
    "ratio": ("time, to the limit", "{:.2f}"),
    "kept": ("bound", ""),
    "throttled": ("throttled", "{:.0f}"),
    "runs": ("runs", "{:.0f}"),
}
"""The heading and the format of each unit."""

KEPT = {True: "kept", False: "**not kept**", None: "not measured: a peer is missing"}

HEAD = """\
# What it costs

Written by `make bench`; `make bench ARGS="--help"` says what else it can do, and `results.json` has every sample.
[What was tried to make it faster](../docs/explanation/performance.md), and what came of it.

All programs work on the same registries in turn, in rounds, and another one begins each time.
A figure is the median of the rounds, *to ours* the median of the rounds' ratios: 2 is twice what {ours} takes.
Absolute times say little on another machine; ratios hold.
"""


@dataclass(frozen=True, slots=True)
class Report:
    """
    A run.

    Attributes:
        rounds: The largest number of rounds of a scenario.
    """

    sections: list[Section]
    tools: Tools
    rounds: int

    def write(self, folder: Path) -> None:
        """Write ``RESULTS.md``, ``results.json`` and the pictures."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "RESULTS.md").write_text(self.markdown(), encoding="utf-8")
        (folder / "results.json").write_text(json.dumps(self._json(), indent=1) + "\n", encoding="utf-8")
        (folder / "results.svg").write_bytes(plot(self.sections, self.tools))
        for section in self.sections:
            for name, picture in section.pictures.items():
                (folder / name).write_text(picture, encoding="utf-8")

    def markdown(self) -> str:
        """Return the report as Markdown."""
        return "\n".join(self._markdown())

    def bounds(self) -> list[Bound]:
        """Return all bounds."""
        return [bound for section in self.sections for bound in section.bounds]

    def _json(self) -> dict[str, Any]:
        return {
            "machine": machine(),
            "versions": dict(self._versions()),
            "rounds": self.rounds,
            "sections": [section.as_json() for section in self.sections],
        }

    def _versions(self) -> Iterator[tuple[str, str]]:
        yield "Python", platform.python_version()
        for package in ("aws-cdk-lib", "boto3", "urllib3"):
            yield package, version(package)
        yield from self.tools.versions().items()

    def _markdown(self) -> Iterator[str]:
        yield HEAD.format(ours=OURS)
        yield f"{self.rounds} rounds on {', '.join(f'{value}' for value in machine().values())}."
        yield f"Versions: {', '.join(f'{name} {number}' for name, number in self._versions())}."
        yield from ("", "![Time that peers take, to ours](results.svg)", "")
        yield from _bounds(self.bounds())
        for section in self.sections:
            yield from (f"## {section.title}", "", section.note)
            yield from _table(section)


def machine() -> dict[str, Any]:
    """Return a description of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": f"{os.cpu_count()} cores of {_processor()}",
        "memory": f"{memory:.0f} GiB of memory",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _bounds(bounds: Sequence[Bound]) -> Iterator[str]:
    yield from ("## Bounds", "", "| what | measured | at most | |", "|---|--:|--:|---|")
    for bound in bounds:
        found = "" if bound.measured is None else f"{bound.measured:.3g}"
        yield f"| {bound.what} | {found} {bound.unit} | {bound.limit:.3g} {bound.unit} | {KEPT[bound.is_kept]} |"
    yield ""


def _table(section: Section) -> Iterator[str]:
    if not section.rows:
        return
    headings, compared = [COLUMNS[unit][0] for unit in section.units], section.units[0]
    if section.ours:
        headings.append(f"{headings[0]}, to ours")
    yield f"| | | {' | '.join(headings)} |"
    yield f"|---|---|{'--:|' * len(headings)}"
    for row in section.rows:
        for number, program in enumerate(row.samples):
            cells = [_cell(row, program, unit) for unit in section.units]
            if section.ours:
                cells.append(_ratio(row, compared, section.ours, program))
            yield f"| {row.scenario if number == 0 else ''} | {program} | {' | '.join(cells)} |"
    yield from ("", *section.remarks, "") if section.remarks else ("",)


def _cell(row: Row, program: str, unit: str) -> str:
    if unit == "operations":
        return row.operations(program)
    found = row.median(program, unit)
    if unit == "kept":
        return "" if found is None else KEPT[bool(found)]
    return "" if found is None else COLUMNS[unit][1].format(found)


def _ratio(row: Row, unit: str, ours: str, program: str) -> str:
    found = row.ratio(unit, program, ours) if program != ours else None
    return "" if found is None else f"{found:.2f}"


def plot(sections: Sequence[Section], tools: Tools) -> bytes:
    """Draw the time of each peer relative to ours, on a logarithmic scale."""
    sys.path.append(str(tools.folder))
    import pygal  # noqa: PLC0415 - it is there
    from pygal.style import CleanStyle  # noqa: PLC0415

    compared = (section for section in sections if section.ours)
    rows = [(section, row) for section in compared for row in section.rows if len(row.samples) > 1]
    timed = [(section, row) for section, row in reversed(rows) if "seconds" in section.units]
    peers = dict.fromkeys(name for section, row in timed for name in row.samples if name != section.ours)
    chart = pygal.HorizontalBar(
        title=f"Time relative to {OURS} (logarithmic)",
        style=CleanStyle(value_font_size=9, label_font_size=10),
        js=(),
        logarithmic=True,
        print_values=True,
        value_formatter=lambda value: "" if value is None else f"{value:.2g}",
        legend_at_bottom=True,
        truncate_label=-1,
        truncate_legend=-1,
        width=1000,
        height=40 * len(timed) + 150,
    )
    chart.x_labels = [f"{section.title}: {row.scenario}" for section, row in timed]
    for name in peers:
        chart.add(name, [row.ratio("seconds", name, section.ours) for section, row in timed])
    drawn: bytes = chart.render()
    return drawn
