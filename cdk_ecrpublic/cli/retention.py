"""``cdk-ecrpublic retention``."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.text import Text

from cdk_ecrpublic._assets.lambda_handler.errors import ImageError
from cdk_ecrpublic._assets.lambda_handler.retention.decision import Outcome
from cdk_ecrpublic._assets.lambda_handler.retention.report import as_data
from cdk_ecrpublic._assets.lambda_handler.retention.run import Report
from cdk_ecrpublic.cli.output.words import amount, count, printable, short
from cdk_ecrpublic.review.app.assembly import AssemblyError
from cdk_ecrpublic.review.live.registry import ReviewClients
from cdk_ecrpublic.review.retention import declared_settings, deployed_settings, report_of

from .exit_status import ExitStatus
from .reviewing import ReviewError, errors, output

_DAY_SECONDS = 86_400
_HEX = re.compile(r"\b(sha256-[0-9a-f]{12})[0-9a-f]{52}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    The options of the command.

    Attributes:
        what: The folder of a synthesized app, or the name of a repository.
    """

    what: str
    form: Literal["text", "markdown", "json"]
    expiring: bool


def run(options: Options) -> ExitStatus:
    """
    Print the decision about every image, and return the exit status.

    Raises:
        ReviewError: There are no settings, or they cannot be read.
    """
    clients = ReviewClients()
    try:
        folder = Path(options.what)
        is_app = folder.is_dir()
        settings = declared_settings(folder) if is_app else [deployed_settings(options.what, clients)]
        with errors().status("reading images and declarations"):
            reports = [report_of(each, clients) for each in settings]
    except (AssemblyError, ImageError) as error:
        raise ReviewError(error.explain() if isinstance(error, ImageError) else str(error)) from error
    now = time.time()
    if options.form == "json":
        click.echo(json.dumps([as_data(report, now) for report in reports], indent=2))
    elif options.form == "markdown":
        click.echo("\n".join(line for report in reports for line in _markdown(report, options, now)))
    else:
        for report in reports:
            _print(report, options, now, output())
    return ExitStatus.UNCHECKED if any(report.problem for report in reports) else ExitStatus.FINE


def _shown(report: Report, options: Options) -> Sequence[Outcome]:
    return [outcome for outcome in report.outcomes if outcome.goes or not options.expiring]


def _print(report: Report, options: Options, now: float, console: Console) -> None:
    for outcome in _shown(report, options):
        word, style = ("expires", "red") if outcome.goes else ("stays", "green")
        console.print(Text.assemble((f"{word:8}", style), (f"{_name(outcome):40} ", "bold"), f"{_about(outcome, now)}"))
        console.print(Text(f"        {printable(outcome.why)}", "dim"))
    console.print(Text(_summary(report), "bold"))


def _markdown(report: Report, options: Options, now: float) -> Iterator[str]:
    yield f"### Retention: {_summary(report)}"
    yield ""
    if outcomes := _shown(report, options):
        yield "| | image | age and size | why |"
        yield "|---|---|---|---|"
    for outcome in outcomes:
        word = "❌ expires" if outcome.goes else "✔️ stays"
        why = printable(outcome.why).replace("|", "\\|").replace("*", "\\*")
        yield f"| {word} | `{_name(outcome)}` | {_about(outcome, now)} | {why} |"
    yield ""


def _name(outcome: Outcome) -> str:
    """Return the tags of an image, or its short digest."""
    tags = ", ".join(sorted(outcome.image.tags))
    # The tags of signatures have the digest of their subject.
    return _HEX.sub(r"\1…", printable(tags)) if tags else short(str(outcome.image.digest))


def _about(outcome: Outcome, now: float) -> str:
    days = int((now - outcome.image.pushed) / _DAY_SECONDS)
    return f"{count(days, 'day')} old, {amount(outcome.image.size)}"


def _summary(report: Report) -> str:
    if report.problem:
        return f"{report.repository}: {printable(report.problem)}"
    size = amount(sum(outcome.image.size for outcome in report.going))
    expire = "expires" if len(report.going) == 1 else "expire"
    return f"{report.repository}: {count(len(report.outcomes), 'image')}, {len(report.going)} {expire} ({size})"
