"""Checks of the options of PublicImageProvider at synthesis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs

from .values import check_flag, check_instance, check_kind, check_list, check_member, check_number, refuse

MEMORY_MIB = range(128, 10_241)
"""Lambda's limits. The function needs about 60 MiB, whatever it copies."""

TIMEOUT_SECONDS = range(60, 901)
"""
15 s are reserved for the response, so less than a minute would leave little time for the work.

900 s is Lambda's limit.
"""

CONCURRENCY = range(1, 100_001)
"""With 0, Lambda would never start the function, and CloudFormation would wait for its timeout."""

_KINDS: Mapping[str, tuple[str, str]] = {
    "role": ("role_arn", "a role: iam.Role.from_role_arn(self, 'Role', 'arn:…')"),
    "vpc": ("vpc_id", "a VPC: ec2.Vpc.from_lookup(self, 'Vpc', vpc_id='vpc-…')"),
    "log_encryption_key": ("key_arn", "a key: kms.Key.from_key_arn(self, 'Key', 'arn:…')"),
    "dead_letter_queue": ("queue_arn", "a queue: sqs.Queue.from_queue_arn(self, 'Queue', 'arn:…')"),
    "permissions_boundary": (
        "managed_policy_arn",
        "a managed policy: iam.ManagedPolicy.from_managed_policy_name(self, 'Boundary', 'acme-boundary')",
    ),
}
"""Options that are constructs: an attribute that only the right kind has, and how to create one."""


def check_options(
    path: str,
    *,
    memory_size: int,
    timeout: Duration,
    log_retention: logs.RetentionDays,
    tracing: lambda_.Tracing | None,
    reserved_concurrent_executions: int | None,
    managed_policy: bool,
    authenticated_reads: bool,
    vpc_subnets: ec2.SubnetSelection | None,
    security_groups: Sequence[ec2.ISecurityGroup] | None,
    **constructs: Any,  # noqa: ANN401 - see _KINDS
) -> None:
    """
    Check all options.

    Raises:
        ValueError: A value has the wrong type or is out of range; reports the first problem.
    """
    check_number(f"{path}: memory_size", memory_size, MEMORY_MIB, " MiB")
    _check_timeout(f"{path}: timeout", timeout)
    check_member(f"{path}: log_retention", log_retention, tuple(logs.RetentionDays))
    if tracing is not None:
        check_member(f"{path}: tracing", tracing, tuple(lambda_.Tracing))
    if reserved_concurrent_executions is not None:
        check_number(f"{path}: reserved_concurrent_executions", reserved_concurrent_executions, CONCURRENCY)
    check_flag(f"{path}: managed_policy", managed_policy)
    check_flag(f"{path}: authenticated_reads", authenticated_reads)
    _check_network(path, vpc_subnets, security_groups)
    for name, construct in constructs.items():
        if construct is not None:
            check_kind(f"{path}: {name}", construct, *_KINDS[name])


def _check_timeout(what: str, timeout: Duration) -> None:
    check_instance(what, timeout, Duration, "a duration: Duration.minutes(5)")
    if not timeout.is_unresolved() and timeout.to_seconds() not in TIMEOUT_SECONDS:
        allowed = f"allowed: {TIMEOUT_SECONDS.start} to {TIMEOUT_SECONDS.stop - 1}"
        refuse(what, f"{timeout.to_seconds():g} seconds; {allowed}")


def _check_network(
    path: str, vpc_subnets: ec2.SubnetSelection | None, security_groups: Sequence[ec2.ISecurityGroup] | None
) -> None:
    if vpc_subnets is not None:
        # jsii accepts a mapping for a struct.
        expected = "an ec2.SubnetSelection(subnets=[…])"
        check_instance(f"{path}: vpc_subnets", vpc_subnets, (ec2.SubnetSelection, dict), expected)
    if security_groups is not None:
        check_list(f"{path}: security_groups", security_groups, "security groups")
        for number, group in enumerate(security_groups):
            expected = "a security group: ec2.SecurityGroup.from_security_group_id(self, 'Group', 'sg-…')"
            check_kind(f"{path}: security_groups[{number}]", group, "security_group_id", expected)
