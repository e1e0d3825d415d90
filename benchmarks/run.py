"""
Measure the costs of the project and of its alternatives, in one run on the same registries.

Programs that are not installed are omitted, and the report says so:
`tests/peers/install` builds crane if Go is installed, and skopeo comes from the
system. Linux only: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rich.console import Console

from . import copies, declarations, memory, retags, retention, reviews, scale, starts, synthesis, timelines
from .peers import CHECKOUT, CRANE, SKOPEO, Tools, install
from .processes import BenchmarkError
from .registries import Registries
from .report import Report
from .results import Section

ROUNDS = 5
SUBJECTS = (
    "copies",
    "retags",
    "starts",
    "timelines",
    "memory",
    "declarations",
    "synthesis",
    "plan",
    "scale",
    "retention",
)

Measure = Callable[[], Iterator[Section]]


def measure(registries: Registries, tools: Tools, options: argparse.Namespace, console: Console) -> Iterator[Section]:
    """Measure the selected sections, and yield each when it is done."""
    how = {"rounds": options.rounds, "console": console, "quick": options.quick}
    subjects: Mapping[str, Measure] = {
        "copies": lambda: copies.sections(registries, tools, **how),
        "retags": lambda: retags.sections(registries, tools, **how),
        "starts": lambda: starts.sections(registries, tools, **how),
        "timelines": lambda: timelines.sections(registries, tools, **how),
        "memory": lambda: memory.sections(registries, tools, **how),
        "declarations": lambda: declarations.sections(registries, tools, **how),
        "synthesis": lambda: synthesis.sections(tools, **how),
        "plan": lambda: reviews.sections(registries, tools, **how),
        "scale": lambda: scale.sections(console, quick=options.quick, only=options.runs),
        "retention": lambda: retention.sections(registries, console, quick=options.quick, only=options.runs),
    }
    for name in options.only or SUBJECTS:
        console.print(f"[bold]{name}[/bold]")
        yield from subjects[name]()


def main() -> int:
    """Measure, and write the report after each section, because a complete run takes more than an hour."""
    options = _options()
    console = Console(stderr=True)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cdk-ecrpublic"
    try:
        tools = install(cache)
        for name in (SKOPEO, CRANE):
            if not tools.has(name):
                console.print(f"{name} is missing, so it is not measured")
        report = Report([], tools, options.rounds)
        with Registries() as registries:
            for section in measure(registries, tools, options, console):
                report.sections.append(section)
                report.write(options.output)
    except BenchmarkError as error:
        console.print(f"[red]{error}[/red]")
        return 1
    for bound in report.bounds():
        console.print(f"{bound.what}: {bound.measured} (at most {bound.limit}) {'' if bound.is_kept else 'NOT KEPT'}")
    console.print(f"report: {options.output / 'RESULTS.md'}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='make bench ARGS="…"', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each program is run (default: {ROUNDS})")
    parser.add_argument(
        "--only", action="append", choices=SUBJECTS, help="only this section; can be repeated (default: all)"
    )
    parser.add_argument(
        "--runs",
        default="",
        metavar="TEXT",
        help='of scale and retention, only runs whose names contain this, e.g. "KEEP, 200"',
    )
    parser.add_argument("--quick", action="store_true", help="only small sizes, to check that everything works")
    parser.add_argument(
        "--output", type=Path, default=CHECKOUT / "benchmarks", help="folder for the report (default: benchmarks)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
