"""
Systems Manager's parameters and the status of one stack, for the real clients to talk to.

Small enough to be emptied for each example of a property-based test; the
tests with the ``cdk`` command line use an emulator of all of AWS instead.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PAGE = 10

STACKS = """<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<DescribeStacksResult><Stacks><member><StackName>Agent</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>
<StackStatus>{status}</StackStatus></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""

DENIED = """<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>not allowed</Message></Error></ErrorResponse>"""


@dataclass
class ControlPlane:
    """
    What the two services hold, and what they were asked.

    Attributes:
        denied: Operations that are refused: ``PutParameter``.
        busy: Operations of Systems Manager, and so many requests that are throttled.
    """

    url: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    status: str = "UPDATE_IN_PROGRESS"
    denied: set[str] = field(default_factory=set)
    busy: Counter[str] = field(default_factory=Counter)
    requests: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return the variables that lead clients here."""
        return {"AWS_ENDPOINT_URL_SSM": self.url, "AWS_ENDPOINT_URL_CLOUDFORMATION": self.url}

    def clear(self) -> None:
        self.parameters.clear()
        self.denied.clear()
        self.busy.clear()
        self.requests.clear()
        self.status = "UPDATE_IN_PROGRESS"

    @contextmanager
    def rolling_back(self) -> Iterator[None]:
        """Let the stack undo a deployment."""
        before, self.status = self.status, "UPDATE_ROLLBACK_IN_PROGRESS"
        yield
        self.status = before

    def answer(self, operation: str, data: Mapping[str, Any]) -> tuple[int, str]:
        self.requests.append(operation)
        if operation == "DescribeStacks":
            return (403, DENIED) if operation in self.denied else (200, STACKS.format(status=self.status))
        if operation in self.denied:
            return 400, json.dumps({"__type": "AccessDeniedException", "message": "not allowed"})
        if self.busy[operation] > 0:
            self.busy[operation] -= 1
            return 400, json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"})
        if operation in {"GetParameter", "DeleteParameter"} and data["Name"] not in self.parameters:
            return 400, json.dumps({"__type": "ParameterNotFound"})
        return 200, json.dumps(getattr(self, f"_{operation}")(data))

    def _GetParameter(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802 - the operation's name
        return {"Parameter": {"Name": data["Name"], "Value": self.parameters[data["Name"]]}}

    def _PutParameter(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        assert len(data["Value"]) <= 4096
        self.parameters[data["Name"]] = data["Value"]
        return {"Version": 1}

    def _DeleteParameter(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        del self.parameters[data["Name"]]
        return {}

    def _GetParametersByPath(self, data: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        names = sorted(name for name in self.parameters if name.rpartition("/")[0] == data["Path"])
        first = int(data.get("NextToken", "0"))
        page = [{"Name": name, "Value": self.parameters[name]} for name in names[first : first + PAGE]]
        return {"Parameters": page, **({"NextToken": str(first + PAGE)} if names[first + PAGE :] else {})}


Answer = Callable[[Mapping[str, str], bytes], tuple[int, str]]
"""Answers the headers and the body of a request."""


@contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """Serve one, on a port of this machine."""
    plane = ControlPlane()

    def answer(headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        target = headers.get("X-Amz-Target", "")
        operation = target.partition(".")[2] or "DescribeStacks"
        return plane.answer(operation, json.loads(body) if target else {})

    with serving(answer) as plane.url:
        yield plane


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Let requests to the address that it gives be answered, in threads."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms for the first

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
