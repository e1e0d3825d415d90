"""The cost of a cold start of the function: the CPU time of its initialization and of its imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial

from rich.console import Console

from .peers import OURS, PLAIN, Tools
from .processes import run
from .registries import Registries
from .results import Attempt, Bound, Row, Sample, Section, cost, measured

BOTO3 = "boto3"
MAX_RATIO = 1.3
IMPORT, INITIALIZATION = "import", "initialization"

NOTE = """\
A process of Python that imports a module, and ends.
Initialization is what Lambda measures as Init Duration: each function also creates its client of ECR Public.
The import is that of the code alone, compared with boto3 itself, which has no client yet and can call nothing.
The packages of Lambda's runtime are compiled. The function's own modules are compiled at each start, because Lambda's
folder is read-only, and compiled modules would fit one version of Python only.
"""


def sections(
    registries: Registries, tools: Tools, rounds: int, console: Console, *, quick: bool = False
) -> Iterator[Section]:
    """Measure the initialization of both functions, and the imports."""
    del quick
    section = Section(title="Starts", note=NOTE, units=("cpuSeconds", "seconds", "peakMib"), ours=OURS)
    ours, plain = tools.ours, tools.plain
    in_lambda = {"AWS_LAMBDA_RUNTIME_API": "localhost"}

    def attempt(module: str, environment: Mapping[str, str], _: str) -> Sample:
        return cost(run([sys.executable, "-c", f"import {module}"], {**registries.environment, **environment}))

    def row(scenario: str, modules: Mapping[str, tuple[str, Mapping[str, str]]]) -> Row:
        attempts: dict[str, Attempt] = {name: partial(attempt, *what) for name, what in modules.items()}
        return measured(scenario, attempts, rounds, console)

    handler = "lambda_handler.entrypoint"
    functions = {
        OURS: (handler, {**ours.environment, **in_lambda}),
        PLAIN: ("benchmarks.plain_boto3", plain.environment),
    }
    initialization = row(INITIALIZATION, functions)
    alone = row(IMPORT, {OURS: (handler, ours.environment), BOTO3: (BOTO3, ours.environment)})
    section.rows.extend([initialization, alone])
    bound = initialization.ratio("cpuSeconds", OURS, PLAIN)
    section.bounds.append(Bound("initialization: CPU, to the plain boto3 function's", bound, MAX_RATIO))
    yield section
