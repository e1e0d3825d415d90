"""The policy for reviewers on the page about rights is sufficient, and each part of it is necessary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_cdk import App, Stack
from click.testing import CliRunner

from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository
from cdk_ecrpublic.cli.commands import cli
from tests.docs.test_rights import statements

from .conftest import IMAGE, TAGS, Aws

COMMANDS = (["plan"], ["verify", "--tags-only"], ["pin"])


@pytest.fixture
def reviewer(aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A role with the page's policy and its credentials in the environment; an app in the working directory."""
    monkeypatch.chdir(tmp_path)
    aws.sandbox.client("ecr-public").put_image(
        repositoryName="acme/agent", imageManifest=IMAGE.manifest.decode(), imageTag=TAGS[0]
    )
    stack = Stack(App(outdir=str(tmp_path / "cdk.out")), "Agent")
    repository = PublicRepository.from_repository_name(stack, "Repository", "acme/agent")
    PublicImage(stack, "Release", repository=repository, source=ImageSource.digest(IMAGE.digest), tags=[TAGS[0]])
    PublicImage(stack, "Build", repository=repository, source=ImageSource.tag("build"), tags=["build"])
    App.of(stack).synth()  # type: ignore[union-attr]  # it has one
    role = aws.role(statements("review.json"))
    for name, value in {**aws.sandbox.environment(), **aws.credentials(role)}.items():
        monkeypatch.setenv(name, value)
    return role


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_policy_is_sufficient(reviewer: str, command: list[str]) -> None:
    assert reviewer

    result = CliRunner().invoke(cli, command)

    assert result.exit_code == 0, result.output
    assert "ACCESS_DENIED" not in result.output
    assert "cannot be read" not in result.output


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_permissions_for_the_repository_are_necessary(aws: Aws, reviewer: str, command: list[str]) -> None:
    aws.grant(reviewer, [each for each in statements("review.json") if "ecr-public" not in json.dumps(each)])

    assert CliRunner().invoke(cli, command).exit_code != 0
