"""
The rules of a custom resource's life. Every path through here ends in one answer.

- A failed Create answers with a marker, so that the Delete that follows can
  tell: with a real id it would remove what a Create that failed never made.
- A failed Update or Delete answers with the id that it came with. Another
  would be a replacement to CloudFormation, followed by a Delete of the old.
- A Delete with an id that is not ours is for a resource that CloudFormation
  does not know to exist: its Create failed, or its response did not come in
  time, so that CloudFormation invented an id. It takes back what that Create did.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ..clock import Deadline
from ..errors import DeadlineError, ImageError
from ..log import Log
from .event import Event, RequestType
from .response import Response, Status

GRACE_SECONDS = 1.0
"""What an event without any time left still gets, out of the answer's reserve: most Deletes need no more."""

CREATE_FAILED = "create-failed:"
"""Begins the id of a resource that was never made. (``AWSCDK::…`` markers of CDK's framework are others.)"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a resource became: its physical id and its attributes."""

    physical_resource_id: str
    data: Mapping[str, str] = field(default_factory=dict)


class Resource(Protocol):
    """A kind of custom resource. Each method may raise; none needs to catch."""

    @property
    def progress(self) -> object:
        """What is done so far that may have to be mended by hand, as text; empty: nothing."""

    def owns(self, physical_resource_id: str) -> bool:
        """Whether the id has the form that this resource gives."""

    def create(self, event: Event) -> Outcome:
        """Make the resource what its properties say."""

    def update(self, event: Event) -> Outcome:
        """Make the resource what its new properties say."""

    def delete(self, event: Event) -> None:
        """Remove what the resource put there, as far as its properties ask for it."""


def respond(event: Event, resource: Resource, deadline: Deadline, log: Log) -> Response:
    """
    Serve *event*, and answer whatever happens.

    The work runs in a thread of its own: a call that hangs (in the name
    resolver, say, which has no time-out) must not keep the answer from being
    sent. Every write checks the deadline first, so a thread that is left
    behind writes nothing more.
    """
    box: list[Response] = []
    worker = threading.Thread(target=lambda: box.append(_serve(event, resource, log)), daemon=True)
    worker.start()
    worker.join(max(deadline.remaining, GRACE_SECONDS))
    if box:
        return box[0]
    moved = str(resource.progress)
    what = f"; moved by then, and not moved back: {moved}" if moved else ""
    hint = "deploy again; what is done already is not done twice"
    return _failed(event, DeadlineError(f"ran out of time while a call did not return{what}", hint=hint), log)


def _serve(event: Event, resource: Resource, log: Log) -> Response:
    try:
        return _ACTIONS[event.request_type](event, resource)
    except ImageError as error:
        return _failed(event, error, log)
    except Exception as error:  # noqa: BLE001 - the one catch-all: CloudFormation must get an answer, or it waits for an hour
        return _failed(event, error, log)


def _create(event: Event, resource: Resource) -> Response:
    return _succeeded(resource.create(event))


def _update(event: Event, resource: Resource) -> Response:
    return _succeeded(resource.update(event))


def _delete(event: Event, resource: Resource) -> Response:
    resource.delete(event)
    return Response(status=Status.SUCCESS, physical_resource_id=event.physical_resource_id or _marker(event))


_ACTIONS: Mapping[RequestType, Callable[[Event, Resource], Response]] = {
    RequestType.CREATE: _create,
    RequestType.UPDATE: _update,
    RequestType.DELETE: _delete,
}


def _succeeded(outcome: Outcome) -> Response:
    return Response(
        status=Status.SUCCESS,
        physical_resource_id=outcome.physical_resource_id,
        data=outcome.data,
    )


def _failed(event: Event, error: Exception, log: Log) -> Response:
    if isinstance(error, ImageError):
        reason = error.explain()
        log.error(reason, code=error.code)
    else:
        # A bug of ours. Its text may hold anything, so only its kind and place are told.
        reason = f"INTERNAL: {type(error).__name__} at {_place(error)}. Hint: this is a defect; please report it"
        log.error(reason, code="INTERNAL")
    return Response(
        status=Status.FAILED,
        reason=reason,
        physical_resource_id=event.physical_resource_id or _marker(event),
    )


def refuse(event: Event, error: ImageError, log: Log) -> Response:
    """Answer *event* with FAILED, without any work."""
    return _failed(event, error, log)


def _place(error: Exception) -> str:
    """Name the module and line that raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "an unknown place"


def _marker(event: Event) -> str:
    return f"{CREATE_FAILED}{event.logical_resource_id}"
