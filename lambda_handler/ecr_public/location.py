"""Where a repository of Amazon ECR Public is: in which registry, and at which address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..aws.errcode import translated
from ..oci import RegistryHost, Repository, is_account_id
from ..retry import Retry
from .repository import EcrPublicRepository, ForeignRepository, HttpFace


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryLocation:
    """
    Where a repository is: for as long as it exists, and also when it is made anew.

    Attributes:
        registry_id: Account id; the alias for another account's.
        repository: Its address on the HTTP face.
        is_own: Whether it is in the caller's own registry.
    """

    registry_id: str
    name: str
    repository: Repository
    is_own: bool = True

    def open(self, client: Any, *, retry: Retry, http: HttpFace) -> EcrPublicRepository:  # noqa: ANN401
        """Open it for one invocation."""
        kind = EcrPublicRepository if self.is_own else ForeignRepository
        return kind(
            client=client,
            registry_id=self.registry_id,
            name=self.name,
            repository=self.repository,
            http=http,
            retry=retry,
        )


def find_repository(client: Any, registry_id: str | None, name: str, retry: Retry) -> RepositoryLocation:  # noqa: ANN401
    """
    Find a repository: its registry, and where its HTTP face is.

    Args:
        client: botocore's client for ``ecr-public`` in us-east-1.
        registry_id: Account id or alias; None is the caller's own registry.
        name: Without registry host and alias.

    Raises:
        NotFoundError: There is no such repository that the caller may see.
    """
    account = registry_id if registry_id is None or is_account_id(registry_id) else None
    if registry_id is not None and account is None:
        own = _describe_own_registry(client, retry)
        if registry_id not in own.aliases:
            repository = Repository(own.host, f"{registry_id}/{name}")
            return RepositoryLocation(registry_id=registry_id, name=name, repository=repository, is_own=False)
        account = own.registry_id
    found_in, repository = _describe_repository(client, account, name, retry)
    return RepositoryLocation(registry_id=found_in, name=name, repository=repository)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registry:
    """The caller's own registry."""

    registry_id: str
    aliases: frozenset[str]
    host: RegistryHost


def _describe_own_registry(client: Any, retry: Retry) -> _Registry:  # noqa: ANN401
    def call() -> _Registry:
        with translated("ecr-public:DescribeRegistries"):
            registry = client.describe_registries()["registries"][0]
            return _Registry(
                registry_id=registry["registryId"],
                # One that was asked for, and not given, may be another account's.
                aliases=frozenset(alias["name"] for alias in registry["aliases"] if alias["status"] == "ACTIVE"),
                host=RegistryHost.parse(registry["registryUri"].partition("/")[0]),
            )

    return retry.call("describing the registry", call, retry_access_denied=True)


def _describe_repository(client: Any, account: str | None, name: str, retry: Retry) -> tuple[str, Repository]:  # noqa: ANN401
    """Return the id of its registry, and its address."""
    registry = {"registryId": account} if account else {}

    def call() -> tuple[str, Repository]:
        with translated("ecr-public:DescribeRepositories"):
            found = client.describe_repositories(repositoryNames=[name], **registry)["repositories"][0]
            return found["registryId"], Repository.parse(found["repositoryUri"])

    return retry.call(f"describing repository {name!r}", call, retry_access_denied=True)
