"""How a deployment goes: what the documentation leaves open, what is lost, what is repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from tests.protocol.cloudformation import Answer

from .function import Run

Properties = Mapping[str, object]

Template = Mapping[str, Properties]
"""Logical id to properties."""

INVOCATIONS = 3
"""Lambda invokes a function that did not succeed twice more."""

LAMBDA_WAITS_SECONDS = (60.0, 120.0)
"""Before the second and the third time."""

DELETE_ATTEMPTS = 3
"""How often a clean-up tries to delete a resource before it abandons it."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """
    How a request reaches the function, and its answer CloudFormation.

    Attributes:
        lost: The request never arrives, or no answer to it does, or the function
            does not learn that its answer has arrived.
        queued_seconds: How long Lambda keeps it before the function gets it.
        runs: How the function's invocations go; those that follow, as usual.
        twice: The request is delivered twice: at once, or the second time
            before CloudFormation has seen the answer to the first.
        later: It is delivered again, so many seconds after it was sent.
        is_cold: What comes later comes to a function that remembers nothing.
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
    How a deployment goes.

    Attributes:
        order: Of two resources, the one whose place here holds the lower number comes first.
        together: The first two of each phase are sent their requests at the same time.
        other_fails_after: So many of our resources are done when another resource
            of the stack fails; None: none fails.
        deliveries: Of the first requests of the deployment; all later ones are delivered as usual.
        undoing: Of the first requests that undo it.
        updates_replaced: Whether a rollback sends a replaced resource an update
            the other way round before its new id is deleted.
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
    A resource that CloudFormation holds for created.

    Attributes:
        since: When the request was sent that made it what it is.
    """

    properties: Properties
    physical_id: str
    data: Mapping[str, str]
    since: float

    @property
    def digest(self) -> str:
        """What it answered its image to be."""
        return self.data["ImageDigest"]


@dataclass(kw_only=True)
class Change:
    """
    What a deployment did with one resource.

    Attributes:
        old: None for one that was created.
        delivery: How its request was delivered.
        answer: None when there was none.
        undone: The answer to what undid it: an update the other way round, or a Delete.
        is_undone: All that undoes it has succeeded.
        sent: When its request was.
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
        """Take several changes of which the last one succeeded for one."""
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

    @property
    def deployed(self) -> Deployed:
        """The resource as it is after the change, which has succeeded."""
        assert self.answer
        return Deployed(self.new, self.answer.physical_id, self.answer.data, self.sent)


Status = Literal["COMPLETE", "ROLLED BACK", "ROLLBACK FAILED", "KEPT", "DELETED", "DELETE FAILED"]
"""KEPT: it has failed, and what it did is left as it is."""


@dataclass(kw_only=True)
class Deployment:
    """
    One deployment or removal of a stack, from its first request to its last.

    Attributes:
        held: What the stack held before.
        removed: What a success removes, and whether that succeeded.
        reasons: Of what failed while it was undone.
    """

    course: Course
    held: Mapping[str, Deployed]
    changes: list[Change] = field(default_factory=list)
    removed: dict[str, bool] = field(default_factory=dict)
    status: Status = "COMPLETE"
    reasons: list[str] = field(default_factory=list)


def unusual(what: Any) -> list[str]:
    """Describe a dataclass by the fields that have not their default."""
    return [
        f"{each.name} = {shortly(value)}"
        for each in fields(what)
        if (value := getattr(what, each.name)) != each.default
    ]


def shortly(value: object) -> str:
    """Write a value, dataclasses in it by what is unusual of them."""
    if is_dataclass(value):
        return f"({', '.join(unusual(value)) or 'as usual'})"
    if isinstance(value, tuple):
        return f"({', '.join(map(shortly, value))})"
    return repr(value)
