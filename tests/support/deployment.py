"""
Simulate the deployments of a stack of several custom resources.

The choices that CloudFormation's documentation leaves open (the order, lost
requests, failures of other resources) are in a ``Course``. The same course
produces the same events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from lambda_handler.errors import DeliveryError
from tests.protocol.cloudformation import Answer, CloudFormation, check
from tests.support.clock import SteppingClock
from tests.support.control_plane import ControlPlane
from tests.support.course import SMOOTH, Change, Course, Delivery, Deployed, Deployment, Properties, Template
from tests.support.stack_records import StackRecord

__all__ = [
    "SMOOTH",
    "Change",
    "Course",
    "Delivery",
    "Deployed",
    "DeployedStack",
    "Deployment",
    "Properties",
    "Template",
]

T = TypeVar("T")

RETRIED_AFTER_SECONDS = (0, 60, 120)
"""Lambda invokes a function that raised an error twice more, after one and then two minutes."""

DELETE_ATTEMPTS = 3
"""How often a clean-up tries to delete a resource before it abandons it."""


@dataclass
class DeployedStack:
    """
    A stack. It has at most one deployment at a time.

    Attributes:
        plane: The fake CloudFormation that returns its status, resources and events.
        failed: The resources whose creation failed and was not undone.
        region: The Region of the stack.
        root: The stack that this one is nested in.
        pace: The seconds between two requests, if the test moves the time.
        rest: The seconds before a deployment or deletion begins.
        sent: All requests, in their order.
        lives: How often the stack was created again. Each time, it has another id.
        is_creation: Whether the current deployment creates the stack.
    """

    cloudformation: CloudFormation
    plane: ControlPlane
    resources: dict[str, Deployed] = field(default_factory=dict)
    name: str = "Agent"
    region: str = "eu-west-1"
    root: StackRecord | None = None
    pace: float = 5.0
    rest: float = 600.0
    failed: dict[str, Deployed] = field(default_factory=dict)
    sent: list[Mapping[str, Any]] = field(default_factory=list)
    lives: int = 0
    is_creation: bool = False

    def __post_init__(self) -> None:
        self.cloudformation = replace(self.cloudformation, stack_id=self._stack_id())

    @property
    def record(self) -> StackRecord:
        """The stack's record in the fake CloudFormation."""
        record = self.plane.stack(self.cloudformation.stack_id)
        record.root = self.root
        return record

    @property
    def status(self) -> str:
        return self.record.status

    def deploy(self, template: Template, course: Course = SMOOTH) -> Deployment:
        """Deploy *template*. After a failure, do what the course says, which may fail too."""
        removed = {name: resource for name, resource in self.resources.items() if name not in template}
        deployment = Deployment(course=course, removed=removed)
        self._begin()
        if self._go_forward(deployment, template):
            self._succeed(deployment)
            return deployment
        course.meanwhile()
        if course.on_failure == "ROLLBACK":
            self._roll_back(deployment)
        else:
            self._stop(deployment)
        return deployment

    def continue_rollback(self, deployment: Deployment) -> None:
        """Continue a failed rollback, without the resources that are already rolled back."""
        assert deployment.status == "ROLLBACK_FAILED"
        self._roll_back(deployment)

    def finish(self, deployment: Deployment) -> None:
        """Delete the removed resources of a nested stack, after its parent stack has succeeded."""
        self._clean_up(deployment)

    def undo(self, deployment: Deployment) -> None:
        """Undo the deployment of a nested stack in any state, because its parent stack is rolled back."""
        for change in deployment.changes:
            if change.old:
                self._undo(change, deployment)
        for change in deployment.changes:
            if change.old is None or change.is_replacement:
                self._delete_new(change)

    def roll_back(self, stable: Mapping[str, Deployed], order: Sequence[str] = ()) -> Deployment:
        """
        Roll back to the last success, undoing all later failed deployments, as ``cdk rollback`` does.

        Args:
            stable: The resources at that time.
            order: The order in which resources that were created since are deleted; others come last.
        """
        changes = [
            Change(logical_id=name, old=old, new=self.resources[name].properties, delivery=Delivery())
            for name, old in stable.items()
            if name in self.resources and self.resources[name].properties != old.properties
        ]
        deployment = Deployment(course=SMOOTH, changes=changes)
        self._enter("UPDATE_ROLLBACK_IN_PROGRESS")
        for change in changes:
            self._undo(change, deployment)
        self._enter("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        created = [name for name in self.resources if name not in stable]
        for name in sorted(created, key=lambda name: order.index(name) if name in order else len(order)):
            resource = self.resources.pop(name)
            assert self._delete(name, resource.physical_id, resource.properties)
        self._enter("UPDATE_ROLLBACK_COMPLETE")
        return deployment

    def destroy(self, course: Course = SMOOTH) -> bool:
        """Delete all resources; return whether all were deleted. If not, this can be repeated."""
        self._pass(self.rest)
        return self._delete_all(course)

    def invented_id(self, logical_id: str) -> str:
        """Return an id that CloudFormation makes up for a resource if it got no response to its Create."""
        return f"{self.name}-{logical_id}-1ABCDEFGHIJKL"

    def _begin(self) -> None:
        """Begin a deployment. A stack whose creation was rolled back, or that was deleted, is created again."""
        self._pass(self.rest)
        known = self.plane.stacks.get(self.cloudformation.stack_id)
        is_new = known is None or not known.events or known.status in {"DELETE_COMPLETE", "ROLLBACK_COMPLETE"}
        if known and is_new:
            self.lives += 1
            self.cloudformation.stack_id = self._stack_id()
        self.is_creation = is_new
        self._enter("CREATE_IN_PROGRESS" if is_new else "UPDATE_IN_PROGRESS")

    def _stack_id(self) -> str:
        identity = f"5a7d8f10-0000-4000-8000-{0x123456789ABC + self.lives:012x}"
        return f"arn:aws:cloudformation:{self.region}:123456789012:stack/{self.name}/{identity}"

    def _enter(self, status: str) -> None:
        self.plane.status = status
        self.record.enter(status)

    def _pass(self, seconds: float) -> None:
        if isinstance(self.cloudformation.clock, SteppingClock):
            self.cloudformation.clock.pass_by(seconds)

    def _go_forward(self, deployment: Deployment, template: Template) -> bool:
        """Create and update; return whether everything succeeded, including the stack's other resources."""
        course = deployment.course
        changed = {name: new for name, new in template.items() if not self._is_deployed(name, new)}
        todo = list(_in_order(changed, course.order))
        for batch in _batches(todo, together=course.together):
            if course.other_fails_after is not None and len(deployment.changes) >= course.other_fails_after:
                break
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
        if course.other_fails_after is not None:
            self._pass(self.pace)
            self.record.change("Bucket", "CREATE_FAILED", "bucket", "AWS::S3::Bucket")
        return course.other_fails_after is None

    def _is_deployed(self, name: str, new: Properties) -> bool:
        return name in self.resources and self.resources[name].properties == new

    def _change(self, change: Change) -> None:
        old = change.old
        request_type = "Update" if old else "Create"
        change.event = self._event(
            request_type,
            change.new,
            change.logical_id,
            old.physical_id if old else None,
            old.properties if old else None,
        )
        change.answer = self._send(change.event, change.delivery)
        if old and change.answer and not change.answer.succeeded:
            assert change.answer.physical_id == old.physical_id, "a failed update that changes the id is a replacement"

    def _succeed(self, deployment: Deployment) -> None:
        self._keep_new(deployment.changes)
        if self.is_creation:
            self._enter("CREATE_COMPLETE")
        elif deployment.course.waits_for_root:
            self._enter("UPDATE_COMPLETE")
        else:
            self._clean_up(deployment)

    def _keep_new(self, changes: Sequence[Change]) -> None:
        for change in changes:
            assert change.answer is not None
            self.resources[change.logical_id] = Deployed(change.new, change.answer.physical_id, change.answer.data)

    def _clean_up(self, deployment: Deployment) -> None:
        """Delete removed resources and the old ids of replaced ones. If that fails, abandon them."""
        self._enter("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        leftovers = [(change.logical_id, change.old) for change in deployment.changes if change.is_replacement]
        leftovers += [*deployment.removed.items(), *self.failed.items()]
        for name, resource in leftovers:
            assert resource is not None
            any(self._delete(name, resource.physical_id, resource.properties) for _ in range(DELETE_ATTEMPTS))
        for name in deployment.removed:
            self.resources.pop(name, None)
        self.failed.clear()
        self._enter("UPDATE_COMPLETE")

    def _roll_back(self, deployment: Deployment) -> None:
        course = deployment.course
        self._enter("ROLLBACK_IN_PROGRESS" if self.is_creation else "UPDATE_ROLLBACK_IN_PROGRESS")
        updated = {change.logical_id: change for change in deployment.changes if change.old}
        waiting = [updated[name] for name in _in_order(updated, course.order[::-1]) if not updated[name].is_rolled_back]
        for batch in _batches(waiting, together=course.together):
            _all_at_once(lambda change: self._undo(change, deployment), batch)
        if not all(change.is_rolled_back for change in updated.values()):
            deployment.status = "ROLLBACK_FAILED"
            self._enter("UPDATE_ROLLBACK_FAILED")
            return
        if not self.is_creation:
            self._enter("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        for change in deployment.changes:
            if change.old is None or change.is_replacement:
                self._delete_new(change)
        deployment.status = "ROLLBACK_COMPLETE"
        self._enter("ROLLBACK_COMPLETE" if self.is_creation else "UPDATE_ROLLBACK_COMPLETE")

    def _stop(self, deployment: Deployment) -> None:
        """Undo only the failed updates. Failed creations are left for the next deployment."""
        self._keep_new([change for change in deployment.changes if change.succeeded])
        for change in deployment.changes:
            if change.succeeded:
                continue
            if change.old:
                self._undo(change, deployment)
            else:
                self.failed[change.logical_id] = Deployed(change.new, self._id_of_new(change), {})
        self._enter("CREATE_FAILED" if self.is_creation else "UPDATE_FAILED")
        deployment.status = "FAILED"
        if deployment.course.on_failure == "DELETE":
            self._delete_all(SMOOTH)
            deployment.status = "DELETED"

    def _undo(self, change: Change, deployment: Deployment) -> None:
        """Send the reverse Update, with the current id of the resource."""
        old, answer = change.old, change.answer
        assert old is not None
        if change.is_replacement and not deployment.course.updates_replaced:
            change.is_rolled_back = True
            return
        physical_id = answer.physical_id if answer and change.is_replacement else old.physical_id
        event = self._event("Update", old.properties, change.logical_id, physical_id, change.new)
        back = self._send(event)
        assert back is not None
        change.is_rolled_back = back.succeeded
        if back.succeeded:
            assert back.physical_id == old.physical_id
            self.resources[change.logical_id] = Deployed(old.properties, back.physical_id, back.data)
        else:
            deployment.reasons.append(back.reason)

    def _delete_all(self, course: Course) -> bool:
        self._enter("DELETE_IN_PROGRESS")
        for held in (self.resources, self.failed):
            for name in list(_in_order(held, course.order)):
                if self._delete(name, held[name].physical_id, held[name].properties):
                    del held[name]
        self._enter("DELETE_FAILED" if self.resources or self.failed else "DELETE_COMPLETE")
        return not (self.resources or self.failed)

    def _delete_new(self, change: Change) -> None:
        any(self._delete(change.logical_id, self._id_of_new(change), change.new) for _ in range(DELETE_ATTEMPTS))

    def _id_of_new(self, change: Change) -> str:
        return change.answer.physical_id if change.answer else self.invented_id(change.logical_id)

    def _delete(self, logical_id: str, physical_id: str, properties: Properties) -> bool:
        answer = self._send(self._event("Delete", properties, logical_id, physical_id))
        assert answer is not None
        assert answer.physical_id == physical_id, "the id may not change while a resource is deleted"
        return answer.succeeded

    def _event(
        self,
        request_type: str,
        properties: Properties,
        logical_id: str,
        physical_id: str | None,
        old: Properties | None = None,
    ) -> dict[str, Any]:
        """Create the next request, signed at the current time."""
        self._pass(self.pace)
        event = self.cloudformation.event(request_type, properties, logical_id, physical_id, old)
        self.sent.append(event)
        return event

    def _send(self, event: Mapping[str, Any], delivery: Delivery | None = None) -> Answer | None:
        """Deliver an event, and record the statuses of the resource."""
        verb = str(event["RequestType"]).upper()
        name = str(event["LogicalResourceId"])
        self.record.change(name, f"{verb}_IN_PROGRESS", str(event.get("PhysicalResourceId", "")))
        answer = self._sent(event, delivery or Delivery())
        succeeded = answer is not None and answer.succeeded
        physical_id = answer.physical_id if answer else ""
        self.record.change(name, f"{verb}_{'COMPLETE' if succeeded else 'FAILED'}", physical_id)
        return answer

    def _sent(self, event: Mapping[str, Any], delivery: Delivery) -> Answer | None:
        """Deliver an event. Every delivery gets exactly one response, and the first one counts."""
        self._pass(delivery.queued_seconds)
        timeout = float(event["ResourceProperties"]["ServiceTimeout"])
        waited = timeout if delivery.given_up_after is None else delivery.given_up_after
        if delivery.lost == "confirmation":
            return self._send_unconfirmed(event, delivery)
        if delivery.lost == "answer":
            waited -= self._send_in_vain(event, delivery)
        if delivery.lost:
            self._pass(max(waited, 0.0))
            return None
        copies = [event] * delivery.copies
        _all_at_once(self._deliver, [(copy, delivery) for copy in copies], together=delivery.at_once)
        return self._first_answer(event, delivery.copies)

    def _deliver(self, sent: tuple[Mapping[str, Any], Delivery]) -> None:
        event, delivery = sent
        self.cloudformation.function(event, delivery.seconds)

    def _send_in_vain(self, event: Mapping[str, Any], delivery: Delivery) -> float:
        """Refuse every response: the function fails, and Lambda invokes it again. Return the seconds that pass."""
        self.cloudformation.address.expired.add(event["RequestId"])
        for seconds in RETRIED_AFTER_SECONDS:
            self._pass(seconds)
            with suppress(DeliveryError):
                self._deliver((event, delivery))
                message = "an answer that was refused passed for delivered"
                raise AssertionError(message)
        return sum(RETRIED_AFTER_SECONDS)

    def _send_unconfirmed(self, event: Mapping[str, Any], delivery: Delivery) -> Answer:
        """Accept the response without a confirmation: the function fails, and Lambda will invoke it again."""
        address, request_id = self.cloudformation.address, event["RequestId"]
        address.unconfirmed.add(request_id)
        with suppress(DeliveryError):
            self._deliver((event, delivery))
            message = "an answer without a confirmation passed for delivered"
            raise AssertionError(message)
        address.unconfirmed.remove(request_id)
        bodies = address.received.pop(request_id)
        assert len(set(bodies)) == 1, "the function changed its answer"
        return check(event, bodies[0])

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
    """Yield the first two together if *together* is True, and then one at a time."""
    first = 2 if together else 1
    if items:
        yield items[:first]
    for item in items[first:]:
        yield [item]


def _all_at_once(action: Callable[[T], object], items: Sequence[T], *, together: bool = True) -> None:
    """Run *action* on all *items*, each in its own thread, and wait for all of them."""
    if len(items) == 1 or not together:
        for item in items:
            action(item)
        return
    with ThreadPoolExecutor(len(items)) as threads:
        list(threads.map(action, items))
