"""
Policies that let the function take back what it did in a repository that leaves the stack.

A resource that is deleted or replaced needs its permissions until the very
end, when CloudFormation has changed the function's own policy already. What
depends on a policy of its own is deleted before that policy.
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
"""Of all inline policies of a role, white space not counted: IAM quotas."""

STACK_MAX_RESOURCES = 500
"""CloudFormation quotas."""

SPARE_CHARACTERS = 500
"""Left for what an app grants the function beside what its images need."""


@jsii.implements(IAspect)
class UndoPolicies:
    """
    The policies of one function, by repository.

    Those that removals need are always made. The others are made when the app
    is synthesized, as far as the role and the stack have room for them.
    """

    def __init__(self, provider: PublicImageProvider) -> None:
        self._provider = provider
        self._policies: dict[str, Construct] = {}
        self._waiting: dict[str, tuple[iam.PolicyStatement, list[IConstruct]]] = {}
        Aspects.of(provider).add(self)

    def require(self, construct_id: str, statement: iam.PolicyStatement, dependent: IConstruct) -> None:
        """Make the policy that *dependent* needs until it is deleted."""
        if construct_id not in self._policies:
            self._policies[construct_id] = self._provider.attach(self._provider, construct_id, [statement])
        dependent.node.add_dependency(self._policies[construct_id])

    def offer(self, construct_id: str, statement: iam.PolicyStatement, dependent: IConstruct) -> None:
        """Make the policy that *dependent* needs until it is deleted, later and if there is room for it."""
        self._waiting.setdefault(construct_id, (statement, []))[1].append(dependent)

    def visit(self, node: IConstruct) -> None:
        """Make the policies that wait, when the app is synthesized."""
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
    """Count the resources of a stack's own template."""
    constructs = stack.node.find_all()
    nested = [each for each in constructs if isinstance(each, NestedStack) and each.nested_stack_parent is stack]
    total = sum(isinstance(each, CfnResource) for each in constructs)
    return total - sum(isinstance(each, CfnResource) for part in nested for each in part.node.find_all())
