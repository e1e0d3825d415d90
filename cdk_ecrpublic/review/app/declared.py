"""The stacks of an app, and the images that they declare."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..._assets.lambda_handler.spec import Declaration, as_sent, decode
from .unknown import Unknown, problems_with


@dataclass(frozen=True, kw_only=True)
class DeclaredImage:
    """
    One ``Custom::ECRPublicImage`` of a template.

    Attributes:
        stack: ``Stage/Stack`` of its stack; of the root stack, if its stack is nested.
        root_name: The name of that stack in CloudFormation.
        stack_name: The name of its own stack in CloudFormation; empty for a nested stack that is not deployed yet.
        nested_in: The logical ids of the nested stacks around it, the outermost first.
        account, region: As declared in the app; None stands for those of the credentials that deploy it.
        path: The path of the construct, or the logical id if the template does not have the path.
        properties: The resolved properties, with ``Unknown`` for values that are not known before deployment.
        template: The properties in the template, unresolved.
        created_here: Whether the same app creates its repository.
        built_here: Whether the deployment builds and pushes the image that is copied.
        outlives: Which of ``DeletionPolicy`` and ``UpdateReplacePolicy`` make CloudFormation retain
            the resource, so that it sends no Delete.
        existence: True, or ``Unknown`` if its condition cannot be evaluated.
    """

    stack: str
    root_name: str
    stack_name: str
    account: str | None
    region: str | None
    path: str
    logical_id: str
    properties: Mapping[str, object]
    template: Mapping[str, object]
    created_here: bool
    nested_in: tuple[str, ...] = ()
    built_here: bool = False
    outlives: frozenset[str] = frozenset()
    existence: bool | Unknown = True

    @property
    def unknowns(self) -> tuple[str, ...]:
        """A sentence for each value that is not known, which says what to do."""
        return problems_with([self.existence, self.properties])

    @functools.cached_property
    def declaration(self) -> Declaration:
        """
        The decoded properties.

        Raises:
            InvalidPropertiesError: They are invalid.
        """
        return decode(self.properties)

    def declares_the_same(self, other: DeclaredImage) -> bool:
        """Whether CloudFormation sends no request if this image is deployed and *other* is declared."""
        if self.unknowns or other.unknowns:
            return self.template == other.template
        return as_sent(self.properties) == as_sent(other.properties)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """
    A stack of the app.

    Attributes:
        name: Its name in CloudFormation.
        display_name: ``Stage/Stack``.
        account, region: As declared in the app; None stands for those of the credentials that deploy it.
        file: The file of its template.
        assets: The files of its asset manifests.
        metadata: The metadata of its constructs, by path.
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
        """The paths of constructs, by logical id. Templates have them only if path metadata is enabled."""
        return {
            each["data"]: path
            for path, entries in self.metadata.items()
            for each in entries
            if each.get("type") == "aws:cdk:logicalId"
        }
