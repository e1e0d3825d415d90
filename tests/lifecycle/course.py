"""The course of a deployment: choices that the documentation leaves open, losses and repetitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from tests.protocol.cloudformation import Answer

from .function import Run

Properties = Mapping[str, object]

Template = Mapping[str, Properties]
"""The properties of each resource, by logical id."""

INVOCATIONS = 3
"""How often Lambda invokes the function for one request: again after the first and the second failure."""

LAMBDA_WAITS_SECONDS = (60.0, 120.0)
"""The seconds before the second and the third invocation."""

DELETE_ATTEMPTS = 3
"""How often a clean-up tries to delete a resource before it abandons it."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """
    How a request is delivered to the function, and its response to CloudFormation.

    Attributes:
        lost: What is lost: the request, every response to it (``answer``), or only
            the confirmation of the response.
        queued_seconds: How long Lambda keeps the request before the function gets it.
        runs: The first invocations of the function; the later ones are normal.
        twice: The request is delivered twice: concurrently, or the second time
            before CloudFormation has got the response to the first.
        later: The request is delivered again, this many seconds after it was sent.
        is_cold: Whether the later delivery goes to a cold function.
    """

    lost: Literal["request", "answer", "confirmation"] | None = None
    queued_seconds: float = 0.0
    runs: tuple[Run, ...] = ()
    twice: Literal["at once", "again"] | None = None
    later: tuple[float, ...] = ()
    is_cold: bool = False

    def run(self, number: int) -> Run:
        return self.runs[number] if number < len(self.runs) else Run()


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
        undoing: How the first requests that undo it are delivered.
        updates_replaced: Whether a rollback sends the reverse Update to a replaced
            resource before its new id is deleted.
        on_failure: With "keep", rollback is disabled; "delete" is for a stack that is created.
    """

    order: Sequence[int] = ()
    together: bool = False
    other_fails_after: int | None = None
    deliveries: Sequence[Delivery] = ()
    undoing: Sequence[Delivery] = ()
    updates_replaced: bool = True
    on_failure: Literal["roll back", "keep", "delete"] = "roll back"


SMOOTH = Course()


@dataclass(frozen=True)
class Deployed:
    """
    A resource that exists for CloudFormation.

    Attributes:
        since: When its last request was sent.
    """

    properties: Properties
    physical_id: str
    data: Mapping[str, str]
    since: float

    @property
    def digest(self) -> str:
        """The digest in its last response."""
        return self.data["ImageDigest"]


@dataclass(kw_only=True)
class Change:
    """
    The change of one resource in a deployment.

    Attributes:
        old: The resource before; None if it is created.
        delivery: How its request was delivered.
        answer: The response; None if there was none.
        undone: The response to the request that undid it: the reverse Update, or a Delete.
        is_undone: Whether all requests that undo it have succeeded.
        sent: When its request was sent.
    """

    logical_id: str
    old: Deployed | None
    new: Properties
    delivery: Delivery
    answer: Answer | None = None
    undone: Answer | None = None
    is_undone: bool = False
    sent: float = 0.0

    @classmethod
    def to(cls, logical_id: str, now: Deployed, old: Deployed | None = None) -> Change:
        """Merge several changes, of which the last one succeeded, into one."""
        answer = Answer("SUCCESS", "", now.physical_id, dict(now.data))
        return cls(
            logical_id=logical_id, old=old, new=now.properties, delivery=Delivery(), answer=answer, sent=now.since
        )

    @property
    def succeeded(self) -> bool:
        return self.answer is not None and self.answer.succeeded

    @property
    def is_replacement(self) -> bool:
        return bool(self.old and self.succeeded and self.answer and self.answer.physical_id != self.old.physical_id)

    def may_leave(self, tag: str) -> bool:
        """Whether a failed creation may leave a tag at its image: there was no response, or the response says so."""
        return self.answer is None or f"{tag} (was " in self.answer.reason

    @property
    def deployed(self) -> Deployed:
        """The resource after the change, which has succeeded."""
        assert self.answer
        return Deployed(self.new, self.answer.physical_id, self.answer.data, self.sent)


Status = Literal["COMPLETE", "ROLLED BACK", "ROLLBACK FAILED", "KEPT", "DELETED", "DELETE FAILED"]
"""KEPT: it has failed, and was not rolled back."""


@dataclass(kw_only=True)
class Deployment:
    """
    One deployment or removal of a stack, from its first request to its last.

    Attributes:
        held: The resources of the stack before it.
        removed: The resources that it deletes after a success, and whether that succeeded.
        reasons: The reasons of failures while it was undone.
    """

    course: Course
    held: Mapping[str, Deployed]
    changes: list[Change] = field(default_factory=list)
    removed: dict[str, bool] = field(default_factory=dict)
    status: Status = "COMPLETE"
    reasons: list[str] = field(default_factory=list)


def non_default_fields(what: Any) -> list[str]:
    """Describe a dataclass by the fields that differ from their defaults."""
    return [
        f"{each.name} = {short_repr(value)}"
        for each in fields(what)
        if (value := getattr(what, each.name)) != each.default
    ]


def short_repr(value: object) -> str:
    """Describe a value; of dataclasses, only the fields that differ from their defaults."""
    if is_dataclass(value):
        return f"({', '.join(non_default_fields(value)) or 'defaults'})"
    if isinstance(value, tuple):
        return f"({', '.join(map(short_repr, value))})"
    return repr(value)
