"""
The IAM actions and resources that each API call requires.

References: service authorization reference, "Actions, resources, and condition
keys for Amazon Elastic Container Registry Public".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from cdk_ecrpublic._assets.lambda_handler.oci import is_account_id

from .operations import SERVICE
from .store.registries import Store

REGISTRY_OPERATIONS = frozenset({"DescribeRegistries", "GetRegistryCatalogData", "PutRegistryCatalogData"})
"""Operations on the registry as a whole."""


@dataclass(frozen=True, slots=True)
class Permission:
    """
    One action on one resource.

    Attributes:
        action: ``ecr-public:PutImage``.
        resource: An ARN, or ``*`` for an action without resource-level permissions.
        context: Condition keys of the action.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


LOGIN = (
    Permission(f"{SERVICE}:GetAuthorizationToken", "*"),
    Permission("sts:GetServiceBearerToken", "*", {"sts:AWSServiceName": f"{SERVICE}.amazonaws.com"}),
)
"""A password is an STS bearer token, so both actions are required, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    A signed call, and the permissions that it requires.

    Attributes:
        access_key: The access key of the signature.
        account: The account of the key.
        scope: The ASGI scope of the request.
        body: The body, which the signature also covers.
    """

    access_key: str
    account: str
    region: str
    scope: Scope
    body: bytes
    permissions: tuple[Permission, ...]


Authorize = Callable[[Attempt], None]
"""Returns if the call is allowed. Raises ServiceError if the caller is unknown or not allowed."""


AuthorizeLogin = Callable[[str, str, Permission], None]
"""The same for a request with a password: its access key, the Region, and the required permissions."""


def allow_every_login(_access_key: str, _region: str, _permission: Permission) -> None:
    """Allow every password to do everything."""


def allow_everybody(_attempt: Attempt) -> None:
    """Allow every call; used in a sandbox without IAM."""


def needed(operation: str, data: Mapping[str, Any], account: str, store: Store) -> tuple[Permission, ...]:
    """
    Return the permissions that a call requires.

    Args:
        data: The parameters of the call.
        account: The caller's account.
        store: Resolves the alias of a registry.
    """
    if operation == "GetAuthorizationToken":
        return LOGIN
    action = f"{SERVICE}:{operation}"
    if operation in REGISTRY_OPERATIONS:
        return (Permission(action, f"arn:aws:{SERVICE}::{account}:registry/{account}"),)
    if "resourceArn" in data:
        return (Permission(action, data["resourceArn"]),)
    owner = _owner(data.get("registryId", ""), account, store)
    # Without names, DescribeRepositories lists all of them.
    names = [data["repositoryName"]] if "repositoryName" in data else data.get("repositoryNames") or ["*"]
    return tuple(Permission(action, f"arn:aws:{SERVICE}::{owner}:repository/{name}") for name in names)


def _owner(registry: str, account: str, store: Store) -> str:
    if is_account_id(registry):
        return registry
    named = store.registry_by_alias(registry) if registry else None
    return named.account if named else account
