"""``cdk-ecrpublic plan``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from cdk_ecrpublic.cli.output.data import plan_as_data
from cdk_ecrpublic.cli.output.markdown import as_markdown
from cdk_ecrpublic.cli.output.text import print_effects
from cdk_ecrpublic.review.effect import State
from cdk_ecrpublic.review.forecast import find_effects

from .reviewing import output, reviewing

REFUSED, UNSEEN = 2, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    folder: Path
    stacks: tuple[str, ...]
    registry: str
    form: Literal["text", "markdown", "json"]


def run(options: Options) -> int:
    """
    Print what a deployment will do.

    Returns:
        The exit status: 2 when it will be refused, else 1 when a registry did
        not let us look, else 0.
    """
    with reviewing(options.folder, options.stacks, options.registry) as review:
        effects = find_effects(review.assembly, review.registry, review.advance)
    if options.form == "json":
        click.echo(json.dumps(plan_as_data(effects), indent=2))
    elif options.form == "markdown":
        click.echo(as_markdown(effects), nl=False)
    else:
        print_effects(effects, output())
    states = {effect.state for effect in effects}
    return REFUSED if State.REFUSED in states else UNSEEN if State.UNSEEN in states else 0
