"""
A fake server of Systems Manager and CloudFormation for real clients: parameters in each Region, and stacks.

It can be emptied quickly for each example of a property-based test. The tests
with the ``cdk`` command line use a complete emulator of AWS instead.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tests.support.hooks import Hooks
from tests.support.parameters import Everywhere, ParameterStore, Refusal
from tests.support.stack_records import LONG_AGO, StackRecord, describe_events, describe_resource, describe_stack

HOME = "us-east-1"
"""The Region of requests that do not name one, and of parameters that a test sets."""

SOME_STACK = "arn:aws:cloudformation:us-east-1:123456789012:stack/Agent/00000000-0000-4000-8000-000000000000"

FORMATION = frozenset({"DescribeStacks", "DescribeStackEvents", "DescribeStackResource"})

UNKNOWN = "ValidationError"
"""CloudFormation's error for an unknown resource."""

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([a-z0-9-]+)/")

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"

_ANSWER = """<{operation}Response xmlns="{namespace}"><{operation}Result>{result}</{operation}Result>
</{operation}Response>"""

_ERROR = """<ErrorResponse xmlns="{namespace}"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>
</Error></ErrorResponse>"""


@dataclass(frozen=True)
class Asked:
    """One request."""

    operation: str
    region: str
    data: Mapping[str, Any]


@dataclass
class ControlPlane:
    """
    The state of both services, and the requests that they got.

    Attributes:
        regions: The parameters of each Region, by name.
        status: The status of every stack that is not in *stacks*.
        stacks: The stacks, by id.
        denied: Operations that are denied, everywhere or in one Region: ``PutParameter``, ``eu-west-1/PutParameter``.
        busy: How many requests to throttle, by operation.
        requests: The operations of all requests; *calls* has the requests themselves.
        wall: The clock for the times of stack events.
    """

    url: str = ""
    regions: dict[str, dict[str, str]] = field(default_factory=dict)
    status: str = "UPDATE_IN_PROGRESS"
    stacks: dict[str, StackRecord] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    busy: Counter[str] = field(default_factory=Counter)
    requests: list[str] = field(default_factory=list)
    calls: list[Asked] = field(default_factory=list)
    hooks: Hooks = field(default_factory=Hooks)
    wall: Callable[[], float] = time.time

    @property
    def parameters(self) -> MutableMapping[str, str]:
        """The parameters of all Regions."""
        return Everywhere(self.regions, HOME)

    @parameters.setter
    def parameters(self, parameters: Mapping[str, str]) -> None:
        self.regions.clear()
        self.parameters.update(parameters)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that direct clients to this server."""
        return {"AWS_ENDPOINT_URL_SSM": self.url, "AWS_ENDPOINT_URL_CLOUDFORMATION": self.url}

    def clear(self) -> None:
        for each in (self.regions, self.stacks, self.denied, self.busy, self.requests, self.calls, self.hooks):
            each.clear()
        self.status = "UPDATE_IN_PROGRESS"

    def stack(self, stack_id: str) -> StackRecord:
        """Return a stack, which is created if it does not exist."""
        return self.stacks.setdefault(stack_id, StackRecord(stack_id, self.wall))

    @contextmanager
    def rolling_back(self) -> Iterator[None]:
        """Run a block while all other stacks are rolling back."""
        before, self.status = self.status, "UPDATE_ROLLBACK_IN_PROGRESS"
        yield
        self.status = before

    def answer(self, operation: str, data: Mapping[str, Any], region: str = HOME) -> tuple[int, str]:
        """Answer a request to either service."""
        asked = Asked(operation, region, data)
        self.requests.append(operation)
        self.calls.append(asked)
        self.hooks.run("before", operation, asked)
        try:
            answered = 200, self._answer(asked)
        except Refusal as refused:
            answered = 400, _refused(operation, str(refused))
        self.hooks.run("after", operation, asked)
        return answered

    def _answer(self, asked: Asked) -> str:
        if not self.denied.isdisjoint({asked.operation, f"{asked.region}/{asked.operation}"}):
            raise Refusal("AccessDenied" if asked.operation in FORMATION else "AccessDeniedException")
        if self.busy[asked.operation] > 0:
            self.busy[asked.operation] -= 1
            raise Refusal("Throttling" if asked.operation in FORMATION else "ThrottlingException")
        if asked.operation in FORMATION:
            result = self._describe(asked.operation, asked.data)
            return _ANSWER.format(operation=asked.operation, result=result, namespace=_NAMESPACE)
        store = ParameterStore(asked.region, self.regions.setdefault(asked.region, {}))
        return json.dumps(store.answer(asked.operation, asked.data))

    def _describe(self, operation: str, data: Mapping[str, Any]) -> str:
        stack_id = data.get("StackName", SOME_STACK)
        stack = self.stacks.get(stack_id) or StackRecord(stack_id, self.wall, status=self.status)
        if operation == "DescribeStacks":
            return describe_stack(stack)
        if operation == "DescribeStackEvents":
            if stack_id not in self.stacks and "ROLLBACK" not in stack.status:
                # A stack without a record: its last deployment has succeeded, and now it is being deleted.
                stack.enter("UPDATE_COMPLETE")
                stack.enter("DELETE_IN_PROGRESS")
            return describe_events(stack, data.get("NextToken", ""))
        logical_id = data["LogicalResourceId"]
        if stack_id not in self.stacks:
            # A stack without a record: every resource is in progress.
            stack.wall = lambda: LONG_AGO
            stack.change(logical_id, "CREATE_IN_PROGRESS")
        result = describe_resource(stack, logical_id)
        if result is None:
            raise Refusal(UNKNOWN)
        return result


def _refused(operation: str, code: str) -> str:
    message = "Rate exceeded" if code.startswith("Throttling") else "not allowed"
    if operation in FORMATION:
        return _ERROR.format(code=code, message=message, namespace=_NAMESPACE)
    return json.dumps({"__type": code, "message": message})


Answer = Callable[[Mapping[str, str], bytes], tuple[int, str]]
"""Returns a response to the headers and the body of a request."""


def region_of(headers: Mapping[str, str]) -> str:
    """Return the Region in the signature of a request."""
    scope = _SCOPE.search(headers.get("Authorization", ""))
    return scope[1] if scope else HOME


@contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """Run such a server on a port of this machine."""
    plane = ControlPlane()

    def answer(headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        if target := headers.get("X-Amz-Target", ""):
            return plane.answer(target.partition(".")[2], json.loads(body), region_of(headers))
        form = dict(parse_qsl(body.decode()))
        return plane.answer(form["Action"], form, region_of(headers))

    with serving(answer) as plane.url:
        yield plane


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve requests with *answer*, in threads, and yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # Otherwise, the body would wait 40 ms after the head.

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, text = answer(dict(self.headers), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
