"""The IAM policy that is sufficient for a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .guard import PREFIX, parameter_prefixes

REPOSITORY_ACTIONS = (
    "BatchCheckLayerAvailability",
    "BatchDeleteImage",
    "CompleteLayerUpload",
    "CreateRepository",
    "DeleteRepository",
    "DeleteRepositoryPolicy",
    "DescribeImageTags",
    "DescribeImages",
    "GetRepositoryCatalogData",
    "GetRepositoryPolicy",
    "InitiateLayerUpload",
    "ListTagsForResource",
    "PutImage",
    "SetRepositoryPolicy",
    "TagResource",
    "UploadLayerPart",
)


STACK_ACTIONS = (
    "CreateStack",
    "DeleteStack",
    "DescribeStackEvents",
    "DescribeStackResources",
    "DescribeStacks",
    "RollbackStack",
    "TagResource",
    "UpdateStack",
)

FUNCTION_ACTIONS = (
    "CreateFunction",
    "DeleteFunction",
    "GetFunction",
    "GetFunctionCodeSigningConfig",
    "GetFunctionConfiguration",
    "GetFunctionRecursionConfig",
    "GetRuntimeManagementConfig",
    "InvokeFunction",
    "TagResource",
    "UpdateFunctionCode",
)

PRIVATE_ACTIONS = (
    "BatchCheckLayerAvailability",
    "CompleteLayerUpload",
    "CreateRepository",
    "DeleteRepository",
    "InitiateLayerUpload",
    "ListTagsForResource",
    "PutImage",
    "TagResource",
    "UploadLayerPart",
)

ROLE_ACTIONS = (
    "CreateRole",
    "DeleteRole",
    "DeleteRolePolicy",
    "GetRole",
    "GetRolePolicy",
    "ListAttachedRolePolicies",
    "ListRolePolicies",
    "PutRolePolicy",
    "TagRole",
)


def policy(account: str, *, with_stacks: bool = False, with_events: bool = False) -> dict[str, Any]:
    """Return the policy document: writes to what a run creates, and reads of names and events."""
    events = {"Sid": "LookUpEvents", "Effect": "Allow", "Action": "cloudtrail:LookupEvents", "Resource": "*"}
    statements = [*_registry(account), *(_stacks(account) if with_stacks else ()), *([events] if with_events else ())]
    return {"Version": "2012-10-17", "Statement": statements}


def _stacks(account: str) -> list[dict[str, Any]]:
    """Return the statements for the cases that deploy stacks."""

    def allow(sid: str, service: str, actions: Sequence[str], resource: str, **more: object) -> dict[str, Any]:
        names = [f"{service}:{action}" for action in actions]
        return {"Sid": sid, "Effect": "Allow", "Action": names, "Resource": resource, **more}

    regional = f"us-east-1:{account}"
    role = f"arn:aws:iam::{account}:role/{PREFIX}-*"
    to_lambda = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    private = f"arn:aws:ecr:{regional}:repository"
    seen, records = (f"arn:aws:ssm:{regional}:parameter{prefix}*" for prefix in parameter_prefixes(account))
    return [
        allow("OwnStacks", "cloudformation", STACK_ACTIONS, f"arn:aws:cloudformation:{regional}:stack/{PREFIX}-*"),
        allow("FindExpiredStacks", "cloudformation", ["DescribeStacks"], "*"),
        allow("OwnFunction", "lambda", FUNCTION_ACTIONS, f"arn:aws:lambda:{regional}:function:{PREFIX}-*"),
        allow("OwnRole", "iam", ROLE_ACTIONS, role),
        allow("PassOwnRole", "iam", ["PassRole"], role, Condition=to_lambda),
        allow("OwnPrivateRepositories", "ecr", PRIVATE_ACTIONS, f"{private}/{PREFIX}/*"),
        allow("FindPrivateRepositories", "ecr", ["DescribeRepositories"], "*"),
        allow("LogInToPrivateEcr", "ecr", ["GetAuthorizationToken"], "*"),
        allow("OwnParameters", "ssm", ["DeleteParameters", "GetParametersByPath"], seen),
        allow("RecordsOfOwnRepositories", "ssm", ["DeleteParameters"], records),
        allow("FindOwnParameters", "ssm", ["DescribeParameters"], "*"),
    ]


def _registry(account: str) -> list[dict[str, Any]]:
    arn = f"arn:aws:ecr-public::{account}"
    return [
        {
            "Sid": "OwnRepositories",
            "Effect": "Allow",
            "Action": [f"ecr-public:{action}" for action in REPOSITORY_ACTIONS],
            "Resource": f"{arn}:repository/{PREFIX}/*",
        },
        {
            "Sid": "ProveThatNothingIsLeft",
            "Effect": "Allow",
            "Action": "ecr-public:DescribeRepositories",
            "Resource": f"{arn}:repository/*",
        },
        {
            "Sid": "ReadTheAlias",
            "Effect": "Allow",
            "Action": "ecr-public:DescribeRegistries",
            "Resource": f"{arn}:registry/{account}",
        },
        {
            "Sid": "LogIn",
            "Effect": "Allow",
            "Action": ["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"],
            "Resource": "*",
        },
    ]
