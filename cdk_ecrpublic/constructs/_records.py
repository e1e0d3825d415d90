"""
Which images are remembered by name, and what the function needs to remember any.

Since version 0.2 the function derives where a record is. The names that 0.1
rendered stay as they are: a property that changes would send an update to
every image. They tell the function which images have records in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aws_cdk import Aws, Stack
from constructs import Construct

from ._iam.actions import (
    FIRST_RECORD_ACTIONS,
    FIRST_RECORD_LIST_ACTIONS,
    RECORD_READ_ACTIONS,
    RECORD_WRITE_ACTIONS,
    STATUS_ACTIONS,
)
from .public_repository import IPublicRepository

PARAMETER_ROOT = "cdk-ecrpublic"
"""Of the parameters of version 0.1."""

RECORD_ROOT = "cdk-ecrpublic/state"
RECORD_REGION = "us-east-1"
"""Where the registry is, so that the stacks of all Regions see each other's records."""

_REMEMBERED = "_cdk_ecrpublic_remembered"


class Rememberable(Protocol):
    """An image that can be told to be remembered."""

    def remember(self) -> None:
        """From now on; more than once is fine."""


@dataclass
class Neighbours:
    """
    The images of one repository.

    From the moment that one of them may remove something, all are remembered,
    those that were there before too: else a tag that moves from one to another
    would look as if nobody had it.
    """

    images: list[Rememberable] = field(default_factory=list)
    removing: bool = False

    @classmethod
    def of(cls, scope: Construct, key: tuple[str, ...]) -> Neighbours:
        """Return those of the repository with this key; the app carries the table."""
        table: dict[tuple[str, ...], Neighbours] = getattr(scope.node.root, _REMEMBERED, {})
        setattr(scope.node.root, _REMEMBERED, table)
        return table.setdefault(key, cls())

    def join(self, image: Rememberable, *, removes: bool) -> None:
        """Add an image; *removes* says whether it may remove something."""
        self.images.append(image)
        self.removing = self.removing or removes
        for each in self.images if self.removing else ():
            each.remember()


def parameter_name(repository: IPublicRepository, stack: Stack, logical_id: str) -> str:
    """Name the parameter: those of one repository are below one path."""
    return f"/{PARAMETER_ROOT}/{repository.repository_name}/{stack.stack_name}.{logical_id}"


def record_statements(scope: Construct) -> list[tuple[Sequence[str], str]]:
    """
    Say which actions on which resources remembering needs, for all images of a stack.

    One statement for the stack's own records takes the place of a policy for
    each image: any image may take a tag over, and a role has room for some
    twenty policies. Which records there will be only the deployment knows:
    their names have the image's digest.

    None of them names a repository, nor depends on what the stack's images
    are: CloudFormation deletes what left the stack or was replaced at the very
    end of a deployment, when the function's policy is that of the new images
    already, and what may not be read then is not removed.
    """
    stack = Stack.of(scope)
    return [
        (RECORD_READ_ACTIONS, _parameter(stack, f"{RECORD_ROOT}/*", region=RECORD_REGION)),
        (RECORD_WRITE_ACTIONS, _parameter(stack, f"{RECORD_ROOT}/*/{Aws.REGION}.{Aws.STACK_NAME}.*", RECORD_REGION)),
        (FIRST_RECORD_LIST_ACTIONS, _parameter(stack, f"{PARAMETER_ROOT}/*")),
        (FIRST_RECORD_ACTIONS, _parameter(stack, f"{PARAMETER_ROOT}/*/{stack.stack_name}.*")),
        (STATUS_ACTIONS, stack.stack_id),
        *((STATUS_ACTIONS, _any_of_name(root)) for root in [_root(stack)] if root is not stack),
    ]


def _root(stack: Stack) -> Stack:
    return _root(stack.nested_stack_parent) if stack.nested_stack_parent else stack


def _any_of_name(stack: Stack) -> str:
    """Name a stack without a reference to it, which a nested one could only have as a parameter."""
    return stack.format_arn(service="cloudformation", resource="stack", resource_name=f"{stack.stack_name}/*")


def _parameter(stack: Stack, name: str, region: str | None = None) -> str:
    return stack.format_arn(service="ssm", region=region, resource="parameter", resource_name=name)
