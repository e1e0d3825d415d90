"""Systems Manager in every Region, and what CloudFormation says of several stacks, in virtual time."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

from tests.support.control_plane import serving

from .stage import Stage

PARAMETERS_PAGE = 10
EVENTS_PAGE = 40
"""A hundred with AWS; less is enough to see that all pages are read."""

STACK_TYPE = "AWS::CloudFormation::Stack"

Trouble = Literal["busy", "broken", "denied"]
"""Throttled; done, but the answer is an error of the server; not allowed."""


@dataclass(frozen=True)
class StackEvent:
    """A line of a stack's events."""

    at: float
    logical_id: str
    physical_id: str
    type: str
    status: str


@dataclass
class StackRecord:
    """What CloudFormation knows of one stack; it is asked by the stack's id."""

    stack_id: str
    status: str = "REVIEW_IN_PROGRESS"
    events: list[StackEvent] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.stack_id.split("/")[1]

    @property
    def region(self) -> str:
        return self.stack_id.split(":")[3]


@dataclass
class Cloud:
    """
    The two services.

    Attributes:
        parameters: By Region and name.
        trouble: Of operations (``PutParameter``): what kind, and for how many more requests.
    """

    stage: Stage
    url: str = ""
    parameters: dict[tuple[str, str], str] = field(default_factory=dict)
    stacks: dict[str, StackRecord] = field(default_factory=dict)
    trouble: dict[str, tuple[Trouble, int]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

    def environment(self) -> dict[str, str]:
        """Return the variables that lead clients here."""
        return {"AWS_ENDPOINT_URL_SSM": self.url, "AWS_ENDPOINT_URL_CLOUDFORMATION": self.url}

    def clear(self) -> None:
        for holds in (self.parameters, self.stacks, self.trouble, self.requests):
            holds.clear()

    def note(self, stack_id: str, status: str, logical_id: str = "", physical_id: str = "") -> None:
        """Note a new state of a stack, or of one of its resources."""
        stack = self.stacks.setdefault(stack_id, StackRecord(stack_id))
        if logical_id:
            event = StackEvent(self.stage.wall, logical_id, physical_id, "Custom::ECRPublicImage", status)
        else:
            stack.status = status
            event = StackEvent(self.stage.wall, stack.name, stack_id, STACK_TYPE, status)
        stack.events.append(event)

    def answer(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """Answer a request to either service."""
        region = _region(headers)
        if target := headers.get("X-Amz-Target"):
            return self._systems_manager(region, target.partition(".")[2], json.loads(body))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        return self._cloudformation(region, form["Action"], form)

    def _systems_manager(self, region: str, operation: str, data: Mapping[str, Any]) -> tuple[int, str]:
        kind = self._trouble(operation)
        if kind == "denied":
            return 400, json.dumps({"__type": "AccessDeniedException", "message": "not allowed"})
        if kind == "busy":
            return 400, json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"})
        status, answer = getattr(self, f"_{operation}")(region, data)
        if kind == "broken":
            return 500, json.dumps({"__type": "InternalServerError", "message": "it was done, but who knows"})
        return status, json.dumps(answer)

    def _trouble(self, operation: str) -> Trouble | None:
        self.requests[operation] += 1
        kind, left = self.trouble.get(operation, ("busy", 0))
        if left <= 0:
            return None
        self.trouble[operation] = (kind, left - 1)
        return kind

    def _GetParameter(self, region: str, data: Mapping[str, Any]) -> tuple[int, object]:  # noqa: N802 - the operation's name
        text = self.parameters.get((region, data["Name"]))
        if text is None:
            return 400, {"__type": "ParameterNotFound"}
        return 200, {"Parameter": {"Name": data["Name"], "Value": text}}

    def _PutParameter(self, region: str, data: Mapping[str, Any]) -> tuple[int, object]:  # noqa: N802
        assert len(data["Value"].encode()) <= 4096
        assert data.get("Overwrite") or (region, data["Name"]) not in self.parameters
        self.parameters[region, data["Name"]] = data["Value"]
        return 200, {"Version": 1}

    def _DeleteParameter(self, region: str, data: Mapping[str, Any]) -> tuple[int, object]:  # noqa: N802
        if self.parameters.pop((region, data["Name"]), None) is None:
            return 400, {"__type": "ParameterNotFound"}
        return 200, {}

    def _DeleteParameters(self, region: str, data: Mapping[str, Any]) -> tuple[int, object]:  # noqa: N802
        gone = [name for name in data["Names"] if self.parameters.pop((region, name), None) is not None]
        return 200, {
            "DeletedParameters": gone,
            "InvalidParameters": [each for each in data["Names"] if each not in gone],
        }

    def _GetParametersByPath(self, region: str, data: Mapping[str, Any]) -> tuple[int, object]:  # noqa: N802
        path = data["Path"].rstrip("/")
        held = sorted(name for where, name in self.parameters if where == region and name.startswith(f"{path}/"))
        names = [name for name in held if data.get("Recursive") or name.rpartition("/")[0] == path]
        first = int(data.get("NextToken", "0"))
        page = [
            {"Name": name, "Value": self.parameters[region, name]} for name in names[first : first + PARAMETERS_PAGE]
        ]
        more = {"NextToken": str(first + PARAMETERS_PAGE)} if names[first + PARAMETERS_PAGE :] else {}
        return 200, {"Parameters": page, **more}

    def _cloudformation(self, region: str, operation: str, form: Mapping[str, str]) -> tuple[int, str]:
        kind = self._trouble(operation)
        if kind == "denied":
            return 403, _error("AccessDenied", "not allowed")
        if kind == "busy":
            return 400, _error("Throttling", "Rate exceeded")
        if kind == "broken":
            return 500, _error("InternalFailure", "nobody knows why")
        stack = self.stacks.get(form["StackName"])
        if stack is None or stack.region != region:
            return 400, _error("ValidationError", f"Stack with id {form['StackName']} does not exist")
        return _about(stack, operation, form)


@contextmanager
def cloud(stage: Stage) -> Iterator[Cloud]:
    """Serve both services, on a port of this machine."""
    services = Cloud(stage)
    with serving(services.answer) as services.url:
        yield services


def _region(headers: Mapping[str, str]) -> str:
    match = re.search(r"Credential=[^/]+/\d{8}/([^/]+)/", headers["Authorization"])
    assert match
    return match[1]


def _about(stack: StackRecord, operation: str, form: Mapping[str, str]) -> tuple[int, str]:
    if operation == "DescribeStacks":
        return 200, _result(operation, f"<Stacks><member>{_stack(stack)}</member></Stacks>")
    if operation == "DescribeStackEvents":
        return 200, _result(operation, _events(stack, int(form.get("NextToken", "0"))))
    assert operation == "DescribeStackResource", operation
    found = [event for event in stack.events if event.logical_id == form["LogicalResourceId"]]
    if not found:
        return 400, _error("ValidationError", f"Resource {form['LogicalResourceId']} does not exist")
    return 200, _result(operation, _resource(stack, found[-1]))


def _stack(stack: StackRecord) -> str:
    return (
        f"<StackId>{stack.stack_id}</StackId><StackName>{stack.name}</StackName>"
        f"<CreationTime>{_stamp(stack.events[0].at)}</CreationTime><StackStatus>{stack.status}</StackStatus>"
    )


def _events(stack: StackRecord, first: int) -> str:
    newest = stack.events[::-1]
    members = "".join(
        f"<member><EventId>{first + number}</EventId><StackId>{stack.stack_id}</StackId>"
        f"<StackName>{stack.name}</StackName><LogicalResourceId>{event.logical_id}</LogicalResourceId>"
        f"<PhysicalResourceId>{event.physical_id}</PhysicalResourceId><ResourceType>{event.type}</ResourceType>"
        f"<Timestamp>{_stamp(event.at)}</Timestamp><ResourceStatus>{event.status}</ResourceStatus></member>"
        for number, event in enumerate(newest[first : first + EVENTS_PAGE])
    )
    more = f"<NextToken>{first + EVENTS_PAGE}</NextToken>" if newest[first + EVENTS_PAGE :] else ""
    return f"<StackEvents>{members}</StackEvents>{more}"


def _resource(stack: StackRecord, event: StackEvent) -> str:
    return (
        f"<StackResourceDetail><StackId>{stack.stack_id}</StackId><StackName>{stack.name}</StackName>"
        f"<LogicalResourceId>{event.logical_id}</LogicalResourceId>"
        f"<PhysicalResourceId>{event.physical_id}</PhysicalResourceId><ResourceType>{event.type}</ResourceType>"
        f"<LastUpdatedTimestamp>{_stamp(event.at)}</LastUpdatedTimestamp>"
        f"<ResourceStatus>{event.status}</ResourceStatus></StackResourceDetail>"
    )


def _stamp(wall: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(wall)) + f".{int(wall * 1000) % 1000:03}Z"


def _result(operation: str, text: str) -> str:
    return (
        f'<{operation}Response xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
        f"<{operation}Result>{text}</{operation}Result></{operation}Response>"
    )


def _error(code: str, text: str) -> str:
    return (
        '<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{text}</Message></Error></ErrorResponse>"
    )
