"""Public repositories: created, or imported by name, ARN or L1 construct."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import jsii
from aws_cdk import Annotations, Fn, RemovalPolicy, Resource, Stack
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from constructs import Construct

from .._assets.lambda_handler.errors import InvalidReferenceError, truncated_repr
from .._assets.lambda_handler.oci import is_account_id, parse_registry_id, parse_repository_name
from .._assets.lambda_handler.oci.reference import parse_declared_name
from ._iam.actions import DESCRIBE_ACTIONS, LOGIN_ACTIONS, PUSH_ACTIONS
from ._signature import shows_parameters
from ._tree import path_of, stack_of
from ._validation.values import (
    check,
    check_choices,
    check_instance,
    check_length,
    check_list,
    check_member,
    is_known,
    refuse,
    refuse_kind,
)

ABOUT_MAX_CHARACTERS = 10_240
USAGE_MAX_CHARACTERS = 10_240
DESCRIPTION_MAX_CHARACTERS = 1_024
"""Limits of catalog data. Reference: CloudFormation's schema of ``AWS::ECR::PublicRepository``."""

ARCHITECTURES = ("ARM", "ARM 64", "x86", "x86-64")
OPERATING_SYSTEMS = ("Linux", "Windows")
"""The allowed values. Reference: ECR Public API reference, ``RepositoryCatalogDataInput``."""

_ARN = re.compile(r"arn:aws:ecr-public::[0-9]{12}:repository/.+")
"""It has no Region. Reference: service authorization reference, Amazon ECR Public. The name is checked separately."""

_FROM_L1 = "@FromCfnPublicRepository"

_REGION = "us-east-1"
"""CloudFormation supports ``AWS::ECR::PublicRepository`` in this Region only."""


