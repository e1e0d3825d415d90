"""``cdk-ecrpublic plan``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import click

from cdk_ecrpublic.cli.output.data import plan_as_data
from cdk_ecrpublic.cli.output.markdown import as_markdown
from cdk_ecrpublic.cli.output.text import print_effects
from cdk_ecrpublic.review.effect import State
from cdk_ecrpublic.review.forecast import find_effects

from .exit_status import ExitStatus, worst
from .reviewing import ReviewOptions, output, reviewing

_STATUSES = {State.REFUSED: ExitStatus.FOUND, State.UNSEEN: ExitStatus.UNCHECKED, State.UNKNOWN: ExitStatus.UNCHECKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ReviewOptions):
    """The options of the command."""

    form: Literal["text", "markdown", "json"]
    changed: bool = False


def run(options: Options) -> ExitStatus:
    """
    Print what a deployment will do, and return the exit status.

    Raises:
        ReviewError: The folder has no app, or the app does not have the stack or parameter.
    """
    with reviewing(options) as review:
        effects = find_effects(review.assembly, review.registry, review.advance)
    shown = [effect for effect in effects if not options.changed or effect.state is not State.UNCHANGED]
    if options.form == "json":
        click.echo(json.dumps(plan_as_data(effects, shown), indent=2))
    elif options.form == "markdown":
        click.echo(as_markdown(effects, shown), nl=False)
    else:
        print_effects(effects, shown, output())
    allowed = {State.UNKNOWN} if options.allow_unknown else set()
    return worst(_STATUSES.get(effect.state, ExitStatus.FINE) for effect in effects if effect.state not in allowed)
