"""
A role whose permissions are managed policies.

Compliance packs forbid inline policies (AWS Config: ``iam-no-inline-policy``).
Every permission that is granted to the role goes into a managed policy of the role,
and into another one when the first is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import Annotations, CfnElement
from aws_cdk import aws_iam as iam
from constructs import Construct

from .policy_size import policy_characters

POLICY_MAX_CHARACTERS = 6_144
"""The size limit of a managed policy without white space. Reference: IAM quotas."""

ROLE_MAX_POLICIES = 10
"""The limit for a role, unless the account's quota was raised. Reference: IAM quotas."""


@dataclass
class _Page:
    """One managed policy, and its size in characters."""

    policy: iam.ManagedPolicy
    characters: int

    def has_room(self, characters: int) -> bool:
        return self.characters + characters <= POLICY_MAX_CHARACTERS


class ManagedPolicyRole(iam.Role):
    """
    A role that never has an inline policy.

    The policies are children of the role, so a resource that depends on the role depends on them, too.

    Args:
        prefix: The prefix of the logical ids of the policies, which is followed by a number.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, assumed_by: iam.IPrincipal, description: str, prefix: str
    ) -> None:
        super().__init__(scope, construct_id, assumed_by=assumed_by, description=description)
        self._prefix = prefix
        self._pages: list[_Page] = []
        self._page_of: dict[iam.PolicyStatement, _Page] = {}
        self._attached = 0

    def add_to_principal_policy(self, statement: iam.PolicyStatement) -> iam.AddToPrincipalPolicyResult:
        """Add a statement to the first policy that has room for it. The CDK calls this for every grant."""
        # Including the brackets of a list, and a comma.
        needed = policy_characters(self, statement.to_statement_json()) + len("[],")
        page = next((page for page in self._pages if page.has_room(needed)), None) or self._new_page()
        page.policy.add_statements(statement)
        page.characters += needed
        self._page_of[statement] = page
        return iam.AddToPrincipalPolicyResult(statement_added=True, policy_dependable=page.policy)

    def widen(self, statement: iam.PolicyStatement, resource_arn: str) -> bool:
        """Add a resource to a statement of the role; return False if its policy has no room."""
        page = self._page_of[statement]
        needed = policy_characters(self, resource_arn) + len(",")
        if not page.has_room(needed):
            return False
        statement.add_resources(resource_arn)
        page.characters += needed
        return True

    def attach(self, scope: Construct, construct_id: str, statements: Sequence[iam.PolicyStatement]) -> Construct:
        """Create a separate policy with *statements* in *scope*."""
        self._count()
        return iam.ManagedPolicy(scope, construct_id, statements=list(statements), roles=[self])

    def _new_page(self) -> _Page:
        self._count()
        construct_id = f"ManagedPolicy{len(self._pages) + 1}"
        policy = iam.ManagedPolicy(self, construct_id, roles=[self])
        if isinstance(policy.node.default_child, CfnElement):
            policy.node.default_child.override_logical_id(f"{self._prefix}{construct_id}")
        page = _Page(policy, len('{"Statement":[],"Version":"2012-10-17"}'))
        self._pages.append(page)
        return page

    def _count(self) -> None:
        self._attached += 1
        if self._attached > ROLE_MAX_POLICIES:
            Annotations.of(self).add_warning_v2(
                "@cdk-ecrpublic:managedPolicies",
                f"the role needs more than {ROLE_MAX_POLICIES} managed policies, which is the limit of IAM unless the "
                "account's quota is raised (Service Quotas, IAM, 'Managed policies attached to an IAM role'); divide "
                "the images among stacks, or omit managed_policy: inline policies do not count",
            )
