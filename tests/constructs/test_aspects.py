"""Changes of an app from outside a construct: tags, aspects, removal policies, overrides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsii
import pytest
from aws_cdk import (
    App,
    Aspects,
    Aws,
    CfnCondition,
    CfnResource,
    Fn,
    IAspect,
    RemovalPolicies,
    RemovalPolicy,
    Stack,
    Tags,
)
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk.assertions import Template
from constructs import IConstruct

from cdk_ecrpublic import ImageSource, OnTagRemoved, PublicImage, PublicRepository

DIGEST = "sha256:" + "a" * 64
RESOURCE = "Custom::ECRPublicImage"


@jsii.implements(IAspect)
class Visitor:
    """An aspect that calls a function with each construct."""

    def __init__(self, visit: Callable[[IConstruct], object]) -> None:
        self._visit = visit

    def visit(self, node: IConstruct) -> None:
        self._visit(node)


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def image(stack: Stack, construct_id: str = "Release", **options: Any) -> PublicImage:
    repository = PublicRepository.from_repository_name(stack, f"{construct_id}Repository", "acme/agent")
    return PublicImage(stack, construct_id, repository=repository, source=ImageSource.digest(DIGEST), **options)


def cfn_resource(release: PublicImage) -> CfnResource:
    """Return the L1 resource that the CDK's escape hatch returns."""
    found = release.node.default_child
    assert isinstance(found, CfnResource)
    return found


def rendered(stack: Stack, of_type: str = RESOURCE) -> dict[str, Any]:
    (found,) = Template.from_stack(stack).find_resources(of_type).values()
    return dict(found)


@pytest.mark.parametrize(
    "of_type", ["AWS::ECR::PublicRepository", "AWS::Lambda::Function", "AWS::IAM::Role", "AWS::Logs::LogGroup"]
)
def test_tags_of_the_app_apply_to_all_taggable_resources(stack: Stack, of_type: str) -> None:
    image(stack)
    PublicRepository(stack, "Agent")

    Tags.of(stack).add("team", "agent")

    assert rendered(stack, of_type)["Properties"]["Tags"] == [{"Key": "team", "Value": "agent"}]


def test_a_tag_of_the_app_redeploys_no_image(stack: Stack) -> None:
    image(stack)
    before = rendered(stack)
    tagged = Stack(App(), "Stack")
    image(tagged)

    Tags.of(tagged).add("team", "agent")

    assert rendered(tagged) == before


def test_an_aspect_sees_the_construct_and_changes_the_resource(stack: Stack) -> None:
    release, seen = image(stack), []

    def visit(node: IConstruct) -> None:
        if isinstance(node, PublicImage):
            seen.append(node)
        if isinstance(node, CfnResource) and node.cfn_resource_type == RESOURCE:
            node.add_property_override("Refresh", "again")

    Aspects.of(stack).add(Visitor(visit))

    assert rendered(stack)["Properties"]["Refresh"] == "again"
    assert seen == [release]


def test_an_aspect_can_declare_another_image(stack: Stack) -> None:
    """Earlier images then also get a record, because another image may remove their tags."""
    image(stack, tags=["1"])

    def visit(node: IConstruct) -> None:
        if node is stack and stack.node.try_find_child("Late") is None:
            image(stack, "Late", tags=["2"], on_tag_removed=OnTagRemoved.UNTAG)

    Aspects.of(stack).add(Visitor(visit))

    images = Template.from_stack(stack).find_resources(RESOURCE).values()
    assert ["StateParameterName" in each["Properties"] for each in images] == [True, True]


def test_an_aspect_can_change_the_function(stack: Stack) -> None:
    image(stack)

    def visit(node: IConstruct) -> None:
        if isinstance(node, lambda_.CfnFunction):
            node.runtime = "python3.13"

    Aspects.of(stack).add(Visitor(visit))

    assert rendered(stack, "AWS::Lambda::Function")["Properties"]["Runtime"] == "python3.13"


def test_a_permissions_boundary_of_the_app_applies_to_the_function(stack: Stack) -> None:
    image(stack)

    iam.PermissionsBoundary.of(stack).apply(iam.ManagedPolicy.from_aws_managed_policy_name("PowerUserAccess"))

    assert "PermissionsBoundary" in rendered(stack, "AWS::IAM::Role")["Properties"]


def test_destroying_all_resources_of_a_stack_removes_no_image(stack: Stack) -> None:
    """Only the image itself can opt in to removal, because it is public."""
    image(stack, tags=["1"])
    before = rendered(stack)["Properties"]

    RemovalPolicies.of(stack).destroy()

    assert rendered(stack)["Properties"] == before
    assert rendered(stack)["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize(
    "keep",
    [
        lambda release: RemovalPolicies.of(release).retain(),
        lambda release: cfn_resource(release).apply_removal_policy(RemovalPolicy.RETAIN),
        lambda release: release.node.find_child("Resource").apply_removal_policy(RemovalPolicy.RETAIN),
    ],
    ids=["RemovalPolicies", "L1", "L2"],
)
def test_keeps_a_retained_image(stack: Stack, keep: Callable[[PublicImage], None]) -> None:
    """CloudFormation then sends no Delete, either at a deletion or after a replacement."""
    keep(image(stack, tags=["1"], removal_policy=RemovalPolicy.DESTROY))

    assert (rendered(stack)["DeletionPolicy"], rendered(stack)["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_removal_policies_apply_to_a_repository(stack: Stack) -> None:
    PublicRepository(stack, "Agent")

    RemovalPolicies.of(stack).destroy()

    assert rendered(stack, "AWS::ECR::PublicRepository")["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize(
    "rename",
    [
        lambda _, resource: resource.override_logical_id("Mine"),
        lambda stack, resource: stack.rename_logical_id(stack.get_logical_id(resource), "Mine"),
    ],
    ids=["override", "rename"],
)
def test_follows_a_changed_logical_id(stack: Stack, rename: Callable[[Stack, CfnResource], None]) -> None:
    """The parameter of version 0.1 has this id in its name; the permission is for all parameters of the stack."""
    release = image(stack, removal_policy=RemovalPolicy.DESTROY)

    rename(stack, cfn_resource(release))

    assert rendered(stack)["Properties"]["StateParameterName"] == "/cdk-ecrpublic/acme/agent/Stack.Mine"
    assert ":parameter/cdk-ecrpublic/*/Stack.*" in str(Template.from_stack(stack).find_resources("AWS::IAM::Policy"))


def test_an_image_can_have_a_condition(stack: Stack) -> None:
    release = image(stack, removal_policy=RemovalPolicy.DESTROY)

    cfn_resource(release).cfn_options.condition = CfnCondition(
        stack, "InVirginia", expression=Fn.condition_equals(Aws.REGION, "us-east-1")
    )

    assert rendered(stack)["Condition"] == "InVirginia"
