"""``cdk-ecrpublic snapshot``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import click

from cdk_ecrpublic._assets.lambda_handler.errors import ImageError
from cdk_ecrpublic.cli.output.words import count, printable
from cdk_ecrpublic.review.declaration import as_catalog, as_python
from cdk_ecrpublic.review.live.registry import Registry
from cdk_ecrpublic.review.snapshot import Snapshot, take_snapshot

from .reviewing import ReviewError, errors

STACK_IMAGES_MAX = 450
"""CloudFormation allows 500 resources in a stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command."""

    repositories: tuple[str, ...]
    form: Literal["python", "catalog"]


def run(options: Options) -> None:
    """
    Print a declaration of the tagged images of repositories.

    Raises:
        ReviewError: A repository cannot be read.
    """
    console = errors()
    registry = Registry(tell=lambda message: console.print(printable(message), style="dim", markup=False))
    snapshots = []
    with console.status("reading tags"):
        for repository in options.repositories:
            try:
                snapshots.append(take_snapshot(repository, registry))
            except ImageError as error:
                message = f"{repository}: {error.explain()}"
                raise ReviewError(message) from error
    click.echo(as_python(snapshots) if options.form == "python" else as_catalog(snapshots), nl=False)
    for remark in _remarks(snapshots, options):
        console.print(remark, style="yellow", markup=False)


def _remarks(snapshots: Sequence[Snapshot], options: Options) -> list[str]:
    images = sum(len(snapshot.images) for snapshot in snapshots)
    remarks = [
        f"{snapshot.name}: {count(len(snapshot.left_out), 'tag')} of signatures and other referrers omitted"
        for snapshot in snapshots
        if snapshot.left_out
    ]
    if images > STACK_IMAGES_MAX and options.form == "python":
        remarks.append(f"{images} images are too many for one stack; use --format catalog, with nested stacks")
    return remarks
