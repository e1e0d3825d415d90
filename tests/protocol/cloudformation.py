"""
A simulator of CloudFormation in plain Python, with the behavior that emulators lack.

The response URL is as strict as the real one: a pre-signed PUT that accepts
no content type, at most 4096 bytes, and exactly one response for each request.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol

STACK_ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/Agent/5a7d8f10-0000-4000-8000-123456789abc"
SIGNATURE = "X-Amz-Signature=5ecret51gnature"

SIGNED_SECONDS = 7200
"""How long CloudFormation's signature is good for."""


@dataclass(frozen=True)
class Answer:
    """The handler's response, after all checks."""

    status: str
    reason: str
    physical_id: str
    data: dict[str, str]

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCESS"


@dataclass
class AnswerAddress:
    """
    An S3-like endpoint for pre-signed PUTs; it first responds with the statuses in *failures*.

    Attributes:
        expired: Requests whose signature has expired.
        unconfirmed: Requests whose responses are accepted without confirmation.
    """

    url: str = ""
    failures: list[int] = field(default_factory=list)
    expired: set[str] = field(default_factory=set)
    unconfirmed: set[str] = field(default_factory=set)
    received: dict[str, list[bytes]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def take(self, path: str, content_type: str | None, body: bytes) -> int:
        """Accept a response; return the status, or 0 if the connection breaks instead."""
        if self.failures:
            return self.failures.pop(0)
        if content_type != "":
            self.problems.append(f"content type {content_type!r}: S3 would answer SignatureDoesNotMatch")
            return 403
        request_id = path.partition("?")[0].strip("/")
        if request_id in self.expired:
            return 403
        self.received.setdefault(request_id, []).append(body)
        return 0 if request_id in self.unconfirmed else 200


@contextmanager
def answer_address() -> Iterator[AnswerAddress]:
    address = AnswerAddress()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = address.take(self.path, self.headers.get("Content-Type"), body)
            if not status:
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    address.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Function(Protocol):
    """The Lambda function."""

    def __call__(self, event: Mapping[str, object], remaining_seconds: float) -> None: ...


class WallClock(Protocol):
    """The clock that dates requests."""

    def wall(self) -> float: ...


@dataclass
class CloudFormation:
    """
    Sends events and checks responses as CloudFormation does.

    Attributes:
        clock: Without one, the signature of a request does not say when it was made.
        signature: The form of the signature; the old one says only when it expires.
    """

    function: Function
    address: AnswerAddress
    remaining_seconds: float = 900.0
    clock: WallClock | None = None
    stack_id: str = STACK_ID
    signature: Literal["v4", "v2"] = "v4"

    def create(self, properties: Mapping[str, object], logical_id: str = "Release") -> Answer:
        return self.send(self.event("Create", properties, logical_id))

    def update(
        self, physical_id: str, new: Mapping[str, object], old: Mapping[str, object], logical_id: str = "Release"
    ) -> Answer:
        answer = self.send(self.event("Update", new, logical_id, physical_id, old))
        if not answer.succeeded:
            assert answer.physical_id == physical_id, "a failed update that changes the id becomes a replacement"
        return answer

    def roll_back(
        self, physical_id: str, new: Mapping[str, object], old: Mapping[str, object], logical_id: str = "Release"
    ) -> Answer:
        """Undo an update from *old* to *new* with the reverse Update."""
        return self.update(physical_id, old, new, logical_id)

    def delete(self, physical_id: str, properties: Mapping[str, object], logical_id: str = "Release") -> Answer:
        answer = self.send(self.event("Delete", properties, logical_id, physical_id))
        assert answer.physical_id == physical_id, "the id must not change while a resource is deleted"
        return answer

    def event(
        self,
        request_type: str,
        properties: Mapping[str, object],
        logical_id: str = "Release",
        physical_id: str | None = None,
        old: Mapping[str, object] | None = None,
    ) -> dict[str, Any]:
        request_id = str(uuid.uuid4())
        optional = {"PhysicalResourceId": physical_id, "OldResourceProperties": old and as_sent(old)}
        return {
            "RequestType": request_type,
            "RequestId": request_id,
            "ResponseURL": f"{self.address.url}/{request_id}?{self._signature()}",
            "ServiceToken": "arn:aws:lambda:eu-west-1:123456789012:function:handler",
            "StackId": self.stack_id,
            "LogicalResourceId": logical_id,
            "ResourceType": "Custom::ECRPublicImage",
            "ResourceProperties": as_sent(properties),
            **{key: value for key, value in optional.items() if value is not None},
        }

    def _signature(self) -> str:
        """Sign an address as of now."""
        if self.clock is None:
            return SIGNATURE
        now = self.clock.wall()
        if self.signature == "v2":
            return f"AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires={int(now) + SIGNED_SECONDS}&Signature=5ecret51gnature"
        date = datetime.fromtimestamp(int(now), UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"AKIAIOSFODNN7EXAMPLE%2F{date[:8]}%2Feu-west-1%2Fs3%2Faws4_request"
        head = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={date}&X-Amz-SignedHeaders=host"
        return f"{head}&X-Amz-Expires={SIGNED_SECONDS}&X-Amz-Credential={scope}&{SIGNATURE}"

    def send(self, event: Mapping[str, Any]) -> Answer:
        self.function(event, self.remaining_seconds)
        return self.answer_to(event)

    def answer_to(self, event: Mapping[str, Any], answers: int = 1) -> Answer:
        """Return the response to *event*; there must be exactly one for each delivery."""
        assert self.address.problems == []
        bodies = self.address.received.pop(event["RequestId"], [])
        assert len(bodies) == answers, f"{len(bodies)} responses to one request"
        return check(event, bodies[-1])


def check(event: Mapping[str, Any], body: bytes) -> Answer:
    """Check a response against CloudFormation's rules."""
    assert len(body) <= 4096, "Response object is too long"
    answer = json.loads(body)
    for key in ("StackId", "RequestId", "LogicalResourceId"):
        assert answer[key] == event[key]
    assert answer["Status"] in {"SUCCESS", "FAILED"}
    assert answer["Status"] == "SUCCESS" or answer["Reason"]
    assert 1 <= len(answer["PhysicalResourceId"].encode("utf-8", "surrogatepass")) <= 1024, "Invalid PhysicalResourceId"
    assert all(isinstance(value, str) for value in answer["Data"].values())
    return Answer(answer["Status"], answer["Reason"], answer["PhysicalResourceId"], answer["Data"])


def as_sent(properties: Mapping[str, object]) -> dict[str, Any]:
    """Return properties as they arrive: every number and boolean is a string, at any depth."""
    sent: dict[str, Any] = as_strings({"ServiceToken": "arn:…", "ServiceTimeout": 300, **properties})
    return sent


def as_strings(value: object) -> Any:
    if isinstance(value, Mapping):
        return {key: as_strings(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_strings(item) for item in value]
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
