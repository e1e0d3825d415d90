"""A role with managed policies, and anonymous reads, with evaluated IAM policies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cdk_ecrpublic.sandbox import SandboxProcess

from .conftest import Project, bootstrapped

pytestmark = pytest.mark.cdk

APP = """
from aws_cdk import RemovalPolicy
PublicImageProvider(self, "Provider", {options})
PublicImage(self, "Release", repository=repository, source=ImageSource.tag("build"), tags=[{tags}],
            removal_policy=RemovalPolicy.DESTROY)
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with bootstrapped(tmp_path_factory, "--auth") as sandbox:
        yield sandbox


def test_a_deployed_function_changes_to_managed_policies_and_back(project: Project) -> None:
    """CloudFormation creates the new policies before it updates the image, and deletes the old ones afterwards."""
    built = project.push("built", "build")
    kinds = []
    for options, tags in (("", '"1"'), ("managed_policy=True", '"1", "2"'), ("", '"1", "2", "3"')):
        project.write_app(APP.format(options=options, tags=tags))
        project.deploy()
        kinds.append(kinds_of_policies(project))

    assert kinds == [{"AWS::IAM::Policy"}, {"AWS::IAM::ManagedPolicy"}, {"AWS::IAM::Policy"}]
    assert project.tags() == dict.fromkeys(["build", "1", "2", "3"], built.digest)


def test_everything_works_with_anonymous_reads_and_managed_policies(project: Project) -> None:
    built = project.push("built", "build")
    project.write_app(APP.format(options="managed_policy=True, authenticated_reads=False", tags='"1", "2"'))

    project.deploy()

    assert project.tags() == dict.fromkeys(["build", "1", "2"], built.digest)
    removed = project.cdk("destroy", "--force")
    assert removed.returncode == 0, removed.stdout
    assert project.tags() == {"build": built.digest}
    denied = {each.operation for each in project.sandbox.requests.all() if each.error == "AccessDeniedException"}
    assert denied == {"GetAuthorizationToken"}


def kinds_of_policies(project: Project) -> set[str]:
    client = project.sandbox.client("cloudformation")
    resources = client.describe_stack_resources(StackName="Test")["StackResources"]
    return {
        each["ResourceType"]
        for each in resources
        if each["ResourceType"].startswith("AWS::IAM::") and "Policy" in each["ResourceType"]
    }
