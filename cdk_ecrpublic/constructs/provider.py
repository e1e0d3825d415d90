"""The function that serves every ``PublicImage`` of a stack."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import jsii
from aws_cdk import Duration, Stack
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
    LOGIN_ACTIONS,
    PUBLISH_ACTIONS,
    REGISTRY_ACTIONS,
    REMOVAL_ACTIONS,
    UNDO_ACTIONS,
)
from ._iam.managed_role import ManagedPolicyRole
from ._iam.undo_policies import UndoPolicies
from ._records import record_statements
from ._validation.image import check_partition
from ._validation.provider import check_options
from ._validation.values import check_instance, check_list, check_repository, check_text, refuse, refuse_kind
from .public_repository import IPublicRepository

STATEMENT_MAX_RESOURCES = 18
"""
More resources go into another statement with the same actions.

The CDK spreads the statements of a large role over several managed policies,
of 6,144 characters each (IAM quotas), but it never divides a statement. Two of
this size fit into one, for names of repositories up to 100 characters.
"""

DEFAULT_ID = "ECRPublicImageProvider"

_STACK_PROVIDER = "_cdk_ecrpublic_provider"

_LOG_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")

_VPC_ACTIONS = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
"""What Lambda needs of a function's role to attach it to a VPC: Lambda developer guide, "Connecting to a VPC"."""


