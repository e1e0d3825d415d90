"""Stacks as CloudFormation describes them: their status, resources and events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape

STACK_TYPE = "AWS::CloudFormation::Stack"
RESOURCE_TYPE = "Custom::ECRPublicImage"

EVENTS_PAGE = 10

LONG_AGO = 1_700_000_000.0
"""The creation time of a stack, if a test does not set it."""


@dataclass(frozen=True, kw_only=True)
class StackEvent:
    """One event of a stack."""

    number: int
    at: float
    logical_id: str
    physical_id: str
    resource_type: str
    status: str


@dataclass(frozen=True, kw_only=True)
class ResourceRecord:
    """The status of a resource. *changed* is in seconds since the epoch."""

    status: str
    physical_id: str
    resource_type: str
    changed: float


@dataclass
class StackRecord:
    """
    One stack.

    Attributes:
        root: The stack that this one is nested in.
        events: The events, the oldest first.
    """

    stack_id: str
    wall: Callable[[], float]
    root: StackRecord | None = None
    status: str = "UPDATE_IN_PROGRESS"
    created: float = LONG_AGO
    updated: float | None = None
    events: list[StackEvent] = field(default_factory=list)
    resources: dict[str, ResourceRecord] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.stack_id.split("/")[1]

    def enter(self, status: str) -> None:
        """Set the status of the stack, which adds an event to the stack and to its parent stack."""
        self.status = status
        if status == "CREATE_IN_PROGRESS":
            self.created = self.wall()
        if status == "UPDATE_IN_PROGRESS":
            self.updated = self.wall()
        self._note(self.name, self.stack_id, STACK_TYPE, status)
        if self.root:
            self.root.change(self.name, status, self.stack_id, STACK_TYPE)

    def change(self, logical_id: str, status: str, physical_id: str = "", resource_type: str = RESOURCE_TYPE) -> None:
        """Set the status of a resource, which adds an event."""
        known = self.resources.get(logical_id)
        physical_id = physical_id or (known.physical_id if known else "")
        self.resources[logical_id] = ResourceRecord(
            status=status, physical_id=physical_id, resource_type=resource_type, changed=self.wall()
        )
        self._note(logical_id, physical_id, resource_type, status)

    def _note(self, logical_id: str, physical_id: str, resource_type: str, status: str) -> None:
        self.events.append(
            StackEvent(
                number=len(self.events),
                at=self.wall(),
                logical_id=logical_id,
                physical_id=physical_id,
                resource_type=resource_type,
                status=status,
            )
        )


def describe_stack(stack: StackRecord) -> str:
    """Return the result of DescribeStacks."""
    fields = {
        "StackId": stack.stack_id,
        "StackName": stack.name,
        "CreationTime": _time(stack.created),
        "LastUpdatedTime": _time(stack.updated) if stack.updated else "",
        "StackStatus": stack.status,
        "ParentId": stack.root.stack_id if stack.root else "",
        "RootId": stack.root.stack_id if stack.root else "",
    }
    return f"<Stacks><member>{_fields(fields)}</member></Stacks>"


def describe_events(stack: StackRecord, token: str) -> str:
    """Return a page of DescribeStackEvents, the newest event first."""
    first = int(token or "0")
    events = stack.events[::-1]
    members = "".join(f"<member>{_event(stack, event)}</member>" for event in events[first : first + EVENTS_PAGE])
    following = f"<NextToken>{first + EVENTS_PAGE}</NextToken>" if events[first + EVENTS_PAGE :] else ""
    return f"<StackEvents>{members}</StackEvents>{following}"


def describe_resource(stack: StackRecord, logical_id: str) -> str | None:
    """Return the result of DescribeStackResource; None if the stack does not have the resource."""
    resource = stack.resources.get(logical_id)
    if resource is None:
        return None
    fields = {
        "StackId": stack.stack_id,
        "StackName": stack.name,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": resource.physical_id,
        "ResourceType": resource.resource_type,
        "LastUpdatedTimestamp": _time(resource.changed),
        "ResourceStatus": resource.status,
    }
    return f"<StackResourceDetail>{_fields(fields)}</StackResourceDetail>"


def _event(stack: StackRecord, event: StackEvent) -> str:
    return _fields(
        {
            "StackId": stack.stack_id,
            "EventId": f"{event.logical_id}-{event.number}",
            "StackName": stack.name,
            "LogicalResourceId": event.logical_id,
            "PhysicalResourceId": event.physical_id,
            "ResourceType": event.resource_type,
            "Timestamp": _time(event.at),
            "ResourceStatus": event.status,
        }
    )


def _fields(fields: Mapping[str, str]) -> str:
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items() if value)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
