"""Stacks, their declarations and their requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from tests.protocol.cloudformation import Answer


class Policy(StrEnum):
    """The removal options of a declaration."""

    KEEP = "KEEP"
    UNTAG = "UNTAG"
    DESTROY = "DESTROY"


class Kind(StrEnum):
    """The kind of a request."""

    CREATE = "Create"
    UPDATE = "Update"
    UNDO_UPDATE = "undo Update"
    DELETE = "Delete"
    UNDO_CREATE = "undo Create"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """
    The declaration of a resource.

    Attributes:
        image: The name of an image in the repository; for a mutable source, the first image that it resolves to.
        source: A digest, the bytes of a new manifest, or a tag that moves.
        has_parameter_name: Whether it has a parameter name, so that it always has a record.
    """

    image: str
    tags: tuple[str, ...]
    policy: Policy = Policy.KEEP
    source: Literal["digest", "manifest", "tag"] = "digest"
    has_parameter_name: bool = False


Template = Mapping[str, Declared]
"""The declarations, by logical id."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """
    A resource as CloudFormation knows it.

    Attributes:
        since: When its status changed, in seconds since the epoch.
        declared: Its current declaration; None until it is created.
    """

    physical_id: str = ""
    status: str = ""
    since: float = 0.0
    declared: Declared | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """
    A request, with facts that are not in its event.

    Attributes:
        resource: The stack and the logical id.
        new: The new declaration; None in a Delete.
        old: The previous declaration.
        sent: When it was sent, in seconds since the epoch.
    """

    kind: Kind
    resource: tuple[str, str]
    event: Mapping[str, Any]
    new: Declared | None
    old: Declared | None
    sent: float

    @property
    def id(self) -> str:
        """The request's id."""
        return str(self.event["RequestId"])


@dataclass(frozen=True, kw_only=True)
class Change:
    """
    The change of one resource in a deployment.

    Attributes:
        answer: The response; None while there is none, False if it never arrives.
    """

    request: Request
    answer: Answer | Literal[False] | None = None

    @property
    def succeeded(self) -> bool:
        return bool(self.answer and self.answer.succeeded)


Phase = Literal["idle", "forward", "clean up", "roll back", "roll back: clean up", "delete"]


@dataclass(kw_only=True)
class Stack:
    """
    A stack.

    Attributes:
        changes: The resources that the deployment creates and updates.
        dropped: The resources that it no longer declares.
        waiting: The requests of the current phase.
        events: The events as in DescribeStackEvents, the latest last.
    """

    name: str
    region: str
    status: str
    created: float
    updated: float | None = None
    phase: Phase = "idle"
    is_first: bool = True
    attempts: int = 0
    resources: dict[str, Resource] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    waiting: list[Change] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> str:
        suffix = f"5a7d8f10-0000-4000-8000-{self.name.lower():0>12.12}"
        return f"arn:aws:cloudformation:{self.region}:123456789012:stack/{self.name}/{suffix}"

    def copy(self) -> Stack:
        return replace(
            self,
            resources=dict(self.resources),
            changes=list(self.changes),
            dropped=list(self.dropped),
            waiting=list(self.waiting),
            events=list(self.events),
        )

    def live(self) -> Mapping[str, Declared]:
        """Return the deployed declarations."""
        return {name: each.declared for name, each in self.resources.items() if each.declared}
