"""The exit statuses of the command line: 1 always means that a check has findings."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import pytest

from cdk_ecrpublic.cli import main
from cdk_ecrpublic.cli.commands import cli


@contextmanager
def command(does: Callable[[], object]) -> Iterator[str]:
    """Add a command temporarily."""
    cli.add_command(click.Command("try", callback=does))
    try:
        yield "try"
    finally:
        del cli.commands["try"]


def status_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["cdk-ecrpublic", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def raises(error: BaseException) -> Callable[[], object]:
    def do() -> object:
        raise error

    return do


@pytest.mark.parametrize(
    ("does", "status"),
    [
        (lambda: None, 0),
        (lambda: click.get_current_context().exit(1), 1),
        (raises(KeyboardInterrupt()), 130),
        (raises(RuntimeError("a bug")), 2),
        (raises(BrokenPipeError(errno.EPIPE, "the reader has ended")), 2),
        (raises(SystemExit(143)), 143),
        (raises(ModuleNotFoundError("No module", name="rich")), 2),
    ],
    ids=["nothing", "found", "Ctrl-C", "a bug", "head", "a signal", "missing"],
)
def test_a_command_that_ends_unexpectedly_reports_no_findings(
    monkeypatch: pytest.MonkeyPatch, does: Callable[[], object], status: int
) -> None:
    with command(does) as name:
        assert status_of(monkeypatch, name) == status


@pytest.mark.parametrize("arguments", [["nonsense"], ["plan", "--nonsense"], ["plan", "no/such/folder"]])
def test_a_usage_error_is_not_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert status_of(monkeypatch, *arguments) == 2
    assert "Error: " in capsys.readouterr().err
