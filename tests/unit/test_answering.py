"""A response is always sent, and leaks nothing."""

from __future__ import annotations

import io
import json

import pytest
import urllib3

from lambda_handler.cfn import Event, Response, Status, deliver, respond
from lambda_handler.clock import Deadline
from lambda_handler.errors import DeliveryError
from lambda_handler.log import Log
from lambda_handler.retry import Retry
from tests.support.web_server import send, web_server

from .test_cloudformation_protocol import EVENT, NOW


class Clock:
    """A clock that advances only in ``sleep``."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Broken:
    """A resource that raises an exception with a secret in its message."""

    progress = ""

    def owns(self, physical_resource_id: str) -> bool:
        return bool(physical_resource_id)

    def create(self, event: Event) -> Response:
        message = f"s3cret of {event.logical_resource_id}"
        raise RuntimeError(message)

    update = create

    def delete(self, event: Event) -> None:
        self.create(event)


def retry(log: Log | None = None, seconds: float = 60) -> Retry:
    return Retry(Deadline.after(seconds, Clock()), log or Log(stream=io.StringIO()))


@pytest.mark.parametrize(
    ("request_type", "physical_id", "answered_id"),
    [
        ("Create", None, "create-failed:Release"),
        ("Update", "ecr-public:x", "ecr-public:x"),
        ("Delete", "ecr-public:x", "ecr-public:x"),
    ],
)
def test_an_unexpected_exception_is_reported_by_location_and_not_by_message(
    request_type: str, physical_id: str | None, answered_id: str
) -> None:
    stream = io.StringIO()
    event = Event.parse({**EVENT, "RequestType": request_type, "PhysicalResourceId": physical_id}, NOW)

    response = respond(event, Broken(), Deadline.after(60, Clock()), Log(stream=stream))

    assert (response.status, response.physical_resource_id) == (Status.FAILED, answered_id)
    assert response.reason.startswith("INTERNAL: RuntimeError at ")
    assert "test_answering" in response.reason
    assert "s3cret" not in response.reason + stream.getvalue()


def test_log_lines_are_json_and_cannot_be_forged() -> None:
    stream = io.StringIO()

    Log(stream=stream).bind(a=1).info('one\n{"level": "ERROR"}', b="ü")

    (line,) = stream.getvalue().splitlines()
    assert json.loads(line) == {"level": "INFO", "message": 'one\n{"level": "ERROR"}', "a": 1, "b": "ü"}


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://host/x", "http://localhost@example.com/x", "x"])
def test_refuses_a_response_url_without_tls(url: str) -> None:
    with pytest.raises(DeliveryError, match="is not an https URL; no response was sent"):
        deliver(url, b"{}", urllib3.PoolManager(), retry())


def test_an_unreachable_response_url_is_not_in_the_error() -> None:
    stream = io.StringIO()

    with pytest.raises(DeliveryError, match="cannot be reached") as failure:
        deliver("http://127.0.0.1:1/x?s3cret", b"{}", urllib3.PoolManager(), retry(Log(stream=stream)))

    assert "s3cret" not in f"{failure.value!r}{failure.value.__cause__!r}{stream.getvalue()}"


def test_the_response_url_is_sent_byte_for_byte() -> None:
    """CloudFormation's URLs have escapes in upper case."""
    target = "/arn%3Aaws%3Acloudformation%3Aeu-west-1%3A1/Image%7C5?X-Amz-Credential=A%2F20261128&Signature=a%2Bb%3D~"
    with web_server() as server:
        server.answer = lambda request: send(request, 200)
        deliver(f"{server.url}{target}", b"{}", urllib3.PoolManager(), retry())

    assert server.paths == [target]
