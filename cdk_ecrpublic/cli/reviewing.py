"""Common code of the commands that review an app."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cdk_ecrpublic.cli.output.words import printable
from cdk_ecrpublic.review.app.assembly import Assembly, AssemblyError, Reading, read_assembly
from cdk_ecrpublic.review.live.environment import environments
from cdk_ecrpublic.review.live.registry import Registry

from .exit_status import ExitStatus

_NO_LINE_IS_LONGER = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewOptions:
    """
    The options of all commands that review an app.

    Attributes:
        folder: The output folder of ``cdk synth``.
        stacks: Only these stacks: patterns of names or of ``Stage/Stack``; empty for all.
        registry: ``HOST/ALIAS`` of the account's own registry, to read it without credentials.
        parameters: The values of parameters, by ``Name`` or ``Stack:Name``.
        allow_unknown: Whether unknown values do not affect the exit status.
    """

    folder: Path
    stacks: tuple[str, ...] = ()
    registry: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    allow_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """The registries, and a progress bar."""

    registry: Registry
    progress: Progress
    task: TaskID

    def begin(self, total: int) -> None:
        """Show the *total* number of steps."""
        self.progress.update(self.task, total=total)

    def advance(self, _done: object) -> None:
        """Show that one more step is done. Thread-safe."""
        self.progress.advance(self.task)


@dataclass(frozen=True, slots=True)
class Review:
    """An app, the registries, and a progress bar."""

    assembly: Assembly
    waiting: Waiting

    @property
    def registry(self) -> Registry:
        """The registries."""
        return self.waiting.registry

    def advance(self, done: object) -> None:
        """Show that one more image was reviewed."""
        self.waiting.advance(done)


def output() -> Console:
    """Return the console for results. Lines are wrapped only in a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _NO_LINE_IS_LONGER)


def errors() -> Console:
    """Return the console for progress and messages."""
    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _NO_LINE_IS_LONGER)


class ReviewError(click.ClickException):
    """The app, or something in it, cannot be read."""

    exit_code = ExitStatus.UNCHECKED


@contextmanager
def reviewing(options: ReviewOptions, *, as_deployed: bool = False) -> Iterator[Review]:
    """
    Read an app, and show progress on a terminal while its images are reviewed.

    Args:
        as_deployed: Whether to use Systems Manager parameters as resolved at the
            last deployment, not as they are now.

    Raises:
        ReviewError: The folder has no app, or the app does not have the stack or parameter.
    """
    with waiting("looking at images", options.registry) as wait:
        reading = Reading(
            stacks=options.stacks,
            parameters=options.parameters,
            environments=environments(wait.registry),
            as_deployed=as_deployed,
        )
        try:
            assembly = read_assembly(options.folder, reading=reading)
        except AssemblyError as error:
            raise ReviewError(str(error)) from error
        wait.begin(len(assembly.images))
        wait.registry.add_files(assembly.files)
        yield Review(assembly, wait)


@contextmanager
def waiting(doing: str, home: str) -> Iterator[Waiting]:
    """Open the registries, and show progress on a terminal."""
    console = errors()
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        registry = Registry(
            home=home, tell=lambda message: console.print(printable(message), style="dim", markup=False)
        )
        yield Waiting(registry, progress, progress.add_task(doing, total=None))
