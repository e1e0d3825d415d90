"""The size of a policy after CloudFormation has resolved it."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import Stack
from constructs import IConstruct

REFERENCE_CHARACTERS = 256
"""
The size that is reserved for a value that is not known before deployment.

The ARN of a public repository has at most 248 characters, because its name has at most 205.
"""

_PSEUDO_PARAMETERS = {
    "AWS::AccountId": 12,
    "AWS::Partition": len("aws"),
    "AWS::Region": len("ap-southeast-2"),
    "AWS::StackName": 128,
    "AWS::URLSuffix": len("amazonaws.com"),
}
"""The lengths of the longest values in the partition with ECR Public."""


def policy_characters(scope: IConstruct, value: object) -> int:
    """Return the maximum size of a part of a policy as JSON without white space, in characters."""
    return len(json.dumps(_resolved(Stack.of(scope).resolve(value)), separators=(",", ":")))


def _resolved(value: Any) -> Any:  # noqa: ANN401 - a rendered part of a template
    match value:
        case list():
            return [_resolved(each) for each in value]
        case {"Ref": str(name)}:
            return "x" * _PSEUDO_PARAMETERS.get(name, REFERENCE_CHARACTERS)
        case {"Fn::Join": [str(separator), [*parts]]}:
            return separator.join(map(_resolved, parts))
        case dict() if any(name.startswith("Fn::") for name in value):
            return "x" * REFERENCE_CHARACTERS
        case dict():
            return {name: _resolved(each) for name, each in value.items()}
    return value
