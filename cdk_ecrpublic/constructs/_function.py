"""The Lambda function: its code, role, log group and invocation settings."""

from __future__ import annotations

import atexit
import functools
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from aws_cdk import CfnElement, Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from ._iam.managed_role import ManagedPolicyRole
from ._validation.values import refuse

FUNCTION_LOGICAL_ID = "ECRPublicImageHandler"
"""
Never changes. The service token of a deployed resource must not change
(CloudFormation: "Modifying service token is not allowed"), and the token
contains this id.
"""

MAX_EVENT_AGE = Duration.seconds(960)
"""How long Lambda keeps a request: as long as CloudFormation waits for a copy."""

RETRY_ATTEMPTS = 2
"""How often Lambda retries a crashed invocation, which is the only remedy if it ran out of memory."""

_ASSETS = Path(__file__).parents[1] / "_assets"
"""Contains the folder ``lambda_handler``, so that the handler is ``lambda_handler.entrypoint.handler``."""

_DOCUMENTATION = re.compile(r'^([ \t]*)(?:"""(?s:.*?)"""|#.*)$', re.MULTILINE)
"""A docstring, or a line with a comment only."""

_DATACLASS = re.compile(r"@dataclass.*\n *class .*:\n$")
"""What comes before the docstring of a dataclass."""

_TRAILING_COMMENT = re.compile(r"  # .*$", re.MULTILINE)


def make_log_group(scope: Construct, **options: Any) -> logs.LogGroup:  # noqa: ANN401 - of logs.LogGroup
    log_group = logs.LogGroup(scope, "Logs", removal_policy=RemovalPolicy.DESTROY, **options)
    fix_logical_id(log_group, f"{FUNCTION_LOGICAL_ID}Logs")
    return log_group


def make_role(scope: Construct, given: iam.IRole | None, *, managed_policy: bool) -> iam.IRole:
    if given is not None:
        if managed_policy:
            refuse(
                f"{scope.node.path}: managed_policy",
                "applies to the role that the provider creates, but role= is given",
            )
        return given
    options: dict[str, Any] = {
        "assumed_by": iam.ServicePrincipal("lambda.amazonaws.com"),
        "description": "Publishes images to Amazon ECR Public",
    }
    role = (
        ManagedPolicyRole(scope, "Role", **options, prefix=FUNCTION_LOGICAL_ID)
        if managed_policy
        else iam.Role(scope, "Role", **options)
    )
    fix_logical_id(role, f"{FUNCTION_LOGICAL_ID}Role")
    return role


def make_function(scope: Construct, **options: Any) -> lambda_.Function:  # noqa: ANN401 - of lambda_.Function
    function = lambda_.Function(
        scope,
        "Function",
        description="Publishes images to Amazon ECR Public (Custom::ECRPublicImage)",
        code=handler_code(),
        handler="lambda_handler.entrypoint.handler",
        runtime=lambda_.Runtime.PYTHON_3_14,
        architecture=lambda_.Architecture.ARM_64,
        **options,
    )
    fix_logical_id(function, FUNCTION_LOGICAL_ID)
    return function


def make_invocations(
    scope: Construct, function: lambda_.Function, queue: sqs.IQueue | None
) -> lambda_.EventInvokeConfig:
    """Configure how long Lambda keeps a request and how often it retries; by default, it keeps one for six hours."""
    config = lambda_.EventInvokeConfig(
        scope,
        "Invocations",
        function=function,
        max_event_age=MAX_EVENT_AGE,
        retry_attempts=RETRY_ATTEMPTS,
        # Rule packs require this in addition to a dead-letter queue.
        on_failure=destinations.SqsDestination(queue) if queue is not None else None,
    )
    fix_logical_id(config, f"{FUNCTION_LOGICAL_ID}Invocations")
    return config


def handler_code() -> lambda_.Code:
    """Return the code of all functions: one asset."""
    return lambda_.Code.from_asset(_without_documentation())


@functools.cache
def _without_documentation() -> str:
    """
    Return a folder with a copy of the code that is a third smaller: without comments and docstrings.

    All lines keep their numbers, so that a traceback fits the source.
    """
    folder = tempfile.mkdtemp(prefix="cdk-ecrpublic-")
    # Python exits after CDK has copied the asset to the cloud assembly.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # In a checkout, lambda_handler is a symbolic link, which rglob does not follow; in a wheel, a folder.
    source = (_ASSETS / "lambda_handler").resolve()
    for file in source.rglob("*.py"):
        copy = Path(folder, source.name, file.relative_to(source))
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(_DOCUMENTATION.sub(_empty, _TRAILING_COMMENT.sub("", file.read_text("utf-8"))).encode())
    return folder


def _empty(found: re.Match[str]) -> str:
    """
    Return the lines of a docstring or comment without their text.

    A docstring may be all that a block has. That of a dataclass keeps a
    character: without one, Python makes a signature for it at each start.
    """
    text, indent = found[0].lstrip(), found[1]
    following = found.string[found.end() :].lstrip("\n")
    is_needed = not (following.startswith(indent) and following[len(indent) :][:1].strip())
    is_needed |= _DATACLASS.search(found.string[: found.start()]) is not None
    statement = f'{indent}"-"' if is_needed and not text.startswith("#") else ""
    return statement + "\n" * text.count("\n")


def fix_logical_id(construct: IConstruct, logical_id: str) -> None:
    resource = construct.node.default_child
    if isinstance(resource, CfnElement):
        resource.override_logical_id(logical_id)
