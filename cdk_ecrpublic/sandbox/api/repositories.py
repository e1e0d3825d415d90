"""Operations of the control-plane API for registries and repositories."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .. import errors
from ..store import policy
from ..store.paging import PAGE_SIZE, page
from ..store.state import Registry, Repository
from .context import ApiContext, Operation, Result

_ARN = re.compile(r"arn:aws:ecr-public::(?P<account>[0-9]{12}):repository/(?P<name>.+)")


def create_repository(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Create a repository."""
    repository = context.store.create_repository(
        context.account,
        data["repositoryName"],
        catalog_data=catalog_data(data["catalogData"]) if "catalogData" in data else None,
        tags=_tag_map(data.get("tags", [])),
    )
    return {"repository": _repository(context, repository), "catalogData": repository.catalog_data or {}}


def delete_repository(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Delete a repository."""
    shown = _repository(context, context.repository(data))
    context.store.delete_repository(context.caller(data), data["repositoryName"], force=data.get("force", False))
    return {"repository": shown}


def describe_repositories(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Describe the given repositories, or list all repositories of the caller in pages."""
    if names := data.get("repositoryNames"):
        found = [context.repository({**data, "repositoryName": name}) for name in names]
        return {"repositories": [_repository(context, repository) for repository in found]}
    registry = context.store.registry(context.caller(data))
    own = registry.repositories.values() if registry.account == context.account else ()
    chosen, token = page(own, data.get("maxResults", PAGE_SIZE), data.get("nextToken"), lambda item: item.name)
    return {"repositories": [_repository(context, repository) for repository in chosen], "nextToken": token}


def describe_registries(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Describe the registry of the caller."""
    registry = context.store.registry_of(context.account)
    chosen, token = page(
        [registry], data.get("maxResults", PAGE_SIZE), data.get("nextToken"), lambda item: item.account
    )
    return {"registries": [_registry(context, item) for item in chosen], "nextToken": token}


def get_repository_policy(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Return a repository's policy."""
    return _policy(context, data, context.repository(data))


def set_repository_policy(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Set a repository's policy."""
    repository = context.repository(data)
    if policy.parse(data["policyText"]) is None:
        raise errors.INVALID_PARAMETER.error(member="PolicyText", constraint="Invalid repository policy provided")
    repository.policy = data["policyText"]
    return _policy(context, data, repository)


def delete_repository_policy(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Delete a repository's policy."""
    repository = context.repository(data)
    result = _policy(context, data, repository)
    repository.policy = None
    return result


def get_repository_catalog_data(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Return the catalog data of a repository."""
    repository = context.repository(data)
    if repository.catalog_data is None:
        raise errors.CATALOG_DATA_NOT_FOUND.error(name=repository.name, registry=context.caller(data).named)
    return {"catalogData": repository.catalog_data}


def put_repository_catalog_data(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Replace the catalog data of a repository."""
    repository = context.repository(data)
    repository.catalog_data = catalog_data(data["catalogData"])
    return {"catalogData": repository.catalog_data}


def get_registry_catalog_data(context: ApiContext, _data: Mapping[str, Any]) -> Result:
    """Return the registry's display name."""
    return {"registryCatalogData": {"displayName": context.store.registry_of(context.account).display_name}}


def put_registry_catalog_data(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Set the registry's display name."""
    context.store.registry_of(context.account).display_name = data.get("displayName")
    return get_registry_catalog_data(context, data)


def list_tags_for_resource(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """List a repository's resource tags."""
    repository = _by_arn(context, data["resourceArn"])
    return {"tags": [{"Key": key, "Value": value} for key, value in repository.resource_tags.items()]}


def tag_resource(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Add resource tags."""
    context.store.tag_repository(_by_arn(context, data["resourceArn"]), _tag_map(data["tags"]))
    return {}


def untag_resource(context: ApiContext, data: Mapping[str, Any]) -> Result:
    """Remove resource tags."""
    repository = _by_arn(context, data["resourceArn"])
    kept = repository.resource_tags.items()
    repository.resource_tags = {key: value for key, value in kept if key not in data["tagKeys"]}
    return {}


OPERATIONS: Mapping[str, Operation] = {
    "CreateRepository": create_repository,
    "DeleteRepository": delete_repository,
    "DescribeRepositories": describe_repositories,
    "DescribeRegistries": describe_registries,
    "GetRepositoryPolicy": get_repository_policy,
    "SetRepositoryPolicy": set_repository_policy,
    "DeleteRepositoryPolicy": delete_repository_policy,
    "GetRepositoryCatalogData": get_repository_catalog_data,
    "PutRepositoryCatalogData": put_repository_catalog_data,
    "GetRegistryCatalogData": get_registry_catalog_data,
    "PutRegistryCatalogData": put_registry_catalog_data,
    "ListTagsForResource": list_tags_for_resource,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
}


def catalog_data(data: Mapping[str, object]) -> Mapping[str, object]:
    """Return the catalog data of a request without the logo, whose URL is not known."""
    return {key: value for key, value in data.items() if key != "logoImageBlob"}


def _repository(context: ApiContext, repository: Repository) -> Result:
    registry = context.store.registry_of(repository.account)
    return {
        "repositoryArn": repository.arn,
        "registryId": repository.account,
        "repositoryName": repository.name,
        "repositoryUri": f"{context.world.registry_host}/{registry.aliases[0]}/{repository.name}",
        "createdAt": repository.created_at,
    }


def _registry(context: ApiContext, registry: Registry) -> Result:
    aliases = [
        {
            "name": alias,
            "status": "ACTIVE",
            "primaryRegistryAlias": alias == registry.aliases[0],
            "defaultRegistryAlias": alias == registry.default_alias,
        }
        for alias in registry.aliases
    ]
    return {
        "registryId": registry.account,
        "registryArn": registry.arn,
        "registryUri": "/".join([context.world.registry_host, *registry.aliases[:1]]),
        "verified": False,
        "aliases": aliases,
    }


def _policy(context: ApiContext, data: Mapping[str, Any], repository: Repository) -> Result:
    if repository.policy is None:
        raise errors.POLICY_NOT_FOUND.error(name=repository.name, registry=context.caller(data).named)
    return {"registryId": repository.account, "repositoryName": repository.name, "policyText": repository.policy}


def _by_arn(context: ApiContext, arn: str) -> Repository:
    match = _ARN.fullmatch(arn)
    if match is None:
        raise errors.INVALID_PARAMETER.error(member="resourceArn", constraint="must be the ARN of a repository")
    return context.repository({"registryId": match["account"], "repositoryName": match["name"]})


def _tag_map(tags: list[Mapping[str, str]]) -> dict[str, str]:
    keys = [tag.get("Key", "") for tag in tags]
    if len(set(keys)) < len(keys) or not all(keys):
        raise errors.INVALID_TAG.error(reason=f"tag keys are missing or given twice: {', '.join(keys)}")
    return {tag["Key"]: tag.get("Value", "") for tag in tags}
