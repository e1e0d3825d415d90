"""What lifecycle rules would remove now: the decision of the scheduled function, made here."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._assets.lambda_handler.aws.errcode import translated
from .._assets.lambda_handler.clock import Deadline, SystemClock
from .._assets.lambda_handler.errors import InvalidPropertiesError, NotFoundError
from .._assets.lambda_handler.log import Log
from .._assets.lambda_handler.retention.entrypoint import Settings, make_run
from .._assets.lambda_handler.retention.run import Report
from .._assets.lambda_handler.retry import Retry
from ..constructs._pin_names import RETENTION_METADATA
from .app.assembly import AssemblyError, metadata_of
from .live.registry import ReviewClients

SECONDS = 3600.0
"""The time limit for one repository: 100,000 manifests are read at some hundred per second."""


def declared_settings(folder: Path) -> list[Settings]:
    """
    Return the settings of all repositories for which a synthesized app declares retention.

    Raises:
        AssemblyError: The folder has no app, or no settings that are known at synthesis.
    """
    found = [each for each in metadata_of(folder, RETENTION_METADATA) if isinstance(each, Mapping)]
    if not found:
        message = (
            f"{folder} declares no retention of a repository whose name is known at synthesis; declare "
            "PublicRepositoryRetention and run cdk synth, or give the name of a repository whose retention is deployed"
        )
        raise AssemblyError(message)
    return [Settings.parse(each) for each in found]


def deployed_settings(name: str, clients: ReviewClients) -> Settings:
    """
    Return the settings of a repository whose retention is deployed in the current Region.

    Raises:
        NotFoundError: No schedule there is for this repository.
        RemoteError: The schedules cannot be read.
    """
    for sent in _inputs(clients.get("events", clients.region)):
        try:
            settings = Settings.parse(sent)
        except InvalidPropertiesError:
            continue
        if settings.repository == name:
            return settings
    message = f"no retention of {name!r} is deployed in {clients.region}"
    hint = "set AWS_REGION to the Region of its stack, or give the folder of a synthesized app"
    raise NotFoundError(message, operation="events:ListRules", hint=hint)


def _inputs(client: Any) -> Iterator[Mapping[str, object]]:  # noqa: ANN401 - botocore
    """Yield what schedules send to their targets, as far as it is a JSON object."""
    with translated("events:ListRules"):
        pages = client.get_paginator("list_rules").paginate()
        rules = [rule["Name"] for page in pages for rule in page["Rules"] if "ScheduleExpression" in rule]
    for rule in rules:
        with translated("events:ListTargetsByRule"):
            targets: Sequence[Mapping[str, str]] = client.list_targets_by_rule(Rule=rule)["Targets"]
        for target in targets:
            try:
                data = json.loads(target.get("Input", ""))
            except ValueError:
                continue
            if isinstance(data, dict):
                yield data


def report_of(settings: Settings, clients: ReviewClients) -> Report:
    """Decide about every image of a repository, and change nothing."""
    # The reports say what matters; the log of the function is not shown.
    retry = Retry(Deadline.after(SECONDS, SystemClock()), Log(stream=io.StringIO()))
    return make_run(settings, clients, retry, time.time(), with_state=False).report()
