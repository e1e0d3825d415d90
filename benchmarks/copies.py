"""Copying an image from one registry to another: time and memory, from process start to the last response."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from .functions import Program, running
from .peers import CRANE, GO, OURS, SKOPEO, Tools
from .processes import BenchmarkError, Cost, run
from .registries import MIB, Pushed, Registries, Shape
from .results import Attempt, Bound, Sample, Section, cost, measured

LATENCY_MS = 30
LARGE_ROUNDS = 3
PEAK_MAX_MIB = 96.0

NOTE = f"""\
From the start of the process to its last response, between two registries; the destination is empty each time.
With *{LATENCY_MS} ms*, every response of both registries is delayed by that time.
After each copy, the destination is compared with the source.
"""

EIGHT = Shape("8 layers of 64 MiB", [[64 * MIB] * 8])
LARGE = Shape("one layer of 4 GiB", [[4096 * MIB]])
SHAPES = (
    Shape("one layer of 1 MiB", [[MIB]]),
    Shape("8 layers of 256 KiB", [[MIB // 4] * 8]),
    Shape("64 layers of 256 KiB", [[MIB // 4] * 64]),
    Shape("4 platforms, 2 layers of 4 MiB each and 3 of 16 MiB shared", [[4 * MIB] * 2] * 4, [16 * MIB] * 3),
    EIGHT,
    LARGE,
)
QUICK_SHAPES = SHAPES[:2]


def sections(
    registries: Registries, tools: Tools, rounds: int, console: Console, *, quick: bool = False
) -> Iterator[Section]:
    """Measure every shape, without and with latency."""
    section = Section(title="Copies", note=NOTE, units=("seconds", "peakMib", "cpuSeconds", "requests"), ours=OURS)
    for shape in QUICK_SHAPES if quick else SHAPES:
        image = registries.upstream.push(shape, f"shape-{len(section.rows)}")
        attempts = Copying(registries, tools, image).attempts()
        for latency in (0, LATENCY_MS):
            registries.slow_down(latency)
            scenario = f"{shape.name}, {latency} ms" if latency else shape.name
            few = min(rounds, LARGE_ROUNDS) if shape is LARGE else rounds
            section.rows.append(measured(scenario, attempts, few, console, warm_up=shape is not LARGE))
        registries.slow_down(0)
    section.bounds.extend(_bounds(section))
    yield section


def _bounds(section: Section) -> Iterator[Bound]:
    for scenario in (EIGHT.name, f"{EIGHT.name}, {LATENCY_MS} ms"):
        if row := section.row(scenario):
            ratios = [found for name in (GO, SKOPEO) if (found := row.ratio("seconds", OURS, name)) is not None]
            yield Bound(f"copy of {scenario}: time, to the faster of {GO} and {SKOPEO}", max(ratios, default=None), 1.0)
    for shape in (EIGHT, LARGE):
        if row := section.row(shape.name):
            yield Bound(f"peak memory, {shape.name}", row.median(OURS, "peakMib"), PEAK_MAX_MIB, "MiB")


@dataclass(frozen=True, slots=True)
class Copying:
    """Copies of one image, by each program."""

    registries: Registries
    tools: Tools
    image: Pushed

    def attempts(self) -> Mapping[str, Attempt]:
        """Return a function for each installed program, which makes a copy."""
        programs: Mapping[str, Callable[[str, str, str], Cost]] = {
            OURS: self._ours,
            GO: self._go,
            SKOPEO: self._skopeo,
            CRANE: self._crane,
        }
        return {name: self._checked(program) for name, program in programs.items() if self.tools.has(name)}

    def _checked(self, program: Callable[[str, str, str], Cost]) -> Attempt:
        def attempt(name: str) -> Sample:
            destination = self.registries.destination
            with destination.temporary() as (repository, uri):
                self.registries.count_from_now()
                took = program(repository, uri, name)
                requests = sum(self.registries.counted().values())
                if destination.digest_of(name, repository) != self.image.digest:
                    message = f"{name}: the destination has another image than {self.image.digest}"
                    raise BenchmarkError(message)
            return {**cost(took), "requests": requests}

        return attempt

    def _ours(self, repository: str, _: str, tag: str) -> Cost:
        source = {"Image": {"Reference": self.image.reference}}
        return self._by_function(self.tools.ours, {"RepositoryName": repository, "ImageTags": [tag], "Source": source})

    def _go(self, _: str, uri: str, tag: str) -> Cost:
        properties = {
            "SrcImage": f"docker://{self.image.reference}",
            "SrcCreds": self.registries.upstream.login,
            "DestImage": f"docker://{uri}:{tag}",
            "DestCreds": self.registries.destination.login,
            "CopyImageIndex": "true",
        }
        return self._by_function(self.tools.go, properties)

    def _by_function(self, program: Program, properties: Mapping[str, object]) -> Cost:
        with running(program, self.registries.environment) as function:
            return function.stop(function.deploy(properties))

    def _skopeo(self, _: str, uri: str, tag: str) -> Cost:
        command = ["skopeo", "copy", "--quiet", "--all", "--preserve-digests"]
        return self._by_command([*command, f"docker://{self.image.reference}", f"docker://{uri}:{tag}"])

    def _crane(self, _: str, uri: str, tag: str) -> Cost:
        return self._by_command(["crane", "copy", "--insecure", self.image.reference, f"{uri}:{tag}"])

    def _by_command(self, command: Sequence[str]) -> Cost:
        return run(command, self.registries.environment)
