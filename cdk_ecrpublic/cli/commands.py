"""The commands and their options. Each command is implemented in its own module, which is imported when it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from cdk_ecrpublic._assets.lambda_handler.errors import InvalidReferenceError
from cdk_ecrpublic._assets.lambda_handler.oci import RegistryHost, is_account_id, parse_registry_id
from cdk_ecrpublic._version import version

from .exit_status import ExitStatus


def _show_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's
    if value and not context.resilient_parsing:
        click.echo(f"cdk-ecrpublic, version {version()}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Print the version."
)
def cli() -> None:
    """Review, pin and test declarations of Amazon ECR Public images."""


def _check_account(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch("[0-9]{12}", value):
        message = f"{value!r} is not an account; expected 12 digits"
        raise click.BadParameter(message)
    return value


def _check_log_file(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    try:
        if value is not None:
            value.open("ab").close()
    except OSError as error:
        message = f"{value} cannot be written: {error.strerror}"
        raise click.BadParameter(message) from error
    return value


@cli.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port; 0 for any free one. Default: 4566 if it is free.",
)
@click.option(
    "--account",
    metavar="ID",
    default="123456789012",
    show_default=True,
    callback=_check_account,
    help="The id of the emulated account: 12 digits.",
)
@click.option("--alias", default="", help="A custom alias of the public registry, for example acme.")
@click.option(
    "--log-file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_check_log_file,
    help="The file for the log. Default: no log.",
)
@click.option("--without-ministack", is_flag=True, help="Emulate only ECR Public, without other AWS services.")
@click.option("--auth", is_flag=True, help="Evaluate IAM policies. The sandbox's own credentials may do everything.")
@click.option("--json", "as_json", is_flag=True, help="Print the address and environment as one line of JSON.")
@click.option("--until-stdin-closes", is_flag=True, hidden=True)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def sandbox(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Emulate ECR Public and other AWS services on this machine.

    Prints the environment and serves until Ctrl-C. With a COMMAND after --, runs
    it inside and returns its exit status.
    """
    try:
        from .sandbox import Options, run  # noqa: PLC0415 - imports the server

        context.exit(run(Options(**options)))
    except ModuleNotFoundError as error:
        message = f'{error.name} is not installed; run: pip install "cdk-ecrpublic[sandbox]"'
        raise _MissingError(message) from error


class _MissingError(click.ClickException):
    """A package of an extra is not installed."""

    exit_code = ExitStatus.UNCHECKED


