"""The status of a stack: whether it is rolling back, and whether a deployment has succeeded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from ..errors import DeadlineError, RemoteError
from ..retry import Retry
from .errcode import translated

T = TypeVar("T")

_ROLLING_BACK = frozenset(
    {
        "ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        # Resources that a failed update created are deleted last.
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    }
)

_SUCCEEDED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "IMPORT_COMPLETE"})

_STARTED = frozenset({"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "IMPORT_IN_PROGRESS", "DELETE_IN_PROGRESS"})

_STACK_TYPE = "AWS::CloudFormation::Stack"

EVENT_PAGES_MAX = 30
"""
With a hundred events each.

The deletion of a stack writes two events for each of at most 500 resources, so
its beginning is always found.
"""

EVENTS_SECONDS = 30.0
"""How long to retry each page of events."""

CLOCK_SKEW_SECONDS = 2.0
"""CloudFormation sets the status of a resource when it sends the request, or just before."""

SENT_PRECISION_SECONDS = 1.0
"""The time in a ResponseURL has no fractions; it is never later than the request."""


@dataclass(frozen=True, slots=True)
class _Event:
    """
    An event of a stack.

    Attributes:
        at: Timestamp in seconds since the epoch.
        resource: The logical id of the resource; empty for the stack itself.
        is_success: Whether the event says that the stack was deployed.
        is_start: Whether the event says that an operation on the stack has begun.
    """

    at: float
    resource: str
    status: str
    is_success: bool
    is_start: bool

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> _Event:
        # A nested stack has the same resource type, but another physical id.
        is_of_stack = data["ResourceType"] == _STACK_TYPE and data.get("PhysicalResourceId") == data["StackId"]
        status = data.get("ResourceStatus", "")
        return cls(
            data["Timestamp"].timestamp(),
            resource="" if is_of_stack else data["LogicalResourceId"],
            status=status,
            is_success=is_of_stack and status in _SUCCEEDED,
            is_start=is_of_stack and status in _STARTED,
        )


def _is_publication(status: str) -> bool:
    """Whether a resource is being created or updated, or its update is being undone, for which there may be a name."""
    return status.endswith("_IN_PROGRESS") and not status.startswith("DELETE")


@dataclass(eq=False, repr=False)
class StackHistory:
    """
    The history of one stack, for one request; each query is sent once.

    AccessError is not retried: manually created functions of version 0.1 lack
    the permission, and all others received it together with their role.

    Attributes:
        client: A botocore client for ``cloudformation`` in the Region of the stack.
        stack_id: The ARN of the stack.
    """

    client: Any
    stack_id: str
    retry: Retry
    _described: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_rolling_back(self) -> bool:
        """
        Whether the stack, or the root stack of a nested one, is rolling back.

        Raises:
            RemoteError: CloudFormation did not respond, or denied access.
        """
        return not _ROLLING_BACK.isdisjoint(self._statuses)

    @property
    def is_idle(self) -> bool:
        """
        Whether no operation is in progress, so that CloudFormation waits for no response.

        Raises:
            RemoteError: CloudFormation did not respond, or denied access.
        """
        return not any(status.endswith("_IN_PROGRESS") for status in self._statuses)

    def has_succeeded_since(self, sent: float, *, before_this: bool = False) -> bool | None:
        """
        Whether a deployment of the stack (or its root stack, if it is nested) has succeeded.

        Args:
            sent: The time since when, in seconds since the epoch.
            before_this: Ignore the operation that is in progress. An update
                deletes last what it no longer declares, when it has succeeded.

        Returns:
            None if the events do not show it, there are too many of them, or they
            cannot be read; the last case is logged.
        """
        try:
            return self._succeeded_since(sent, before_this=before_this)
        except (RemoteError, DeadlineError) as error:
            self.retry.log.warning(f"cannot tell whether a deployment has succeeded since: {error.explain()}")
            return None

    def _succeeded_since(self, sent: float, *, before_this: bool = False) -> bool | None:
        token, has_started, is_ignored = "", False, before_this
        for _ in range(EVENT_PAGES_MAX):
            events, token = self._events(self._root, token)
            for event in events:
                if event.at < sent - CLOCK_SKEW_SECONDS:
                    return False
                if event.is_success and not is_ignored:
                    # The deployment that began between the two is the one that sent the request.
                    return event.at >= sent or not has_started
                has_started = has_started or (event.is_start and event.at < sent + SENT_PRECISION_SECONDS)
                is_ignored = is_ignored and not event.is_start
            if not token:
                # Each operation begins with an event. If those up to the request are gone, it was long ago.
                return events[-1].at > sent + CLOCK_SKEW_SECONDS if events else None
        return None

    def has_been_updated_since(self, logical_resource_id: str, sent: float) -> bool:
        """
        Whether CloudFormation has updated a resource since an earlier request for it.

        Args:
            sent: When that request was sent, in seconds since the epoch.

        Returns:
            False if the events do not show it, there are too many of them, or they
            cannot be read; the last case is logged.
        """
        return self._has_event(logical_resource_id, "UPDATE_IN_PROGRESS", lambda x: x.at <= sent + CLOCK_SKEW_SECONDS)

    def has_update_failed(self, logical_resource_id: str) -> bool:
        """
        Whether an update of a resource has failed in the operation that is in progress.

        Returns:
            False if the events do not show it, there are too many of them, or they
            cannot be read; the last case is logged.
        """
        return self._has_event(logical_resource_id, "UPDATE_FAILED", lambda event: event.is_start)

    def _has_event(self, logical_resource_id: str, status: str, is_before: Callable[[_Event], bool]) -> bool:
        """Whether a resource has had a status since the latest event that is before; False if that cannot be read."""
        try:
            for event in self._all_events(self.stack_id):
                if is_before(event):
                    return False
                if event.resource == logical_resource_id and event.status == status:
                    return True
        except (RemoteError, DeadlineError) as error:
            self.retry.log.warning(f"cannot tell whether {logical_resource_id} was {status}: {error.explain()}")
        return False

    def has_created_since(self, logical_resource_id: str, sent: float) -> bool | None:
        """
        Whether a creation of a resource has succeeded since a request, in an operation that had begun when it was sent.

        Args:
            sent: When that request was sent, in seconds since the epoch.

        Returns:
            None if the events do not show it, there are too many of them, or they
            cannot be read; the last case is logged.
        """
        events = self._all_events(self.stack_id)
        ended = {"CREATE_COMPLETE", "CREATE_FAILED"}
        try:
            last = next((x for x in events if x.resource == logical_resource_id and x.status in ended), None)
            if last is None or last.status != "CREATE_COMPLETE" or last.at < sent:
                return None if last is None else False
            start = next((event for event in events if event.is_start), None)
        except (RemoteError, DeadlineError) as error:
            self.retry.log.warning(f"cannot tell whether the resource was created again: {error.explain()}")
            return None
        return None if start is None else start.at < sent + SENT_PRECISION_SECONDS

    def has_changed_since(self, logical_resource_id: str, sent: float, *, is_deletion: bool) -> bool:
        """
        Whether the status of a resource is no longer that of a request, so that CloudFormation does not wait for it.

        A status that was set within two seconds of the request may be its own. A
        publication cannot have one that is not in progress, if the events agree.

        Args:
            sent: When the request was sent, in seconds since the epoch.
            is_deletion: Whether it is a Delete. That of a replaced resource comes when the status is complete.

        Raises:
            RemoteError: CloudFormation did not respond, or denied access.
        """

        def call() -> tuple[str, float]:
            with translated("cloudformation:DescribeStackResource"):
                response = self.client.describe_stack_resource(
                    StackName=self.stack_id, LogicalResourceId=logical_resource_id
                )
            found = response.get("StackResourceDetail", {})
            changed = found.get("LastUpdatedTimestamp")
            return found.get("ResourceStatus", ""), changed.timestamp() if changed else 0.0

        status, changed = self._call("describing the resource", call)
        if is_deletion or abs(changed - sent) > CLOCK_SKEW_SECONDS or _is_publication(status):
            return changed > sent + CLOCK_SKEW_SECONDS
        last = next((each for each in self._all_events(self.stack_id) if each.resource == logical_resource_id), None)
        return last is not None and not _is_publication(last.status)

    @cached_property
    def _root(self) -> str:
        return str(self._describe(self.stack_id).get("RootId") or self.stack_id)

    @property
    def _statuses(self) -> list[str]:
        return [str(self._describe(each)["StackStatus"]) for each in dict.fromkeys((self.stack_id, self._root))]

    def _describe(self, stack_id: str) -> Mapping[str, Any]:
        if stack_id not in self._described:

            def call() -> Mapping[str, Any]:
                with translated("cloudformation:DescribeStacks"):
                    stack: Mapping[str, Any] = self.client.describe_stacks(StackName=stack_id)["Stacks"][0]
                    return {"StackStatus": stack["StackStatus"], "RootId": stack.get("RootId")}

            self._described[stack_id] = self._call("describing the stack", call)
        return self._described[stack_id]

    def _all_events(self, stack_id: str) -> Iterator[_Event]:
        """Yield the events of a stack, newest first, as far as they are read."""
        token = ""
        for _ in range(EVENT_PAGES_MAX):
            events, token = self._events(stack_id, token)
            yield from events
            if not token:
                return

    def _events(self, stack_id: str, token: str) -> tuple[list[_Event], str]:
        """Return a page of events, newest first, and the token of the next page."""
        following = {"NextToken": token} if token else {}

        def call() -> tuple[list[_Event], str]:
            with translated("cloudformation:DescribeStackEvents"):
                page = self.client.describe_stack_events(StackName=stack_id, **following)
                return [_Event.parse(each) for each in page.get("StackEvents", ())], page.get("NextToken", "")

        # The result is optional, so this must not take all of the remaining time.
        retry = replace(self.retry, deadline=self.retry.deadline.sooner(EVENTS_SECONDS))
        return retry.call("reading the events of the stack", call)

    def _call(self, doing: str, call: Callable[[], T]) -> T:
        return self.retry.call(doing, call, retry_access_denied=False)
