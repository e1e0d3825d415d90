"""``cdk-ecrpublic plan``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cdk_ecrpublic.review.assembly import AssemblyError, read_assembly
from cdk_ecrpublic.review.effect import Effect, State, find_effects
from cdk_ecrpublic.review.markdown import as_markdown
from cdk_ecrpublic.review.registry import Registry
from cdk_ecrpublic.review.text import print_effects
from cdk_ecrpublic.review.words import printable, verdict

FORMAT_VERSION = 1
"""Of the JSON; fields may be added to it, and none changes its meaning."""

REFUSED, UNSEEN = 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    folder: Path
    stacks: tuple[str, ...]
    registry: str
    output: Literal["text", "markdown", "json"]


def run(options: Options) -> int:
    """
    Print what a deployment will do.

    Returns:
        The exit status: 2 when it will be refused, else 1 when a registry did
        not let us look, else 0.
    """
    effects = _find(options)
    if options.output == "json":
        click.echo(json.dumps(as_data(effects), indent=2))
    elif options.output == "markdown":
        click.echo(as_markdown(effects), nl=False)
    else:
        print_effects(effects, Console(highlight=False))
    states = {effect.state for effect in effects}
    return REFUSED if State.REFUSED in states else UNSEEN if State.UNSEEN in states else 0


def as_data(effects: Sequence[Effect]) -> dict[str, object]:
    """
    Return the plan as JSON has it.

    Shape:
        ``{"formatVersion": 1, "verdict": "…", "images": [{"stack": "…",
        "path": "…", "repository": "…", "state": "changed", "digest":
        "sha256:…", "tags": [{"tag": "1.4", "action": "move", "before":
        "sha256:…", "after": "sha256:…"}], "writes": {"blobs": {"sha256:…":
        3402}, "manifests": [], "referrers": []}, "images": {"sha256:…": {…}},
        "problems": []}]}``; sizes are in bytes.
    """
    return {"formatVersion": FORMAT_VERSION, "verdict": verdict(effects), "images": [asdict(each) for each in effects]}


def _find(options: Options) -> list[Effect]:
    errors = Console(stderr=True, highlight=False)
    try:
        assembly = read_assembly(options.folder, options.stacks)
    except AssemblyError as error:
        raise click.ClickException(str(error)) from error
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("looking at images", total=len(assembly.images))
        registry = Registry(
            home=options.registry,
            files=assembly.files,
            tell=lambda message: errors.print(printable(message), style="dim", markup=False),
        )
        return find_effects(assembly.images, registry, lambda _: progress.advance(task))
