"""``AWS::ECR::PublicRepository``: how stacks create, update and delete repositories."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ServiceError
from ..store.registries import Caller, Store
from ..store.state import Repository

RESOURCE_TYPE = "AWS::ECR::PublicRepository"

CREATE_ONLY = ("RepositoryName",)

CATALOG_MEMBERS = {
    "RepositoryDescription": "description",
    "Architectures": "architectures",
    "OperatingSystems": "operatingSystems",
    "AboutText": "aboutText",
    "UsageText": "usageText",
}
"""Property names of CloudFormation, and the member names of the API."""

Properties = Mapping[str, Any]


class ProvisioningError(ValueError):
    """A resource could not be provisioned; the message goes into the stack's events."""


@dataclass(frozen=True, slots=True)
class PublicRepositories:
    """Provisions the resource. ``Ref`` returns the name; the only attribute is ``Arn``."""

    store: Store

    def create(self, account: str, name: str, properties: Properties) -> Repository:
        """
        Create a repository.

        Raises:
            ProvisioningError: The service refuses the request.
        """
        try:
            repository = self.store.create_repository(account, name, tags=_tags(properties))
        except ServiceError as error:
            raise _failure(error) from error
        return _configure(repository, properties)

    def update(self, account: str, name: str, old: Properties, new: Properties) -> Repository:
        """
        Update a repository in place. A resource tag that was added outside the stack stays.

        Raises:
            ProvisioningError: It does not exist, or the tags are refused.
        """
        try:
            repository = self.store.repository(Caller(account=account), name)
            kept = {key: value for key, value in repository.resource_tags.items() if key not in _tags(old)}
            repository.resource_tags = kept
            self.store.tag_repository(repository, _tags(new))
        except ServiceError as error:
            raise _failure(error) from error
        return _configure(repository, new)

    def delete(self, account: str, name: str) -> None:
        """
        Delete a repository. It is not an error if it no longer exists.

        Raises:
            ProvisioningError: It still has images.
        """
        if name not in self.store.registry_of(account).repositories:
            return
        try:
            self.store.delete_repository(Caller(account=account), name, force=False)
        except ServiceError as error:
            raise _failure(error) from error


def physical_name(stack: str, logical_id: str) -> str:
    """Generate a name for a repository. The same resource always gets the same name."""
    seed = hashlib.sha256(f"{stack}/{logical_id}".encode()).hexdigest()[:12]
    readable = re.sub(r"[^a-z0-9]+", "-", f"{stack}-{logical_id}".lower()).strip("-")
    return f"{readable}-{seed}"


def _configure(repository: Repository, properties: Properties) -> Repository:
    policy = properties.get("RepositoryPolicyText")
    repository.policy = policy if isinstance(policy, str) or policy is None else json.dumps(policy)
    catalog = properties.get("RepositoryCatalogData")
    names = CATALOG_MEMBERS.items()
    repository.catalog_data = catalog and {ours: catalog[theirs] for theirs, ours in names if theirs in catalog}
    return repository


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in properties.get("Tags") or []}


def _failure(error: ServiceError) -> ProvisioningError:
    return ProvisioningError(f"{error.message} (Service: EcrPublic, Error Code: {error.kind.code})")
