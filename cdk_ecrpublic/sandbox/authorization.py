"""
What a call of the API has to be allowed: actions and resources, as IAM names them.

Source: service authorization reference, "Actions, resources, and condition
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
"""On the registry as a whole."""


@dataclass(frozen=True, slots=True)
class Permission:
    """
    One action on one resource.

    Attributes:
        action: ``ecr-public:PutImage``.
        resource: An ARN, or ``*`` for an action that has none.
        context: Condition keys that the action brings along.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


LOGIN = (
    Permission(f"{SERVICE}:GetAuthorizationToken", "*"),
    Permission("sts:GetServiceBearerToken", "*", {"sts:AWSServiceName": f"{SERVICE}.amazonaws.com"}),
)
"""A password is a bearer token of STS: both actions are needed, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """
    A signed call, and what it has to be allowed.

    Attributes:
        access_key: Whose signature it bears.
        account: The account that the key belongs to.
        scope: The request, as ASGI describes it.
        body: What the signature covers beside it.
    """

    access_key: str
    account: str
    region: str
    scope: Scope
    body: bytes
    permissions: tuple[Permission, ...]


Authorize = Callable[[Attempt], None]
"""Returns when the call may go on. Raises ServiceError: the caller is unknown, or not allowed."""


AuthorizeLogin = Callable[[str, str, Permission], None]
"""The same for whoever shows a password: its access key, the Region, and what the request needs."""


def allow_every_login(_access_key: str, _region: str, _permission: Permission) -> None:
    """Let every password do everything."""


def allow_everybody(_attempt: Attempt) -> None:
    """Let everybody do everything: what a sandbox without IAM does."""


def needed(operation: str, data: Mapping[str, Any], account: str, store: Store) -> tuple[Permission, ...]:
    """
    Return what a call needs.

    Args:
        data: Its parameters.
        account: The caller's.
        store: Knows whose registry an alias stands for.
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
