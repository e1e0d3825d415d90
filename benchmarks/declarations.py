"""The number of requests that a warm function sends for each kind of declaration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from rich.console import Console

from .functions import Function, running
from .peers import OURS, Tools
from .registries import ARCHITECTURES, MIB, Registries, Shape
from .results import Attempt, Sample, Section, measured

ONE = Shape("one layer of 1 MiB", [[MIB]])
TWO = Shape("2 platforms of one layer", [[MIB // 4]] * 2)

NOTE = """\
One tag each, put by a function that has answered before; counted by the registries.
A copy goes into an empty repository.
"""

Source = Mapping[str, object]


def sections(
    registries: Registries, tools: Tools, rounds: int, console: Console, *, quick: bool = False
) -> Iterator[Section]:
    """Count the requests for every kind of source."""
    section = Section(title="Requests", note=NOTE, units=("requests", "seconds", "operations"), ours=OURS)
    with running(tools.ours, registries.environment) as function:
        for scenario, attempt in _attempts(Declaring(registries, function)):
            section.rows.append(measured(scenario, {OURS: attempt}, 1 if quick else rounds, console))
    yield section


def _attempts(declaring: Declaring) -> Iterator[tuple[str, Attempt]]:
    here, upstream = declaring.registries.destination, declaring.registries.upstream
    image, pair = here.push(ONE, "declared"), here.push(TWO, "declared-pair")
    there, pair_there = upstream.push(ONE, "declared"), upstream.push(TWO, "declared-pair")
    children = [
        {"Source": {"Digest": digest}, "Platform": f"linux/{architecture}"}
        for digest, architecture in zip(here.children_of(pair), ARCHITECTURES, strict=False)
    ]
    yield "a digest", declaring.tag({"Digest": image.digest})
    yield "a digest that the tag has already", declaring.tag({"Digest": image.digest}, "declared")
    yield "a tag", declaring.tag({"Tag": "declared"})
    yield "a manifest", declaring.tag({"Manifest": {"Body": here.manifest_of(image)}})
    yield "an index of two digests", declaring.tag({"Index": {"Manifests": children}})
    yield f"a copy, {ONE.name}", declaring.copy({"Image": {"Reference": there.reference}})
    yield f"a copy, {TWO.name}", declaring.copy({"Image": {"Reference": pair_there.reference}})


@dataclass(frozen=True, slots=True)
class Declaring:
    """Declarations for one function."""

    registries: Registries
    function: Function

    def tag(self, source: Source, tag: str = "") -> Attempt:
        """Return a function that puts a tag, by default a new one each time."""
        here = self.registries.destination
        return self._attempt(source, lambda: nullcontext((here.repository, here.uri)), tag)

    def copy(self, source: Source) -> Attempt:
        """Return a function that publishes into an empty repository."""
        return self._attempt(source, self.registries.destination.temporary)

    def _attempt(
        self, source: Source, place: Callable[[], AbstractContextManager[tuple[str, str]]], tag: str = ""
    ) -> Attempt:
        def attempt(run: str) -> Sample:
            with place() as (repository, _):
                self.registries.count_from_now()
                properties = {"RepositoryName": repository, "ImageTags": [tag or run], "Source": source}
                seconds = self.function.timed(properties)
                operations = self.registries.counted()
            return {"seconds": seconds, "requests": sum(operations.values()), **operations}

        return attempt
