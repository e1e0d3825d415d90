"""A stack with one custom resource, played as CloudFormation plays it: each event brings those that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from tests.protocol.cloudformation import Answer, CloudFormation
from tests.support.control_plane import ControlPlane

INVENTED_ID = "Agent-Release-1ABCDEFGHIJKL"
"""``<stack>-<logical id>-<suffix>``: what CloudFormation deletes when it never got an answer to a Create."""


@dataclass
class Stack:
    """
    The stack.

    Attributes:
        plane: Told when it is rolled back.
        declared: What is deployed now; None before the first deployment and after a failed one.
        events: The request types that were sent, in order.
    """

    cloudformation: CloudFormation
    logical_id: str = "Release"
    plane: ControlPlane | None = None
    declared: Mapping[str, Any] | None = None
    physical_id: str = ""
    events: list[str] = field(default_factory=list)

    def deploy(self, properties: Mapping[str, Any]) -> Answer:
        """Create or update; a failure is rolled back, a replacement cleaned up. Returns the first answer."""
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
        """Go back to what is deployed: an update the other way round, which must succeed."""
        assert self.declared is not None
        self.events.append("Update")
        with self.plane.rolling_back() if self.plane else nullcontext():
            answer = self.cloudformation.roll_back(self.physical_id, tried, self.declared, self.logical_id)
        assert answer.succeeded, f"the stack is stuck in UPDATE_ROLLBACK_FAILED: {answer.reason}"

    def _delete(self, physical_id: str, properties: Mapping[str, Any]) -> Answer:
        self.events.append("Delete")
        return self.cloudformation.delete(physical_id, properties, self.logical_id)
