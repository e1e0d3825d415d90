"""The function's permissions as managed policies: their place, their size, and what depends on them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_cdk import App, Environment, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Template

from cdk_ecrpublic import ImageSource, PublicImage, PublicImageProvider, PublicRepository

from .messages import warnings

DIGEST = "sha256:" + "a" * 64
ACCOUNT = "111111111111"
POLICY_MAX_CHARACTERS = 6_144
LONGEST_NAME = 205


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack", env=Environment(account=ACCOUNT, region="eu-west-1"))


def copy(stack: Stack, name: str, **options: Any) -> PublicImage:
    construct_id = name.replace("/", ".")
    repository = PublicRepository.from_repository_name(stack, f"{construct_id}.Repository", name)
    source = ImageSource.registry(f"ghcr.io/acme/agent@{DIGEST}")
    return PublicImage(stack, construct_id, repository=repository, source=source, tags=["1"], **options)


def policies(stack: Stack) -> dict[str, dict[str, Any]]:
    """Return the documents of all managed policies, by logical id."""
    found = Template.from_stack(stack).find_resources("AWS::IAM::ManagedPolicy")
    return {logical_id: policy["Properties"]["PolicyDocument"] for logical_id, policy in found.items()}


def pairs(documents: dict[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """Return each action with each resource."""
    return {
        (action, json.dumps(resource))
        for document in documents.values()
        for statement in document["Statement"]
        for action in _list(statement["Action"])
        for resource in _list(statement["Resource"])
    }


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def characters(document: dict[str, Any]) -> int:
    """Return the size that IAM counts after CloudFormation has resolved the references."""
    text = json.dumps(document, separators=(",", ":"))
    return len(text.replace('{"Fn::Join":["",["arn:",{"Ref":"AWS::Partition"},', "arn:aws").replace("]]}", ""))


def test_by_default_permissions_are_inline(stack: Stack) -> None:
    copy(stack, "acme/agent")

    assert policies(stack) == {}


def test_no_grant_creates_an_inline_policy(stack: Stack) -> None:
    provider = PublicImageProvider(
        stack,
        "Provider",
        managed_policy=True,
        tracing=lambda_.Tracing.ACTIVE,
        dead_letter_queue=sqs.Queue(stack, "Queue"),
    )
    bucket, secret = s3.Bucket(stack, "Bucket"), secretsmanager.Secret(stack, "Secret")
    copy(stack, "acme/agent", removal_policy=RemovalPolicy.DESTROY)

    bucket.grant_read(provider)
    bucket.grant_put(provider.role)
    secret.grant_read(provider.function)

    template = Template.from_stack(stack)
    template.resource_count_is("AWS::IAM::Policy", 0)
    granted = {action for action, _ in pairs(policies(stack))}
    assert {
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "sqs:SendMessage",
        "ecr-public:PutImage",
        "ecr-public:BatchDeleteImage",
        "s3:GetObject*",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
    } <= granted


def test_managed_policies_allow_the_same_as_inline_ones() -> None:
    granted = []
    for managed in (False, True):
        stack = Stack(App(), "Stack", env=Environment(account=ACCOUNT, region="eu-west-1"))
        PublicImageProvider(stack, "Provider", managed_policy=managed)
        for number in range(30):
            copy(stack, f"acme/agent-{number}")
        copy(stack, "acme/removed", removal_policy=RemovalPolicy.DESTROY)
        found = Template.from_stack(stack).find_resources("AWS::IAM::ManagedPolicy" if managed else "AWS::IAM::Policy")
        documents = {key: policy["Properties"]["PolicyDocument"] for key, policy in found.items()}
        overflow = Template.from_stack(stack).find_resources("AWS::IAM::ManagedPolicy")
        documents |= {key: policy["Properties"]["PolicyDocument"] for key, policy in overflow.items()}
        granted.append(pairs(documents))

    assert granted[0] == granted[1]


@pytest.mark.parametrize("name_characters", [20, 60, LONGEST_NAME])
def test_two_hundred_repositories_fit_into_policies_that_iam_accepts(stack: Stack, name_characters: int) -> None:
    """There are as few as possible: all but the last are almost full."""
    PublicImageProvider(stack, "Provider", managed_policy=True)
    names = [f"acme/{number:03}".ljust(name_characters, "x") for number in range(200)]
    for name in names:
        copy(stack, name)

    documents = policies(stack)

    lengths = [characters(document) for document in documents.values()]
    assert max(lengths) <= POLICY_MAX_CHARACTERS
    # The first one also has the permissions for all images, so the longest name does not fit.
    assert sorted(lengths)[1] > 0.85 * POLICY_MAX_CHARACTERS
    assert min(sorted(lengths)[2:]) > 0.9 * POLICY_MAX_CHARACTERS
    stored = {resource for action, resource in pairs(documents) if action == "ecr-public:UploadLayerPart"}
    assert len(stored) == len(names)


def test_the_function_waits_for_all_managed_policies(stack: Stack) -> None:
    PublicImageProvider(stack, "Provider", managed_policy=True)
    for number in range(60):
        copy(stack, f"acme/{number}".ljust(100, "x"))

    handler = Template.from_stack(stack).to_json()["Resources"]["ECRPublicImageHandler"]

    assert len(policies(stack)) > 1
    assert policies(stack).keys() <= set(handler["DependsOn"])


def test_the_logical_ids_of_managed_policies_never_change(stack: Stack) -> None:
    PublicImageProvider(stack, "Anything", managed_policy=True)
    copy(stack, "acme/agent")

    assert list(policies(stack)) == ["ECRPublicImageHandlerManagedPolicy1"]


def test_the_permissions_for_a_removal_outlive_the_resource(stack: Stack) -> None:
    """They are in a separate policy with another id than the inline one, because a resource cannot change its type."""
    PublicImageProvider(stack, "Provider", managed_policy=True)
    copy(stack, "acme/agent", removal_policy=RemovalPolicy.DESTROY)

    (image,) = Template.from_stack(stack).find_resources("Custom::ECRPublicImage").values()
    (logical_id,) = policies(stack).keys() - {"ECRPublicImageHandlerManagedPolicy1"}

    assert logical_id in image["DependsOn"]
    assert "ManagedPolicy" in logical_id
    assert "ecr-public:BatchDeleteImage" in {action for action, _ in pairs({"": policies(stack)[logical_id]})}


@pytest.mark.parametrize(("images", "warned"), [(9, False), (10, True)])
def test_warns_about_more_policies_than_a_role_may_have(stack: Stack, images: int, warned: bool) -> None:  # noqa: FBT001 - a parameter of the test
    PublicImageProvider(stack, "Provider", managed_policy=True)
    for number in range(images):
        copy(stack, f"acme/{number}", removal_policy=RemovalPolicy.DESTROY)

    found = [text for text in warnings(stack) if "more than 10 managed policies" in text]
    assert len(found) == warned
    assert all("@cdk-ecrpublic:managed" in text for text in found)


def test_refuses_to_manage_the_policies_of_a_given_role(stack: Stack) -> None:
    role = iam.Role(stack, "Own", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))

    with pytest.raises(
        ValueError, match="Stack/Provider: managed_policy: applies to the role that the provider creates"
    ):
        PublicImageProvider(stack, "Provider", role=role, managed_policy=True)
