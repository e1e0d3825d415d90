"""Stacks, what they declare, and the requests for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from tests.protocol.cloudformation import Answer


class Policy(StrEnum):
    """What a declaration may remove."""

    KEEP = "KEEP"
    UNTAG = "UNTAG"
    DESTROY = "DESTROY"


class Kind(StrEnum):
    """What a request is, in the life of its resource."""

    CREATE = "Create"
    UPDATE = "Update"
    UNDO_UPDATE = "undo Update"
    DELETE = "Delete"
    UNDO_CREATE = "undo Create"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """
    What a resource declares.

    Attributes:
        image: The name of one that is in the repository; for a moving source what it stood for first.
        source: A digest; the bytes of a manifest that is new; or a tag, which moves.
        is_remembered: It says by itself that it has a record.
    """

    image: str
    tags: tuple[str, ...]
    policy: Policy = Policy.KEEP
    source: Literal["digest", "manifest", "tag"] = "digest"
    is_remembered: bool = False


Template = Mapping[str, Declared]
"""Logical id to declaration."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """
    A resource as CloudFormation knows it.

    Attributes:
        since: When its status changed, in seconds since the epoch.
        declared: What it is; None while its creation is not done.
    """

    physical_id: str = ""
    status: str = ""
    since: float = 0.0
    declared: Declared | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """
    A request, with what its event does not say.

    Attributes:
        resource: Stack and logical id.
        new: What is declared from then on; None: nothing.
        old: What was declared until then.
        sent: In seconds since the epoch.
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
    What a deployment does with one resource.

    Attributes:
        old: None for one that is created.
        new: None for one that is deleted.
        answer: None while there is none; False when it never comes.
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
        changes: What the deployment created and updated.
        dropped: What it no longer declares.
        waiting: The requests of this phase.
        events: As DescribeStackEvents gives them, the latest last.
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
        """Return what CloudFormation holds for declared."""
        return {name: each.declared for name, each in self.resources.items() if each.declared}
