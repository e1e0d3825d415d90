"""
Simulate the deployments of a stack of several custom resources, in virtual time.

The same course produces the same requests.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tests.protocol.cloudformation import Answer
from tests.support.stack_records import StackRecord

from .cloud import Cloud
from .course import DELETE_ATTEMPTS, SMOOTH, Change, Course, Delivery, Deployed, Deployment, Template
from .scheduler import Scheduler
from .transport import Request, Transport

T = TypeVar("T")


@dataclass(eq=False)
class Stack:
    """
    A stack. It has at most one deployment at a time.

    Attributes:
        resources: The resources that exist for CloudFormation.
        stable: The resources after the last successful deployment.
        failed: The resources whose creation failed and was not rolled back.
        has_failed: Whether the last deployment failed and was not rolled back.
        generation: The number of the stack with this name. A stack that is created again has another id.
    """

    cloud: Cloud
    transport: Transport
    name: str
    region: str
    resources: dict[str, Deployed] = field(default_factory=dict)
    stable: dict[str, Deployed] = field(default_factory=dict)
    failed: dict[str, Change] = field(default_factory=dict)
    has_failed: bool = False
    generation: int = 0
    _generations: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def stack_id(self) -> str:
        return (
            f"arn:aws:cloudformation:{self.region}:123456789012:stack/{self.name}/"
            f"5a7d8f10-0000-4000-8000-{self.generation:012}"
        )

    @property
    def exists(self) -> bool:
        return self.generation > 0

    @property
    def scheduler(self) -> Scheduler:
        return self.transport.scheduler

    @property
    def record(self) -> StackRecord:
        """The stack's record in the fake CloudFormation."""
        return self.cloud.stack(self.stack_id)

    def reset(self) -> None:
        """Reset everything."""
        self.transport.clear()
        for holds in (self.resources, self.stable, self.failed):
            holds.clear()
        self.has_failed, self.generation, self._generations = False, 0, itertools.count(1)

    def deploy(self, template: Template, course: Course = SMOOTH) -> Deployment:
        """Deploy *template*. After a failure, do what the course says."""
        if self.exists and self.record.status == "ROLLBACK_COMPLETE":
            # Such a stack has no resources, and can only be deleted.
            self._finish_deletion()
        deployment = Deployment(course=course, held=dict(self.resources))
        is_new = not self.exists
        if is_new:
            self.generation = next(self._generations)
        self._set_status("CREATE_IN_PROGRESS" if is_new else "UPDATE_IN_PROGRESS")
        if self._go_forward(deployment, template):
            self._succeed(deployment, template, is_new=is_new)
        elif course.on_failure == "keep" or self.has_failed:
            self._keep(deployment, is_new=is_new)
        elif course.on_failure == "delete" and is_new:
            self._delete_after_failure(deployment)
        else:
            self._roll_back(deployment, deployment.changes)
        return deployment

    def roll_back(self, course: Course = SMOOTH) -> Deployment:
        """Roll back a failed deployment that was not rolled back, as ``cdk rollback`` does."""
        assert self.has_failed
        deployment = Deployment(course=course, held=dict(self.resources))
        changes = [
            Change.to(name, now, self.stable.get(name))
            for name, now in self.resources.items()
            if name not in self.stable or self.stable[name].properties != now.properties
        ]
        changes += self.failed.values()
        deployment.changes = changes
        self._roll_back(deployment, changes)
        return deployment

    def continue_rollback(self, deployment: Deployment) -> None:
        """Continue a failed rollback, without the resources that are already rolled back."""
        assert deployment.status == "ROLLBACK FAILED"
        deployment.course = replace(deployment.course, undoing=())
        self._roll_back(deployment, deployment.changes)

    def destroy(self, course: Course = SMOOTH) -> Deployment:
        """Delete all resources. If that fails, it can be repeated."""
        deployment = Deployment(course=course, held=dict(self.resources), status="DELETED")
        self._set_status("DELETE_IN_PROGRESS")
        known = {name: (now.physical_id, now.properties) for name, now in self.resources.items()}
        known |= {name: (self._id_of(change), change.new) for name, change in self.failed.items()}
        for number, name in enumerate(_in_order(known, course.order)):
            answer = self._delete(name, *known[name], _nth(course.deliveries, number))
            deployment.removed[name] = answer.succeeded
            if answer.succeeded:
                self.resources.pop(name, None)
                self.failed.pop(name, None)
            else:
                deployment.status = "DELETE FAILED"
                deployment.reasons.append(answer.reason)
        if deployment.status == "DELETED":
            self._finish_deletion()
        else:
            self._set_status("DELETE_FAILED")
        return deployment

    def _go_forward(self, deployment: Deployment, template: Template) -> bool:
        """Create and update; return whether everything succeeded, including the stack's other resources."""
        course = deployment.course
        for name in [name for name in self.failed if name in template]:
            change = self.failed[name]
            if not self._delete(name, self._id_of(change), change.new).succeeded:
                return False
            del self.failed[name]
        todo = list(_in_order({name: new for name, new in template.items() if self._is_new(name, new)}, course.order))
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
            self.scheduler.together(*(_call(self._change, change) for change in changes))
            if not all(change.succeeded for change in changes):
                return False
        return course.other_fails_after is None

    def _is_new(self, name: str, new: Mapping[str, object]) -> bool:
        return name not in self.resources or self.resources[name].properties != new

    def _change(self, change: Change) -> None:
        old, verb = change.old, "UPDATE" if change.old else "CREATE"
        request = Request(
            "Update" if old else "Create",
            self.stack_id,
            change.logical_id,
            change.new,
            physical_id=old.physical_id if old else None,
            old=old.properties if old else None,
        )
        change.sent = self.scheduler.time
        change.answer = self._send(verb, request, change.delivery)
        if old and change.answer and not change.answer.succeeded:
            assert change.answer.physical_id == old.physical_id, "a failed update that changes the id is a replacement"

    def _succeed(self, deployment: Deployment, template: Template, *, is_new: bool) -> None:
        """Delete removed resources and the old ids of replaced ones. If that fails, abandon them."""
        self.resources |= {change.logical_id: change.deployed for change in deployment.changes}
        gone = {name: old for name, old in deployment.held.items() if name not in template}
        gone |= {change.logical_id: change.old for change in deployment.changes if change.is_replacement and change.old}
        self._set_status("CREATE_COMPLETE" if is_new else "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        for name, old in gone.items():
            deployment.removed[name] = self._delete_with_retries(name, old.physical_id, old.properties).succeeded
        for name, change in self.failed.items():
            self._undo_creation(change, name)
        for name in gone.keys() - template.keys():
            del self.resources[name]
        self.failed.clear()
        self._become_stable()
        if not is_new:
            self._set_status("UPDATE_COMPLETE")

    def _keep(self, deployment: Deployment, *, is_new: bool) -> None:
        """Undo only the failed updates, while the stack is still in ``UPDATE_IN_PROGRESS``."""
        deployment.status = "KEPT"
        for change in deployment.changes:
            if change.succeeded:
                self.resources[change.logical_id] = change.deployed
            elif change.old is None:
                self.failed[change.logical_id] = change
            else:
                self._undo_update(change, deployment)
        self._set_status("CREATE_FAILED" if is_new else "UPDATE_FAILED")
        self.has_failed = True

    def _delete_after_failure(self, deployment: Deployment) -> None:
        """Delete a stack whose creation failed, without a rollback."""
        deployment.status = "DELETED"
        self._set_status("DELETE_IN_PROGRESS")
        for change in deployment.changes:
            self._undo_creation(change, change.logical_id)
        self._finish_deletion()

    def _roll_back(self, deployment: Deployment, changes: Sequence[Change]) -> None:
        course, is_update = deployment.course, bool(self.stable)
        self._set_status("UPDATE_ROLLBACK_IN_PROGRESS" if is_update else "ROLLBACK_IN_PROGRESS")
        updated = {change.logical_id: change for change in changes if change.old}
        waiting = [updated[name] for name in _in_order(updated, course.order[::-1]) if not updated[name].is_undone]
        for batch in _batches(waiting, together=course.together):
            self.scheduler.together(
                *(_call(lambda each: self._undo_update(each, deployment), change) for change in batch)
            )
        if not all(change.is_undone for change in updated.values()):
            deployment.status = "ROLLBACK FAILED"
            self._set_status("UPDATE_ROLLBACK_FAILED")
            return
        if is_update:
            self._set_status("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
        for change in changes:
            if change.old is None or change.is_replacement:
                self._undo_creation(change, change.logical_id)
        deployment.status = "ROLLED BACK"
        self.failed.clear()
        self.resources = {name: now for name, now in self.resources.items() if name in self.stable}
        self._become_stable()
        self._set_status("UPDATE_ROLLBACK_COMPLETE" if is_update else "ROLLBACK_COMPLETE")

    def _undo_update(self, change: Change, deployment: Deployment) -> None:
        """Send the reverse Update, with the current id of the resource."""
        old = change.old
        assert old is not None
        if change.is_replacement and not deployment.course.updates_replaced:
            change.is_undone = True
            return
        physical_id = change.answer.physical_id if change.answer and change.is_replacement else old.physical_id
        request = Request(
            "Update", self.stack_id, change.logical_id, old.properties, physical_id=physical_id, old=change.new
        )
        sent = self.scheduler.time
        number = sum(other.undone is not None for other in deployment.changes)
        change.undone = self._send("UPDATE", request, _nth(deployment.course.undoing, number))
        change.is_undone = change.undone is not None and change.undone.succeeded
        if change.undone is None:
            deployment.reasons.append(f"{change.logical_id}: no response")
        elif not change.undone.succeeded:
            deployment.reasons.append(change.undone.reason)
        else:
            assert change.undone.physical_id == old.physical_id
            self.resources[change.logical_id] = Deployed(old.properties, old.physical_id, change.undone.data, sent)

    def _undo_creation(self, change: Change, name: str) -> None:
        change.undone = self._delete_with_retries(name, self._id_of(change), change.new)
        change.is_undone = change.undone.succeeded

    def _id_of(self, change: Change) -> str:
        """Return the id of the new resource. CloudFormation makes one up if it got no response."""
        return change.answer.physical_id if change.answer else self.invented_id(change.logical_id)

    def invented_id(self, logical_id: str) -> str:
        return f"{self.name}-{logical_id}-1ABCDEFGHIJKL"

    def _delete_with_retries(self, name: str, physical_id: str, properties: Mapping[str, object]) -> Answer:
        answers = (self._delete(name, physical_id, properties) for _ in range(DELETE_ATTEMPTS))
        *_, last = _up_to(answers, lambda answer: answer.succeeded)
        return last

    def _delete(
        self, name: str, physical_id: str, properties: Mapping[str, object], delivery: Delivery | None = None
    ) -> Answer:
        request = Request("Delete", self.stack_id, name, properties, physical_id=physical_id)
        answer = self._send("DELETE", request, delivery or Delivery())
        if answer is None:
            return Answer("FAILED", "no response", physical_id, {})
        assert answer.physical_id == physical_id, "the id may not change while a resource is deleted"
        return answer

    def _send(self, verb: str, request: Request, delivery: Delivery) -> Answer | None:
        self.record.change(request.logical_id, f"{verb}_IN_PROGRESS", request.physical_id or "")
        answer = self.transport.send(request, delivery)
        status = "COMPLETE" if answer and answer.succeeded else "FAILED"
        physical_id = answer.physical_id if answer else request.physical_id or ""
        self.record.change(request.logical_id, f"{verb}_{status}", physical_id)
        return answer

    def _become_stable(self) -> None:
        self.stable, self.has_failed = dict(self.resources), False

    def _finish_deletion(self) -> None:
        self._set_status("DELETE_COMPLETE")
        self.resources.clear()
        self.failed.clear()
        self._become_stable()
        self.generation = 0

    def _set_status(self, status: str) -> None:
        self.transport.log(f"{self.name}: {status}")
        self.record.enter(status)


def _call(action: Callable[[T], object], item: T) -> Callable[[], object]:
    return lambda: action(item)


def _up_to(items: Iterator[T], condition: Callable[[T], bool]) -> Iterator[T]:
    """Yield items up to and including the first one that fulfils *condition*."""
    for item in items:
        yield item
        if condition(item):
            return


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
