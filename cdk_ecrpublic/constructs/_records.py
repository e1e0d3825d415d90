"""
Which images always have a record, and which permissions the function needs for records.

Since version 0.2, the function chooses the names of its records. The names that
0.1 rendered stay in the template, because a changed property would update every
image. An image with such a name always has a record.
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
from ._tree import root_of, stack_of
from .public_repository import IPublicRepository

PARAMETER_ROOT = "cdk-ecrpublic"
"""The root path of the parameters of version 0.1."""

RECORD_ROOT = "cdk-ecrpublic/state"
RECORD_REGION = "us-east-1"
"""The Region of the registry, so that stacks in all Regions see each other's records."""

_TABLE = "_cdk_ecrpublic_remembered"


class RecordableImage(Protocol):
    """An image for which the function can always keep a record."""

    def remember(self) -> None:
        """Make the function always keep a record. Can be called repeatedly."""


@dataclass
class RepositoryImages:
    """
    The images of one repository.

    If one of them may remove something, all of them get a record, including those
    that were declared before it. Without a record, a tag that moves from one image
    to another would seem to have no owner.
    """

    images: list[RecordableImage] = field(default_factory=list)
    has_removal: bool = False

    @classmethod
    def of(cls, scope: Construct, key: tuple[str, ...]) -> RepositoryImages:
        """Return the images of the repository with this key. The table is attached to the app."""
        table: dict[tuple[str, ...], RepositoryImages] = getattr(root_of(scope), _TABLE, {})
        setattr(root_of(scope), _TABLE, table)
        return table.setdefault(key, cls())

    def add(self, image: RecordableImage, *, removes: bool) -> None:
        """Add an image. *removes* says whether it may remove something."""
        self.images.append(image)
        self.has_removal = self.has_removal or removes
        for each in self.images if self.has_removal else ():
            each.remember()


def parameter_name(repository: IPublicRepository, stack: Stack, logical_id: str) -> str:
    """Return the name of the parameter. All parameters of a repository are below one path."""
    return f"/{PARAMETER_ROOT}/{repository.repository_name}/{stack.stack_name}.{logical_id}"


def record_statements(scope: Construct) -> list[tuple[Sequence[str], str]]:
    """
    Return the actions and resources that records need, for all images of a stack.

    One statement covers all records of the stack, because any image may take a tag
    over, and a role has room for only about twenty policies of single images. The
    names of the records contain digests, which are not known at synthesis.

    No statement depends on the images of the stack. CloudFormation deletes
    replaced and removed resources at the very end of a deployment, when the
    function's policy is already that of the new images, and the function does
    not remove anything whose owners it may not read.
    """
    stack = stack_of(scope)
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
    """Return the ARN of a stack without a reference, for which a nested stack would need a parameter."""
    return stack.format_arn(service="cloudformation", resource="stack", resource_name=f"{stack.stack_name}/*")


def _parameter(stack: Stack, name: str, region: str | None = None) -> str:
    return stack.format_arn(service="ssm", region=region, resource="parameter", resource_name=name)
