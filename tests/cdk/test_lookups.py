"""A digest in a parameter of Systems Manager, which the real cdk looks up at synthesis."""

from __future__ import annotations

import pytest

from .conftest import Project

pytestmark = pytest.mark.cdk

APP = """
from aws_cdk import App, Environment, Stack
from aws_cdk import aws_ssm as ssm
from cdk_ecrpublic import ImageSource, PublicImage, PublicRepository

app = App()
stack = Stack(app, "Test", env=Environment(account="{account}", region="us-east-1"))
PublicImage(
    stack, "Release",
    repository=PublicRepository.from_repository_name(stack, "Repository", "{repository}"),
    source=ImageSource.digest(ssm.StringParameter.value_from_lookup(stack, "/{repository}/digest")),
    tags=["1.0"],
)
app.synth()
"""


def test_a_digest_that_is_looked_up_is_deployed(project: Project) -> None:
    image = project.push("first")
    name = f"/{project.repository}/digest"
    project.sandbox.client("ssm").put_parameter(Name=name, Value=image.digest, Type="String")
    text = APP.format(account=project.sandbox.account, repository=project.repository)
    (project.folder / "app.py").write_text(text)

    project.deploy()

    assert project.tags() == {"1.0": image.digest}
