"""What the function does before its first request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

REPORT = """
import json, sys
from lambda_handler import entrypoint
print(json.dumps({"modules": sorted(sys.modules), "clients": [name for name, _ in entrypoint._clients()._clients]}))
"""
IN_LAMBDA = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}
ON_DEMAND = {"tarfile", "lambda_handler.archive", "lambda_handler.signatures", "lambda_handler.publish.attachments"}


def start(environment: Mapping[str, str]) -> Mapping[str, list[str]]:
    given = {name: value for name, value in os.environ.items() if name != "AWS_ENDPOINT_URL"}
    printed = subprocess.run(
        [sys.executable, "-c", REPORT], check=True, capture_output=True, text=True, env={**given, **environment}
    ).stdout
    report: Mapping[str, list[str]] = json.loads(printed)
    return report


def test_imports_only_what_every_request_needs() -> None:
    assert ON_DEMAND.isdisjoint(start({})["modules"])


@pytest.mark.parametrize(("environment", "clients"), [(IN_LAMBDA, ["ecr-public"]), ({}, [])])
def test_the_client_of_ecr_public_is_created_while_the_runtime_initializes(
    environment: Mapping[str, str], clients: list[str]
) -> None:
    assert start(environment)["clients"] == clients


def test_an_invalid_configuration_fails_in_the_first_request_only() -> None:
    assert start({**IN_LAMBDA, "AWS_ENDPOINT_URL": "not a URL"})["clients"] == []