@jsii.implements(iam.IGrantable)
class PublicImageProvider(Construct):
    """
    Function, role and log group behind the images of one stack.

    A stack has one. The first ``PublicImage`` makes it, with the defaults
    below; to set options, make it before that and pass it to the images as
    ``provider=``. Changing an option updates the function in place.

    Args:
        memory_size: In MiB, from 128 to 10,240; the CPU grows with it. Default: 512.
        timeout: From 1 to 15 minutes; what is not used is not paid.
            Default: 15 minutes.
        log_retention: How long its log is kept. Default: one month.
        role: Gets the permissions that the images need, if it is mutable;
            import one that another stack makes, ``Role.from_role_arn(…)``.
            Default: a role of its own that has nothing else.
        vpc: Where it runs; from there it needs a way to the internet.
            Default: in no VPC.
        vpc_subnets: Which subnets of *vpc*. Default: its private subnets.
        security_groups: In *vpc*. Default: one of its own that lets it out.
        log_encryption_key: Encrypts its log; the key's policy must let
            CloudWatch Logs use it. Default: CloudWatch's own encryption.
        tracing: Whether X-Ray follows its runs. Default: it does not.
        dead_letter_queue: Gets the requests that Lambda could not have served,
            each in two forms: as it was sent, and with what became of it.
            CloudFormation then waits in vain; nobody has to answer them.
            Default: none.
        reserved_concurrent_executions: How many images are published at
            once at most; the others wait in Lambda's queue, while
            CloudFormation's time for them runs. Default: no limit of its own.
        permissions_boundary: Of the function's own role. Default: none.
        managed_policy: Whether the permissions of the function's own role are
            managed policies, as compliance packs want it; a role may have ten,
            and each image that is remembered takes one (a source that may
            move, ``UNTAG``, ``DESTROY``). Default: they are inline.
        authenticated_reads: Whether the function logs in to ECR Public to read
            manifests, which takes a permission on ``*``. Where it may not, it
            reads them as anybody may: one a second for an address that many
            share, instead of ten for the account. Sources that copy layers
            log in all the same, to store them. Default: it does.

    Raises:
        ValueError: The stack has one already or is in a partition that has
            no ECR Public, a value is out of range or of another kind, or
            *managed_policy* is asked for with a role that is given.
    """

    def __init__(  # noqa: PLR0913 - keyword-only options
        self,
        scope: Construct,
        construct_id: str,
        *,
        memory_size: int = 512,
        timeout: Duration | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        role: iam.IRole | None = None,
        vpc: ec2.IVpc | None = None,
        vpc_subnets: ec2.SubnetSelection | None = None,
        security_groups: Sequence[ec2.ISecurityGroup] | None = None,
        log_encryption_key: kms.IKey | None = None,
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
            self.node.path, **of_function, role=role, log_retention=log_retention,
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
        self.allow(_LOG_ACTIONS, log_group.log_group_arn)
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
        """Return the provider of the stack that *scope* is in; make one with the defaults if it has none."""
        stack = Stack.of(scope)
        provider: PublicImageProvider | None = getattr(stack, _STACK_PROVIDER, None)
        return provider or PublicImageProvider(stack, DEFAULT_ID)

    @property
    def service_token(self) -> str:
        """The function's ARN: what every custom resource of the stack is served by."""
        return self.function.function_arn

    @property
    def grant_principal(self) -> iam.IPrincipal:
        """The role, so that ``bucket.grant_read(provider)`` works."""
        return self.role.grant_principal

    def allow(self, actions: Sequence[str], resource_arn: str) -> None:
        """
        Allow the function *actions* on one resource.

        Statements with the same actions are one, with a list of resources:
        a role of hundreds of images stays readable, and within IAM's limits.

        Raises:
            ValueError: *actions* is no list, or the resource no text.
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
        Allow the function *statements* by a policy of its own, which lives as long as *scope*.

        Args:
            scope: What the policy belongs to.
            construct_id: The policy's id there.
            statements: At least one.

        Returns:
            What has to be waited for.

        Raises:
            ValueError: *statements* is no list.
        """
        check_list("PublicImageProvider.attach: statements", statements, "iam.PolicyStatement")
        if isinstance(self.role, ManagedPolicyRole):
            # Another id: CloudFormation cannot make another type of resource of one that it has.
            return self.role.attach(scope, f"{construct_id}ManagedPolicy", statements)
        policy = iam.Policy(scope, construct_id, statements=list(statements))
        # Not policy.attach_to_role: it would also write to a role that was given to be left alone.
        self.role.attach_inline_policy(policy)
        self._policies.append(policy)
        return policy

    def allow_publishing(
        self, repository: IPublicRepository, *, copies: bool = False, needs_layers: bool = False
    ) -> None:
        """
        Allow the function to observe *repository* and to put images into it.

        Args:
            copies: Also to store layers there.
            needs_layers: Also to see whether it has the layers of an image.

        Raises:
            ValueError: No repository of ECR Public.
        """
        check_repository("PublicImageProvider.allow_publishing: repository", repository)
        self.allow(PUBLISH_ACTIONS, repository.repository_arn)
        if copies:
            self.allow(COPY_ACTIONS, repository.repository_arn)
            self.allow(LOGIN_ACTIONS, "*")
        elif needs_layers:
            self.allow(CHECK_ACTIONS, repository.repository_arn)
        if repository.registry_id and not is_account_id(repository.registry_id):
            stack = Stack.of(self)
            self.allow(
                REGISTRY_ACTIONS,
                stack.format_arn(service="ecr-public", region="", resource="registry", resource_name=stack.account),
            )

    def allow_remembering(self) -> None:
        """Allow the function to remember what a rollback and a removal need; done by itself, more than once is fine."""
        for actions, resource_arn in record_statements(self):
            self.allow(actions, resource_arn)

    def keep_for_undo(
        self, dependent: IConstruct, repository: IPublicRepository, key: tuple[str, ...], *, removes: bool
    ) -> None:
        """
        Allow the function to take back what it did in *repository*, by a policy that outlives its images.

        Args:
            dependent: The image's resource, which is deleted before the policy.
            key: Tells the repository from all others of the app.
            removes: Tags and images may be removed from it. If not, there is a
                policy only where the role and the stack have room for it.
        """
        construct_id = f"{'Removal' if removes else 'Undo'}{hashlib.sha256('/'.join(key).encode()).hexdigest()[:8]}"
        actions = REMOVAL_ACTIONS if removes else UNDO_ACTIONS
        statement = iam.PolicyStatement(actions=[*actions], resources=[repository.repository_arn])
        if removes:
            self._undo_policies.require(construct_id, statement, dependent)
        elif not isinstance(self.role, ManagedPolicyRole):  # which has ten policies at most
            self._undo_policies.offer(construct_id, statement, dependent)

    def allow_reading(self) -> None:
        """Allow the function to read manifests over the registry's HTTP face; as an authenticated client, if it may."""
        if self._authenticated_reads:
            self.allow(LOGIN_ACTIONS, "*")

    @property
    def inline_policies(self) -> list[iam.Policy]:
        """What the role has that is not managed, as far as this stack makes it."""
        return [*self._policies, *filter(None, [self._default_policy])]

    @property
    def _default_policy(self) -> iam.Policy | None:
        policy = self.role.node.try_find_child("DefaultPolicy")
        return policy if isinstance(policy, iam.Policy) else None

    def _widen(self, key: tuple[str, ...], resource_arn: str) -> bool:
        """Add a resource to the last statement with these actions; False where it takes no more."""
        if key not in self._statements:
            return False
        if isinstance(self.role, ManagedPolicyRole):
            return self.role.widen(self._statements[key], resource_arn)
        if len(self._resources[key]) % STATEMENT_MAX_RESOURCES == 0:
            return False
        self._statements[key].add_resources(resource_arn)
        return True

    def _become_the_only_one(self) -> None:
        stack = Stack.of(self)
        other: PublicImageProvider | None = getattr(stack, _STACK_PROVIDER, None)
        if other is not None:
            refuse(
                self.node.path,
                f"stack {stack.stack_name!r} has a PublicImageProvider already, {other.node.path!r}, and the "
                "options of a second would be ignored; make one before the stack's first PublicImage, and pass it on",
            )
        setattr(stack, _STACK_PROVIDER, self)


def provider_of(
    what: str, make_provider: Callable[[Construct], PublicImageProvider] | None, scope: Construct
) -> PublicImageProvider:
    """
    Return what *make_provider* makes in *scope*; without one, the stack's own.

    Raises:
        ValueError: It is no function, or makes something else.
    """
    if make_provider is None:
        return PublicImageProvider.of(scope)
    if not callable(make_provider):
        refuse_kind(what, make_provider, "a function: lambda scope: PublicImageProvider(scope, 'Provider')")
    provider = make_provider(scope)
    check_instance(f"{what}()", provider, PublicImageProvider, "a PublicImageProvider")
    return provider
