"""Retention of repositories of up to 100,000 images: memory, time and requests of the function."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .processes import BenchmarkError, Cost, Measured
from .registries import Registries
from .results import Bound, Row, Sample, Section
from .retention_store import REPOSITORY, Store

SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (200,)

MEMORY_MIB = 512
"""The memory of the function: ``constructs.retention``."""

TIMEOUT_SECONDS = 900

REMOVED = 1000
RUNS_MAX = 10

FIRST, NEXT, REMOVAL = "first report", "next report", "removal"

NOTE = f"""\
Repositories of indexes with two children and a signature each; a quarter of the images have a tag of their own.
The *{FIRST}* reads every manifest, and keeps in a bucket what it refers to. If the {TIMEOUT_SECONDS} s of a function do
not suffice, the next run continues: *runs* is how many it takes. The *{NEXT}* reads only the list of the images.
The *{REMOVAL}* of about {REMOVED} images lists them again before each batch of 100.
From process start; the time includes that of the sandbox, which is one process, and slow with 100,000 images.
A function has {MEMORY_MIB} MiB.
"""

_RUN = """\
import json, pathlib, sys, time
from lambda_handler.retention.entrypoint import handler
class Context:
    aws_request_id = "benchmark"
    end = time.monotonic() + float(sys.argv[2])
    def get_remaining_time_in_millis(self): return int((self.end - time.monotonic()) * 1000)
pathlib.Path(sys.argv[3]).write_text(json.dumps(handler(json.loads(sys.argv[1]), Context())))
"""


def sections(registries: Registries, console: Console, *, quick: bool = False, only: str = "") -> Iterator[Section]:
    """
    Measure all sizes.

    Args:
        only: Only sizes whose names contain this string.
    """
    section = Section(
        title="Retention", note=NOTE, units=("seconds", "peakMib", "cpuSeconds", "requests", "runs"), ours=""
    )
    for size in QUICK_SIZES if quick else SIZES:
        scenario = f"{size:,} images"
        if only in scenario:
            console.print(f"  {scenario}", style="dim", highlight=False)
            section.rows.append(Row(scenario, _measured(registries, size, console)))
    section.bounds.extend(_bounds(section))
    yield section


def _measured(registries: Registries, size: int, console: Console) -> Mapping[str, list[Sample]]:
    bucket = f"retention-{size}"
    registries.destination.sandbox.client("s3").create_bucket(Bucket=bucket)
    with Store() as store:
        store.fill(size)
        function = _Function(registries, store, bucket, size)
        samples = {}
        for name, mode in ((FIRST, "REPORT"), (NEXT, "REPORT"), (REMOVAL, "DELETE")):
            samples[name] = [function.complete(mode)]
            console.print(f"  {size:,} images, {name}: {samples[name][0]}", style="dim", highlight=False)
        return samples


@dataclass(frozen=True, slots=True)
class _Function:
    """The function for one repository."""

    registries: Registries
    store: Store
    bucket: str
    size: int

    def complete(self, mode: str) -> Sample:
        """Run until a run has decided about all images; return the total costs, and the peak of all runs."""
        self.store.count_from_now()
        costs: list[Cost] = []
        while len(costs) < RUNS_MAX:
            cost, counts = self._run(mode)
            costs.append(cost)
            if not counts["problem"]:
                self._check(mode, counts)
                return {
                    "seconds": sum(each.seconds for each in costs),
                    "peakMib": max(each.peak_mib for each in costs),
                    "cpuSeconds": sum(each.cpu_seconds for each in costs),
                    "requests": self.store.counted().total(),
                    "runs": len(costs),
                    **self.store.counted(),
                }
            if "the next run continues" not in str(counts["problem"]):
                break
        message = f"retention of {self.size} images does not finish: {counts['problem']}"
        raise BenchmarkError(message)

    def _check(self, mode: str, counts: Mapping[str, object]) -> None:
        # An earlier run of the same removal may have removed some.
        are_all = counts["images"] == self.size or mode == "DELETE"
        if not are_all or (mode == "DELETE" and not counts["removed"]):
            message = f"retention of {self.size} images: {counts}"
            raise BenchmarkError(message)

    def _run(self, mode: str) -> tuple[Cost, Mapping[str, object]]:
        selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": self.size // 8}
        event = {
            "repositoryName": REPOSITORY,
            "policy": {"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]},
            "mode": mode,
            "maxRemovals": REMOVED // 4,
            "regions": ["us-east-1"],
            "bucket": self.bucket,
        }
        environment = {**self.registries.environment, "AWS_ENDPOINT_URL_ECR_PUBLIC": self.store.url}
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            command = [sys.executable, "-c", _RUN, json.dumps(event), str(TIMEOUT_SECONDS), str(result)]
            cost = Measured(command, environment).end()
            return cost, json.loads(result.read_text(encoding="utf-8"))


def _bounds(section: Section) -> Iterator[Bound]:
    for row in section.rows:
        peaks = [found for name in row.samples if (found := row.median(name, "peakMib")) is not None]
        yield Bound(f"retention of {row.scenario}: peak memory", max(peaks), MEMORY_MIB, "MiB")