class IPublicRepository(Protocol):
    """A public repository that this app creates or imports."""

    @property
    def repository_name(self) -> str:
        """The name, without host and alias; can be a token."""

    @property
    def repository_arn(self) -> str:
        """The ARN, which has no Region; can be a token."""

    @property
    def registry_id(self) -> str | None:
        """The account id or alias of the registry; None means the stack's own account."""

    @property
    def identity(self) -> str:
        """Identifies the repository at synthesis: its name if it is known, else the path of its construct."""

    def grant(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        """Allow *actions* on this repository."""

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow *grantee* to list the images and tags of this repository through the API."""

    def grant_pull(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow *grantee* to log in, which raises the pull rate limit tenfold; anyone may pull anonymously."""

    def grant_push(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow *grantee* to push images."""

    def grant_pull_push(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow *grantee* to pull and push images."""


@jsii.implements(iam.IResourceWithPolicy)
class _Repository(Resource):
    """What created and imported repositories have in common."""

    repository_name: str
    """The name, without host and alias; can be a token."""

    repository_arn: str
    """The ARN, ``arn:aws:ecr-public::<account>:repository/<name>``; can be a token."""

    registry_id: str | None = None
    """The account id or alias of the registry; None means the stack's own account."""

    _given_name: str | None = None
    """The name that the app gave to the resource, whose ``repository_name`` is a token."""

    @property
    def identity(self) -> str:
        """Identifies the repository at synthesis: its name if it is known, else the path of its construct."""
        name = self._given_name or self.repository_name
        return name if is_known(name) else self.node.path

    def grant(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        """
        Allow *actions* on this repository.

        If the principal belongs to another account and this app creates the
        repository, the repository policy is changed, too.

        Args:
            grantee: The principal.
            actions: For example ``ecr-public:DescribeImages``.

        Raises:
            ValueError: *grantee* is not a grantable, or an action is not a string.
        """
        self._check_grant(grantee, actions)
        return iam.Grant.add_to_principal_or_resource(
            grantee=grantee,
            actions=list(actions),
            resource_arns=[self.repository_arn],
            # Statements of a repository policy have no resource.
            resource_self_arns=[],
            resource=self,
        )

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """
        Allow *grantee* to describe the repository, its images and its tags through the API.

        The API is in us-east-1 only. The images themselves are public.
        """
        return self.grant(grantee, *DESCRIBE_ACTIONS)

    def grant_pull(self, grantee: iam.IGrantable) -> iam.Grant:
        """
        Allow *grantee* to log in to ECR Public.

        Anyone may pull anonymously; an authenticated client may pull ten times as
        often. A login cannot be restricted to a repository, so this permission is
        on ``*``.
        """
        self._check_grant(grantee, LOGIN_ACTIONS)
        return iam.Grant.add_to_principal(grantee=grantee, actions=list(LOGIN_ACTIONS), resource_arns=["*"])

    def grant_push(self, grantee: iam.IGrantable) -> iam.Grant:
        """
        Allow *grantee* to push images, with ``docker push`` or through the API.

        This includes ``grant_pull``.
        """
        return self.grant_pull(grantee).combine(self.grant(grantee, *PUSH_ACTIONS))

    def grant_pull_push(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow *grantee* to pull and push images. This is the same as ``grant_push``."""
        return self.grant_push(grantee)

    def add_to_resource_policy(self, statement: iam.PolicyStatement) -> iam.AddToResourcePolicyResult:
        """
        Warn that this app cannot change the policy of an imported repository.

        Returns:
            A result that says that the statement was not added.
        """
        Annotations.of(self).add_warning_v2(
            "@cdk-ecrpublic:importedRepositoryPolicy",
            f"{', '.join(statement.actions)}: granted to a principal of another account, which the policy of the "
            "repository must allow, too; this app imports the repository and cannot change its policy, so add the "
            "statement where the repository is created",
        )
        return iam.AddToResourcePolicyResult(statement_added=False)

    def _check_grant(self, grantee: object, actions: Sequence[object]) -> None:
        if not hasattr(type(grantee), "grant_principal") and not hasattr(grantee, "grant_principal"):
            refuse_kind(f"{self.node.path}: grantee", grantee, "a role, a function or another IGrantable")
        for action in actions:
            if not isinstance(action, str):
                refuse_kind(f"{self.node.path}: actions", action, "IAM actions, each as a separate string")


@shows_parameters
class PublicRepository(_Repository):
    """
    A repository of Amazon ECR Public, with its catalog data for the gallery.

    CloudFormation can create public repositories in us-east-1 only. Stacks in
    other Regions import a repository with ``from_repository_name``.

    ```python
    PublicRepository(
        self, "Created",
        repository_name="acme/agent",
        description="Watches things",
        architectures=["x86-64", "ARM 64"],
    )
    imported = PublicRepository.from_repository_name(self, "Imported", "acme/tools")
    ```

    Args:
        repository_name: For example ``acme/agent``. Default: CloudFormation
            generates a name.
        description: One line, at most 1,024 characters. Default: none.
        about_text: Markdown, at most 10,240 characters. Default: none.
        usage_text: Markdown, at most 10,240 characters. Default: none.
        architectures: Any of ``ARM``, ``ARM 64``, ``x86``, ``x86-64``. Default: none.
        operating_systems: Any of ``Linux``, ``Windows``. Default: none.
        repository_policy: Allows other accounts to push. Default: only this account.
        removal_policy: What happens when the repository leaves the stack.
            Default: ``RETAIN``; the repository and its images stay.
        lifecycle_rules: Report images that these rules expire, as
            ``PublicRepositoryRetention`` does with its defaults. Default: none.

    Raises:
        ValueError: A value exceeds the limits of the service, or the stack is
            known to be in another Region.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        repository_name: str | None = None,
        description: str | None = None,
        about_text: str | None = None,
        usage_text: str | None = None,
        architectures: Sequence[str] = (),
        operating_systems: Sequence[str] = (),
        repository_policy: iam.PolicyDocument | None = None,
        removal_policy: RemovalPolicy = RemovalPolicy.RETAIN,
        lifecycle_rules: Sequence[ecr.LifecycleRule] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        path = self.node.path
        self._check_region()
        if repository_name is not None:
            check(f"{path}: repository_name", repository_name, parse_declared_name)
        check_length(f"{path}: description", description, DESCRIPTION_MAX_CHARACTERS)
        check_length(f"{path}: about_text", about_text, ABOUT_MAX_CHARACTERS)
        check_length(f"{path}: usage_text", usage_text, USAGE_MAX_CHARACTERS)
        check_choices(f"{path}: architectures", architectures, ARCHITECTURES)
        check_choices(f"{path}: operating_systems", operating_systems, OPERATING_SYSTEMS)
        if repository_policy is not None:
            expected = "an iam.PolicyDocument: iam.PolicyDocument.from_json({…})"
            check_instance(f"{path}: repository_policy", repository_policy, iam.PolicyDocument, expected)
        check_member(f"{path}: removal_policy", removal_policy, tuple(RemovalPolicy))
        check_list(f"{path}: lifecycle_rules", lifecycle_rules, "ecr.LifecycleRule")
        catalog_data = {
            "RepositoryDescription": description,
            "AboutText": about_text,
            "UsageText": usage_text,
            "Architectures": list(architectures),
            "OperatingSystems": list(operating_systems),
        }
        resource = ecr.CfnPublicRepository(
            self,
            "Resource",
            repository_name=repository_name,
            repository_catalog_data={key: value for key, value in catalog_data.items() if value} or None,
            repository_policy_text=repository_policy,
        )
        resource.apply_removal_policy(removal_policy)
        self._resource, self._policy = resource, repository_policy
        self._given_name = repository_name
        self.repository_name = resource.ref
        self.repository_arn = resource.attr_arn
        if lifecycle_rules:
            self._retain_by(lifecycle_rules)

    def _check_region(self) -> None:
        region = Stack.of(self).region
        if is_known(region) and region != _REGION:
            why = f"CloudFormation creates public repositories in {_REGION} only, and this stack is in {region!r}"
            refuse(self.node.path, why)

    def _retain_by(self, lifecycle_rules: Sequence[ecr.LifecycleRule]) -> None:
        from .retention import PublicRepositoryRetention  # noqa: PLC0415 - it needs repositories itself

        PublicRepositoryRetention(self, "Retention", repository=self, lifecycle_rules=lifecycle_rules)

    def add_to_resource_policy(self, statement: iam.PolicyStatement) -> iam.AddToResourcePolicyResult:
        """
        Add a statement to ``repository_policy``. It must have principals and no resource.

        Returns:
            A result that says that the statement was added.
        """
        self._policy = self._policy or iam.PolicyDocument()
        self._policy.add_statements(statement)
        self._resource.repository_policy_text = self._policy
        return iam.AddToResourcePolicyResult(statement_added=True, policy_dependable=self._resource)

    @staticmethod
    def from_repository_name(
        scope: Construct, construct_id: str, repository_name: str, *, registry_id: str | None = None
    ) -> IPublicRepository:
        """
        Import a repository by its name.

        Args:
            scope: The scope of the import.
            construct_id: The id of the import in that scope.
            repository_name: The name without host and alias: ``acme/agent``. If
                the name looks like a URI, such as ``ghcr.io/acme/agent``, use
                ``from_repository_arn``.
            registry_id: The account id, or an alias of the stack's own account.
                For a repository of another account use ``from_repository_arn``.
                Default: the stack's own account.

        Raises:
            ValueError: A value is malformed.
        """
        what = f"{path_of(scope)}/{construct_id}"
        check(f"{what}: repository_name", repository_name, parse_declared_name)
        if registry_id is not None:
            check(f"{what}: registry_id", registry_id, parse_registry_id)
        account = registry_id if registry_id and is_account_id(registry_id) else None
        repository = _Repository(scope, construct_id, account=account)
        repository.repository_name, repository.registry_id = repository_name, registry_id
        repository.repository_arn = stack_of(scope).format_arn(
            service="ecr-public", region="", account=account, resource="repository", resource_name=repository_name
        )
        return repository

    @staticmethod
    def from_repository_arn(
        scope: Construct, construct_id: str, repository_arn: str, *, registry_alias: str | None = None
    ) -> IPublicRepository:
        """
        Import a repository by its ARN.

        Args:
            scope: The scope of the import.
            construct_id: The id of the import in that scope.
            repository_arn: ``arn:aws:ecr-public::<account>:repository/<name>``.
            registry_alias: Required for a repository of another account, because
                the API describes the caller's own registry only. The policy of
                that repository must allow to put images. Default: none.

        Raises:
            ValueError: It is not the ARN of a public repository.
        """
        what = f"{path_of(scope)}/{construct_id}: repository_arn"
        check(what, repository_arn, _parse_arn)
        # Arn.split would cut a tokenized name at its first slash.
        name = Fn.select(1, Fn.split(":repository/", repository_arn))
        account = Fn.select(4, Fn.split(":", repository_arn))
        check(what, name, parse_repository_name)
        repository = _Repository(scope, construct_id, account=account if is_known(account) else None)
        repository.repository_name = name
        repository.repository_arn = repository_arn
        own = account == Stack.of(scope).account
        if registry_alias is not None:
            check(f"{path_of(scope)}/{construct_id}: registry_alias", registry_alias, parse_registry_id)
        repository.registry_id = registry_alias or (None if own else account)
        return repository

    @staticmethod
    def from_cfn_public_repository(cfn_public_repository: ecr.CfnPublicRepository) -> IPublicRepository:
        """
        Wrap an L1 construct of this app. Resources that use the result depend on it.

        Can be called repeatedly for the same construct.

        Raises:
            ValueError: It is not a ``CfnPublicRepository``.
        """
        expected = "an ecr.CfnPublicRepository of this app"
        check_instance(
            "PublicRepository.from_cfn_public_repository", cfn_public_repository, ecr.CfnPublicRepository, expected
        )
        wrapped = cfn_public_repository.node.try_find_child(_FROM_L1)
        if isinstance(wrapped, _Repository):
            return wrapped
        repository = _Repository(cfn_public_repository, _FROM_L1)
        repository._given_name = cfn_public_repository.repository_name  # noqa: SLF001 - a class of this module
        repository.repository_name = cfn_public_repository.ref
        repository.repository_arn = cfn_public_repository.attr_arn
        return repository


def name_at_synthesis(repository: IPublicRepository) -> str | None:
    """Return the name of a repository if it is known at synthesis; None if not."""
    given = getattr(repository, "_given_name", None)
    return next((name for name in (given, repository.repository_name) if name is not None and is_known(name)), None)


def _parse_arn(text: str) -> str:
    if not _ARN.fullmatch(text):
        message = (
            f"{truncated_repr(text)} is not the ARN of a public repository; "
            "expected arn:aws:ecr-public::<account>:repository/<name>"
        )
        raise InvalidReferenceError(message)
    return text
