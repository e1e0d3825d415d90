"""Command lines in pages, checked by the parsers of their commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

import botocore.session
import click
from botocore import xform_name

from cdk_ecrpublic.cli.commands import cli
from tests.architecture.source import CHECKOUT

SEPARATORS = {"|", "||", "&&", ";", "(", ")", "&", "()", ");"}
REDIRECTIONS = {">", ">>", "<", ">&"}
KEYWORDS = {"if", "then", "else", "fi", "for", "in", "do", "done", "while", "!"}
ASSIGNMENT = re.compile(r"\w+=")

OTHERS = frozenset(
    {
        ".",
        "[",
        "bash",
        "cat",
        "cd",
        "cosign",
        "cp",
        "crane",
        "curl",
        "echo",
        "exit",
        "gh",
        "git",
        "head",
        "helm",
        "mkdir",
        "notation",
        "npx",
        "oras",
        "python3",
    }
)
"""Other commands on pages, so that a misspelt name is noticed."""

AWS_GLOBAL = {"--region", "--query", "--output", "--profile"}


class CommandError(Exception):
    """A page shows an invalid command."""


def commands(script: str) -> Iterator[list[str]]:
    """Yield the words of each command of a script, without assignments, keywords and redirections."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        yield from _split(list(lexer))


def _split(words: Sequence[str]) -> Iterator[list[str]]:
    command: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in SEPARATORS:
            yield from filter(None, [_without_prefix(command)])
            command = []
        elif word in REDIRECTIONS:
            next(rest, None)
        else:
            command.append(word)
    yield from filter(None, [_without_prefix(command)])


def _without_prefix(words: list[str]) -> list[str]:
    while words and (words[0] in KEYWORDS or ASSIGNMENT.match(words[0])):
        words = words[1:]
    return words


def check(command: Sequence[str]) -> None:
    """
    Check one command.

    Raises:
        CommandError: The command or an option is unknown.
    """
    name, *arguments = command
    if name in CHECKS:
        CHECKS[name](arguments)
    elif name not in OTHERS:
        message = f"unknown command {name!r}: {shlex.join(command)}"
        raise CommandError(message)


def _check_own(arguments: list[str]) -> None:
    """Parse as the command itself does, without running it."""
    try:
        with click.Context(cli, info_name="cdk-ecrpublic") as context:
            name, command, rest = cli.resolve_command(context, arguments)
            if command is not None:
                command.make_context(name, rest, parent=context)
    except click.UsageError as error:
        message = f"cdk-ecrpublic {shlex.join(arguments)}: {error.format_message()}"
        raise CommandError(message) from error


def _check_make(arguments: list[str]) -> None:
    text = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    _refuse("make", [word for word in arguments if not ASSIGNMENT.match(word) and word not in known])


def _check_pip(arguments: list[str]) -> None:
    """
    Check that the installed package and its extras exist.

    The package is not on an index, so its name works only with an extra and only if the wheel is already installed.
    """
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    _refuse("pip", [word for word in arguments if word == project["name"]])
    for word in arguments:
        if found := re.fullmatch(rf"(?:{project['name']}|.*\.whl\)?)\[(.*)\]", word):
            _refuse("pip", sorted(set(found[1].split(",")) - extras))


def _check_aws(arguments: list[str]) -> None:
    """Compare with the model of the API, from which the AWS CLI derives its commands."""
    service, action, *rest = arguments
    if action in {"get-login-password", "wait"}:
        return
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    _refuse(f"aws {service}", [] if action in names else [action])
    shape = model.operation_model(names[action]).input_shape
    known = AWS_GLOBAL | {f"--{xform_name(member, '-')}" for member in (shape.members if shape else {})}
    _refuse(f"aws {service} {action}", sorted(_options(rest) - known))


def _check_cdk(arguments: list[str]) -> None:
    name, *rest = arguments
    help_text = _cdk_help(name)
    known = set(re.findall(r"--[a-z][a-zA-Z-]*", help_text))
    _refuse(f"cdk {name}", sorted(_options(rest) - known))


@cache
def _cdk_help(name: str) -> str:
    result = subprocess.run(["cdk", name, "--help"], capture_output=True, text=True, timeout=60, check=False)
    if f"cdk {name}" not in result.stdout:
        message = f"cdk has no command {name!r}"
        raise CommandError(message)
    return result.stdout


def _options(words: Sequence[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def _refuse(command: str, unknown: Sequence[str]) -> None:
    if unknown:
        message = f"{command} does not know {', '.join(unknown)}"
        raise CommandError(message)


CHECKS: Mapping[str, Callable[[list[str]], None]] = {
    "aws": _check_aws,
    "cdk": _check_cdk,
    "cdk-ecrpublic": _check_own,
    "make": _check_make,
    "pip": _check_pip,
}
