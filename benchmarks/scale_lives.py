"""Deploy, update, roll back and destroy hundreds of images, in each phase all of them concurrently."""

from __future__ import annotations

import time as machine
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from .processes import BenchmarkError
from .scale_fleet import Fleet, Progress
from .scale_quotas import NONE, PUBLISHED, Counts, Quotas
from .scale_stacks import (
    BEGUN,
    COPY_SECONDS,
    ENDED,
    RETAG_SECONDS,
    Answers,
    Kind,
    Phase,
    Resource,
    Version,
    version_prefix,
)

PROGRESS_SECONDS = 10.0
"""In real seconds."""

QUIET_SECONDS = 2.0
"""The seconds between the status of a stack and the requests, and after the last response."""

MENDING = 3
"""How often failed images are repeated without quotas before the next phase."""

COPY_BLOBS = 2
"""A layer and a config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    The definition of a run.

    Attributes:
        tags: The number of tags of each image.
        phases: The measured phases, in their order. Earlier deployments run without quotas.
        drops_tag: Whether an update drops a tag, instead of moving all tags to another image.
        versions: Whether the tags are those of a version, so that each release has a new one and moves the others.
        copies: Whether images are copied from another repository, each with its own layer.
        under: A remark about the quotas.
    """

    kind: Kind
    images: int
    tags: int
    phases: Sequence[Phase] = tuple(Phase)
    quotas: Quotas = PUBLISHED
    drops_tag: bool = False
    versions: bool = False
    copies: bool = False
    under: str = ""

    @property
    def name(self) -> str:
        """The name in the report."""
        what = "copies" if self.copies else "versions" if self.versions else "images"
        of = f"{self.images:,} {what} of {self.tags} tag{'s' if self.tags > 1 else ''}"
        return ", ".join(each for each in (self.kind.name, of, self.under) if each)

    @property
    def seconds(self) -> int:
        """How many seconds CloudFormation waits for a response."""
        return COPY_SECONDS if self.copies else RETAG_SECONDS

    def work(self, phase: Phase) -> Mapping[str, int]:
        """Return the minimum number of requests of a phase, by quota."""
        remembered = self.images if self.kind.is_remembered else 0
        if phase is Phase.DESTROY:
            removed = self.images if self.kind.deletes else 0
            return {"batch_delete_image": removed, "delete_parameter": remembered, "read_parameters": remembered}
        if self.drops_tag and phase is Phase.UPDATE:
            return {"batch_delete_image": self.images, "put_parameter": self.images, "read_parameters": self.images}
        blobs = COPY_BLOBS * self.images if self.copies else 0
        return {
            "put_image": self.images * self.tags,
            "describe_images": self.images,
            "initiate_layer_upload": blobs,
            "complete_layer_upload": blobs,
            "put_parameter": remembered,
            "read_parameters": remembered,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    The result of a phase.

    Attributes:
        seconds: The time from the first request to the last response.
        failures: The number of failures for each reason.
    """

    seconds: float
    failures: Counter[str]
    counts: Counts


def live(run: Run, fleet: Fleet, console: Console) -> Mapping[Phase, Outcome]:
    """
    Run all phases, and return their results.

    Raises:
        BenchmarkError: Images fail without quotas, too.
    """
    life = Life(run, fleet, _declared(run, fleet), console)
    if run.phases[0] is not Phase.DEPLOYMENT:
        life.mend(Phase.DEPLOYMENT, life.resources)
    outcomes = {}
    for phase in run.phases:
        outcomes[phase], failed = life.go_through(phase)
        if phase is not run.phases[-1]:
            life.mend(phase, failed)
    return outcomes


def _declared(run: Run, fleet: Fleet) -> Sequence[Resource]:
    """Push the images, and declare them."""
    fleet.limit(NONE)
    sources = [_pushed(run, fleet, generation) for generation in range(2)]
    return [
        Resource(number=number, kind=run.kind, seconds=run.seconds, versions=_versions(run, number, sources))
        for number in range(run.images)
    ]


Source = tuple[Mapping[str, object], str]
"""The declared sources, and their digests."""


def _pushed(run: Run, fleet: Fleet, generation: int) -> Sequence[Source]:
    if run.copies:
        pushed = fleet.registry.push_upstream(run.images, generation)
        return [({"Image": {"Reference": uri}}, digest) for uri, digest in pushed]
    return [({"Digest": digest}, digest) for digest in fleet.registry.push(run.images, generation)]


def _versions(run: Run, number: int, sources: Sequence[Sequence[Source]]) -> tuple[Version, Version]:
    tags = [f"{number}.{tag}" for tag in range(run.tags)]
    (first, digest), (second, other) = (each[number] for each in sources)
    if run.versions:
        return _release(run, number, 0, first, digest), _release(run, number, 1, second, other)
    if run.drops_tag:
        return Version(first, tags, digest), Version(first, tags[:-1], digest)
    return Version(first, tags, digest), Version(second, tags, other)


def _release(run: Run, number: int, minor: int, source: Mapping[str, object], digest: str) -> Version:
    """Return a release: its version, and moving tags."""
    prefix = version_prefix(number)
    moving = [f"{prefix}moving.{tag}" for tag in range(1, run.tags)]
    return Version(source, [f"{prefix}1.{minor}.0", *moving], digest)


@dataclass(frozen=True, slots=True)
class Life:
    """The images of one run."""

    run: Run
    fleet: Fleet
    resources: Sequence[Resource]
    console: Console

    def go_through(self, phase: Phase) -> tuple[Outcome, Sequence[Resource]]:
        """Run a phase for all images concurrently; return its result, and the images that failed."""
        self.fleet.counts()
        self.fleet.limit(self.run.quotas)
        answers, reasons = self._send(phase, self.resources)
        outcome = Outcome(
            seconds=answers.seconds,
            failures=Counter(reasons.values()),
            counts=self.fleet.counts(),
        )
        self._say(f"{phase}: {answers.seconds:.0f} s, {len(reasons)} failed")
        return outcome, [resource for resource in self.resources if resource.number in reasons]

    def mend(self, phase: Phase, resources: Sequence[Resource]) -> None:
        """Repeat a phase for the failed images without quotas, so that the next phase begins with all images."""
        self.fleet.limit(NONE)
        reasons: Mapping[int, str] = {}
        for _ in range(MENDING if resources else 0):
            _, reasons = self._send(phase, resources)
            resources = [resource for resource in resources if resource.number in reasons]
        if reasons:
            message = f"{self.run.name}: {phase} fails without quotas, too: {next(iter(reasons.values()))}"
            raise BenchmarkError(message)

    def _send(self, phase: Phase, resources: Sequence[Resource]) -> tuple[Answers, Mapping[int, str]]:
        """Send the requests, and receive the responses; return them, and the reason for each failed image."""
        time, url = self.fleet.time, self.fleet.plane.url()
        self.fleet.plane.enter(BEGUN[phase])
        time.move_on(time.now() + QUIET_SECONDS)
        events = [resource.event(phase, url, time.wall()) for resource in resources]
        answers = self.fleet.invoke(events, self.run.seconds, self._progress(phase, len(events)))
        pairs = zip(resources, events, strict=True)
        reasons = {each.number: why for each, event in pairs if (why := answers.take(each, phase, event))}
        time.move_on(time.now() + QUIET_SECONDS)
        for status in ENDED[phase]:
            self.fleet.plane.enter(status)
        return answers, {**reasons, **self._wrong(phase, resources, reasons)}

    def _wrong(self, phase: Phase, resources: Sequence[Resource], failed: Mapping[int, str]) -> Mapping[int, str]:
        """Return the images that succeeded but are not as declared."""
        there = self.fleet.registry.tags()
        return {
            resource.number: "responded with success, but a tag does not point to the declared image"
            for resource in resources
            if resource.number not in failed
            if any(there.get(tag) != digest for tag, digest in resource.expected(phase).items())
        }

    def _progress(self, phase: Phase, count: int) -> Progress:
        said = machine.monotonic()

        def progress(seconds: float, answered: int, failed: int) -> None:
            nonlocal said
            if machine.monotonic() >= said + PROGRESS_SECONDS:
                said = machine.monotonic()
                self._say(f"{phase}: {answered} of {count} responses after {seconds:.0f} s, {failed} failed")

        return progress

    def _say(self, what: str) -> None:
        self.console.print(f"  {self.run.name}: {what}", style="dim", highlight=False)
