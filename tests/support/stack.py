"""A simulated stack with one custom resource. As in CloudFormation, a failed event causes further events."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from tests.protocol.cloudformation import Answer, CloudFormation
from tests.support.control_plane import ControlPlane

INVENTED_ID = "Agent-Release-1ABCDEFGHIJKL"
"""``<stack>-<logical id>-<suffix>``: the id in a Delete if CloudFormation never got a response to the Create."""


@dataclass
class Stack:
    """
    A stack with one resource.

    Attributes:
        plane: The fake CloudFormation whose status shows a rollback.
        declared: The deployed properties; None before the first deployment and after a failed one.
        events: The types of the requests, in order.
    """

    cloudformation: CloudFormation
    logical_id: str = "Release"
    plane: ControlPlane | None = None
    declared: Mapping[str, Any] | None = None
    physical_id: str = ""
    events: list[str] = field(default_factory=list)

    def deploy(self, properties: Mapping[str, Any]) -> Answer:
        """Create or update the resource, and roll back or clean up. Return the first response."""
        return self._create(properties) if self.declared is None else self._update(self.declared, properties)

    def destroy(self) -> Answer:
        """Delete the stack."""
        assert self.declared is not None
        answer = self._delete(self.physical_id, self.declared)
        self.declared = None
        return answer

    def _create(self, properties: Mapping[str, Any]) -> Answer:
        self.events.append("Create")
        answer = self.cloudformation.create(properties, self.logical_id)
        if answer.succeeded:
            self.declared, self.physical_id = properties, answer.physical_id
        else:
            assert self._delete(answer.physical_id, properties).succeeded, "the stack is stuck in DELETE_FAILED"
        return answer

    def _update(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> Answer:
        self.events.append("Update")
        answer = self.cloudformation.update(self.physical_id, new, old, self.logical_id)
        if not answer.succeeded:
            self.roll_back(new)
        elif answer.physical_id != self.physical_id:
            assert self._delete(self.physical_id, old).succeeded
            self.declared, self.physical_id = new, answer.physical_id
        else:
            self.declared = new
        return answer

    def roll_back(self, tried: Mapping[str, Any]) -> None:
        """Send the reverse Update, which must succeed."""
        assert self.declared is not None
        self.events.append("Update")
        with self.plane.rolling_back() if self.plane else nullcontext():
            answer = self.cloudformation.roll_back(self.physical_id, tried, self.declared, self.logical_id)
        assert answer.succeeded, f"the stack is stuck in UPDATE_ROLLBACK_FAILED: {answer.reason}"

    def _delete(self, physical_id: str, properties: Mapping[str, Any]) -> Answer:
        self.events.append("Delete")
        return self.cloudformation.delete(physical_id, properties, self.logical_id)
