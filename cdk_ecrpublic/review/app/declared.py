"""What an app declares: its stacks, and the images in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .unknown import Unknown, problems_with


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredImage:
    """
    One ``Custom::ECRPublicImage`` of a template.

    Attributes:
        stack: ``Stage/Stack``; of what is in a nested stack, the stack that this is nested in.
        root_name: What CloudFormation knows that stack by.
        stack_name: What CloudFormation knows its own stack by; empty for a nested one that is not deployed yet.
        nested_in: The logical ids of the nested stacks that it is in, from the outside.
        account, region: As declared in the app; None: those of the credentials that deploy it.
        path: Of the construct, or the logical id where the template does not say it.
        properties: With ``Unknown`` where only the deployment knows.
        template: The properties as they stand in the template.
        created_here: The same app creates its repository.
        built_here: The deployment builds the image that is copied, and pushes it.
        outlives: Of ``DeletionPolicy`` and ``UpdateReplacePolicy``, those by which CloudFormation
            drops the resource without telling the function.
        existence: Whether it is declared at all; not True: its condition is not known.
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
        """What of it is not known, a sentence each with the cure."""
        return problems_with([self.existence, self.properties])

    def declares_the_same(self, other: DeclaredImage) -> bool:
        """Return whether CloudFormation, which has deployed this image, finds nothing to do for *other*."""
        if self.unknowns or other.unknowns:
            return self.template == other.template
        return as_sent(self.properties) == as_sent(other.properties)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """
    A stack of the app.

    Attributes:
        name: What CloudFormation knows it by.
        display_name: ``Stage/Stack``.
        account, region: As declared in the app; None: those of the credentials that deploy it.
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


def as_sent(value: object) -> Mapping[str, object]:
    """Return properties as CloudFormation sends them: every scalar as a string."""
    sent = _as_sent(value)
    return sent if isinstance(sent, dict) else {}


def _as_sent(value: object) -> object:
    match value:
        case Mapping():
            return {str(name): _as_sent(item) for name, item in value.items()}
        case list():
            return [_as_sent(item) for item in value]
        case bool():
            return str(value).lower()
    return str(value)
