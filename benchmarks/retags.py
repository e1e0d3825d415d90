"""Retags, the main task: adding tags to an image that is already in the repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from rich.console import Console

from .functions import Function, Program, running
from .peers import GO, OURS, PLAIN, Tools
from .processes import BenchmarkError
from .registries import LATENCY_MS, MIB, Pushed, Registries, Shape
from .results import Attempt, Bound, Sample, Section, cost, measured

IMAGE = Shape("one layer of 1 MiB", [[MIB]])
TWENTY = 20
TAGS = (1, TWENTY, 100)
MANY_ROUNDS = 3
COLD_MAX_RATIO = 1.2
WARM_MAX_RATIO = 1.0
WARM_MAX_REQUESTS = 3
"""The minimum: one read of the manifest, one observation, one PutImage."""

COLD, WARM = "from process start", "warm"

NOTE = f"""\
New tags for an image that is in the repository.
{GO} puts one tag in each deployment, so it is deployed once for each tag.
*{PLAIN}* is a function of 30 lines with the same calls, without checks and without an undo. It shows what Python and
boto3 cost alone.
*From process start*: a process for each deployment; the time is the total of all of them.
*Warm*: a process that has already served a request.
With *{LATENCY_MS} ms*, every response of the registry is delayed by that time.
Every tag is checked afterwards.
"""


def sections(
    registries: Registries, tools: Tools, rounds: int, console: Console, *, quick: bool = False
) -> Iterator[Section]:
    """Measure 1, 20 and 100 tags, with a new and with a warm process, without and with latency."""
    section = Section(title="Retags", note=NOTE, units=("seconds", "peakMib", "cpuSeconds", "requests"), ours=OURS)
    retagging = Retagging(registries, {OURS: tools.ours, PLAIN: tools.plain, GO: tools.go})
    for latency in (0, LATENCY_MS):
        registries.slow_down(latency)
        for count in TAGS[:1] if quick else TAGS:
            few = rounds if count <= TWENTY else min(rounds, MANY_ROUNDS)
            if count <= TWENTY:
                scenario = _scenario(count, COLD, latency)
                section.rows.append(measured(scenario, retagging.cold(count), few, console))
            with retagging.warm(count) as attempts:
                section.rows.append(measured(_scenario(count, WARM, latency), attempts, few, console))
    registries.slow_down(0)
    section.bounds.extend(_bounds(section))
    yield section


def _scenario(count: int, how: str, latency: int = 0) -> str:
    what = f"{count} tags" if count > 1 else "one tag"
    return f"{what}, {how}, {latency} ms" if latency else f"{what}, {how}"


def _bounds(section: Section) -> Iterator[Bound]:
    if row := section.row(_scenario(1, WARM)):
        yield Bound("requests of a warm retag", row.median(OURS, "requests"), WARM_MAX_REQUESTS)
    for count, how, limit in ((1, COLD, COLD_MAX_RATIO), (TWENTY, WARM, WARM_MAX_RATIO), (100, WARM, WARM_MAX_RATIO)):
        scenario = _scenario(count, how, LATENCY_MS)
        if row := section.row(scenario):
            yield Bound(f"{scenario}: time, to {PLAIN}'s", row.ratio("seconds", OURS, PLAIN), limit)


@dataclass(frozen=True, slots=True)
class Retagging:
    """
    Retags, each of another image, because an image may have at most 1,000 tags.

    Attributes:
        programs: The programs, by name.
    """

    registries: Registries
    programs: Mapping[str, Program]

    def cold(self, count: int) -> Mapping[str, Attempt]:
        """Return a function for each program, which puts this number of tags in new processes."""
        return {name: self._cold(name, program, count) for name, program in self.programs.items()}

    @contextmanager
    def warm(self, count: int) -> Iterator[Mapping[str, Attempt]]:
        """Start the functions, and yield for each a function that puts tags. The warm-up is the first deployment."""
        with ExitStack() as stack:
            functions = {
                name: stack.enter_context(running(program, self.registries.environment))
                for name, program in self.programs.items()
            }
            yield {name: self._warm(name, function, count) for name, function in functions.items()}

    def _cold(self, name: str, program: Program, count: int) -> Attempt:
        def attempt(run: str) -> Sample:
            image = self._image(run)
            costs = []
            for properties in self._deployments(name, image, run, count):
                with running(program, self.registries.environment) as function:
                    costs.append(cost(function.stop(function.deploy(properties))))
            sums = {unit: sum(each[unit] for each in costs) for unit in ("seconds", "cpuSeconds")}
            return {**sums, "peakMib": max(each["peakMib"] for each in costs), **self._checked(image, run, count)}

        return attempt

    def _warm(self, name: str, function: Function, count: int) -> Attempt:
        def attempt(run: str) -> Sample:
            image = self._image(run)
            seconds = sum(function.timed(properties) for properties in self._deployments(name, image, run, count))
            return {"seconds": seconds, **self._checked(image, run, count)}

        return attempt

    def _image(self, run: str) -> Pushed:
        image = self.registries.destination.push(IMAGE, f"{run}.build")
        self.registries.count_from_now()
        return image

    def _deployments(self, name: str, image: Pushed, run: str, count: int) -> Iterator[Mapping[str, object]]:
        destination = self.registries.destination
        tags = [f"{run}.{number}" for number in range(count)]
        if name in (OURS, PLAIN):
            source = {"Digest": image.digest}
            yield {"RepositoryName": destination.repository, "ImageTags": tags, "Source": source}
            return
        for tag in tags:
            yield {
                "SrcImage": f"docker://{image.reference}",
                "SrcCreds": destination.login,
                "DestImage": f"docker://{image.uri}:{tag}",
                "DestCreds": destination.login,
            }

    def _checked(self, image: Pushed, run: str, count: int) -> Sample:
        """Count the requests, and check the tags."""
        requests = sum(self.registries.counted().values())
        destination = self.registries.destination
        for number in range(count):
            if destination.digest_of(f"{run}.{number}", destination.repository) != image.digest:
                message = f"tag {run}.{number} does not point to {image.digest}"
                raise BenchmarkError(message)
        return {"requests": requests}
