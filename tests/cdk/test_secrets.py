"""A deployment does not leak its credentials into a template, a log, an event or the terminal."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from cdk_ecrpublic.sandbox.images import pull
from tests.copies.test_real_registries import TOOLS, Distribution, closed_distribution

from .conftest import Project

__all__ = ["closed_distribution"]

pytestmark = [
    pytest.mark.cdk,
    pytest.mark.peer,
    pytest.mark.skipif(bool(TOOLS), reason=f"not installed: {', '.join(TOOLS)} (Debian: docker-registry, …)"),
]

USER, PASSWORD = "agent", "smith-s3cret"
MARKED = (PASSWORD, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode().rstrip("="))

SIGNED = ("X-Amz-Signature", "X-Amz-Credential", "ResponseURL", "cloudformation-custom-resource-response")
"""The signature in the response URL: with it, anyone could respond in our place."""


@pytest.fixture
def secret(project: Project) -> str:
    """A secret with user and password of the registry."""
    client = project.sandbox.client("secretsmanager")
    name = f"{project.repository}-credentials"
    made = client.create_secret(Name=name, SecretString=json.dumps({"username": USER, "password": PASSWORD}))
    return str(made["ARN"])


def declare(source: str, secret: str, tag: str) -> str:
    return f"""
from aws_cdk import aws_secretsmanager as secretsmanager
credentials = secretsmanager.Secret.from_secret_complete_arn(self, "Credentials", "{secret}")
source = ImageSource.registry("{source}", credentials=credentials)
PublicImage(self, "Release", repository=repository, source=source, tags=["{tag}"])
"""


def told(project: Project) -> str:
    """Collect all output and stored data of a deployment."""
    templates = [path.read_text() for path in Path(project.folder, "cdk.out").rglob("*.json")]
    stack = project.sandbox.client("cloudformation")
    events = stack.describe_stack_events(StackName="Test")["StackEvents"]
    deployed = stack.get_template(StackName="Test")["TemplateBody"]
    logs = project.sandbox.client("logs")
    groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    lines = [
        event["message"] for name in groups for event in logs.filter_log_events(logGroupName=name).get("events", [])
    ]
    assert any('"message": "sent the response' in line for line in lines), "the function's log was not found"
    return "\n".join([*templates, json.dumps(deployed, default=str), json.dumps(events, default=str), *lines])


def test_credentials_and_presigned_urls_are_not_leaked(
    project: Project, closed_distribution: Distribution, secret: str
) -> None:
    project.write_app(declare(closed_distribution.uri("team/app:1"), secret, "1"))
    output = project.deploy() + told(project)
    project.write_app(declare(closed_distribution.uri("team/app:nothing"), secret, "2"))
    output += project.fail_to_deploy() + told(project)

    assert "NOT_FOUND" in output
    assert [mark for mark in (*MARKED, *SIGNED) if mark in output] == []
    uri = project.sandbox.client("ecr-public").describe_repositories(repositoryNames=[project.repository])
    assert pull(uri["repositories"][0]["repositoryUri"], "1").children
