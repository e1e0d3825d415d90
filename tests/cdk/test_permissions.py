"""Deployments with evaluated IAM policies, those of the cdk's roles and of the function's role."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cdk_ecrpublic.constructs._iam.actions import LOGIN_ACTIONS, PUBLISH_ACTIONS
from cdk_ecrpublic.sandbox import SandboxProcess
from cdk_ecrpublic.sandbox.images import build_image, pull

from .conftest import Project, bootstrapped
from .test_sources import push_to_private_ecr, uri_of

pytestmark = pytest.mark.cdk


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with bootstrapped(tmp_path_factory, "--auth") as sandbox:
        yield sandbox


def test_the_function_has_all_permissions_from_deployment_to_removal(project: Project) -> None:
    private = build_image({"etc/name": b"private"}, platforms=("linux/amd64", "linux/arm64"))
    push_to_private_ecr(project, f"{project.repository}-private", private)
    built = project.push("built", "build")
    project.write_app(
        f"""
from aws_cdk import RemovalPolicy
from aws_cdk import aws_ecr as ecr
private = ecr.Repository.from_repository_name(self, "Private", "{project.repository}-private")
PublicImage(self, "Copy", repository=repository, tags=["copy"],
            source=ImageSource.ecr(private, digest="{private.digest}"))
PublicImage(self, "Release", repository=repository, source=ImageSource.tag("build"), tags=["1.0.0", "latest"],
            removal_policy=RemovalPolicy.DESTROY)
"""
    )

    project.deploy()

    before = {"build": built.digest, "copy": private.digest}
    assert project.tags() == {**before, "1.0.0": built.digest, "latest": built.digest}
    assert pull(uri_of(project), "copy") == private
    removed = project.cdk("destroy", "--force")
    assert removed.returncode == 0, removed.stdout
    assert project.tags() == before
    assert denied(project) == []


def test_r13_an_image_that_moves_to_another_repository_is_removed_from_the_old_one(project: Project) -> None:
    """By then, the function's policy names the new repository; a policy for the old one outlives the image."""
    image, other = project.push("image"), f"{project.repository}-other"
    project.sandbox.client("ecr-public").create_repository(repositoryName=other)
    elsewhere = replace(project, repository=other)
    assert elsewhere.push("image") == image
    release = f"""
from aws_cdk import RemovalPolicy
PublicImage(self, "Release", repository=PublicRepository.from_repository_name(self, "Place", "%s"),
            source=ImageSource.digest("{image.digest}"), tags=["1.0.0"], removal_policy=RemovalPolicy.DESTROY)
"""
    project.write_app(release % project.repository)
    project.deploy()
    assert project.tags() == {"1.0.0": image.digest}

    project.write_app(release % other)
    project.deploy()

    assert (project.tags(), elsewhere.tags()) == ({}, {"1.0.0": image.digest})
    assert denied(project) == []
    destroyed = project.cdk("destroy", "--force")
    assert (destroyed.returncode, elsewhere.tags()) == (0, {}), destroyed.stdout


def test_reports_a_role_that_may_not_put_images(project: Project) -> None:
    image = project.push("image")
    role = role_without(project, "ecr-public:PutImage")
    project.write_app(
        f"""
from aws_cdk import aws_iam as iam
role = iam.Role.from_role_arn(self, "Role", "{role}", mutable=False)
PublicImageProvider(self, "Provider", role=role)
image = PublicImage(self, "Release", repository=repository, source=ImageSource.digest("{image.digest}"), tags=["1.0.0"])
# The function waits for a permission as long as its time allows: here for some seconds only.
image.node.find_child("Resource").node.default_child.add_property_override("ServiceTimeout", 40)
"""
    )

    said = " ".join(project.fail_to_deploy().split())

    assert project.tags() == {}
    arn = f"arn:aws:ecr-public::{project.sandbox.account}:repository/{project.repository}"
    for text in (said, reasons(project)):
        assert "ACCESS_DENIED: ecr-public:PutImage failed: AccessDeniedException: User: arn:aws:sts::" in text
        assert f"is not authorized to perform: ecr-public:PutImage on resource: {arn}" in text
        assert "Hint: allow ecr-public:PutImage in the role of the handler function" in text


def role_without(project: Project, action: str) -> str:
    """Create a role that an app can use but not extend."""
    arn = f"arn:aws:ecr-public::{project.sandbox.account}:repository/{project.repository}"
    actions = [name for name in PUBLISH_ACTIONS if name != action]
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": arn},
        {"Effect": "Allow", "Action": list(LOGIN_ACTIONS), "Resource": "*"},
    ]
    trust = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]
    client, name = project.sandbox.client("iam"), project.repository.replace("/", "-")
    role = client.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": trust}))["Role"]["Arn"]
    client.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps({"Statement": statements}))
    return str(role)


def denied(project: Project) -> list[str]:
    return [request.operation for request in project.sandbox.requests.all() if request.error == "AccessDeniedException"]


def reasons(project: Project) -> str:
    events = project.sandbox.client("cloudformation").describe_stack_events(StackName="Test")["StackEvents"]
    return " ".join(event.get("ResourceStatusReason", "") for event in events)
