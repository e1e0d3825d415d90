"""What the commands that review an app have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cdk_ecrpublic.cli.output.words import printable
from cdk_ecrpublic.review.app.assembly import Assembly, AssemblyError, StoredFile, read_assembly
from cdk_ecrpublic.review.live.registry import Registry

_NO_LINE_IS_LONGER = 10_000


@dataclass(frozen=True, slots=True)
class Review:
    """
    An app, the registries, and a person who waits.

    Attributes:
        advance: To be called when one more image was looked at.
    """

    assembly: Assembly
    registry: Registry
    advance: Callable[[object], None]


def output() -> Console:
    """Return the console for results; what no terminal shows is not broken into lines."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _NO_LINE_IS_LONGER)


def errors() -> Console:
    """Return the console for what a person waits for."""
    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _NO_LINE_IS_LONGER)


class Trouble(click.ClickException):
    """Nothing could be found out; of commands whose exit status 1 says that they found something."""

    exit_code = 2


@contextmanager
def reviewing(
    folder: Path, stacks: tuple[str, ...], home: str, trouble: type[click.ClickException] = click.ClickException
) -> Iterator[Review]:
    """
    Read an app, and show on a terminal how far its images have been looked at.

    Args:
        trouble: What is raised when there is nothing to look at.

    Raises:
        click.ClickException: There is no app in *folder*, or it has no such stack.
    """
    try:
        assembly = read_assembly(folder, stacks)
    except AssemblyError as error:
        raise trouble(str(error)) from error
    with waiting("looking at images", len(assembly.images), home, assembly.files) as (registry, advance):
        yield Review(assembly, registry, advance)


@contextmanager
def waiting(
    doing: str, total: int, home: str, files: Sequence[StoredFile] = ()
) -> Iterator[tuple[Registry, Callable[[object], None]]]:
    """Give the registries, and what to call when one more thing is done, while a terminal shows how far it is."""
    console = errors()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=total)
        registry = Registry(
            home=home,
            files=files,
            tell=lambda message: console.print(printable(message), style="dim", markup=False),
        )
        yield registry, lambda _: progress.advance(task)
