"""Roles from elsewhere: imported ones, immutable ones, and those that an organization creates in advance."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Environment, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, PublicImage, PublicImageProvider, PublicRepository

DIGEST = "sha256:" + "a" * 64
ACCOUNT = "111111111111"
ARN = f"arn:aws:iam::{ACCOUNT}:role/publisher"
LAMBDA = iam.ServicePrincipal("lambda.amazonaws.com")


ENVIRONMENT = Environment(account=ACCOUNT, region="us-east-1")


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack", env=ENVIRONMENT)


def image(stack: Stack) -> PublicImage:
    """Declare an image that needs a separate policy."""
    repository = PublicRepository.from_repository_name(stack, "Agent", "acme/agent")
    source = ImageSource.digest(DIGEST)
    return PublicImage(stack, "Release", repository=repository, source=source, removal_policy=RemovalPolicy.DESTROY)


def policies(stack: Stack) -> list[dict[str, Any]]:
    return [policy["Properties"] for policy in Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()]


def actions(statements: list[dict[str, Any]]) -> set[str]:
    lists = [each["Action"] if isinstance(each["Action"], list) else [each["Action"]] for each in statements]
    return {action for one in lists for action in one}


NEEDED = {"logs:PutLogEvents", "ecr-public:PutImage", "ssm:PutParameter", "ecr-public:BatchDeleteImage"}


@pytest.mark.parametrize(
    "import_role",
    [
        lambda stack: iam.Role.from_role_arn(stack, "Publisher", ARN),
        lambda stack: iam.Role.from_role_name(stack, "Publisher", "publisher"),
        lambda stack: iam.Role.from_role_arn(
            stack, "Import", iam.Role(Stack(stack.node.root, "Roles", env=ENVIRONMENT), "R", assumed_by=LAMBDA).role_arn
        ),
    ],
    ids=["ARN", "name", "another stack's"],
)
def test_an_imported_role_gets_the_needed_permissions(stack: Stack, import_role: Callable[[Stack], iam.IRole]) -> None:
    PublicImageProvider(stack, "Provider", role=import_role(stack))
    image(stack)

    statements = [statement for policy in policies(stack) for statement in policy["PolicyDocument"]["Statement"]]
    assert actions(statements) >= NEEDED
    assert all(len(policy["Roles"]) == 1 for policy in policies(stack))


@pytest.mark.parametrize(
    "import_role",
    [
        lambda stack: iam.Role.from_role_arn(stack, "Publisher", ARN, mutable=False),
        lambda stack: iam.Role(stack, "Own", assumed_by=LAMBDA).without_policy_updates(),
        lambda stack: iam.Role.from_role_arn(stack, "Publisher", ARN.replace(ACCOUNT, "222222222222")),
    ],
    ids=["not mutable", "without policy updates", "of another account"],
)
def test_does_not_change_an_immutable_role(stack: Stack, import_role: Callable[[Stack], iam.IRole]) -> None:
    """The deploying user may lack the permission to change it, and the deployment would fail."""
    PublicImageProvider(stack, "Provider", role=import_role(stack))
    image(stack)

    assert policies(stack) == []
    (rendered,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    assert rendered["DependsOn"] == ["ECRPublicImageHandlerInvocations"]


@pytest.mark.parametrize("managed", [False, True], ids=["inline", "managed"])
def test_roles_can_be_created_in_advance(tmp_path: Path, managed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """With ``Role.customize_roles``, the CDK creates no roles and policies, but reports them."""
    app = App(outdir=str(tmp_path / "cdk.out"))
    iam.Role.customize_roles(app, use_precreated_roles={"Stack/Provider/Role": "publisher"})
    stack = Stack(app, "Stack")
    PublicImageProvider(stack, "Provider", managed_policy=managed)
    image(stack)

    template = Template.from_stack(stack)

    assert not [each for each in template.to_json()["Resources"].values() if each["Type"].startswith("AWS::IAM::")]
    assert template.to_json()["Resources"]["ECRPublicImageHandler"]["Properties"]["Role"]["Fn::Join"][1][-1] == (
        ":role/publisher"
    )
    (role,) = json.loads((tmp_path / "cdk.out" / "iam-policy-report.json").read_text())["roles"]
    assert actions(role["managedPolicyStatements"] + role["identityPolicyStatements"]) >= NEEDED
