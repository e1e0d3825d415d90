"""Values of an image in another stack: CloudFormation refuses to change an imported export."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import Project

pytestmark = pytest.mark.cdk

APP = """
from aws_cdk import App, CfnOutput, Stack
from aws_cdk import aws_ssm as ssm
from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository

app = App()
stack, service = Stack(app, "Test"), Stack(app, "Service")
release = PublicImage(
    stack, "Release",
    repository=PublicRepository.from_repository_name(stack, "Repository", "{repository}"),
    source=ImageSource.digest("{digest}"),
    tags=["{tag}", "latest"],
)
ssm.StringParameter(service, "Uses", parameter_name="/{repository}", string_value={value})
app.synth()
"""


@pytest.fixture
def project(project: Project) -> Iterator[Project]:
    """A project whose second stack is deleted before the first one."""
    yield project
    stacks = project.sandbox.client("cloudformation")
    stacks.delete_stack(StackName="Service")
    stacks.get_waiter("stack_delete_complete").wait(StackName="Service", WaiterConfig={"Delay": 1})


def release(project: Project, tag: str, value: str) -> tuple[int, str]:
    digest = project.push(tag).digest
    app = APP.format(repository=project.repository, digest=digest, tag=tag, value=value.format(tag=tag))
    (project.folder / "app.py").write_text(app)
    result = project.cdk("deploy", "--all", "--require-approval", "never")
    return result.returncode, result.stdout


def used(project: Project) -> str:
    parameter = project.sandbox.client("ssm").get_parameter(Name=f"/{project.repository}")["Parameter"]
    return str(parameter["Value"])


def test_an_exported_digest_makes_the_second_release_fail_and_no_tag_moves(project: Project) -> None:
    status, text = release(project, "1.0", "release.image_digest")
    assert status == 0, text
    assert "another stack uses ImageDigest of this image" in text
    first = project.tags()["1.0"]

    status, text = release(project, "1.1", "release.image_digest")

    assert status == 1
    assert "cannot be updated as it is in use by Service" in text
    assert (project.tags()["latest"], used(project)) == (first, first)


def test_the_uri_of_a_tag_follows_each_release(project: Project) -> None:
    for tag in ("1.0", "1.1"):
        status, text = release(project, tag, 'release.image_uri_for_tag("{tag}")')

        assert status == 0, text
        assert used(project).endswith(f"/{project.repository}:{tag}")
