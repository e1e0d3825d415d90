"""A rendered stack with its references resolved: the role's policy, and the properties of its only image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import App, Environment, Stack
from aws_cdk.assertions import Template

ACCOUNT, REGION = "123456789012", "us-east-1"

PSEUDO_PARAMETERS = {
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::StackName": "Stack",
}


@dataclass(frozen=True)
class Rendered:
    """
    One stack.

    Attributes:
        statements: Of the function's role.
        properties: Of the image.
    """

    statements: Sequence[Mapping[str, Any]]
    properties: Mapping[str, Any]

    @property
    def actions(self) -> list[str]:
        return [action for statement in self.statements for action in as_list(statement["Action"])]

    def statements_without(self, action: str) -> list[dict[str, Any]]:
        """Return the statements without one action."""
        kept = [
            {**statement, "Action": [name for name in as_list(statement["Action"]) if name != action]}
            for statement in self.statements
        ]
        return [statement for statement in kept if statement["Action"]]


def new_stack() -> Stack:
    return Stack(App(), "Stack", env=Environment(account=ACCOUNT, region=REGION))


def render(stack: Stack, stack_id: str) -> Rendered:
    """Render a stack with one image, in which all policies are those of the function's role."""
    template, references = Template.from_stack(stack), {**PSEUDO_PARAMETERS, "AWS::StackId": stack_id}
    policies = template.find_resources("AWS::IAM::Policy").values()
    (image,) = template.find_resources("Custom::ECRPublicImage").values()
    statements = [item for policy in policies for item in policy["Properties"]["PolicyDocument"]["Statement"]]
    return Rendered(
        resolve(statements, references), {**resolve(image["Properties"], references), "ServiceToken": "arn"}
    )


def resolve(value: Any, references: Mapping[str, str]) -> Any:
    """Resolve references as CloudFormation does; each resource of the stack gets an ARN with its name."""
    if isinstance(value, list):
        return [resolve(item, references) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"Ref"}:
        return references[value["Ref"]]
    if value.keys() == {"Fn::Join"}:
        separator, parts = value["Fn::Join"]
        return separator.join(resolve(parts, references))
    if value.keys() == {"Fn::GetAtt"}:
        return f"arn:aws:service:{REGION}:{ACCOUNT}:{value['Fn::GetAtt'][0]}"
    return {key: resolve(item, references) for key, item in value.items()}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def granted(statements: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield each action with each resource that it is granted on."""
    for statement in statements:
        for action in as_list(statement["Action"]):
            for resource in as_list(statement["Resource"]):
                yield action, resource
