"""The permissions of every function for records, and the options of its invocation."""

from __future__ import annotations

from typing import Any

import pytest
from aws_cdk import App, NestedStack, RemovalPolicy, Stack
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, PublicImage, PublicImageProvider, PublicRepository

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Agent")


def image(scope: Stack, construct_id: str = "Release", **options: Any) -> PublicImage:
    repository = PublicRepository.from_repository_name(scope, f"{construct_id}Repository", "acme/agent")
    return PublicImage(scope, construct_id, repository=repository, **{"source": ImageSource.digest(DIGEST), **options})


def granted(stack: Stack) -> dict[str, set[str]]:
    """Return the resources of each action on parameters and stacks, with references by name."""
    policy = Template.from_stack(stack).find_resources("AWS::IAM::Policy")["ECRPublicImageHandlerPolicy"]
    found: dict[str, set[str]] = {}
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        for action in _list(statement["Action"]):
            if action.startswith(("ssm:", "cloudformation:")):
                found.setdefault(action, set()).update(map(_text, _list(statement["Resource"])))
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    match value:
        case {"Ref": name}:
            return str(name)
        case {"Fn::Join": [str(separator), [*parts]]}:
            return separator.join(map(_text, parts))
    return str(value)


ARN = "arn:AWS::Partition:ssm:us-east-1:AWS::AccountId:parameter/cdk-ecrpublic/state"
OWN = f"{ARN}/*/AWS::Region.AWS::StackName.*"

FIRST_ARN = "arn:AWS::Partition:ssm:AWS::Region:AWS::AccountId:parameter/cdk-ecrpublic"
"""Of what version 0.1 remembered, in the stack's own Region."""

RECORDS = {
    "ssm:GetParameter": {f"{ARN}/*", f"{FIRST_ARN}/*/Agent.*"},
    "ssm:GetParametersByPath": {f"{ARN}/*", f"{FIRST_ARN}/*"},
    "ssm:PutParameter": {OWN},
    "ssm:DeleteParameter": {OWN, f"{FIRST_ARN}/*/Agent.*"},
}
STATUS = ("DescribeStackEvents", "DescribeStackResource", "DescribeStacks")


def test_every_image_may_take_over_a_tag_so_all_have_records(stack: Stack) -> None:
    image(stack)

    assert granted(stack) == {**RECORDS, **{f"cloudformation:{name}": {"AWS::StackId"} for name in STATUS}}


def test_another_image_adds_no_permissions(stack: Stack) -> None:
    two = Stack(App(), "Agent")
    image(stack)
    image(two)
    image(two, "Other")

    assert granted(two) == granted(stack)


def test_r13_an_image_of_any_kind_adds_no_permissions(stack: Stack) -> None:
    """When old images are deleted, the function has the policy of the new ones, and still needs the old permissions."""
    left = Stack(App(), "Agent")
    PublicImageProvider(left, "Provider")
    image(stack, source=ImageSource.tag("stable"), removal_policy=RemovalPolicy.DESTROY)

    assert granted(left) == granted(stack)


def test_a_nested_stack_needs_the_status_of_its_root(stack: Stack) -> None:
    nested = NestedStack(stack, "Part")
    image(nested)

    root = "arn:AWS::Partition:cloudformation:AWS::Region:AWS::AccountId:stack/Agent/*"
    assert granted(nested)["cloudformation:DescribeStacks"] == {"AWS::StackId", root}


def test_a_request_is_retried_as_long_as_cloudformation_waits(stack: Stack) -> None:
    image(stack)

    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::Lambda::EventInvokeConfig", {"MaximumEventAgeInSeconds": 960, "MaximumRetryAttempts": 2}
    )
    (release,) = template.find_resources("Custom::ECRPublicImage").values()
    assert "ECRPublicImageHandlerInvocations" in release["DependsOn"]


def test_a_dead_letter_queue_gets_failed_requests(stack: Stack) -> None:
    PublicImageProvider(stack, "Provider", dead_letter_queue=sqs.Queue(stack, "Queue"))

    template = Template.from_stack(stack)
    (config,) = template.find_resources("AWS::Lambda::EventInvokeConfig").values()
    assert config["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]["Fn::GetAtt"][1] == "Arn"
