"""
Simulate the requests that CloudFormation sends for the resources of a stack, in phases.

A deployment creates and updates. Then it deletes the dropped resources, or it is
rolled back: reverse Updates, then Deletes of the created resources. Other
resources of the stack are not modelled, but may fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.protocol.cloudformation import check

from .events import SERVICE_TIMEOUT, event, to_datetime
from .stacks import Change, Declared, Kind, Phase, Request, Resource, Stack, Template
from .world import World

ATTEMPTS = 3
"""How often a failing request is sent: a person continues a rollback, and CloudFormation repeats a clean-up."""


def deploy(world: World, name: str, template: Template, region: str = "eu-west-1") -> list[Request]:
    """Begin a deployment; return its first requests."""
    stack = world.stacks.get(name)
    if stack is None or not stack.resources:
        stack = Stack(name=name, region=region, status="", created=world.time)
        world.stacks[name] = stack
    stack.is_first = not stack.status
    stack.updated = None if stack.is_first else world.time
    stack.changes = []
    stack.dropped = [each for each in stack.resources if each not in template]
    _enter(world, stack, "forward", "CREATE_IN_PROGRESS" if stack.is_first else "UPDATE_IN_PROGRESS")
    live = stack.live()
    changed = {each: new for each, new in template.items() if live.get(each) != new}
    kinds = {each: Kind.UPDATE if each in live else Kind.CREATE for each in changed}
    return _send(world, stack, [(kinds[each], each, new, live.get(each)) for each, new in changed.items()])


def delete(world: World, name: str) -> list[Request]:
    """Begin to delete a stack."""
    stack = world.stacks[name]
    _enter(world, stack, "delete", "DELETE_IN_PROGRESS")
    return _send(world, stack, [(Kind.DELETE, each, None, old) for each, old in stack.live().items()])


def record_result(world: World, request: Request) -> None:
    """Record the result of a request: its first response, or none until the timeout."""
    stack = world.stacks[request.resource[0]]
    bodies = world.answers.get(request.id, ())
    if not bodies:
        world.time = max(world.time, request.sent + SERVICE_TIMEOUT)
    change = Change(request=request, answer=check(request.event, bodies[0]) if bodies else False)
    stack.waiting = [change if each.request.id == request.id else each for each in stack.waiting]
    if stack.phase == "forward":
        stack.changes = [each for each in stack.changes if each.request.id != request.id] + [change]
    _note_answer(world, stack, change)


def proceed(world: World, name: str, *, other_fails: bool = False) -> list[Request]:
    """
    Begin the next phase after all requests of one have ended; return its requests, if there are any.

    Args:
        other_fails: Whether another resource of the stack fails, which undoes the deployment.
    """
    stack = world.stacks[name]
    failed = [each.request for each in stack.waiting if not each.succeeded]
    if stack.phase == "forward":
        return _roll_back(world, stack) if failed or other_fails else _clean_up(world, stack)
    if failed:
        stack.attempts += 1
        return _again(world, stack, failed) if stack.attempts < ATTEMPTS else []
    if stack.phase == "roll back":
        return _clean_up_rollback(world, stack)
    status = {
        "clean up": "UPDATE_COMPLETE",
        "roll back: clean up": "ROLLBACK_COMPLETE" if stack.is_first else "UPDATE_ROLLBACK_COMPLETE",
        "delete": "DELETE_COMPLETE",
    }
    if stack.phase != "idle":
        _enter(world, stack, "idle", status[stack.phase])
    return []


def is_stuck(stack: Stack) -> bool:
    return stack.phase != "idle" and stack.attempts >= ATTEMPTS


Step = tuple[Kind, str, Declared | None, Declared | None]
"""The kind, the logical id, and the new and the old declaration."""


def _clean_up(world: World, stack: Stack) -> list[Request]:
    if stack.is_first:
        _enter(world, stack, "idle", "CREATE_COMPLETE")
        return []
    _enter(world, stack, "clean up", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
    live = stack.live()
    requests = _send(world, stack, [(Kind.DELETE, name, None, live[name]) for name in stack.dropped])
    return requests or proceed(world, stack.name)


def _roll_back(world: World, stack: Stack) -> list[Request]:
    if stack.is_first:
        return _clean_up_rollback(world, stack)
    _enter(world, stack, "roll back", "UPDATE_ROLLBACK_IN_PROGRESS")
    updates = [each.request for each in stack.changes if each.request.kind is Kind.UPDATE]
    steps: list[Step] = [(Kind.UNDO_UPDATE, each.resource[1], each.old, each.new) for each in updates]
    return _send(world, stack, steps) or proceed(world, stack.name)


def _clean_up_rollback(world: World, stack: Stack) -> list[Request]:
    status = "ROLLBACK_IN_PROGRESS" if stack.is_first else "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
    _enter(world, stack, "roll back: clean up", status)
    created = [each.request for each in stack.changes if each.request.kind is Kind.CREATE]
    steps: list[Step] = [(Kind.UNDO_CREATE, each.resource[1], None, each.new) for each in created]
    return _send(world, stack, steps) or proceed(world, stack.name)


def _again(world: World, stack: Stack, failed: Sequence[Request]) -> list[Request]:
    return _send(world, stack, [(each.kind, each.resource[1], each.new, each.old) for each in failed])


def _enter(world: World, stack: Stack, phase: Phase, status: str) -> None:
    world.time += 1.0
    stack.phase, stack.status, stack.attempts, stack.waiting = phase, status, 0, []
    _note(world, stack, stack.name, "AWS::CloudFormation::Stack", stack.id, status)


def _send(world: World, stack: Stack, steps: Sequence[Step]) -> list[Request]:
    """Create a request for each step, all at the same time."""
    requests = [_request(world, stack, *step) for step in steps]
    stack.waiting = [Change(request=request) for request in requests]
    for request in requests:
        _mark(world, stack, request, "IN_PROGRESS")
    return requests


def _request(world: World, stack: Stack, kind: Kind, name: str, new: Declared | None, old: Declared | None) -> Request:
    number = world.next_id
    world.next_id += 1
    known = stack.resources.get(name, Resource())
    physical_id = known.physical_id or ("" if kind is Kind.CREATE else f"{stack.name}-{name}-1ABCDEFGHIJKL")
    sent = event(kind, stack.id, name, number=number, time=world.time, physical_id=physical_id, new=new, old=old)
    return Request(kind=kind, resource=(stack.name, name), event=sent, new=new, old=old, sent=world.time)


def _note_answer(world: World, stack: Stack, change: Change) -> None:
    """Update a resource after a response."""
    request, name = change.request, change.request.resource[1]
    _mark(world, stack, request, "COMPLETE" if change.succeeded else "FAILED")
    known = stack.resources[name]
    if change.answer and request.kind is Kind.CREATE:
        known = replace(known, physical_id=change.answer.physical_id)
    if change.succeeded and request.kind not in {Kind.DELETE, Kind.UNDO_CREATE}:
        known = replace(known, declared=request.new)
    if change.succeeded and request.new is None:
        del stack.resources[name]
    else:
        stack.resources[name] = known


def _mark(world: World, stack: Stack, request: Request, end: str) -> None:
    """Set the status of a resource, for example ``UPDATE_IN_PROGRESS``."""
    verb = {"Create": "CREATE", "Update": "UPDATE", "Delete": "DELETE"}[str(request.event["RequestType"])]
    name = request.resource[1]
    known = stack.resources.get(name, Resource())
    stack.resources[name] = replace(known, status=f"{verb}_{end}", since=world.time)
    _note(world, stack, name, "Custom::ECRPublicImage", known.physical_id, f"{verb}_{end}")


def _note(world: World, stack: Stack, name: str, resource_type: str, physical_id: str, status: str) -> None:
    """Add an event to the stack."""
    stack.events.append(
        {
            "StackId": stack.id,
            "EventId": f"{name}-{status}-{len(stack.events)}",
            "StackName": stack.name,
            "LogicalResourceId": name,
            "PhysicalResourceId": physical_id,
            "ResourceType": resource_type,
            "Timestamp": to_datetime(world.time),
            "ResourceStatus": status,
        }
    )
