"""
A stack of several custom resources, deployed as CloudFormation deploys it.

What the documentation leaves open (the order, what is lost on the way, what
fails beside our resources) is a ``Course``: the same course makes the same
events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from lambda_handler.errors import DeliveryError
from tests.protocol.cloudformation import Answer, CloudFormation, check
from tests.support.control_plane import ControlPlane

Properties = Mapping[str, object]
T = TypeVar("T")

Template = Mapping[str, Properties]
"""Logical id to properties."""

INVOCATIONS = 3
"""Lambda invokes a function that raised, or was invoked asynchronously without success, twice more."""

DELETE_ATTEMPTS = 3
"""How often a clean-up tries to delete a resource before it abandons it."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """
    How a request reaches the function, and its answer CloudFormation.

    Attributes:
        copies: How often it is delivered.
        at_once: Whether the copies arrive at the same time, or one after the other.
        lost: The request never arrives, or no answer to it does.
        seconds: What Lambda leaves the function; CloudFormation waits as long.
    """

    copies: int = 1
    at_once: bool = False
    lost: Literal["request", "answer"] | None = None
    seconds: float = 900.0


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
    """

    order: Sequence[int] = ()
    together: bool = False
    other_fails_after: int | None = None
    deliveries: Sequence[Delivery] = ()
    updates_replaced: bool = True


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
        answer: None when there was none.
        is_rolled_back: An update the other way round has succeeded.
    """

    logical_id: str
    old: Deployed | None
    new: Properties
    delivery: Delivery
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
    status: Literal["COMPLETE", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"] = "COMPLETE"
    reasons: list[str] = field(default_factory=list)


@dataclass
class DeployedStack:
    """
    The stack; at most one deployment is under way.

    Attributes:
        plane: Answers for the stack's status.
    """

    cloudformation: CloudFormation
    plane: ControlPlane
    resources: dict[str, Deployed] = field(default_factory=dict)
    name: str = "Agent"

    def deploy(self, template: Template, course: Course = SMOOTH) -> Deployment:
        """Deploy *template*; on any failure roll back, which may fail too."""
        removed = {name: resource for name, resource in self.resources.items() if name not in template}
        deployment = Deployment(course=course, removed=removed)
        self.plane.status = "UPDATE_IN_PROGRESS" if self.resources else "CREATE_IN_PROGRESS"
        if self._go_forward(deployment, template):
            self._clean_up(deployment)
        else:
            self._roll_back(deployment)
        return deployment

    def continue_rollback(self, deployment: Deployment) -> None:
        """Take up a rollback that failed: what was rolled back already is left as it is."""
        assert deployment.status == "ROLLBACK_FAILED"
        self._roll_back(deployment)

    def destroy(self, course: Course = SMOOTH) -> bool:
        """Delete all resources; return whether all are gone. Those that are not can be tried again."""
        self.plane.status = "DELETE_IN_PROGRESS"
        for name in list(_in_order(self.resources, course.order)):
            resource = self.resources[name]
            if self._delete(name, resource.physical_id, resource.properties):
                del self.resources[name]
        return not self.resources

    def invented_id(self, logical_id: str) -> str:
        """Return an id as CloudFormation invents it for a resource whose Create it got no answer to."""
        return f"{self.name}-{logical_id}-1ABCDEFGHIJKL"

    def _go_forward(self, deployment: Deployment, template: Template) -> bool:
        """Create and update; return whether everything succeeded, the stack's other resources too."""
        course = deployment.course
        changed = {name: new for name, new in template.items() if not self._is_deployed(name, new)}
        todo = list(_in_order(changed, course.order))
        for batch in _batches(todo, together=course.together):
            if course.other_fails_after is not None and len(deployment.changes) >= course.other_fails_after:
                return False
            started = len(deployment.changes)
            changes = [
                Change(
                    logical_id=name,
                    old=self.resources.get(name),
                    new=template[name],
                    delivery=_nth(course.deliveries, started + place),
                )
                for place, name in enumerate(batch)
            ]
            deployment.changes += changes
            _all_at_once(self._change, changes)
            if not all(change.succeeded for change in changes):
                return False
        return course.other_fails_after is None

    def _is_deployed(self, name: str, new: Properties) -> bool:
        return name in self.resources and self.resources[name].properties == new

    def _change(self, change: Change) -> None:
        old = change.old
        event = self.cloudformation.event(
            "Update" if old else "Create",
            change.new,
            change.logical_id,
            old.physical_id if old else None,
            old.properties if old else None,
        )
        change.answer = self._send(event, change.delivery)
        if old and change.answer and not change.answer.succeeded:
            assert change.answer.physical_id == old.physical_id, "a failed update that changes the id is a replacement"

    def _clean_up(self, deployment: Deployment) -> None:
        """Delete what is no longer declared, and the old ids of what was replaced; what cannot be is abandoned."""
        for change in deployment.changes:
            assert change.answer is not None
            self.resources[change.logical_id] = Deployed(change.new, change.answer.physical_id, change.answer.data)
        self.plane.status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
        leftovers = [(change.logical_id, change.old) for change in deployment.changes if change.is_replacement]
        leftovers += deployment.removed.items()
        for name, resource in leftovers:
            assert resource is not None
            any(self._delete(name, resource.physical_id, resource.properties) for _ in range(DELETE_ATTEMPTS))
        for name in deployment.removed:
            del self.resources[name]

    def _roll_back(self, deployment: Deployment) -> None:
        course = deployment.course
        self.plane.status = "UPDATE_ROLLBACK_IN_PROGRESS" if self.resources else "ROLLBACK_IN_PROGRESS"
        updated = {change.logical_id: change for change in deployment.changes if change.old}
        waiting = [updated[name] for name in _in_order(updated, course.order[::-1]) if not updated[name].is_rolled_back]
        for batch in _batches(waiting, together=course.together):
            _all_at_once(lambda change: self._undo(change, deployment), batch)
        if not all(change.is_rolled_back for change in updated.values()):
            deployment.status = "ROLLBACK_FAILED"
            return
        if self.resources:
            self.plane.status = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
        for change in deployment.changes:
            if change.old is None or change.is_replacement:
                self._delete_new(change)
        deployment.status = "ROLLBACK_COMPLETE"

    def _undo(self, change: Change, deployment: Deployment) -> None:
        """Send an update the other way round, with the id that the resource has by now."""
        old, answer = change.old, change.answer
        assert old is not None
        if change.is_replacement and not deployment.course.updates_replaced:
            change.is_rolled_back = True
            return
        physical_id = answer.physical_id if answer and change.is_replacement else old.physical_id
        event = self.cloudformation.event("Update", old.properties, change.logical_id, physical_id, change.new)
        back = self._send(event)
        assert back is not None
        change.is_rolled_back = back.succeeded
        if back.succeeded:
            assert back.physical_id == old.physical_id
            self.resources[change.logical_id] = Deployed(old.properties, back.physical_id, back.data)
        else:
            deployment.reasons.append(back.reason)

    def _delete_new(self, change: Change) -> None:
        physical_id = change.answer.physical_id if change.answer else self.invented_id(change.logical_id)
        any(self._delete(change.logical_id, physical_id, change.new) for _ in range(DELETE_ATTEMPTS))

    def _delete(self, logical_id: str, physical_id: str, properties: Properties) -> bool:
        answer = self._send(self.cloudformation.event("Delete", properties, logical_id, physical_id))
        assert answer is not None
        assert answer.physical_id == physical_id, "the id may not change while a resource is deleted"
        return answer.succeeded

    def _send(self, event: Mapping[str, Any], delivery: Delivery | None = None) -> Answer | None:
        """Deliver an event; every delivery gets exactly one answer, and the first one counts."""
        delivery = delivery or Delivery()
        if delivery.lost == "request":
            return None
        if delivery.lost == "answer":
            self._send_in_vain(event, delivery)
            return None
        copies = [event] * delivery.copies
        _all_at_once(self._deliver, [(copy, delivery) for copy in copies], together=delivery.at_once)
        return self._first_answer(event, delivery.copies)

    def _deliver(self, sent: tuple[Mapping[str, Any], Delivery]) -> None:
        event, delivery = sent
        self.cloudformation.function(event, delivery.seconds)

    def _send_in_vain(self, event: Mapping[str, Any], delivery: Delivery) -> None:
        """Refuse every answer: the function raises, and Lambda invokes it again."""
        self.cloudformation.address.expired.add(event["RequestId"])
        for _ in range(INVOCATIONS):
            with suppress(DeliveryError):
                self._deliver((event, delivery))
                message = "an answer that was refused passed for delivered"
                raise AssertionError(message)

    def _first_answer(self, event: Mapping[str, Any], deliveries: int) -> Answer:
        address = self.cloudformation.address
        assert address.problems == []
        bodies = address.received.pop(event["RequestId"], [])
        assert len(bodies) == deliveries, f"{len(bodies)} answers to {deliveries} deliveries"
        answers = [check(event, body) for body in bodies]
        return answers[0]


def _nth(deliveries: Sequence[Delivery], number: int) -> Delivery:
    return deliveries[number] if number < len(deliveries) else Delivery()


def _in_order(names: Mapping[str, object], order: Sequence[int]) -> Iterator[str]:
    places = {name: order[place] if place < len(order) else 0 for place, name in enumerate(sorted(names))}
    return iter(sorted(names, key=lambda name: (places[name], name)))


def _batches(items: Sequence[T], *, together: bool) -> Iterator[Sequence[T]]:
    """Take the first two at once, if *together*, and then one at a time."""
    first = 2 if together else 1
    if items:
        yield items[:first]
    for item in items[first:]:
        yield [item]


def _all_at_once(action: Callable[[T], object], items: Sequence[T], *, together: bool = True) -> None:
    """Run *action* on all *items*, in threads of their own; wait for all of them."""
    if len(items) == 1 or not together:
        for item in items:
            action(item)
        return
    with ThreadPoolExecutor(len(items)) as threads:
        list(threads.map(action, items))
