"""Images that are declared without this library: raw CloudFormation, through AWS's own API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdk_ecrpublic.sandbox.images import push_image

from .conftest import Project

pytestmark = pytest.mark.cdk

APP = """
from aws_cdk import App
from cdk_ecrpublic import PublicImageProviderStack

app = App()
PublicImageProviderStack(app, "Images", repositories=["{repository}"], removes=True)
app.synth()
"""

TEMPLATE = """
Resources:
  Release:
    Type: Custom::ECRPublicImage
    Properties:
      ServiceToken: !ImportValue ECRPublicImageHandlerArn
      ServiceTimeout: 300
      RepositoryName: {repository}
      ImageTags: [{tags}]
      OnTagRemoved: Untag
      OnDelete: Delete
      StateParameterName: /cdk-ecrpublic/{repository}/Raw.Release
      Source:
        Digest: {digest}
Outputs:
  Uri:
    Value: !GetAtt Release.ImageUri
"""


@pytest.fixture
def provider(project: Project) -> Iterator[Project]:
    (project.folder / "app.py").write_text(APP.format(repository=project.repository))
    result = project.cdk("deploy", "Images", "--require-approval", "never")
    assert result.returncode == 0, result.stdout
    yield project
    cloudformation = project.sandbox.client("cloudformation")
    for name in ("Raw", "Images"):
        cloudformation.delete_stack(StackName=name)


def test_a_template_in_yaml_publishes_moves_and_removes(provider: Project) -> None:
    cloudformation = provider.sandbox.client("cloudformation")
    first, second = provider.push("first"), provider.push("second")
    push_image(provider.sandbox, provider.repository, first, ["by-hand"])

    def template(digest: str, *tags: str) -> str:
        return TEMPLATE.format(
            repository=provider.repository, digest=digest, tags=", ".join(f'"{tag}"' for tag in tags)
        )

    def wait(what: str) -> None:
        cloudformation.get_waiter(what).wait(StackName="Raw", WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    cloudformation.create_stack(StackName="Raw", TemplateBody=template(first.digest, "1.0", "latest"))
    wait("stack_create_complete")
    assert provider.tags() == {"1.0": first.digest, "by-hand": first.digest, "latest": first.digest}
    (output,) = cloudformation.describe_stacks(StackName="Raw")["Stacks"][0]["Outputs"]
    assert output["OutputValue"].endswith(f"/{provider.repository}@{first.digest}")

    cloudformation.update_stack(StackName="Raw", TemplateBody=template(second.digest, "latest"))
    wait("stack_update_complete")
    assert provider.tags() == {"by-hand": first.digest, "latest": second.digest}

    cloudformation.delete_stack(StackName="Raw")
    wait("stack_delete_complete")
    assert provider.tags() == {"by-hand": first.digest}
