"""The lifecycle of a custom resource, for any behavior of the resource."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambda_handler.cfn import Event, Response, Status, respond
from lambda_handler.clock import Deadline, SystemClock
from lambda_handler.errors import DeadlineError, ImageError, NotFoundError
from lambda_handler.log import Log
from tests.support.clock import SteppingClock

from .test_cloudformation_protocol import EVENT, NOW

OURS = "ecr-public:123456789012/acme/agent:Release"
MARKER = "create-failed:Release"
FAILURE = NotFoundError("no such image", operation="x", hint="push it")


@dataclass
class Recorder:
    """A resource that has scripted results and records its calls."""

    failure: Exception | None = None
    physical_id: str = OURS
    asked: list[str] = field(default_factory=list)
    progress: str = ""

    def owns(self, physical_resource_id: str) -> bool:
        return physical_resource_id.startswith("ecr-public:")

    def create(self, event: Event) -> Response:
        return self._do(event)

    def update(self, event: Event) -> Response:
        return self._do(event)

    def delete(self, event: Event) -> None:
        self._do(event)

    def _do(self, event: Event) -> Response:
        self.asked.append(event.request_type.value)
        if self.failure:
            raise self.failure
        return Response(physical_resource_id=self.physical_id, data={"ImageDigest": "sha256:…"})


def serve(request_type: str, physical_id: str | None, resource: Any, seconds: float = 60) -> Response:
    event = Event.parse({**EVENT, "RequestType": request_type, "PhysicalResourceId": physical_id}, NOW)
    return respond(event, resource, Deadline.after(seconds, SteppingClock()), Log(stream=io.StringIO()))


@pytest.mark.parametrize(("request_type", "physical_id"), [("Create", None), ("Update", OURS), ("Update", "older")])
def test_a_success_returns_the_id_and_attributes_of_the_resource(request_type: str, physical_id: str | None) -> None:
    response = serve(request_type, physical_id, Recorder())

    assert response == Response(status=Status.SUCCESS, physical_resource_id=OURS, data={"ImageDigest": "sha256:…"})


@pytest.mark.parametrize(
    ("request_type", "physical_id", "answered"),
    [("Create", None, MARKER), ("Update", OURS, OURS), ("Update", "older", "older"), ("Delete", OURS, OURS)],
)
def test_a_failure_returns_the_received_id_or_a_marker(
    request_type: str, physical_id: str | None, answered: str
) -> None:
    response = serve(request_type, physical_id, Recorder(FAILURE))

    assert response == Response(
        status=Status.FAILED,
        reason="NOT_FOUND: no such image. Hint: push it",
        physical_resource_id=answered,
    )


IDS = [OURS, MARKER, "Agent-Release-1ABCDEFGHIJKL", "2026/11/23/[$LATEST]0af3", None]


@pytest.mark.parametrize("physical_id", IDS)
def test_a_delete_of_any_id_is_carried_out_and_returns_that_id(physical_id: str | None) -> None:
    """Even of an id that CloudFormation made up: Create may have succeeded and only its response been lost."""
    resource = Recorder(physical_id="another")

    response = serve("Delete", physical_id, resource)

    assert (response.status, response.physical_resource_id) == (Status.SUCCESS, physical_id or MARKER)
    assert resource.asked == ["Delete"]


@pytest.mark.parametrize("physical_id", IDS)
def test_a_failed_delete_responds_failed_so_that_it_can_be_retried(physical_id: str | None) -> None:
    response = serve("Delete", physical_id, Recorder(FAILURE))

    assert (response.status, response.physical_resource_id) == (Status.FAILED, physical_id or MARKER)
    assert response.reason == FAILURE.explain()


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError(), MemoryError(), UnicodeEncodeError("a", "b", 0, 1, "c")]
)
def test_an_unexpected_exception_gets_a_response_too(error: Exception) -> None:
    response = serve("Create", None, Recorder(error))

    assert response.reason.startswith(f"INTERNAL: {type(error).__name__} at tests.unit.test_lifecycle:")


class Hanging(Recorder):
    """A resource whose call does not return until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def _do(self, event: Event) -> Response:
        self.go.wait(30)
        return super()._do(event)


@pytest.mark.parametrize(("request_type", "answered"), [("Create", MARKER), ("Update", OURS), ("Delete", OURS)])
def test_a_hanging_call_is_abandoned_at_the_deadline(request_type: str, answered: str) -> None:
    resource = Hanging()
    event = Event.parse({**EVENT, "RequestType": request_type, "PhysicalResourceId": OURS}, NOW)
    event = event if request_type != "Create" else Event.parse({**EVENT, "RequestType": request_type}, NOW)

    response = respond(event, resource, Deadline.after(0.05, SystemClock()), Log(stream=io.StringIO()))
    resource.go.set()

    assert (response.status, response.physical_resource_id) == (Status.FAILED, answered)
    assert response.reason.startswith("DEADLINE: ran out of time while a call did not return. Hint: deploy again")


def test_a_call_that_hangs_halfway_reports_the_tags_moved_by_then() -> None:
    resource = Hanging()
    resource.progress = "latest (was sha256:…), 1.4 (was new)"

    response = respond(
        Event.parse(EVENT, NOW), resource, Deadline.after(0.05, SystemClock()), Log(stream=io.StringIO())
    )
    resource.go.set()

    assert response.reason.startswith(
        "DEADLINE: ran out of time while a call did not return; "
        "moved by then, and not moved back: latest (was sha256:…), 1.4 (was new). Hint: "
    )


class Writing(Recorder):
    """A resource that lets other threads run, as writing a log line to a pipe does."""

    def _do(self, event: Event) -> Response:
        threading.Event().wait(0.02)
        return super()._do(event)


@pytest.mark.parametrize("physical_id", [MARKER, OURS])
def test_a_short_delete_succeeds_even_if_no_time_is_left(physical_id: str) -> None:
    """Otherwise a short ServiceTimeout fails the Create and then the Delete that cleans up, and the stack is stuck."""
    assert serve("Delete", physical_id, Writing(), seconds=0).status is Status.SUCCESS


def test_logs_every_failure() -> None:
    stream = io.StringIO()
    event = Event.parse({**EVENT, "RequestType": "Create"}, NOW)

    respond(event, Recorder(FAILURE), Deadline.after(60, SteppingClock()), Log(stream=stream))

    assert '"level": "ERROR", "message": "NOT_FOUND: no such image. Hint: push it"' in stream.getvalue()


@pytest.mark.parametrize("error", [DeadlineError("late", hint="deploy again"), ImageError("odd")])
def test_the_reason_is_the_explanation_of_the_error(error: ImageError) -> None:
    assert serve("Create", None, Recorder(error)).reason == error.explain()
