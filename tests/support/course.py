"""What a deployment is made of: how it goes, what it changes, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.protocol.cloudformation import Answer

Properties = Mapping[str, object]

Template = Mapping[str, Properties]
"""Logical id to properties."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """
    How a request reaches the function, and its answer CloudFormation.

    Attributes:
        copies: How often it is delivered.
        at_once: Whether the copies arrive at the same time, or one after the other.
        lost: The request never arrives, or no answer to it does, or the
            answer does, but not the confirmation of it.
        seconds: What Lambda leaves the function.
        queued_seconds: How long the request waits before it is delivered.
        given_up_after: When CloudFormation goes on without an answer, because
            another resource has failed; None: when ``ServiceTimeout`` is over.
    """

    copies: int = 1
    at_once: bool = False
    lost: Literal["request", "answer", "confirmation"] | None = None
    seconds: float = 900.0
    queued_seconds: float = 0.0
    given_up_after: float | None = None


@dataclass(frozen=True, kw_only=True)
class Course:
    """
    How a deployment goes.

    Attributes:
        order: Of two resources, the one whose place here holds the lower number comes first.
        together: The first two of each phase are sent their requests at the same time.
        other_fails_after: So many of our resources are done when another resource
            of the stack fails; None: none fails.
        deliveries: Of the first requests of the deployment; all later ones are delivered as usual.
        updates_replaced: Whether a rollback sends a replaced resource an update
            the other way round before its new id is deleted.
        on_failure: ``NOTHING`` is ``--no-rollback``: what failed is undone by
            itself, the rest stays. ``DELETE`` deletes a stack that was not created.
        meanwhile: Runs when something has failed, before anything is undone.
        waits_for_root: The stack is nested: what it does no longer declare
            stays until the stack around it has succeeded.
    """

    order: Sequence[int] = ()
    together: bool = False
    other_fails_after: int | None = None
    deliveries: Sequence[Delivery] = ()
    updates_replaced: bool = True
    on_failure: Literal["ROLLBACK", "NOTHING", "DELETE"] = "ROLLBACK"
    meanwhile: Callable[[], object] = lambda: None
    waits_for_root: bool = False


SMOOTH = Course()


@dataclass(frozen=True)
class Deployed:
    """A resource that CloudFormation holds for created."""

    properties: Properties
    physical_id: str
    data: Mapping[str, str]


@dataclass(kw_only=True)
class Change:
    """
    What a deployment did with one resource.

    Attributes:
        old: None for one that was created.
        delivery: How its request was delivered.
        event: The request.
        answer: None when there was none.
        is_rolled_back: An update the other way round has succeeded.
    """

    logical_id: str
    old: Deployed | None
    new: Properties
    delivery: Delivery
    event: Mapping[str, Any] = field(default_factory=dict)
    answer: Answer | None = None
    is_rolled_back: bool = False

    @property
    def succeeded(self) -> bool:
        return self.answer is not None and self.answer.succeeded

    @property
    def is_replacement(self) -> bool:
        return bool(self.old and self.succeeded and self.answer and self.answer.physical_id != self.old.physical_id)


@dataclass(kw_only=True)
class Deployment:
    """One deployment, from its first request to its last."""

    course: Course
    changes: list[Change] = field(default_factory=list)
    removed: Mapping[str, Deployed] = field(default_factory=dict)
    status: Literal["COMPLETE", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "FAILED", "DELETED"] = "COMPLETE"
    reasons: list[str] = field(default_factory=list)