def _check_registry(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value and not _is_registry(value):
        message = (
            f"{value!r} is not the address of a public registry; expected its host and alias, "
            "e.g. 'public.ecr.aws/a1b2c3d4', without 'https://' or a repository"
        )
        raise click.BadParameter(message)
    return value


def _is_registry(value: str) -> bool:
    host, _, alias = value.partition("/")
    try:
        RegistryHost.parse(host)
        return not is_account_id(parse_registry_id(alias))
    except InvalidReferenceError:
        return False


def _parse_parameters(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> Mapping[str, str]:
    given = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not (name and equals):
            message = f"{value!r} is not a parameter; expected NAME=VALUE or STACK:NAME=VALUE, as for cdk deploy"
            raise click.BadParameter(message)
        given[name] = text
    return given


def _resolves() -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of commands that resolve the templates of an app."""
    parameters = [
        click.option(
            "--parameters",
            multiple=True,
            metavar="NAME=VALUE",
            callback=_parse_parameters,
            help="The value of a template parameter, as for cdk deploy. Can be repeated. "
            "Default: the value in the deployed stack, or the template's default.",
        ),
        click.option("--allow-unknown", is_flag=True, help="Do not fail because of values unknown before deployment."),
    ]
    return _decorated(parameters)


def _reviews() -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options of commands that read a synthesized app."""
    parameters = [
        click.option(
            "--registry",
            default="",
            metavar="HOST/ALIAS",
            callback=_check_registry,
            help="The account's own public registry, to read it without credentials.",
        ),
        click.argument("folder", metavar="[CDK_OUT]", default="cdk.out", type=click.Path(path_type=Path)),
        click.option(
            "--stack",
            "stacks",
            multiple=True,
            metavar="PATTERN",
            help="Only these stacks, by name or path, for example 'Prod/*'. Can be repeated.",
        ),
    ]
    return _decorated(parameters)


def _decorated(
    parameters: Sequence[Callable[[Callable[..., None]], Callable[..., None]]],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for parameter in parameters:
            command = parameter(command)
        return command

    return decorate


_format = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="The format: for a terminal, a pull request or a program.",
)


@cli.command()
@_reviews()
@_resolves()
@_format
@click.option("--changed", is_flag=True, help="Omit images that do not change.")
@click.pass_context
def plan(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Show what deploying a synthesized app will do to the registry.

    Reads CDK_OUT (default: cdk.out) and the registries, and writes nothing.
    Exits with 1 if the deployment will be refused, with 2 if something could
    not be checked, and with 0 otherwise.
    """
    from .plan import Options, run  # noqa: PLC0415 - imports botocore

    context.exit(run(Options(**options)))


@cli.command()
@_reviews()
@_resolves()
@click.option("--tags-only", is_flag=True, help="Do not check whether the images are complete.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Check that the registry is as a synthesized app declares it.

    Reads CDK_OUT (default: cdk.out) and the registries. Exits with 1 if a tag
    has moved, if a tag, image or blob is missing, or if the declared image
    cannot be obtained; with 2 if something could not be checked; and with 0
    otherwise.
    """
    from .verify import Options, run  # noqa: PLC0415 - imports botocore

    context.exit(run(Options(**options)))


@cli.command()
@_reviews()
@click.option(
    "--context-file",
    default="cdk.context.json",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The context file of the CDK.",
)
@click.option("--check", is_flag=True, help="Write nothing. Exit with 1 if a name now has another digest.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def pin(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Write the digests of the app's mutable source tags to cdk.context.json.

    Reads CDK_OUT (default: cdk.out) and the registries. The next synthesis
    renders the digests, so cdk diff shows changes; cdk context lists and resets
    them. If a name cannot be resolved or a file cannot be read, writes nothing
    and exits with 2.
    """
    from .pin import Options, run  # noqa: PLC0415 - imports botocore

    context.exit(run(Options(**options)))


@cli.command()
@click.argument("repositories", metavar="REPOSITORY...", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["python", "catalog"]),
    default="python",
    show_default=True,
    help="A Python app, or a YAML file for PublicImageCatalog.",
)
@click.pass_context
def snapshot(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Print a declaration of the tagged images of repositories. Deploying it changes nothing.

    REPOSITORY is acme/agent of the account's own registry, which needs AWS
    credentials, or public.ecr.aws/ALIAS/acme/agent, which is read anonymously.
    """
    from .snapshot import Options, run  # noqa: PLC0415 - imports botocore

    run(Options(**options))
    context.exit(0)


@cli.command()
@click.argument("what", metavar="[REPOSITORY | CDK_OUT]", default="cdk.out")
@_format
@click.option("--expiring", is_flag=True, help="Omit images that stay. JSON has all images.")
@click.pass_context
def retention(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Show which images lifecycle rules expire now, and why all others stay.

    Reads the rules of CDK_OUT (default: cdk.out), or those that are deployed for
    REPOSITORY, and the registry and the stacks of the account. Writes nothing.
    Exits with 2 if something could not be read, and with 0 otherwise.
    """
    from .retention import Options, run  # noqa: PLC0415 - imports botocore

    context.exit(run(Options(**options)))


def _check_account_if_given(context: click.Context, parameter: click.Parameter, value: str) -> str:
    return _check_account(context, parameter, value) if value else value


@cli.command("live-check")
@click.option(
    "--account",
    metavar="ID",
    default="",
    callback=_check_account_if_given,
    help="The account in which repositories may be created and deleted. It must be that of the credentials.",
)
@click.option("--profile", metavar="NAME", help="The profile with the credentials. Default: as for the AWS CLI.")
@click.option("--create-registry", is_flag=True, help="Allow the first repository of an account. Its alias stays.")
@click.option("--sandbox", "on_sandbox", is_flag=True, help="Compare with another sandbox instead of AWS.")
@click.option("--case", "cases", multiple=True, metavar="PATTERN", help="Only these cases. Can be repeated.")
@click.option(
    "--with",
    "groups",
    multiple=True,
    type=click.Choice(["limits", "slow", "stack"]),
    help="Also measure rates and sizes, what expires or comes late, or deploy stacks. Can be repeated.",
)
@click.option(
    "--evidence",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the report, the responses and a redacted trace. Default: none.",
)
@_format
@click.option("--list", "as_list", is_flag=True, help="List the cases.")
@click.option("--policy", "as_policy", is_flag=True, help="Print the IAM policy that is sufficient.")
@click.option("--sweep", "is_sweep", is_flag=True, help="Delete what a run left that was killed, once it has expired.")
@click.pass_context
def live_check(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Compare the sandbox with AWS, in repositories of its own that are deleted afterwards.

    Takes about ten minutes, and costs less than a dollar. Exits with 1 if something
    differs, with 2 if a case could not be compared, and with 0 otherwise.
    """
    try:
        from .live_check import Options, run  # noqa: PLC0415 - imports the server

        context.exit(run(Options(**options)))
    except ModuleNotFoundError as error:
        message = f'{error.name} is not installed; run: pip install "cdk-ecrpublic[sandbox]"'
        raise click.ClickException(message) from error
