"""The function behind the images of a stack, and its options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from aws_cdk import App, Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from aws_cdk.assertions import Match, Template

from cdk_ecrpublic import PublicImageProvider

from .test_public_image import image, resource


@pytest.fixture
def stack() -> Stack:
    return Stack(App(), "Stack")


def provider_options() -> dict[str, Callable[[Stack], dict[str, Any]]]:
    return {
        "memory": lambda _: {"memory_size": 1024},
        "timeout": lambda _: {"timeout": Duration.minutes(1)},
        "retention": lambda _: {"log_retention": logs.RetentionDays.ONE_DAY},
        "role": lambda stack: {"role": iam.Role(stack, "Own", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))},
        "vpc": lambda stack: {"vpc": ec2.Vpc(stack, "Vpc")},
        "key": lambda stack: {"log_encryption_key": kms.Key(stack, "Key")},
        "tracing": lambda _: {"tracing": lambda_.Tracing.ACTIVE},
        "queue": lambda stack: {"dead_letter_queue": sqs.Queue(stack, "Queue")},
        "concurrency": lambda _: {"reserved_concurrent_executions": 5},
        "boundary": lambda _: {
            "permissions_boundary": iam.ManagedPolicy.from_aws_managed_policy_name("PowerUserAccess")
        },
    }


@pytest.mark.parametrize("option", provider_options())
def test_no_option_of_the_provider_changes_the_service_token(stack: Stack, option: str) -> None:
    provider = PublicImageProvider(stack, "Anything", **provider_options()[option](stack))
    image(stack, provider=provider)

    assert resource(stack)["Properties"]["ServiceToken"] == {"Fn::GetAtt": ["ECRPublicImageHandler", "Arn"]}


def test_options_of_the_provider_are_rendered(stack: Stack) -> None:
    names = ("key", "tracing", "queue", "concurrency", "boundary")
    options = {key: value for name in names for key, value in provider_options()[name](stack).items()}
    image(stack, provider=PublicImageProvider(stack, "Provider", **options))
    template = Template.from_stack(stack)

    template.has_resource_properties(
        "AWS::Lambda::Function",
        {
            "TracingConfig": {"Mode": "Active"},
            "DeadLetterConfig": {"TargetArn": Match.any_value()},
            "ReservedConcurrentExecutions": 5,
        },
    )
    template.has_resource_properties("AWS::Logs::LogGroup", {"KmsKeyId": Match.any_value()})
    template.has_resource_properties("AWS::IAM::Role", {"PermissionsBoundary": Match.any_value()})


def test_a_provider_that_is_created_first_serves_every_image(stack: Stack) -> None:
    PublicImageProvider(stack, "Options", memory_size=1024)
    image(stack, "First", tags=["1"])
    image(stack, "Second", tags=["2"])

    Template.from_stack(stack).resource_count_is("AWS::Lambda::Function", 1)
    Template.from_stack(stack).has_resource_properties("AWS::Lambda::Function", {"MemorySize": 1024})
