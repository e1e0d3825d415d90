"""What the start of a function costs: the CPU time of importing its code, as often as a cold start does it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial

from rich.console import Console

from .peers import OURS, Tools
from .processes import run
from .registries import Registries
from .results import Attempt, Bound, Sample, Section, cost, measured

BOTO3 = "boto3"
MAX_RATIO = 1.3
SCENARIO = "import"

NOTE = """\
A process of Python that imports the function, or only boto3, and ends.
The packages of Lambda's runtime are compiled. The function's own modules are compiled at each start, because Lambda's
folder is read-only, and compiled modules would fit one version of Python only.
"""


def sections(
    registries: Registries, tools: Tools, rounds: int, console: Console, *, quick: bool = False
) -> Iterator[Section]:
    """Measure the imports."""
    del quick
    section = Section(title="Starts", note=NOTE, units=("cpuSeconds", "seconds", "peakMib"), ours=OURS)
    modules = {OURS: "lambda_handler.entrypoint", BOTO3: "boto3"}
    environment = {**registries.environment, **tools.ours.environment}

    def attempt(module: str, _: str) -> Sample:
        return cost(run([sys.executable, "-c", f"import {module}"], environment, tools.ours.folder))

    attempts: dict[str, Attempt] = {name: partial(attempt, module) for name, module in modules.items()}
    row = measured(SCENARIO, attempts, rounds, console)
    section.rows.append(row)
    section.bounds.append(
        Bound("import of the function: CPU, to boto3's", row.ratio("cpuSeconds", OURS, BOTO3), MAX_RATIO)
    )
    yield section
