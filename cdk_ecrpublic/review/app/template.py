"""A stack's template, and the images that stand in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..._assets.lambda_handler.spec import RESOURCE_TYPE
from .intrinsics import Resolver, Unknown

_REPOSITORY = "AWS::ECR::PublicRepository"

DELETION_POLICY, REPLACEMENT_POLICY = "DeletionPolicy", "UpdateReplacePolicy"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredImage:
    """
    One ``Custom::ECRPublicImage`` of a template.

    Attributes:
        stack: ``Stage/Stack``; of what is in a nested stack, the stack that this is nested in.
        stack_name: What CloudFormation knows the stack by; empty for a nested one, which is named at deployment.
        path: Of the construct, or the logical id where the template does not say it.
        properties: With ``Unknown`` where only the deployment knows.
        template: The properties as they stand in the template.
        created_here: The same app creates its repository.
        built_here: The deployment builds the image that is copied, and pushes it.
        outlives: Of ``DeletionPolicy`` and ``UpdateReplacePolicy``, those by which CloudFormation
            drops the resource without telling the function.
    """

    stack: str
    stack_name: str
    account: str | None
    region: str | None
    path: str
    logical_id: str
    properties: Mapping[str, object]
    template: Mapping[str, object]
    created_here: bool
    built_here: bool = False
    outlives: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """
    A stack of the app.

    Attributes:
        name: What CloudFormation knows it by.
        display_name: ``Stage/Stack``.
        file: Its template.
        assets: Its asset manifests.
        metadata: What its constructs said of themselves, by path.
    """

    name: str
    display_name: str
    account: str | None
    region: str | None
    file: Path
    assets: tuple[Path, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> Mapping[str, str]:
        """The paths of constructs by logical id: templates have them only if that is not switched off."""
        return {
            each["data"]: path
            for path, entries in self.metadata.items()
            for each in entries
            if each.get("type") == "aws:cdk:logicalId"
        }


@dataclass(frozen=True, slots=True)
class Template:
    """
    A template, of a stack or of one that is nested in it.

    Attributes:
        parameters: Their values by name, as far as they are given.
        exports: What other stacks of the app export.
    """

    stack: Stack
    data: Mapping[str, Any]
    parameters: Mapping[str, object] = field(default_factory=dict)
    exports: Mapping[str, object] = field(default_factory=dict)
    is_nested: bool = False

    @property
    def resources(self) -> Mapping[str, Any]:
        """All resources, by logical id."""
        resources: Mapping[str, Any] = self.data.get("Resources", {})
        return resources

    @property
    def resolver(self) -> Resolver:
        """What evaluates the values that stand in it."""
        return Resolver(
            ref=self._ref, import_value=lambda name: self.exports.get(name, Unknown(f"Fn::ImportValue {name}"))
        )

    def images(self) -> Iterator[DeclaredImage]:
        """Give the images that stand in it, without those of nested stacks."""
        created = {
            self.resolver(resource.get("Properties", {}).get("RepositoryName"))
            for resource in self.resources.values()
            if resource.get("Type") == _REPOSITORY
        }
        for logical_id, resource in self.resources.items():
            if resource.get("Type") != RESOURCE_TYPE:
                continue
            properties = resource.get("Properties", {})
            resolved = self.resolver({name: value for name, value in properties.items() if name != "ServiceToken"})
            if not isinstance(resolved, dict):
                continue
            yield DeclaredImage(
                stack=self.stack.display_name,
                stack_name="" if self.is_nested else self.stack.name,
                account=self.stack.account,
                region=self.stack.region,
                path=self._path(logical_id, resource),
                logical_id=logical_id,
                properties=resolved,
                template=properties,
                created_here=resolved.get("RepositoryName") in created,
                outlives=frozenset(
                    name
                    for name in (DELETION_POLICY, REPLACEMENT_POLICY)
                    if str(resource.get(name, "")).startswith("Retain")
                ),
            )

    def _path(self, logical_id: str, resource: Mapping[str, Any]) -> str:
        """Return the path of the construct that a person wrote."""
        path = resource.get("Metadata", {}).get("aws:cdk:path") or self.stack.paths.get(logical_id, logical_id)
        return str(path).strip("/").removesuffix("/Default").removesuffix("/Resource")

    def _ref(self, name: str) -> object:
        known = {
            "AWS::AccountId": self.stack.account,
            "AWS::Region": self.stack.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self.stack.name,
        }
        if value := known.get(name) or self.parameters.get(name):
            return value
        if "Default" in (parameter := self.data.get("Parameters", {}).get(name, {})):
            return parameter["Default"]
        resource = self.resources.get(name, {})
        if resource.get("Type") == _REPOSITORY and "RepositoryName" in resource.get("Properties", {}):
            return self.resolver(resource["Properties"]["RepositoryName"])
        return Unknown(name)
