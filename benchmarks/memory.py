"""The cost of a memory size: a cold function with the CPU share that Lambda gives it, and the price of its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console

from .copies import by_ours
from .cpu_shares import CORE_MIB, NotPossibleError, share_of
from .functions import Program, running
from .peers import OURS, PLAIN, Tools
from .registries import LATENCY_MS, MIB, Registries, Shape
from .results import Attempt, Row, Sample, Section, measured

SIZES_MIB = (256, 512, 1024, CORE_MIB)
RETAG, COPY = "retag", "copy of 8 layers of 16 MiB"
IMAGE = Shape(COPY, [[16 * MIB] * 8])

DOLLARS_PER_GIB_SECOND = 0.0000166667
"""The price of the first tier on x86 in us-east-1 (aws.amazon.com/lambda/pricing, November 2026)."""

MILLION = 1_000_000

NOTE = f"""\
A cold function that gets one request, with {LATENCY_MS} ms for each response. Its initialization and its invocation are
timed apart: while it initializes, it has the whole core, as in Lambda; then it has the CPU share of its memory size, of
which {CORE_MIB:,} MiB make one core. The price is for a million requests, initialization included.
"""

Properties = Mapping[str, object]


def sections(
    registries: Registries, tools: Tools, rounds: int, console: Console, *, quick: bool = False
) -> Iterator[Section]:
    """Measure the memory sizes; nothing if this machine cannot limit the CPU of a process."""
    units = ("seconds", "initSeconds", "dollars")
    section = Section(title="Memory sizes", note=NOTE, units=units, ours=OURS)
    there = registries.destination.push(IMAGE, "memory")
    image = registries.upstream.push(IMAGE, "memory")
    registries.slow_down(LATENCY_MS)

    def retag(run: str, act: Callable[[Properties], Sample]) -> Sample:
        destination, digest = registries.destination.repository, there.digest
        return act({"RepositoryName": destination, "ImageTags": [run], "Source": {"Digest": digest}})

    def copy(run: str, act: Callable[[Properties], Sample]) -> Sample:
        with registries.destination.temporary() as (repository, _):
            return act(by_ours(image, repository, run))

    def attempt(program: Program, size: int, do: Callable[[str, Callable[[Properties], Sample]], Sample]) -> Attempt:
        return lambda run: do(run, lambda properties: _cold(registries, program, size, properties))

    try:
        for size in SIZES_MIB[:1] if quick else SIZES_MIB:
            programs = {OURS: attempt(tools.ours, size, retag), PLAIN: attempt(tools.plain, size, retag)}
            section.rows.append(_priced(measured(f"{RETAG}, {size:,} MiB", programs, rounds, console), size))
            copies = {OURS: attempt(tools.ours, size, copy)}
            section.rows.append(_priced(measured(f"{COPY}, {size:,} MiB", copies, rounds, console), size))
    except NotPossibleError as error:
        console.print(f"memory sizes are not measured: {error}")
        return
    finally:
        registries.slow_down(0)
    yield section


def _cold(registries: Registries, program: Program, size: int, properties: Properties) -> Sample:
    with share_of(size) as processes, running(program, registries.environment) as function:
        initialized = function.initialized()
        processes.write_text(str(function.pid), encoding="ascii")
        began = time.perf_counter()
        took = function.deploy(properties) - began
        function.end()
        return {"seconds": took, "initSeconds": initialized}


def _priced(row: Row, size: int) -> Row:
    """Add the price of a million requests to each sample."""
    each = MILLION * DOLLARS_PER_GIB_SECOND * size / 1024
    return Row(
        row.scenario,
        {
            program: [{**sample, "dollars": each * (sample["seconds"] + sample["initSeconds"])} for sample in samples]
            for program, samples in row.samples.items()
        },
    )
