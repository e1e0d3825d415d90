"""A fake of Systems Manager and CloudFormation: parameters, the status of stacks, and the response URL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from cdk_ecrpublic.sandbox.rates import Rates

from .scale_http import Request, Server
from .scale_quotas import NONE, Counts, Quotas
from .scale_time import Time

PAGE = 10
"""The size of a page of GetParametersByPath, and the limit of GetParameters."""

VALUE_MAX_CHARACTERS = 4096
"""The size limit of a standard parameter."""

ANSWERS = "/answers/"

_OK, _BAD_REQUEST, _FORBIDDEN = 200, 400, 403
_REGION = re.compile(r"Credential=[^/]+/[0-9]+/(?P<region>[a-z0-9-]+)/")
_STACK_NAME = re.compile(r"arn:[^/]+:stack/(?P<name>[^/]+)/")

_STACK = "<StackId>{id}</StackId><StackName>{name}</StackName>"
_RESPONSE = """<{operation}Response xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<{operation}Result>{result}</{operation}Result></{operation}Response>"""
_REFUSED = """<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>{code}</Message></Error></ErrorResponse>"""


class RefusedError(Exception):
    """The request fails. The text is the error code."""


@dataclass(slots=True)
class Parameters:
    """The parameters of one Region, each with its version."""

    values: dict[str, tuple[str, int]] = field(default_factory=dict)

    def answer(self, operation: str, data: Mapping[str, Any]) -> Mapping[str, object]:
        """
        Carry out an operation.

        Raises:
            RefusedError: The service refuses it.
        """
        operations: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, object]]] = {
            "GetParameter": self._get,
            "GetParameters": self._get_some,
            "GetParametersByPath": self._get_by_path,
            "PutParameter": self._put,
            "DeleteParameter": self._delete,
        }
        if operation not in operations:
            raise RefusedError("UnknownOperationException")  # noqa: EM101 - the message is only the code
        return operations[operation](data)

    def _get(self, data: Mapping[str, Any]) -> Mapping[str, object]:
        return {"Parameter": self._shown(self._known(data["Name"]))}

    def _get_some(self, data: Mapping[str, Any]) -> Mapping[str, object]:
        names = data["Names"]
        if len(names) > PAGE:
            raise RefusedError("ValidationException")  # noqa: EM101
        there = [self._shown(name) for name in names if name in self.values]
        return {"Parameters": there, "InvalidParameters": [name for name in names if name not in self.values]}

    def _get_by_path(self, data: Mapping[str, Any]) -> Mapping[str, object]:
        path, size = data["Path"].rstrip("/") + "/", data.get("MaxResults", PAGE)
        if not 1 <= size <= PAGE:
            raise RefusedError("ValidationException")  # noqa: EM101
        below = (name for name in self.values if name.startswith(path))
        names = sorted(name for name in below if data.get("Recursive") or "/" not in name.removeprefix(path))
        # A page begins after the last name of the previous one, even if parameters were written in between.
        names = [name for name in names if name > data.get("NextToken", "")]
        following = {"NextToken": names[size - 1]} if len(names) > size else {}
        return {"Parameters": [self._shown(name) for name in names[:size]], **following}

    def _put(self, data: Mapping[str, Any]) -> Mapping[str, object]:
        name, value = data["Name"], data["Value"]
        _, version = self.values.get(name, ("", 0))
        if version and not data.get("Overwrite"):
            raise RefusedError("ParameterAlreadyExists")  # noqa: EM101
        if len(value) > VALUE_MAX_CHARACTERS:
            raise RefusedError("ValidationException")  # noqa: EM101
        self.values[name] = value, version + 1
        return {"Version": version + 1, "Tier": "Standard"}

    def _delete(self, data: Mapping[str, Any]) -> Mapping[str, object]:
        del self.values[self._known(data["Name"])]
        return {}

    def _known(self, name: str) -> str:
        if name not in self.values:
            raise RefusedError("ParameterNotFound")  # noqa: EM101
        return name

    def _shown(self, name: str) -> Mapping[str, object]:
        value, version = self.values[name]
        return {"Name": name, "Type": "String", "Value": value, "Version": version, "DataType": "text"}


class ControlPlane:
    """
    All of them, on one port.

    Clients of every Region are served. Each Region has its own parameters and
    quotas. All stacks have the same status.
    """

    def __init__(self, time: Time) -> None:
        self._time = time
        self._regions: dict[str, Parameters] = {}
        self._quotas, self._rates, self._counts = NONE, Rates(time.now), Counts()
        self._history: list[tuple[datetime, str]] = []
        self._answers: dict[str, list[tuple[float, str]]] = {}
        self._failed = 0
        self._server = Server(self._answer)

    def close(self) -> None:
        """Stop."""
        self._server.close()

    def url(self) -> str:
        """Return its URL."""
        return self._server.url

    def limit(self, quotas: Quotas) -> None:
        """Set the quotas, with nothing used."""
        self._quotas, self._rates = quotas, Rates(self._time.now)

    def enter(self, status: str) -> None:
        """Set the status of all stacks, which adds an event."""
        self._history.append((datetime.fromtimestamp(self._time.wall(), UTC), status))

    def counts(self) -> Counts:
        """Return the requests since the last call."""
        counts, self._counts = self._counts, Counts()
        return counts

    def progress(self) -> tuple[int, int]:
        """Return the number of responses to CloudFormation, and of failures among them."""
        return len(self._answers), self._failed

    def answers(self) -> Mapping[str, list[tuple[float, str]]]:
        """Return and discard the responses and their times, by request id."""
        answers, self._answers, self._failed = self._answers, {}, 0
        return answers

    def _answer(self, request: Request) -> tuple[int, bytes]:
        if request.target.startswith(ANSWERS):
            return self._take(request)
        match = _REGION.search(request.headers.get("authorization", ""))
        region = match["region"] if match else ""
        service, _, operation = request.headers.get("x-amz-target", "").partition(".")
        if service == "AmazonSSM":
            return self._systems_manager(region, operation, json.loads(request.body))
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        return self._cloudformation(form)

    def _take(self, request: Request) -> tuple[int, bytes]:
        """Accept a response as S3 does: the URL is signed for an empty content type."""
        if request.method != "PUT" or request.headers.get("content-type") != "":
            return _FORBIDDEN, b"SignatureDoesNotMatch"
        identity = unquote(request.target.partition("?")[0].removeprefix(ANSWERS))
        text = request.body.decode()
        self._answers.setdefault(identity, []).append((self._time.now(), text))
        self._failed += json.loads(text).get("Status") != "SUCCESS"
        return _OK, b""

    def _systems_manager(self, region: str, operation: str, data: Mapping[str, Any]) -> tuple[int, bytes]:
        quota, per_second = self._quotas.limit_of(operation)
        is_allowed = self._rates.allows(f"{region} {quota}", per_second)
        self._counts.count(operation, is_throttled=not is_allowed)
        if not is_allowed:
            return _BAD_REQUEST, _error("ThrottlingException", "Rate exceeded")
        try:
            answer = self._regions.setdefault(region, Parameters()).answer(operation, data)
        except RefusedError as error:
            return _BAD_REQUEST, _error(str(error))
        return _OK, json.dumps(answer).encode()

    def _cloudformation(self, form: Mapping[str, str]) -> tuple[int, bytes]:
        operation, stack_id = form.get("Action", ""), form.get("StackName", "")
        self._counts.count(operation, is_throttled=False)
        match = _STACK_NAME.match(stack_id)
        stack = _STACK.format(id=escape(stack_id), name=match["name"] if match else escape(stack_id))
        if operation == "DescribeStacks":
            result = f"<Stacks><member>{stack}{self._status()}</member></Stacks>"
        elif operation == "DescribeStackEvents":
            events = (_event(stack, stack_id, *entry) for entry in reversed(self._history))
            result = f"<StackEvents>{''.join(events)}</StackEvents>"
        elif operation == "DescribeStackResource":
            result = self._resource(stack, form.get("LogicalResourceId", ""))
        else:
            return _BAD_REQUEST, _REFUSED.format(code="InvalidAction").encode()
        return _OK, _RESPONSE.format(operation=operation, result=result).encode()

    def _status(self) -> str:
        (created, _), (updated, status) = self._history[0], self._history[-1]
        times = f"<CreationTime>{_time(created)}</CreationTime><LastUpdatedTime>{_time(updated)}</LastUpdatedTime>"
        return f"{times}<StackStatus>{status}</StackStatus>"

    def _resource(self, stack: str, logical_id: str) -> str:
        """Return a resource whose status changed at the same time as that of its stack."""
        when, status = self._history[-1]
        return (
            f"<StackResourceDetail>{stack}<LogicalResourceId>{escape(logical_id)}</LogicalResourceId>"
            "<ResourceType>Custom::ECRPublicImage</ResourceType>"
            f"<LastUpdatedTimestamp>{_time(when)}</LastUpdatedTimestamp>"
            f"<ResourceStatus>{status}</ResourceStatus></StackResourceDetail>"
        )


def _event(stack: str, stack_id: str, when: datetime, status: str) -> str:
    """Return an event of the stack itself. Events of resources are omitted."""
    match = _STACK_NAME.match(stack_id)
    return (
        f"<member>{stack}<EventId>{status}-{when.timestamp()}</EventId>"
        f"<LogicalResourceId>{match['name'] if match else escape(stack_id)}</LogicalResourceId>"
        f"<PhysicalResourceId>{escape(stack_id)}</PhysicalResourceId>"
        "<ResourceType>AWS::CloudFormation::Stack</ResourceType>"
        f"<Timestamp>{_time(when)}</Timestamp><ResourceStatus>{status}</ResourceStatus></member>"
    )


def _time(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(code: str, message: str = "") -> bytes:
    return json.dumps({"__type": code, "message": message or code}).encode()
