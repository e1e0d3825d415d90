"""The parts of a simulated deployment: its course, its changes and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.protocol.cloudformation import Answer

Properties = Mapping[str, object]

Template = Mapping[str, Properties]
"""The properties of each resource, by logical id."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """
    How a request is delivered to the function, and its response to CloudFormation.

    Attributes:
        copies: How often the request is delivered.
        at_once: Whether the copies arrive at the same time, or one after the other.
        lost: What is lost: the request, every response to it (``answer``), or only
            the confirmation of the response.
        seconds: The time that Lambda gives the function.
        queued_seconds: How long the request waits before it is delivered.
        given_up_after: When CloudFormation continues without a response, because
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
    The choices in a deployment that CloudFormation's documentation leaves open.

    Attributes:
        order: The sort key of each resource: a resource with a lower number comes first.
        together: The first two requests of each phase are sent at the same time.
        other_fails_after: How many of our resources are done when another resource
            of the stack fails; None if no other resource fails.
        deliveries: How the first requests are delivered; the later ones are delivered normally.
        updates_replaced: Whether a rollback sends the reverse Update to a replaced
            resource before its new id is deleted.
        on_failure: ``NOTHING`` is ``--no-rollback``: only the failed resource is
            undone. ``DELETE`` deletes a stack whose creation failed.
        meanwhile: Runs after a failure, before anything is undone.
        waits_for_root: The stack is nested: removed resources stay until its
            parent stack has succeeded.
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

FAILS_WITHOUT_ROLLBACK = Course(other_fails_after=1, on_failure="NOTHING")


@dataclass(frozen=True)
class Deployed:
    """A resource that exists for CloudFormation."""

    properties: Properties
    physical_id: str
    data: Mapping[str, str]


@dataclass(kw_only=True)
class Change:
    """
    The change of one resource in a deployment.

    Attributes:
        old: The resource before; None if it is created.
        delivery: How its request was delivered.
        event: The request.
        answer: The response; None if there was none.
        is_rolled_back: Whether the reverse Update has succeeded.
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
