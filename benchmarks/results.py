"""
Results: one sample for each scenario, program and round.

Programs alternate within a round, and ratios are computed for each round. So if
the machine is slow for a while, all programs are affected.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console

from .processes import Cost

Sample = Mapping[str, float]
"""Measurements by unit, ``{"seconds": 1.4, "peakMib": 51.2}``, and requests by operation, ``{"PutImage": 1}``."""

_NUMBERS = itertools.count(1)

Attempt = Callable[[str], Sample]
"""Runs a program once, with a unique name."""


@dataclass(frozen=True, slots=True)
class Row:
    """
    One scenario.

    Attributes:
        samples: The samples of each program, in the order of the rounds.
    """

    scenario: str
    samples: Mapping[str, Sequence[Sample]]

    def median(self, program: str, unit: str) -> float | None:
        """Return the median of a program; None if it was not measured."""
        found = [sample[unit] for sample in self.samples.get(program, ()) if unit in sample]
        return statistics.median(found) if found else None

    def operations(self, program: str) -> str:
        """Return the requests of a program, in their order: ``GetManifest, 2 PutImage``."""
        last = self.samples[program][-1]
        # Units begin with a lower-case letter, operations do not.
        counted = {name: int(count) for name, count in last.items() if name[0].isupper()}
        return ", ".join(f"{count} {name}" if count > 1 else name for name, count in counted.items())

    def ratio(self, unit: str, ours: str, theirs: str) -> float | None:
        """Return the median of the ratios of all rounds, ours divided by theirs."""
        pairs = zip(self.samples.get(ours, ()), self.samples.get(theirs, ()), strict=False)
        found = [mine[unit] / other[unit] for mine, other in pairs if other.get(unit) and unit in mine]
        return statistics.median(found) if found else None


@dataclass(frozen=True, slots=True)
class Bound:
    """
    A limit for a measurement.

    Attributes:
        measured: The measurement; None if a peer is missing.
        limit: The maximum of *measured*.
        unit: The unit of both numbers; empty for ratios.
    """

    what: str
    measured: float | None
    limit: float
    unit: str = ""

    @property
    def is_kept(self) -> bool | None:
        """Whether the limit is kept; None if it was not measured."""
        return None if self.measured is None else self.measured <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """
    The results of one subject.

    Attributes:
        note: How it was measured, as Markdown.
        units: The columns.
        ours: The program that the others are compared with; empty if there is no comparison.
        remarks: Lines of Markdown below the table.
        pictures: SVG images that the note refers to, by file name.
    """

    title: str
    note: str
    units: Sequence[str]
    ours: str
    rows: list[Row] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    pictures: Mapping[str, str] = field(default_factory=dict)

    def row(self, scenario: str) -> Row | None:
        """Return the row of a scenario; None if it was not measured."""
        return next((row for row in self.rows if row.scenario == scenario), None)

    def as_json(self) -> dict[str, Any]:
        """Return all results, with every sample."""
        bounds = [asdict(bound) | {"isKept": bound.is_kept} for bound in self.bounds]
        rows = [{"scenario": row.scenario, "samples": row.samples} for row in self.rows]
        return {"title": self.title, "ours": self.ours, "units": self.units, "rows": rows, "bounds": bounds}


def measured(
    scenario: str, attempts: Mapping[str, Attempt], rounds: int, console: Console, *, warm_up: bool = True
) -> Row:
    """
    Run each program once in each round, and begin each round with another program.

    Args:
        warm_up: Whether to run one round first that does not count.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in attempts}
    for number in range(-1 if warm_up else 0, rounds):
        turn = list(attempts)[max(number, 0) % len(attempts) :] + list(attempts)[: max(number, 0) % len(attempts)]
        for name in turn:
            said = f"round {number + 1} of {rounds}" if number >= 0 else "warming up"
            console.print(f"  {scenario}: {name}, {said}", style="dim", highlight=False)
            sample = attempts[name](f"run-{next(_NUMBERS)}")
            if number >= 0:
                samples[name].append(sample)
    row = Row(scenario, samples)
    medians = {name: row.median(name, "seconds") for name in samples}
    text = ", ".join(f"{name} {median:.3f} s" for name, median in medians.items() if median is not None)
    console.print(f"  {scenario}: {text}", highlight=False)
    return row


def cost(of: Cost) -> dict[str, float]:
    """Return the costs of a process as a sample."""
    return {"seconds": of.seconds, "peakMib": of.peak_mib, "cpuSeconds": of.cpu_seconds}
