"""The function that serves every ``PublicImage`` of a stack."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import jsii
from aws_cdk import Duration
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sqs as sqs
from constructs import Construct, IConstruct

from .._assets.lambda_handler.oci import is_account_id
from ._function import FUNCTION_LOGICAL_ID, fix_logical_id, make_function, make_invocations, make_log_group, make_role
from ._iam.actions import (
    CHECK_ACTIONS,
    COPY_ACTIONS,
    LOG_ACTIONS,
    LOGIN_ACTIONS,
    PUBLISH_ACTIONS,
    REGISTRY_ACTIONS,
    REMOVAL_ACTIONS,
    UNDO_ACTIONS,
)
from ._iam.managed_role import ManagedPolicyRole
from ._iam.undo_policies import UndoPolicies
from ._records import record_statements
from ._signature import shows_parameters
from ._tree import account_of, once, path_of, stack_of
from ._validation.image import check_partition
from ._validation.provider import check_options
from ._validation.values import check_instance, check_list, check_repository, check_text, refuse, refuse_kind
from .public_repository import IPublicRepository

STATEMENT_MAX_RESOURCES = 18
"""
Further resources go into another statement with the same actions.

The CDK spreads the statements of a large role over several managed policies
of 6,144 characters each (IAM quotas), but it never splits a statement. A policy
holds two statements of this size, with repository names of up to 100 characters.
"""

DEFAULT_ID = "ECRPublicImageProvider"

_STACK_PROVIDER = "_cdk_ecrpublic_provider"

_VPC_ACTIONS = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
"""What Lambda needs to attach a function to a VPC. Reference: Lambda developer guide, "Connecting to a VPC"."""


@shows_parameters
@jsii.implements(iam.IGrantable)
class PublicImageProvider(Construct):
    """
    The function, role and log group behind the images of a stack.

    Each stack has one provider. The first ``PublicImage`` creates it, with the
    defaults below. To set options, create the provider before the first image
    and pass it to the images as ``provider=``. Changing an option updates the
    function in place.

    ```python
    provider = PublicImageProvider(self, "Provider", memory_size=1024)
    PublicImage(
        self, "Release",
        repository=repository,
        source=ImageSource.registry("ghcr.io/acme/agent@sha256:9f2c…"),
        tags=["1.4.2"],
        provider=provider,
    )
    ```

    Args:
        memory_size: In MiB, from 128 to 10,240. The CPU share grows with it.
            Default: 512.
        timeout: From 1 to 15 minutes. You pay only for the time that is used.
            Default: 15 minutes.
        log_retention: How long the log is kept. Default: one month.
        role: The role of the function. If it is mutable, it gets the permissions
            that the images need. Import a role of another stack with
            ``Role.from_role_arn(…)``. Default: a new role.
        vpc: The VPC in which the function runs. It needs access to the internet
            from there. Default: none.
        vpc_subnets: The subnets of *vpc*. Default: its private subnets.
        security_groups: The security groups in *vpc*. Default: a new one that
            allows outbound traffic.
        log_encryption_key: Encrypts the log. The key policy must allow
            CloudWatch Logs to use the key. Default: CloudWatch's own encryption.
        tracing: The X-Ray tracing mode. Default: disabled.
        dead_letter_queue: Gets the requests that Lambda could not process, each
            in two forms: the event alone, and the event with the result of the
            invocation. CloudFormation gets no response to them and fails after
            its timeout; you do not have to respond. Default: none.
        reserved_concurrent_executions: The maximum number of images that are
            published at once. Further requests wait in Lambda's queue, while
            CloudFormation's timeout runs. Default: no limit.
        permissions_boundary: The permissions boundary of the new role. Default: none.
        managed_policy: Whether the permissions of the new role are managed
            policies, as compliance packs require. A role can have ten of them,
            and each repository from which something may be removed needs one.
            Default: False; they are inline.
        authenticated_reads: Whether the function logs in to ECR Public to read
            manifests, which needs a permission on ``*``. Without a login, it
            reads anonymously: one manifest per second for an IP address that
            many share, instead of ten per second for the account. Sources that
            copy layers always log in, to upload them. Default: True.

    Raises:
        ValueError: The stack already has a provider or is in a partition without
            ECR Public; a value is out of range or has the wrong type; or
            *managed_policy* is combined with *role*.
    """

    def __init__(  # noqa: PLR0913 - keyword-only options
        self,
        scope: Construct,
        construct_id: str,
        *,
        memory_size: int = 512,
        timeout: Duration | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        role: iam.IRole | iam.Role | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        log_encryption_key: kms.IKey | kms.Key | None = None,
        tracing: lambda_.Tracing | None = None,
        dead_letter_queue: sqs.IQueue | None = None,
        reserved_concurrent_executions: int | None = None,
        permissions_boundary: iam.IManagedPolicy | None = None,
        managed_policy: bool = False,
        authenticated_reads: bool = True,
    ) -> None:
        super().__init__(scope, construct_id)
        check_partition(self)
        of_function: dict[str, Any] = {
            "memory_size": memory_size, "timeout": Duration.minutes(15) if timeout is None else timeout, "vpc": vpc,
            "vpc_subnets": vpc_subnets, "security_groups": security_groups, "tracing": tracing,
            "dead_letter_queue": dead_letter_queue, "reserved_concurrent_executions": reserved_concurrent_executions,
        }  # fmt: skip
        check_options(
            path_of(self), **of_function, role=role, log_retention=log_retention,
            log_encryption_key=log_encryption_key, permissions_boundary=permissions_boundary,
            managed_policy=managed_policy, authenticated_reads=authenticated_reads,
        )  # fmt: skip
        self._become_the_only_one()
        log_group = make_log_group(self, retention=log_retention, encryption_key=log_encryption_key)
        self.role = make_role(self, role, managed_policy=managed_policy)
        self._authenticated_reads = authenticated_reads
        self._statements: dict[tuple[str, ...], iam.PolicyStatement] = {}
        self._resources: dict[tuple[str, ...], set[str]] = {}
        self._policies: list[iam.Policy] = []
        self._undo_policies = UndoPolicies(self)
        self.allow(LOG_ACTIONS, log_group.log_group_arn)
        # Not only once there is an image: the last one may be leaving the stack.
        self.allow_remembering()
        if role is None and self._default_policy is not None:
            fix_logical_id(self._default_policy, f"{FUNCTION_LOGICAL_ID}Policy")
        if vpc is not None:
            self.allow(_VPC_ACTIONS, "*")
        if permissions_boundary is not None and role is None:
            iam.PermissionsBoundary.of(self.role).apply(permissions_boundary)
        self.function = make_function(self, role=self.role, log_group=log_group, **of_function)
        self.invocations = make_invocations(self, self.function, dead_letter_queue)

    @staticmethod
    def of(scope: Construct) -> PublicImageProvider:
        """Return the provider of the stack of *scope*; create one with the defaults if there is none."""
        stack = stack_of(scope)
        provider: PublicImageProvider | None = getattr(stack, _STACK_PROVIDER, None)
        return provider or PublicImageProvider(stack, DEFAULT_ID)

    @property
    def service_token(self) -> str:
        """The ARN of the function, to which CloudFormation sends the requests of all images of the stack."""
        return once(self, "arn", lambda: self.function.function_arn)

    @property
    def grant_principal(self) -> iam.IPrincipal:
        """The role of the function, so that ``bucket.grant_read(provider)`` works."""
        return self.role.grant_principal

    def allow(self, actions: Sequence[str], resource_arn: str) -> None:
        """
        Allow the function *actions* on one resource.

        Statements with the same actions are merged into one with a list of
        resources, so a role for hundreds of images stays readable and within
        the limits of IAM.

        Raises:
            ValueError: *actions* is not a list, or *resource_arn* is not a string.
        """
        check_list("PublicImageProvider.allow: actions", actions, "IAM actions, e.g. ['s3:GetObject']")
        check_text("PublicImageProvider.allow: resource_arn", resource_arn, "an ARN")
        key = tuple(actions)
        resources = self._resources.setdefault(key, set())
        if resource_arn in resources:
            return
        if not self._widen(key, resource_arn):
            self._statements[key] = iam.PolicyStatement(actions=list(actions), resources=[resource_arn])
            self.role.add_to_principal_policy(self._statements[key])
        resources.add(resource_arn)

    def attach(self, scope: Construct, construct_id: str, statements: Sequence[iam.PolicyStatement]) -> Construct:
        """
        Allow the function *statements* with a separate policy in *scope*.

        Args:
            scope: The scope of the policy.
            construct_id: The id of the policy in that scope.
            statements: At least one statement.

        Returns:
            The policy, for a resource to depend on.

        Raises:
            ValueError: *statements* is not a list.
        """
        check_list("PublicImageProvider.attach: statements", statements, "iam.PolicyStatement")
        if isinstance(self.role, ManagedPolicyRole):
            # Another id, because CloudFormation cannot change the type of an existing resource.
            return self.role.attach(scope, f"{construct_id}ManagedPolicy", statements)
        policy = iam.Policy(scope, construct_id, statements=list(statements))
        # Not policy.attach_to_role: it would also change an immutable role.
        self.role.attach_inline_policy(policy)
        self._policies.append(policy)
        return policy

    def allow_publishing(
        self, repository: IPublicRepository, *, copies: bool = False, needs_layers: bool = False
    ) -> None:
        """
        Allow the function to read *repository* and to put images into it.

        Args:
            copies: Also allow it to upload layers.
            needs_layers: Also allow it to check which layers exist.

        Raises:
            ValueError: *repository* is not a repository of ECR Public.
        """
        check_repository("PublicImageProvider.allow_publishing: repository", repository)
        self.allow(PUBLISH_ACTIONS, repository.repository_arn)
        if copies:
            self.allow(COPY_ACTIONS, repository.repository_arn)
            self.allow(LOGIN_ACTIONS, "*")
        elif needs_layers:
            self.allow(CHECK_ACTIONS, repository.repository_arn)
        if repository.registry_id and not is_account_id(repository.registry_id):
            stack, account = stack_of(self), account_of(self)
            self.allow(
                REGISTRY_ACTIONS,
                stack.format_arn(service="ecr-public", region="", resource="registry", resource_name=account),
            )

    def allow_remembering(self) -> None:
        """Allow the function to keep the records that a rollback or a removal needs. Can be called repeatedly."""
        for actions, resource_arn in record_statements(self):
            self.allow(actions, resource_arn)

    def keep_for_undo(
        self, dependent: IConstruct, repository: IPublicRepository, key: tuple[str, ...], *, removes: bool
    ) -> None:
        """
        Allow the function to undo its work in *repository*, with a policy that outlives the images.

        Args:
            dependent: The resource of an image, which is deleted before the policy.
            key: Identifies the repository within the app.
            removes: Whether tags and images may be removed from the repository.
                If not, the policy is created only if the role and the stack have
                room for it.
        """
        construct_id = f"{'Removal' if removes else 'Undo'}{hashlib.sha256('/'.join(key).encode()).hexdigest()[:8]}"
        actions = REMOVAL_ACTIONS if removes else UNDO_ACTIONS
        statement = iam.PolicyStatement(actions=[*actions], resources=[repository.repository_arn])
        if removes:
            self._undo_policies.require(construct_id, statement, dependent)
        elif not isinstance(self.role, ManagedPolicyRole):  # which can have ten policies
            self._undo_policies.offer(construct_id, statement, dependent)

    def allow_reading(self) -> None:
        """Allow the function to log in for reading manifests, unless ``authenticated_reads`` is False."""
        if self._authenticated_reads:
            self.allow(LOGIN_ACTIONS, "*")

    @property
    def inline_policies(self) -> list[iam.Policy]:
        """The inline policies of the role that this stack creates."""
        return [*self._policies, *filter(None, [self._default_policy])]

    @property
    def _default_policy(self) -> iam.Policy | None:
        policy = self.role.node.try_find_child("DefaultPolicy")
        return policy if isinstance(policy, iam.Policy) else None

    def _widen(self, key: tuple[str, ...], resource_arn: str) -> bool:
        """Add a resource to the last statement with these actions; return False if it has no room."""
        if key not in self._statements:
            return False
        if isinstance(self.role, ManagedPolicyRole):
            return self.role.widen(self._statements[key], resource_arn)
        if len(self._resources[key]) % STATEMENT_MAX_RESOURCES == 0:
            return False
        self._statements[key].add_resources(resource_arn)
        return True

    def _become_the_only_one(self) -> None:
        stack = stack_of(self)
        other: PublicImageProvider | None = getattr(stack, _STACK_PROVIDER, None)
        if other is not None:
            refuse(
                path_of(self),
                f"stack {stack.stack_name!r} already has a PublicImageProvider, {path_of(other)!r}, and a second one "
                "would be ignored; create one before the first PublicImage of the stack, and pass it as provider=",
            )
        setattr(stack, _STACK_PROVIDER, self)


def provider_of(
    what: str, make_provider: Callable[[Construct], PublicImageProvider] | None, scope: Construct
) -> PublicImageProvider:
    """
    Return the provider that *make_provider* creates in *scope*; by default, the provider of the stack.

    Raises:
        ValueError: *make_provider* is not a function, or returns something else.
    """
    if make_provider is None:
        return PublicImageProvider.of(scope)
    if not callable(make_provider):
        refuse_kind(what, make_provider, "a function: lambda scope: PublicImageProvider(scope, 'Provider')")
    provider = make_provider(scope)
    check_instance(f"{what}()", provider, PublicImageProvider, "a PublicImageProvider")
    return provider
