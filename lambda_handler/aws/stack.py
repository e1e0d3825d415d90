"""What CloudFormation says of a stack: whether it is rolled back, whether a deployment has succeeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from ..errors import RemoteError
from ..retry import Retry
from .errcode import translated

T = TypeVar("T")

_ROLLING_BACK = frozenset(
    {
        "ROLLBACK_IN_PROGRESS",
        "UPDATE_ROLLBACK_IN_PROGRESS",
        # What a failed update created is deleted at the very end.
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    }
)

_SUCCEEDED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "IMPORT_COMPLETE"})

_STACK_TYPE = "AWS::CloudFormation::Stack"

EVENT_PAGES_MAX = 30
"""
Of a hundred events each.

The removal of a stack writes two for each resource, so that its beginning is
found in a stack of AWS's 500 resources with room to spare.
"""

EVENTS_SECONDS = 30.0
"""How long each page of events is tried for at most."""

CLOCKS_DIFFER_SECONDS = 2.0
"""CloudFormation notes that a resource is in progress when it sends the request, or just before."""


@dataclass(frozen=True, slots=True)
class _Event:
    """
    An event of a stack.

    Attributes:
        at: In seconds since the epoch.
        is_success: The stack itself has been deployed.
    """

    at: float
    is_success: bool

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> _Event:
        # A nested stack is a resource of that type, too; its events have another physical id.
        is_of_stack = data["ResourceType"] == _STACK_TYPE and data.get("PhysicalResourceId") == data["StackId"]
        return cls(data["Timestamp"].timestamp(), is_of_stack and data.get("ResourceStatus") in _SUCCEEDED)


@dataclass
class StackHistory:
    """
    One stack, asked about for one request; each question is sent once.

    A permission that is missing is not waited for: functions of version 0.1
    that were set up by hand have none, and all others got it with their role.

    Attributes:
        client: botocore's client for ``cloudformation`` in the stack's Region.
        stack_id: Its ARN.
    """

    client: Any
    stack_id: str
    retry: Retry
    _described: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_rolling_back(self) -> bool:
        """
        Whether a deployment of the stack, or of the one that it is nested in, is being rolled back.

        Raises:
            RemoteError: CloudFormation did not respond, or denied it.
        """
        return not _ROLLING_BACK.isdisjoint(self._statuses)

    @property
    def is_deleting(self) -> bool:
        """
        Whether the stack, or the one that it is nested in, is being deleted as a whole.

        Raises:
            RemoteError: CloudFormation did not respond, or denied it.
        """
        return self._describe(self._root).get("StackStatus") == "DELETE_IN_PROGRESS"

    @property
    def is_settled(self) -> bool:
        """
        Whether nothing is in progress, so that CloudFormation waits for no response.

        Raises:
            RemoteError: CloudFormation did not respond, or denied it.
        """
        return not any(status.endswith("_IN_PROGRESS") for status in self._statuses)

    def has_succeeded_since(self, sent: float) -> bool | None:
        """
        Whether a deployment of the stack (for a nested one: of its root) has succeeded.

        Args:
            sent: Since when, in seconds since the epoch.

        Returns:
            None where the stack's events do not tell, go on for too long, or
            cannot be read, which the log says.
        """
        try:
            return self._succeeded_since(sent)
        except RemoteError as error:
            self.retry.log.warning(f"not known whether a deployment has succeeded since: {error.explain()}")
            return None

    def _succeeded_since(self, sent: float) -> bool | None:
        token = ""
        for _ in range(EVENT_PAGES_MAX):
            events, token = self._events(self._root, token)
            for event in events:
                if event.at < sent - CLOCKS_DIFFER_SECONDS:
                    return False
                if event.is_success:
                    return True
            if not token:
                return False if events else None
        return None

    def has_changed_since(self, logical_resource_id: str, sent: float) -> bool:
        """
        Whether a resource has come to another state, so that a request from before is no longer waited for.

        Raises:
            RemoteError: CloudFormation did not respond, or denied it.
        """

        def call() -> float | None:
            with translated("cloudformation:DescribeStackResource"):
                response = self.client.describe_stack_resource(
                    StackName=self.stack_id, LogicalResourceId=logical_resource_id
                )
                changed = response.get("StackResourceDetail", {}).get("LastUpdatedTimestamp")
                return None if changed is None else float(changed.timestamp())

        changed = self._call("asking for the state of the resource", call)
        return changed is not None and changed > sent + CLOCKS_DIFFER_SECONDS

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

            self._described[stack_id] = self._call("asking for the state of the stack", call)
        return self._described[stack_id]

    def _events(self, stack_id: str, token: str) -> tuple[list[_Event], str]:
        """Return a page of the stack's events, the newest first, and the token of the next one."""
        following = {"NextToken": token} if token else {}

        def call() -> tuple[list[_Event], str]:
            with translated("cloudformation:DescribeStackEvents"):
                page = self.client.describe_stack_events(StackName=stack_id, **following)
                return [_Event.parse(each) for each in page.get("StackEvents", ())], page.get("NextToken", "")

        # What is not known is not worth all the time that there is.
        retry = replace(self.retry, deadline=self.retry.deadline.sooner(EVENTS_SECONDS))
        return retry.call("reading the events of the stack", call)

    def _call(self, doing: str, call: Callable[[], T]) -> T:
        return self.retry.call(doing, call, retry_access_denied=False)
