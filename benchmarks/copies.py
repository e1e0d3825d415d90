"""Time and memory of copying an image between registries, from process start to the last response."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

from .functions import Function, Program, running
from .peers import CRANE, GO, OURS, SKOPEO, WARM, Tools
from .processes import BenchmarkError, run
from .registries import LATENCY_MS, MIB, Pushed, Registries, Shape
from .results import Attempt, Bound, Sample, Section, cost, measured

LARGE_ROUNDS = 3
PEAK_MAX_MIB = 96.0
COLD_MAX_RATIO = 1.0
SMALL_MAX_RATIO = 1.2
"""For a single small layer, most of the time is the start of Python."""

WARM_MAX_RATIO = 1.0
BLOB_MAX_REQUESTS = 4
OTHER_MAX_REQUESTS = 10
"""Finding the repository, two logins, the manifest, two looks at what is there, and the tag; each once."""

NOTE = f"""\
From the start of the process to its last response, between two registries; the destination is empty each time.
*Warm*: the time of a request to a process that has already served one.
With *{LATENCY_MS} ms*, every response of both registries is delayed by that time. That is an estimate for a function
and a registry in different Regions. The other rows have no bound: nowhere does a response take no time.
The rows named after an image have the number and the sizes of its layers, as its pull shows them.
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
    Shape("python 3.12", [[48_480_000, 24_020_000, 64_400_000, 211_360_000, 6_160_000, 27_390_000, 250]]),
    Shape("node 22", [[48_480_000, 24_030_000, 64_400_000, 211_460_000, 3_320, 48_410_000, 1_250_000, 446]]),
    Shape("nginx 1.21", [[31_357_624, 25_350_007, 602, 894, 666, 1_395]]),
    Shape("a Go service on distroless", [[104_220, 13_360, 544_070, 31_240, 67, 188, 123, 8_000_000]]),
    Shape("CUDA, a tenth of each size", [[2_972_000, 455_000, 10_507_000, 186, 6_880, 151_000_000, 59_610, 1_680]]),
)
QUICK_SHAPES = SHAPES[:2]


def sections(
    registries: Registries, tools: Tools, rounds: int, console: Console, *, quick: bool = False
) -> Iterator[Section]:
    """Measure every shape, without and with latency."""
    section = Section(title="Copies", note=NOTE, units=("seconds", "peakMib", "cpuSeconds", "requests"), ours=OURS)
    for shape in QUICK_SHAPES if quick else SHAPES:
        image = registries.upstream.push(shape, f"shape-{len(section.rows)}")
        with Copying(registries, tools, image).attempts() as attempts:
            for latency in (0, LATENCY_MS):
                registries.slow_down(latency)
                scenario = f"{shape.name}, {latency} ms" if latency else shape.name
                few = min(rounds, LARGE_ROUNDS) if shape is LARGE else rounds
                section.rows.append(measured(scenario, attempts, few, console, warm_up=shape is not LARGE))
            registries.slow_down(0)
    section.bounds.extend(bound for shape in SHAPES for bound in _bounds(section, shape))
    yield section


def _bounds(section: Section, shape: Shape) -> Iterator[Bound]:
    if row := section.row(f"{shape.name}, {LATENCY_MS} ms"):
        ratios = [found for name in (GO, SKOPEO) if (found := row.ratio("seconds", OURS, name)) is not None]
        limit = SMALL_MAX_RATIO if shape is SHAPES[0] else COLD_MAX_RATIO
        yield Bound(
            f"copy of {row.scenario}: time, to the faster of {GO} and {SKOPEO}", max(ratios, default=None), limit
        )
        warm = row.ratio("seconds", WARM, CRANE)
        yield Bound(f"copy of {row.scenario}: time of a warm function, to {CRANE}'s", warm, WARM_MAX_RATIO)
        requests = BLOB_MAX_REQUESTS * shape.blobs + OTHER_MAX_REQUESTS
        if len(shape.layers) == 1:
            yield Bound(f"copy of {shape.name}: requests", row.median(OURS, "requests"), requests)
    if row := section.row(shape.name):
        yield Bound(f"copy of {shape.name}: peak memory", row.median(OURS, "peakMib"), PEAK_MAX_MIB, "MiB")


def by_ours(image: Pushed, repository: str, tag: str) -> Mapping[str, object]:
    """Return the properties with which our function copies an image."""
    return {"RepositoryName": repository, "ImageTags": [tag], "Source": {"Image": {"Reference": image.reference}}}


def by_go(registries: Registries, image: Pushed, uri: str, tag: str) -> Mapping[str, object]:
    """Return the properties with which the Go function copies an image."""
    return {
        "SrcImage": f"docker://{image.reference}",
        "SrcCreds": registries.upstream.login,
        "DestImage": f"docker://{uri}:{tag}",
        "DestCreds": registries.destination.login,
        "CopyImageIndex": "true",
    }


@dataclass(frozen=True, slots=True)
class Copying:
    """Copies of one image, by each program."""

    registries: Registries
    tools: Tools
    image: Pushed
    warm: list[Function] = field(default_factory=list)

    @contextmanager
    def attempts(self) -> Iterator[Mapping[str, Attempt]]:
        """Yield a function for each installed program, which makes a copy."""
        programs: Mapping[str, Callable[[str, str, str], Sample]] = {
            OURS: self._ours,
            WARM: self._warm,
            GO: self._go,
            SKOPEO: self._skopeo,
            CRANE: self._crane,
        }
        with running(self.tools.ours, self.registries.environment) as function:
            self.warm.append(function)
            with self.registries.destination.temporary() as (repository, _):
                function.deploy(by_ours(self.image, repository, "warm"))
            yield {name: self._checked(program) for name, program in programs.items() if self.tools.has(name)}

    def _checked(self, program: Callable[[str, str, str], Sample]) -> Attempt:
        def attempt(name: str) -> Sample:
            destination = self.registries.destination
            with destination.temporary() as (repository, uri):
                self.registries.count_from_now()
                took = program(repository, uri, name)
                requests = sum(self.registries.counted().values())
                if destination.digest_of(name, repository) != self.image.digest:
                    message = f"{name}: the destination has another image than {self.image.digest}"
                    raise BenchmarkError(message)
            return {**took, "requests": requests}

        return attempt

    def _ours(self, repository: str, _: str, tag: str) -> Sample:
        return self._by_function(self.tools.ours, by_ours(self.image, repository, tag))

    def _warm(self, repository: str, _: str, tag: str) -> Sample:
        return {"seconds": self.warm[-1].timed(by_ours(self.image, repository, tag))}

    def _go(self, _: str, uri: str, tag: str) -> Sample:
        return self._by_function(self.tools.go, by_go(self.registries, self.image, uri, tag))

    def _by_function(self, program: Program, properties: Mapping[str, object]) -> Sample:
        with running(program, self.registries.environment) as function:
            return cost(function.stop(function.deploy(properties)))

    def _skopeo(self, _: str, uri: str, tag: str) -> Sample:
        command = ["skopeo", "copy", "--quiet", "--all", "--preserve-digests"]
        return self._by_command([*command, f"docker://{self.image.reference}", f"docker://{uri}:{tag}"])

    def _crane(self, _: str, uri: str, tag: str) -> Sample:
        return self._by_command(["crane", "copy", "--insecure", self.image.reference, f"{uri}:{tag}"])

    def _by_command(self, command: Sequence[str]) -> Sample:
        return cost(run(command, self.registries.environment))
