"""``cdk-ecrpublic verify``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import click
from rich.console import Console
from rich.text import Text

from cdk_ecrpublic.cli.output.data import drift_as_data
from cdk_ecrpublic.cli.output.words import count, printable
from cdk_ecrpublic.review.drift import Finding, Verdict, find_drift

from .exit_status import ExitStatus, worst
from .reviewing import ReviewOptions, output, reviewing

_STATUSES = {
    Verdict.DIFFERENT: ExitStatus.FOUND,
    Verdict.UNKNOWN: ExitStatus.UNCHECKED,
    Verdict.UNSEEN: ExitStatus.UNCHECKED,
}

_STYLES = {
    Verdict.AS_DECLARED: "green",
    Verdict.DIFFERENT: "bold red",
    Verdict.UNKNOWN: "cyan",
    Verdict.UNSEEN: "red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(ReviewOptions):
    """The options of the command."""

    tags_only: bool
    as_json: bool


def run(options: Options) -> ExitStatus:
    """
    Print differences between the registry and the declarations, and return the exit status.

    Raises:
        ReviewError: The folder has no app, or the app does not have the stack or parameter.
    """
    with reviewing(options, as_deployed=True) as review:
        findings = find_drift(review.assembly.images, review.registry, review.advance, tags_only=options.tags_only)
    if options.as_json:
        click.echo(json.dumps(drift_as_data(findings), indent=2))
    else:
        _print(findings, output())
    allowed = {Verdict.UNKNOWN} if options.allow_unknown else set()
    return worst(
        _STATUSES.get(finding.verdict, ExitStatus.FINE) for finding in findings if finding.verdict not in allowed
    )


def _print(findings: Sequence[Finding], console: Console) -> None:
    for finding in findings:
        path, repository = printable(finding.path), printable(finding.repository)
        console.print(
            Text.assemble((path, "bold"), f"  {repository}  ", (finding.verdict.value, _STYLES[finding.verdict]))
        )
        for line in (*finding.differences, *finding.problems, *finding.notes):
            console.print(Text(f"  {printable(line)}"))
    said = [f"{number} {verdict.value}" for verdict in Verdict if (number := _number(findings, verdict))]
    console.print(
        Text(f"{count(len(findings), 'image')}: {', '.join(said)}" if said else "no images are declared", "bold")
    )


def _number(findings: Sequence[Finding], verdict: Verdict) -> int:
    return sum(finding.verdict is verdict for finding in findings)
