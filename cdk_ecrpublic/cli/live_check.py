"""``cdk-ecrpublic live-check``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import boto3
import botocore
import click
from botocore.exceptions import BotoCoreError, ClientError

from cdk_ecrpublic._version import version
from cdk_ecrpublic.live_check import endpoint, evidence
from cdk_ecrpublic.live_check.case import Case, Group
from cdk_ecrpublic.live_check.cases import CASES
from cdk_ecrpublic.live_check.check import check, settings_like
from cdk_ecrpublic.live_check.cleanup import sweep, sweep_parameters, sweep_private, sweep_stacks
from cdk_ecrpublic.live_check.compare import Verdict
from cdk_ecrpublic.live_check.endpoint import Endpoint
from cdk_ecrpublic.live_check.errors import LiveCheckError
from cdk_ecrpublic.live_check.guard import REGION
from cdk_ecrpublic.live_check.policy import policy
from cdk_ecrpublic.live_check.report import Report
from cdk_ecrpublic.sandbox import Sandbox, Settings

from .exit_status import ExitStatus

_STATUSES = {
    Verdict.SAME: ExitStatus.FINE,
    Verdict.TEXT: ExitStatus.FOUND,
    Verdict.BEHAVIOR: ExitStatus.FOUND,
    Verdict.INCOMPARABLE: ExitStatus.UNCHECKED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of the command."""

    account: str
    profile: str | None
    create_registry: bool
    on_sandbox: bool
    cases: tuple[str, ...]
    groups: tuple[str, ...]
    evidence: Path | None
    form: str
    as_list: bool
    as_policy: bool
    is_sweep: bool


def run(options: Options) -> ExitStatus:
    """
    Run the live check, or do what the options say instead, and return the exit status.

    Raises:
        UsageError: It cannot begin, or something was left behind.
    """
    cases = chosen(options.cases, options.groups)
    if options.as_list:
        click.echo("\n".join(f"{case.name:32} {case.group:10} {case.question}" for case in cases))
        return ExitStatus.FINE
    if options.as_policy:
        account, groups = options.account or "123456789012", options.groups
        document = policy(account, with_stacks="stack" in groups, with_events="slow" in groups)
        click.echo(json.dumps(document, indent=2))
        return ExitStatus.FINE
    try:
        return _run(options, cases)
    except (LiveCheckError, BotoCoreError, ClientError) as error:
        raise click.UsageError(str(error)) from error


def chosen(patterns: Sequence[str], groups: Sequence[str]) -> list[Case]:
    """
    Choose cases by name, or by group.

    Raises:
        UsageError: A pattern matches no case.
    """
    if unknown := [pattern for pattern in patterns if not any(fnmatchcase(case.name, pattern) for case in CASES)]:
        message = f"no case matches {', '.join(unknown)}; --list shows all"
        raise click.UsageError(message)
    if patterns:
        return [case for case in CASES if any(fnmatchcase(case.name, pattern) for pattern in patterns)]
    return [case for case in CASES if case.group in (Group.REGISTRY, *groups)]


def _run(options: Options, cases: Sequence[Case]) -> ExitStatus:
    if options.on_sandbox:
        with Sandbox() as other:
            return _check(
                options, _without_other_services(cases), endpoint.sandbox(other, "another sandbox"), Settings()
            )
    aws = _aws(options)
    if options.is_sweep:
        click.echo(_sweep(aws, with_stacks="stack" in options.groups))
        return ExitStatus.FINE
    return _check(options, cases, aws, settings_like(aws, may_create_registry=options.create_registry))


def _without_other_services(cases: Sequence[Case]) -> list[Case]:
    """Leave out the cases that a sandbox with ECR Public only cannot answer, and say so."""
    left_out = [case.name for case in cases if case.needs_other_services]
    if left_out:
        _tell(f"left out, because a sandbox without the rest of AWS cannot answer them: {', '.join(left_out)}")
    return [case for case in cases if not case.needs_other_services]


def _sweep(aws: Endpoint, *, with_stacks: bool) -> str:
    """Delete what killed runs left, and say what it was. The function is needed until the stacks are gone."""
    stacks = sweep_stacks(aws, _tell) if with_stacks else []
    deleted, kept = sweep(aws, _tell)
    private = sweep_private(aws, _tell) if with_stacks else []
    parameters = sweep_parameters(aws, _tell) if with_stacks else []
    what = (
        f"{len(deleted)} repositories, {len(private)} private repositories, {len(stacks)} stacks, "
        f"{len(parameters)} parameters without a stack"
    )
    return f"deleted: {what}; not expired yet: {len(kept)} repositories"


def _check(options: Options, cases: Sequence[Case], other: Endpoint, settings: Settings) -> ExitStatus:
    if not cases:
        message = "no case is left to compare"
        raise LiveCheckError(message)
    report, trace = check(cases, other, _tell, settings=settings)
    click.echo(_formatted(report, options.form))
    if options.evidence:
        versions = {"version": version(), "botocore": botocore.__version__}
        evidence.write(options.evidence, report, trace, versions)
        click.echo(f"evidence: {options.evidence}", err=True)
    return _STATUSES[report.verdict]


def _aws(options: Options) -> Endpoint:
    """Return AWS, if the credentials belong to the account that the user has named."""
    if not options.account:
        message = (
            "this creates and deletes repositories in an AWS account; name it with --account, "
            "or try the command with --sandbox"
        )
        raise click.UsageError(message)
    sts = boto3.Session(profile_name=options.profile).client("sts", region_name=REGION)
    account = sts.get_caller_identity()["Account"]
    if account != options.account:
        message = f"the credentials belong to another account than {options.account}; nothing was done"
        raise LiveCheckError(message)
    return endpoint.aws(account, options.profile)


def _formatted(report: Report, form: str) -> str:
    forms = {"text": report.as_text, "markdown": report.as_markdown, "json": report.as_json}
    return forms[form]()


def _tell(message: str) -> None:
    click.echo(message, err=True)
