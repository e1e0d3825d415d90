"""Find the registry and the address of a repository in Amazon ECR Public."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..aws.errcode import translated
from ..oci import RegistryHost, Repository, is_account_id
from ..on_demand import load
from ..retry import Retry
from .repository import EcrPublicRepository, RegistryApi


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class RepositoryLocation:
    """
    The location of a repository, which stays the same if the repository is recreated.

    Attributes:
        registry_id: The account id; for another account's registry, the alias.
        repository: The address in the registry API.
        is_own: Whether the repository is in the caller's own registry.
    """

    registry_id: str
    name: str
    repository: Repository
    is_own: bool = True

    def open(self, client: Any, *, retry: Retry, registry: RegistryApi) -> EcrPublicRepository:  # noqa: ANN401
        """Open the repository for one invocation."""
        kind: type[EcrPublicRepository] = (
            EcrPublicRepository if self.is_own else load(__package__, "foreign.ForeignRepository")
        )
        return kind(
            client=client,
            registry_id=self.registry_id,
            name=self.name,
            repository=self.repository,
            registry=registry,
            retry=retry,
        )


def find_repository(client: Any, registry_id: str | None, name: str, retry: Retry) -> RepositoryLocation:  # noqa: ANN401
    """
    Find the registry and the address of a repository.

    Args:
        client: A botocore client for ``ecr-public`` in us-east-1.
        registry_id: Account id or alias; None for the caller's own registry.
        name: The name without registry host and alias.

    Raises:
        NotFoundError: The repository does not exist.
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


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
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
                # A requested alias that is not active may belong to another account.
                aliases=frozenset(alias["name"] for alias in registry["aliases"] if alias["status"] == "ACTIVE"),
                host=RegistryHost.parse(registry["registryUri"].partition("/")[0]),
            )

    return retry.call("describing the registry", call, retry_access_denied=True)


def _describe_repository(client: Any, account: str | None, name: str, retry: Retry) -> tuple[str, Repository]:  # noqa: ANN401
    """Return the registry id and the address of the repository."""
    registry = {"registryId": account} if account else {}

    def call() -> tuple[str, Repository]:
        with translated("ecr-public:DescribeRepositories"):
            found = client.describe_repositories(repositoryNames=[name], **registry)["repositories"][0]
            return found["registryId"], Repository.parse(found["repositoryUri"])

    return retry.call(f"describing repository {name!r}", call, retry_access_denied=True)
