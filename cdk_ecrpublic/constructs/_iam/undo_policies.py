"""
Policies that let the function undo its work in a repository that leaves the stack.

A resource that is deleted or replaced needs its permissions until the very end of
a deployment, when CloudFormation has already changed the function's own policy. A
resource that depends on a separate policy is deleted before that policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsii
from aws_cdk import Aspects, CfnResource, IAspect, NestedStack, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct, IConstruct

from .policy_size import policy_characters

if TYPE_CHECKING:
    from ..provider import PublicImageProvider

ROLE_MAX_CHARACTERS = 10_240
"""The size limit of all inline policies of a role without white space. Reference: IAM quotas."""

STACK_MAX_RESOURCES = 500
"""Reference: CloudFormation quotas."""

SPARE_CHARACTERS = 500
"""Reserved for permissions that the app grants to the function."""


@jsii.implements(IAspect)
class UndoPolicies:
    """
    The policies of one function, by repository.

    Policies for removals are always created. The others are created when the app
    is synthesized, as far as the role and the stack have room.
    """

    def __init__(self, provider: PublicImageProvider) -> None:
        self._provider = provider
        self._policies: dict[str, Construct] = {}
        self._waiting: dict[str, tuple[iam.PolicyStatement, list[IConstruct]]] = {}
        Aspects.of(provider).add(self)

    def require(self, construct_id: str, statement: iam.PolicyStatement, dependent: IConstruct) -> None:
        """Create the policy that *dependent* needs until it is deleted."""
        if construct_id not in self._policies:
            self._policies[construct_id] = self._provider.attach(self._provider, construct_id, [statement])
        dependent.node.add_dependency(self._policies[construct_id])

    def offer(self, construct_id: str, statement: iam.PolicyStatement, dependent: IConstruct) -> None:
        """Request the policy that *dependent* needs until it is deleted; synthesis creates it if there is room."""
        self._waiting.setdefault(construct_id, (statement, []))[1].append(dependent)

    def visit(self, node: IConstruct) -> None:
        """Create the requested policies when the app is synthesized."""
        if node is not self._provider or not self._waiting:
            return
        used = sum(self._characters(each.document.to_json()) for each in self._provider.inline_policies)
        characters = ROLE_MAX_CHARACTERS - SPARE_CHARACTERS - used
        resources = STACK_MAX_RESOURCES - _count_resources(Stack.of(node))
        for construct_id, (statement, dependents) in self._waiting.items():
            needed = self._characters({"Statement": [statement.to_statement_json()], "Version": "2012-10-17"})
            if characters < needed or resources < 1:
                break
            for dependent in dependents:
                self.require(construct_id, statement, dependent)
            characters, resources = characters - needed, resources - 1
        self._waiting.clear()

    def _characters(self, document: object) -> int:
        return policy_characters(self._provider, document)


def _count_resources(stack: Stack) -> int:
    """Count the resources in the template of a stack, without its nested stacks."""
    constructs = stack.node.find_all()
    nested = [each for each in constructs if isinstance(each, NestedStack) and each.nested_stack_parent is stack]
    total = sum(isinstance(each, CfnResource) for each in constructs)
    return total - sum(isinstance(each, CfnResource) for part in nested for each in part.node.find_all())
