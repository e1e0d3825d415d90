"""
Which images are remembered, where, and what the function needs for it.

The statements of one image are a policy of its own, which its resource depends
on: when the image is taken out of the template, CloudFormation deletes the
resource first and the policy after it, so the deletion still has what it
needs. The function's own policy has lost it by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from ._grants import CLAIMS_ACTIONS, REMOVAL_ACTIONS, STATE_ACTIONS, STATUS_ACTIONS
from .public_repository import IPublicRepository

PARAMETER_ROOT = "cdk-ecrpublic"

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


def state_statements(
    image: Construct, repository: IPublicRepository, logical_id: str, *, removes: bool
) -> list[iam.PolicyStatement]:
    """Say what remembering the image needs, and removing it."""
    stack = Stack.of(image)
    path = f"{PARAMETER_ROOT}/{repository.repository_name}"
    needed: list[tuple[Sequence[str], str]] = [
        (STATE_ACTIONS, _parameter(stack, f"{path}/{stack.stack_name}.{logical_id}"))
    ]
    if removes:
        needed += [(CLAIMS_ACTIONS, _parameter(stack, path)), (REMOVAL_ACTIONS, repository.repository_arn)]
        needed += [(STATUS_ACTIONS, stack.stack_id)]
    return [iam.PolicyStatement(actions=list(actions), resources=[arn]) for actions, arn in needed]


def _parameter(stack: Stack, name: str) -> str:
    return stack.format_arn(service="ssm", resource="parameter", resource_name=name)
