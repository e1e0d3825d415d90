"""The group of commands; each command's work is in a module of its own, imported when it runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from cdk_ecrpublic._assets.lambda_handler.errors import InvalidReferenceError
from cdk_ecrpublic._assets.lambda_handler.oci import RegistryHost, is_account_id, parse_registry_id


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cdk-ecrpublic")
def cli() -> None:
    """Declare what is in Amazon ECR Public, and see it work on this machine."""


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
    "--port", type=click.IntRange(0, 65535), help="Listen there; 0 is any free port. Default: 4566 if it is free."
)
@click.option(
    "--account",
    metavar="ID",
    default="123456789012",
    show_default=True,
    callback=_check_account,
    help="The account of 12 digits that everything belongs to.",
)
@click.option("--alias", default="", help="A custom alias of the public registry, such as acme.")
@click.option(
    "--log-file",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_check_log_file,
    help="Write the log there. Default: nowhere.",
)
@click.option("--without-ministack", is_flag=True, help="ECR Public only, without the rest of AWS.")
@click.option("--auth", is_flag=True, help="Evaluate IAM policies; only the sandbox's own credentials may do all.")
@click.option("--json", "as_json", is_flag=True, help="Print address and environment as one line of JSON.")
@click.option("--until-stdin-closes", is_flag=True, hidden=True)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def sandbox(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Run ECR Public, and the AWS around it, on this machine.

    Prints the environment and serves until Ctrl-C. With a COMMAND after --, runs
    it inside and returns its exit status.
    """
    try:
        from .sandbox import Options, run  # noqa: PLC0415 - imports the server

        context.exit(run(Options(**options)))
    except ModuleNotFoundError as error:
        message = f'{error.name} is not installed; run: pip install "cdk-ecrpublic[sandbox]"'
        raise click.ClickException(message) from error


def _check_registry(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if value and not _is_registry(value):
        message = (
            f"{value!r} is not the address of a public registry; expected its host and one of its aliases, "
            "e.g. 'public.ecr.aws/a1b2c3d4', without 'https://' before or a repository behind"
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
            message = f"{value!r} is not a parameter; expected NAME=VALUE or STACK:NAME=VALUE, as cdk deploy takes it"
            raise click.BadParameter(message)
        given[name] = text
    return given


def _resolves() -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add what commands take that resolve the templates of an app."""
    parameters = [
        click.option(
            "--parameters",
            multiple=True,
            metavar="NAME=VALUE",
            callback=_parse_parameters,
            help="The value of a parameter of the template, as for cdk deploy; may be given several times. "
            "Default: what the deployed stack has, else the template's default.",
        ),
        click.option("--allow-unknown", is_flag=True, help="Do not fail for what cannot be known before a deployment."),
    ]
    return _decorated(parameters)


def _reviews() -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add what all commands take that read a synthesized app."""
    parameters = [
        click.option(
            "--registry",
            default="",
            metavar="HOST/ALIAS",
            callback=_check_registry,
            help="The account's own public registry, to look at it without credentials.",
        ),
        click.argument("folder", metavar="[CDK_OUT]", default="cdk.out", type=click.Path(path_type=Path)),
        click.option(
            "--stack",
            "stacks",
            multiple=True,
            metavar="PATTERN",
            help="Only these stacks, by name or path, such as 'Prod/*'; may be given several times.",
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


@cli.command()
@_reviews()
@_resolves()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="For a terminal, a pull request, or a program.",
)
@click.option("--changed", is_flag=True, help="Leave out images that stay as they are.")
@click.pass_context
def plan(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Show what deploying a synthesized app will do to the registry.

    Reads CDK_OUT (default: cdk.out) and the registries, and writes nothing.
    Exits with 0; with 1 when the deployment will be refused; with 2 when
    something could not be checked.
    """
    from .plan import Options, run  # noqa: PLC0415 - imports botocore

    context.exit(run(Options(**options)))


@cli.command()
@_reviews()
@_resolves()
@click.option("--tags-only", is_flag=True, help="Do not look whether the images are complete.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def verify(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Check that the registry is what a synthesized app declares.

    Reads CDK_OUT (default: cdk.out) and the registries. Exits with 0 when it
    is; with 1 when a tag has moved, or a tag, image or blob is missing, or what
    is declared cannot be had; with 2 when something could not be checked.
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
    help="Where the CDK keeps what was looked up.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when a name stands for another digest by now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def pin(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Keep the digests of the app's mutable source tags in cdk.context.json.

    Reads CDK_OUT (default: cdk.out) and the registries. The next synthesis
    renders the digests, so that cdk diff shows them move; cdk context lists
    and resets them. Exits with 2 when a name cannot be resolved, or a file not
    be read: nothing is written then.
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
    help="An app, or a YAML file for PublicImageCatalog.",
)
@click.pass_context
def snapshot(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401 - click passes each by its name
    """
    Write the declaration of what repositories have today; deploying it changes nothing.

    REPOSITORY is acme/agent of the account's own registry, with its
    credentials, or public.ecr.aws/ALIAS/acme/agent, which everybody may read.
    """
    from .snapshot import Options, run  # noqa: PLC0415 - imports botocore

    run(Options(**options))
    context.exit(0)
