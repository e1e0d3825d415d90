"""No log contains secrets, at any log level of the function, of a logger, or of http.client."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
import urllib3

from cdk_ecrpublic.sandbox.images import build_image
from lambda_handler import library_logs
from tests.support.pushed import push_image

from .cloudformation import SIGNATURE, CloudFormation, answer_address
from .conftest import Lambda, Registry

SESSION_TOKEN = "5ess10n-t0ken-of-the-role"
LOGGERS = (
    "urllib3",
    "urllib3.connectionpool",
    "urllib3.util.retry",
    "botocore",
    "botocore.auth",
    "botocore.credentials",
    "botocore.endpoint",
    "botocore.hooks",
    "botocore.httpsession",
    "botocore.made.later",
    "botocore.parsers",
    "boto3",
)
MARKS = (SIGNATURE, SESSION_TOKEN, "authorizationToken", "Authorization", "Bearer ", "Security-Token", "Signature=")
"""Secrets, and strings next to them."""


@pytest.fixture
def loggers() -> Iterator[list[logging.Logger]]:
    """The root logger and those of the libraries, which are restored afterwards."""
    found = [logging.getLogger(name) for name in ("", *LOGGERS)]
    before = [(logger, logger.level, list(logger.handlers), logger.propagate) for logger in found]
    yield found
    for logger, level, handlers, propagate in before:
        logger.setLevel(level)
        logger.handlers, logger.propagate = handlers, propagate


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed and what handlers wrote."""
    return "".join(capsys.readouterr())


def as_a_level_of_the_function(loggers: list[logging.Logger]) -> None:
    """Set the level as Lambda's runtime does for the level in its console."""
    loggers[0].addHandler(logging.StreamHandler())
    loggers[0].setLevel(logging.DEBUG)


def as_levels_of_loggers(loggers: list[logging.Logger]) -> None:
    as_a_level_of_the_function(loggers)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
        logger.propagate = True


def as_handlers_of_loggers(loggers: list[logging.Logger]) -> None:
    for logger in loggers:
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(1)


def as_libraries_offer_it(loggers: list[logging.Logger]) -> None:
    del loggers
    boto3.set_stream_logger("")
    boto3.set_stream_logger("botocore")
    urllib3.add_stderr_logger()


WAYS: tuple[Callable[[list[logging.Logger]], None], ...] = (
    as_a_level_of_the_function,
    as_levels_of_loggers,
    as_handlers_of_loggers,
    as_libraries_offer_it,
)


def publish(registry: Registry) -> list[str]:
    """Copy an image with a new function; return the tokens that it got."""
    client = registry.sandbox.client("ecr-public")
    uri = client.create_repository(repositoryName="up/stream")["repository"]["repositoryUri"]
    image = build_image({"etc/name": b"copied"})
    push_image(registry.sandbox, "up/stream", image)
    properties = {
        "RepositoryName": "acme/agent",
        "ImageTags": ["1"],
        "Source": {"Image": {"Reference": f"{uri}@{image.digest}"}},
    }
    with answer_address() as address, closing(Lambda()) as function:
        assert CloudFormation(function, address).create(properties).succeeded
        return [tokens.current for tokens in function.clients.logins.public.values()]


@pytest.mark.usefixtures("plane")
@pytest.mark.parametrize("verbose", WAYS, ids=lambda way: way.__name__)
def test_no_level_shows_a_secret(
    registry: Registry,
    loggers: list[logging.Logger],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verbose: Callable[[list[logging.Logger]], None],
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    verbose(loggers)

    tokens = publish(registry)

    output = said(capsys)
    assert "sent the response SUCCESS" in output
    assert all(tokens)
    assert [mark for mark in (*MARKS, *tokens) if mark in output] == []


@pytest.mark.usefixtures("plane")
def test_without_the_protection_secrets_would_be_logged(
    registry: Registry,
    loggers: list[logging.Logger],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise, the test above would pass without checking anything."""
    withheld = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    as_a_level_of_the_function(loggers)
    try:
        publish(registry)
    finally:
        logging.setLogRecordFactory(withheld)

    output = said(capsys)
    assert {SIGNATURE, SESSION_TOKEN, "authorizationToken"} <= {mark for mark in MARKS if mark in output}


@pytest.mark.parametrize("name", LOGGERS)
def test_a_warning_of_a_library_is_also_withheld(
    loggers: list[logging.Logger], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """urllib3 warns about headers that it cannot parse, with the complete URL."""
    as_handlers_of_loggers(loggers)

    logging.getLogger(name).warning("Failed to parse headers (url=%s)", f"https://host/?{SIGNATURE}")
    logging.getLogger(name).error("with its text", exc_info=ValueError(SIGNATURE))

    assert said(capsys) == ""


def test_log_records_of_other_loggers_are_unchanged(
    loggers: list[logging.Logger], capsys: pytest.CaptureFixture[str]
) -> None:
    as_a_level_of_the_function(loggers)

    logging.getLogger("urllib3x").debug("said %s", "by another")

    assert said(capsys) == "said by another\n"


def test_filters_and_earlier_factories_do_not_see_the_message_either(loggers: list[logging.Logger]) -> None:
    seen: list[tuple[Any, ...]] = []
    before, logger = logging.getLogRecordFactory(), loggers[2]

    def tracing(*arguments: Any, **more: Any) -> logging.LogRecord:
        seen.append(arguments)
        return logging.LogRecord(*arguments, **more)

    def look(record: logging.LogRecord) -> bool:
        seen.append((record.getMessage(), record.args, record.exc_info))
        return True

    logging.setLogRecordFactory(tracing)
    logger.addFilter(look)
    try:
        library_logs.withhold_library_logs()
        logger.error("PUT %s", SIGNATURE)
    finally:
        logging.setLogRecordFactory(before)
        logger.removeFilter(look)

    assert seen[-1] == (library_logs.WITHHELD, (), None)
    assert SIGNATURE not in str(seen)
