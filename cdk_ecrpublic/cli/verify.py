"""``cdk-ecrpublic verify``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from cdk_ecrpublic.cli.output.data import drift_as_data
from cdk_ecrpublic.cli.output.words import count, printable
from cdk_ecrpublic.review.drift import Finding, Verdict, find_drift

from .reviewing import Trouble, output, reviewing

DIFFERENT, UNSEEN = 1, 2

_STYLES = {
    Verdict.AS_DECLARED: "green",
    Verdict.DIFFERENT: "bold red",
    Verdict.UNKNOWN: "cyan",
    Verdict.UNSEEN: "red",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    folder: Path
    stacks: tuple[str, ...]
    registry: str
    tags_only: bool
    as_json: bool


def run(options: Options) -> int:
    """
    Print where the registry is not what is declared.

    Returns:
        The exit status: 2 when something could not be looked at, else 1 when
        something differs, else 0.
    """
    with reviewing(options.folder, options.stacks, options.registry, Trouble) as review:
        findings = find_drift(review.assembly.images, review.registry, review.advance, tags_only=options.tags_only)
    if options.as_json:
        click.echo(json.dumps(drift_as_data(findings), indent=2))
    else:
        _print(findings, output())
    verdicts = {finding.verdict for finding in findings}
    return UNSEEN if Verdict.UNSEEN in verdicts else DIFFERENT if Verdict.DIFFERENT in verdicts else 0


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
